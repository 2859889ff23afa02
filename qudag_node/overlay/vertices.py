"""The vertices of the DAG: what a DATA frame carries. No I/O, no clock.

    0            1              2                4              12           44
    +------------+--------------+----------------+--------------+------------+
    | version u8 | parents u8   | payload length | origin time  | origin key |
    |   = 1      | (at most 8)  | u16 (≤ 16 KiB) | unix ns u64  | 32 bytes   |
    +------------+--------------+----------------+--------------+------------+
    | parent ids, 32 bytes each | payload        | signature, 64 bytes       |
    +---------------------------+----------------+---------------------------+

The signature is Ed25519 by the origin key over everything before it, under the label ``qudag-vertex/1\\0``.
A vertex's id is the SHA-256 of all its bytes, signature included, so an id stands for one validity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct

from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.signing import SIGNATURE_BYTES, Signer, Verifier

__all__ = [
    "ID_BYTES",
    "LABEL",
    "MAX_PARENTS",
    "MAX_PAYLOAD_BYTES",
    "Tips",
    "Vertex",
    "decode_vertex",
    "is_signed_by_its_origin",
    "sign_vertex",
    "vertex_id",
]

ID_BYTES = 32
LABEL = b"qudag-vertex/1\0"
MAX_PARENTS = 8
MAX_PAYLOAD_BYTES = 16 * 1024

_VERSION = 1
_PREFIX = Struct("!BBHQ32s")
_LEAST_BYTES = _PREFIX.size + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    """One vertex. ``encoded`` is all of it as it goes over a link, so that flooding encodes nothing.

    Attributes:
        id: SHA-256 of ``encoded``.
        parents: Ids of the vertices it stands on; empty for one that knew none.
        origin: The public key of the node that made it.
        origin_unix_ns: That node's wall clock when it was made.
    """

    id: bytes
    parents: tuple[bytes, ...]
    origin: bytes
    origin_unix_ns: int
    payload: bytes
    encoded: bytes = field(repr=False)

    @property
    def signature(self) -> bytes:
        """The origin's signature."""
        return self.encoded[-SIGNATURE_BYTES:]


def vertex_id(encoded: bytes) -> bytes:
    """Return the id of an encoded vertex; cheap enough to ask before anything is decoded."""
    return sha256(encoded).digest()


def sign_vertex(signer: Signer, payload: bytes, parents: Sequence[bytes], *, origin_unix_ns: int) -> Vertex:
    """Make a vertex of one's own.

    Raises:
        ValueError: The payload is over 16 KiB, or there are over 8 parents or one twice.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(payload)} bytes is over the limit of {MAX_PAYLOAD_BYTES}")
    if len(parents) > MAX_PARENTS or len(set(parents)) < len(parents):
        raise ValueError(f"{len(parents)} parents: at most {MAX_PARENTS}, each once")
    prefix = _PREFIX.pack(_VERSION, len(parents), len(payload), origin_unix_ns, signer.public_key)
    body = b"".join((prefix, *parents, payload))
    encoded = body + signer.sign(LABEL, body)
    return Vertex(
        id=vertex_id(encoded),
        parents=tuple(parents),
        origin=signer.public_key,
        origin_unix_ns=origin_unix_ns,
        payload=payload,
        encoded=encoded,
    )


def decode_vertex(encoded: bytes, identity: bytes | None = None) -> Vertex:
    """Read a vertex and check its structure; the signature is not looked at.

    Args:
        encoded: The payload of a DATA frame.
        identity: Its id where the caller has computed it already.

    Raises:
        RemoteFault: ``vertex_malformed`` or ``vertex_version``.
    """
    if len(encoded) < _LEAST_BYTES:
        raise RemoteFault("vertex_malformed", f"{len(encoded)} bytes are too few")
    version, parent_count, payload_bytes, origin_unix_ns, origin = _PREFIX.unpack_from(encoded)
    if version != _VERSION:
        raise RemoteFault("vertex_version", f"version {version} is not known")
    if parent_count > MAX_PARENTS or payload_bytes > MAX_PAYLOAD_BYTES:
        raise RemoteFault("vertex_malformed", f"{parent_count} parents and {payload_bytes} payload bytes")
    payload_start = _PREFIX.size + parent_count * ID_BYTES
    payload_stop = payload_start + payload_bytes
    if payload_stop + SIGNATURE_BYTES != len(encoded):
        raise RemoteFault("vertex_malformed", f"{len(encoded)} bytes do not fit its own lengths")
    parents = tuple(encoded[i : i + ID_BYTES] for i in range(_PREFIX.size, payload_start, ID_BYTES))
    if len(set(parents)) < parent_count:
        raise RemoteFault("vertex_malformed", "a parent is named twice")
    return Vertex(
        id=vertex_id(encoded) if identity is None else identity,
        parents=parents,
        origin=origin,
        origin_unix_ns=origin_unix_ns,
        payload=encoded[payload_start:payload_stop],
        encoded=encoded,
    )


def is_signed_by_its_origin(vertex: Vertex, verifier: Verifier) -> bool:
    """Whether the signature holds. Costs about 0.1 ms; ask once, for the first copy only."""
    encoded = vertex.encoded
    body, signature = encoded[:-SIGNATURE_BYTES], encoded[-SIGNATURE_BYTES:]
    return verifier.verify(vertex.origin, LABEL, body, signature)


class Tips:
    """The vertices nothing stands on yet: the parents of the next vertex. Bounded; the oldest go first."""

    __slots__ = ("_capacity", "_ids")

    def __init__(self, capacity: int = 256) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is not positive")
        self._capacity = capacity
        self._ids: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, identity: bytes, parents: Iterable[bytes]) -> None:
        """Note an accepted vertex: it is a tip now, and its parents no longer are."""
        ids = self._ids
        for parent in parents:
            ids.pop(parent, None)
        ids[identity] = None
        if len(ids) > self._capacity:
            del ids[next(iter(ids))]

    def parents(self, count: int = 2) -> tuple[bytes, ...]:
        """Return the parents for a new vertex, the oldest tips first, so that each gets its turn."""
        if not 0 <= count <= MAX_PARENTS:
            raise ValueError(f"{count} parents: at most {MAX_PARENTS}")
        return tuple(identity for identity, _ in zip(self._ids, range(count), strict=False))
