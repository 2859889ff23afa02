"""Which vertices are accepted and passed on: each valid one once. No I/O; time is an argument.

A vertex is passed on by its first copy alone. Its parents need not be known: links lose messages and nodes
join late, so a vertex with unknown parents is accepted, and nothing waits for them.
"""

from __future__ import annotations

from enum import StrEnum

from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Signer, Verifier
from qudag_node.overlay.vertices import (
    Tips,
    Vertex,
    decode_vertex,
    is_signed_by_its_origin,
    sign_vertex,
    vertex_id,
)

__all__ = ["Flood", "Refusal"]

# A clock may be wrong by a day before what its node says is refused. Beyond that a vertex that was recorded
# long ago could be sent again after everybody's seen-cache has forgotten it.
_MAX_CLOCK_ERROR_NS = 24 * 3600 * 10**9


class Refusal(StrEnum):
    """Why a vertex goes no further although its sender did nothing wrong."""

    #: An earlier copy was accepted. The common case in a flood.
    DUPLICATE = "duplicate"
    #: Its origin time is over a day from our clock.
    STALE = "vertex_stale"


class Flood:
    """One node's part in the flooding of vertices."""

    __slots__ = ("_seen", "_signer", "_tips", "_verifier")

    def __init__(self, signer: Signer, verifier: Verifier, seen: SeenCache, tips: Tips | None = None) -> None:
        self._signer = signer
        self._verifier = verifier
        self._seen = seen
        self._tips = Tips() if tips is None else tips

    def submit(self, payload: bytes, *, now_unix_ns: int, now_mono_s: float) -> Vertex:
        """Make a vertex on the current tips; send its ``encoded`` to every link.

        Raises:
            ValueError: The payload is over 16 KiB.
        """
        vertex = sign_vertex(self._signer, payload, self._tips.parents(), origin_unix_ns=now_unix_ns)
        self._accept(vertex, now_mono_s)
        return vertex

    def receive(
        self, encoded: bytes, *, now_unix_ns: int, now_mono_s: float, identity: bytes | None = None
    ) -> Vertex | Refusal:
        """Judge the payload of a DATA frame; send an accepted vertex to every link but the one it came by.

        Args:
            identity: Its ``vertex_id`` where the caller has computed it already.

        Raises:
            RemoteFault: No correct node would have passed this on: ``vertex_malformed``,
                ``vertex_version`` or ``vertex_signature``.
        """
        if identity is None:
            identity = vertex_id(encoded)
        if identity in self._seen:
            return Refusal.DUPLICATE
        vertex = decode_vertex(encoded, identity)
        if abs(vertex.origin_unix_ns - now_unix_ns) > _MAX_CLOCK_ERROR_NS:
            return Refusal.STALE
        if not is_signed_by_its_origin(vertex, self._verifier):
            raise RemoteFault("vertex_signature", f"vertex {identity.hex()[:16]} is not signed by its origin")
        self._accept(vertex, now_mono_s)
        return vertex

    def _accept(self, vertex: Vertex, now_mono_s: float) -> None:
        # Only now: what was refused must not push valid ids out of the cache.
        self._seen.add(vertex.id, now_mono_s)
        self._tips.add(vertex.id, vertex.parents)
