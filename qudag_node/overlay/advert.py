"""Link-state adverts: what an ADVERT frame carries, one node's signed list of its links. No I/O, no clock.

    0            1          2            4           6            14          46
    +------------+----------+------------+-----------+------------+------------+
    | version u8 | flags u8 | link count | lifetime  | sequence   | origin key |
    |   = 1      |          | u16 (≤256) | u16 s     | u64 (<2^62)| 32 bytes   |
    +------------+----------+------------+-----------+------------+------------+
    | name length u8, name (≤ 63 bytes)  | links                  | signature  |
    |                                    | (key 32, cost µs u32)… | 64 bytes   |
    +------------------------------------+------------------------+------------+

flags: 1 the node never relays; 2 the node is stopping. Links stand in strictly ascending order of their keys,
so one list has one encoding. The signature covers everything before it, under ``qudag-advert/1\\0``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import MappingProxyType

from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.signing import SIGNATURE_BYTES, Signer, Verifier

__all__ = [
    "LABEL",
    "MAX_COST_US",
    "MAX_LINKS",
    "MAX_SEQUENCE",
    "Advert",
    "decode_advert",
    "is_signed_by_its_origin",
    "next_sequence",
    "sign_advert",
]

LABEL = b"qudag-advert/1\0"
MAX_LINKS = 256
MAX_COST_US = 2**32 - 1
# Milliseconds since 1970 need 41 bits; nobody can advance so far that the sequence has no successor.
MAX_SEQUENCE = 2**62

_VERSION = 1
_FLAG_LEAF = 1
_FLAG_LEAVING = 2
_PREFIX = Struct("!BBHHQ32sB")
_LINK = Struct("!32sI")
_NAME = re.compile(rb"[A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert:
    """One node's claim about its links.

    Attributes:
        sequence: The higher one of the same origin counts.
        name: What the node calls itself; letters, digits, ``_``, ``.`` and ``-``. Not unique.
        lifetime_s: How long the claim holds after it was received, unless it is renewed.
        is_leaf: The node never relays: no path goes through it.
        is_leaving: The node is stopping, and has no links any more.
        cost_us_by_neighbour: Smoothed round-trip time to each neighbour's key, at least 1.
    """

    origin: bytes
    sequence: int
    name: str
    lifetime_s: int
    is_leaf: bool
    is_leaving: bool
    cost_us_by_neighbour: Mapping[bytes, int]
    encoded: bytes = field(repr=False)

    def is_newer_than(self, other: Advert) -> bool:
        """Whether this one replaces the other of the same origin.

        Two different adverts of one sequence are ordered by their bytes, so that all nodes keep the same.
        """
        return (self.sequence, self.encoded) > (other.sequence, other.encoded)

    def says_the_same_as(self, other: Advert) -> bool:
        """Whether the map is the same with either: all but sequence, lifetime and name."""
        return (
            self.is_leaf == other.is_leaf
            and self.is_leaving == other.is_leaving
            and self.cost_us_by_neighbour == other.cost_us_by_neighbour
        )


def next_sequence(previous: int, wall_ms: int) -> int:
    """Return the sequence for a new advert: the wall clock, or one more than the last where that is ahead."""
    return min(max(previous + 1, wall_ms), MAX_SEQUENCE - 1)


def sign_advert(
    signer: Signer,
    cost_us_by_neighbour: Mapping[bytes, int],
    *,
    sequence: int,
    name: str,
    lifetime_s: int,
    is_leaf: bool = False,
    is_leaving: bool = False,
) -> Advert:
    """Make an advert of one's own.

    Raises:
        ValueError: A link, the name or a number that no advert can carry.
    """
    encoded_name = name.encode()
    if not _NAME.fullmatch(encoded_name):
        raise ValueError(f"{name!r}: a name has at most 63 letters, digits, '_', '.' and '-'")
    if len(cost_us_by_neighbour) > MAX_LINKS or signer.public_key in cost_us_by_neighbour:
        raise ValueError(f"{len(cost_us_by_neighbour)} links: at most {MAX_LINKS}, none to oneself")
    if not all(1 <= cost_us <= MAX_COST_US for cost_us in cost_us_by_neighbour.values()):
        raise ValueError("a link's cost is 1 µs at least and fits 32 bits")
    if not (0 <= sequence < MAX_SEQUENCE and 1 <= lifetime_s <= 0xFFFF):
        raise ValueError(f"sequence {sequence} or lifetime {lifetime_s} is out of range")
    links = sorted(cost_us_by_neighbour.items())
    body = b"".join(
        (
            _PREFIX.pack(
                _VERSION,
                is_leaf * _FLAG_LEAF | is_leaving * _FLAG_LEAVING,
                len(links),
                lifetime_s,
                sequence,
                signer.public_key,
                len(encoded_name),
            ),
            encoded_name,
            *(_LINK.pack(neighbour, cost_us) for neighbour, cost_us in links),
        )
    )
    return Advert(
        origin=signer.public_key,
        sequence=sequence,
        name=name,
        lifetime_s=lifetime_s,
        is_leaf=is_leaf,
        is_leaving=is_leaving,
        cost_us_by_neighbour=MappingProxyType(dict(links)),
        encoded=body + signer.sign(LABEL, body),
    )


def decode_advert(encoded: bytes) -> Advert:
    """Read an advert and check its structure; the signature is not looked at.

    Raises:
        RemoteFault: ``advert_malformed`` or ``advert_version``.
    """
    if len(encoded) < _PREFIX.size + SIGNATURE_BYTES:
        raise RemoteFault("advert_malformed", f"{len(encoded)} bytes are too few")
    version, flags, link_count, lifetime_s, sequence, origin, name_bytes = _PREFIX.unpack_from(encoded)
    if version != _VERSION:
        raise RemoteFault("advert_version", f"version {version} is not known")
    links_start = _PREFIX.size + name_bytes
    links_stop = links_start + link_count * _LINK.size
    name = encoded[_PREFIX.size : links_start]
    if link_count > MAX_LINKS or links_stop + SIGNATURE_BYTES != len(encoded) or not _NAME.fullmatch(name):
        raise RemoteFault("advert_malformed", f"{len(encoded)} bytes do not fit its own lengths")
    if sequence >= MAX_SEQUENCE or lifetime_s == 0 or flags & ~(_FLAG_LEAF | _FLAG_LEAVING):
        raise RemoteFault("advert_malformed", f"sequence {sequence}, lifetime {lifetime_s}, flags {flags}")
    return Advert(
        origin=origin,
        sequence=sequence,
        name=name.decode("ascii"),
        lifetime_s=lifetime_s,
        is_leaf=bool(flags & _FLAG_LEAF),
        is_leaving=bool(flags & _FLAG_LEAVING),
        cost_us_by_neighbour=MappingProxyType(_decode_links(encoded[links_start:links_stop], origin)),
        encoded=encoded,
    )


def is_signed_by_its_origin(advert: Advert, verifier: Verifier) -> bool:
    """Whether the signature holds. Costs about 0.1 ms; ask only for what would change something."""
    encoded = advert.encoded
    return verifier.verify(advert.origin, LABEL, encoded[:-SIGNATURE_BYTES], encoded[-SIGNATURE_BYTES:])


def _decode_links(encoded: bytes, origin: bytes) -> dict[bytes, int]:
    cost_us_by_neighbour: dict[bytes, int] = {}
    previous = b""
    for neighbour, cost_us in _LINK.iter_unpack(encoded):
        if neighbour <= previous or neighbour == origin or cost_us == 0:
            raise RemoteFault(
                "advert_malformed", "a link is out of order, to its own origin, or free of cost"
            )
        cost_us_by_neighbour[neighbour] = cost_us
        previous = neighbour
    return cost_us_by_neighbour
