"""What may follow a base packet: extensions, each with its type and length. Source: RFC 8972 section 4.

    +-----------+----------+--------------+- - - - - -+
    | flags u8  | type u8  | length u16   | value     |
    +-----------+----------+--------------+- - - - - -+

Flags: U (0x80) not understood, M (0x40) malformed, I (0x20) integrity broken. A sender sets U, a reflector
that understands the type clears it. Types that we know:

    1  extra padding
    7  follow-up telemetry, 16 octets: u32 the reflector's sequence number of an earlier reply, u64 when that
       was truly transmitted, u8 by which method (2: software), 3 zero octets. The sender leaves them zero.
    8  HMAC, 16 octets, the last: over the packet's sequence number and the extensions before it
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator
from typing import NamedTuple

from qudag_node.nettests.stamp.authentication import DIGEST_BYTES, digest

__all__ = [
    "EXTENSION_BYTES",
    "FollowUp",
    "Tlv",
    "TlvFlag",
    "TlvType",
    "answer_extensions",
    "are_intact",
    "find_follow_up",
    "make_extensions",
    "sign_extensions",
    "walk",
]


class TlvFlag:
    """Bits of a header's first octet."""

    UNRECOGNISED = 0x80
    MALFORMED = 0x40
    INTEGRITY = 0x20


class TlvType:
    """Types of extension that are understood."""

    EXTRA_PADDING = 1
    FOLLOW_UP = 7
    HMAC = 8


_HEADER = struct.Struct("!BBH")
_FOLLOW_UP = struct.Struct("!IQB3x")
_SEQUENCE_BYTES = 4
_SOFTWARE = 2
_FOLLOW_UP_BYTES = _HEADER.size + _FOLLOW_UP.size
_HMAC_BYTES = _HEADER.size + DIGEST_BYTES
_UNDERSTOOD = frozenset({TlvType.EXTRA_PADDING, TlvType.FOLLOW_UP})

#: Octets of the follow-up and the HMAC, which every request of an authenticated session carries.
EXTENSION_BYTES = _FOLLOW_UP_BYTES + _HMAC_BYTES


class Tlv(NamedTuple):
    """One extension and where its header begins; ``end`` is the octet after its value."""

    start: int
    end: int
    flags: int
    type: int

    @property
    def value_start(self) -> int:
        """The first octet of its value."""
        return self.start + _HEADER.size


class FollowUp(NamedTuple):
    """When an earlier reply was truly transmitted; ``timestamp`` is in the reflector's format."""

    sequence: int
    timestamp: int


def walk(packet: bytes | bytearray, base_bytes: int) -> Iterator[Tlv]:
    """Yield the extensions of a packet; one that leads beyond its end is the last, and has no end (-1)."""
    start = base_bytes
    while start < len(packet):
        if start + _HEADER.size > len(packet):
            return  # too little for a header: padding
        flags, kind, length = _HEADER.unpack_from(packet, start)
        end = start + _HEADER.size + length
        if end > len(packet):
            yield Tlv(start, -1, flags, kind)
            return
        yield Tlv(start, end, flags, kind)
        start = end


def make_extensions(size: int) -> bytearray:
    """Return a request's extensions, ``size`` octets: padding, an empty follow-up and room for the HMAC.

    Padding of fewer octets than its header takes cannot be: ``size`` is rounded up then.
    """
    padding = max(size - EXTENSION_BYTES, 0)
    made = bytearray()
    if padding:
        length = max(padding - _HEADER.size, 0)
        made += _HEADER.pack(TlvFlag.UNRECOGNISED, TlvType.EXTRA_PADDING, length) + bytes(length)
    made += _HEADER.pack(TlvFlag.UNRECOGNISED, TlvType.FOLLOW_UP, _FOLLOW_UP.size) + bytes(_FOLLOW_UP.size)
    made += _HEADER.pack(TlvFlag.UNRECOGNISED, TlvType.HMAC, DIGEST_BYTES) + bytes(DIGEST_BYTES)
    return made


def sign_extensions(packet: bytearray, base_bytes: int, key: bytes) -> None:
    """Fill in the HMAC of a packet whose last extension is one."""
    covered = packet[:_SEQUENCE_BYTES] + packet[base_bytes:-_HMAC_BYTES]
    packet[-DIGEST_BYTES:] = digest(key, covered)


def are_intact(packet: bytes | bytearray, base_bytes: int, key: bytes) -> bool:
    """Whether a packet has no extensions, or ends with one that is the HMAC of the others."""
    if len(packet) == base_bytes:
        return True
    if len(packet) < base_bytes + _HMAC_BYTES:
        return False
    last = len(packet) - _HMAC_BYTES
    _, kind, length = _HEADER.unpack_from(packet, last)
    if (kind, length) != (TlvType.HMAC, DIGEST_BYTES):
        return False
    covered = packet[:_SEQUENCE_BYTES] + packet[base_bytes:last]
    return hmac.compare_digest(digest(key, covered), bytes(packet[-DIGEST_BYTES:]))


def answer_extensions(reply: bytearray, base_bytes: int, follow_up: FollowUp, key: bytes | None) -> None:
    """Turn the copied extensions of a request into those of the reply, in place.

    What does not look like extensions (the first has no U flag, as TWAMP's padding) is left as it is.

    Args:
        reply: The whole packet.
        base_bytes: Where the extensions begin.
        follow_up: The newest transmission that is known; zeros where none is.
        key: Of an authenticated session, whose last extension is signed again.
    """
    has_hmac = False
    for tlv in walk(reply, base_bytes):
        if not tlv.flags & TlvFlag.UNRECOGNISED:
            return
        if tlv.end < 0:
            reply[tlv.start] |= TlvFlag.MALFORMED
            return
        if tlv.type == TlvType.HMAC:
            has_hmac = key is not None and tlv.end == len(reply) and tlv.end - tlv.start == _HMAC_BYTES
            if has_hmac:
                reply[tlv.start] &= ~TlvFlag.UNRECOGNISED
        elif tlv.type == TlvType.FOLLOW_UP and tlv.end - tlv.start != _FOLLOW_UP_BYTES:
            reply[tlv.start] |= TlvFlag.MALFORMED
            return
        elif tlv.type in _UNDERSTOOD:
            reply[tlv.start] &= ~TlvFlag.UNRECOGNISED
            if tlv.type == TlvType.FOLLOW_UP:
                mode = _SOFTWARE if follow_up.timestamp else 0
                _FOLLOW_UP.pack_into(reply, tlv.value_start, *follow_up, mode)
    if has_hmac and key is not None:
        sign_extensions(reply, base_bytes, key)


def find_follow_up(packet: bytes, base_bytes: int) -> FollowUp | None:
    """Return what a reply tells of an earlier one; None when it tells nothing."""
    for tlv in walk(packet, base_bytes):
        if tlv.type == TlvType.FOLLOW_UP and tlv.end - tlv.start == _FOLLOW_UP_BYTES:
            if tlv.flags:
                return None
            sequence, timestamp, _mode = _FOLLOW_UP.unpack_from(packet, tlv.value_start)
            return FollowUp(sequence, timestamp) if timestamp else None
    return None
