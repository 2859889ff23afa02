"""Every peer this node knows, linked or not: bounded, named, and found again by what an operator types."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from qudag_node.errors import AmbiguousError, NotFoundError
from qudag_node.metrics import MetricsCollector, PeerHandle, PeerLabels
from qudag_node.overlay.endpoints import Endpoint
from qudag_node.peerid import PeerId

__all__ = ["Peer", "PeerState", "PeerTable", "is_id_prefix"]

# What every PeerId begins with; a prefix that stops within it says nothing.
_COMMON_PREFIX = "12D3KooW"
_MAX_CANDIDATES = 8


class PeerState(StrEnum):
    """How things stand with a peer."""

    #: Messages flow.
    CONNECTED = "connected"
    #: It is being dialled.
    CONNECTING = "connecting"
    #: It will be dialled again, after a wait.
    BACKOFF = "backoff"
    #: Known by name or through routing, with no link.
    KNOWN = "known"
    #: Not welcome.
    BANNED = "banned"


@dataclass(slots=True, kw_only=True)
class Peer:
    """One peer.

    Attributes:
        handle: What is recorded under.
        name: What it calls itself; clean, and not unique.
        alias: What our operator calls it; unique.
        endpoints: Where it listens or was reached, the best known first.
        direction: ``in``, ``out`` or ``none``.
        hops: 1 for a neighbour, more through relays, 0 for unknown.
        connected_unix_s: Since when it is linked, None while it is not.
        seen_mono_s: When it was last linked or on the map.
        lost_messages: Sent on links that have ended, and never confirmed; ``lost_bytes`` their bytes.
    """

    id: PeerId
    handle: PeerHandle
    name: str = ""
    alias: str = ""
    endpoints: list[Endpoint] = field(default_factory=list)
    direction: str = "none"
    state: PeerState = PeerState.KNOWN
    agent: str = ""
    protocol_version: int = 0
    hops: int = 0
    connected_unix_s: float | None = None
    seen_mono_s: float = 0.0
    lost_messages: int = 0
    lost_bytes: int = 0

    @property
    def address(self) -> str:
        """Where it is, as far as that is known."""
        return str(self.endpoints[0]) if self.endpoints else ""

    @property
    def shown_name(self) -> str:
        """The best name for a person: alias, name, or the end of its id."""
        return self.alias or self.name or f"…{self.id[-8:]}"

    def note_endpoint(self, endpoint: Endpoint, limit: int = 4) -> None:
        """Put an address first."""
        if endpoint in self.endpoints:
            self.endpoints.remove(endpoint)
        self.endpoints.insert(0, endpoint)
        del self.endpoints[limit:]


class PeerTable:
    """The peers by id. Whoever changes a peer calls ``publish`` so that the statistics show it."""

    def __init__(self, collector: MetricsCollector, *, own_id: PeerId, limit: int) -> None:
        self._collector = collector
        self._own_id = own_id
        self._limit = limit
        self._peer_by_id: dict[PeerId, Peer] = {}

    def __len__(self) -> int:
        return len(self._peer_by_id)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peer_by_id.values())

    def get(self, peer_id: PeerId) -> Peer | None:
        """Return a known peer."""
        return self._peer_by_id.get(peer_id)

    def hear_of(self, peer_id: PeerId, now_mono_s: float) -> Peer | None:
        """Return a peer that others told of, made known where there is room; none is forgotten for it."""
        if peer_id not in self._peer_by_id and len(self._peer_by_id) >= self._limit:
            return None
        return self.open(peer_id, now_mono_s)

    def open(self, peer_id: PeerId, now_mono_s: float) -> Peer | None:
        """Return a peer, made known where it was not; None for ourselves, or when the table is full of links.

        Args:
            peer_id: Which one.
            now_mono_s: It was seen at this time.
        """
        peer = self._peer_by_id.get(peer_id)
        if peer is None:
            if peer_id == self._own_id or not self._make_room(now_mono_s):
                return None
            peer = Peer(id=peer_id, handle=self._collector.open_peer(peer_id))
            self._peer_by_id[peer_id] = peer
        peer.seen_mono_s = now_mono_s
        return peer

    def publish(self, peer: Peer) -> None:
        """Let the statistics show what is known of a peer."""
        labels = PeerLabels(
            name=peer.name,
            alias=peer.alias,
            address=peer.address,
            direction=peer.direction,
            state=peer.state,
            agent=peer.agent,
            protocol_version=peer.protocol_version,
            hops=peer.hops,
        )
        if labels != peer.handle.labels:
            peer.handle.set_labels(replace(labels))

    def forget_unseen(self, before_mono_s: float, now_mono_s: float, *, needed: Container[PeerId]) -> None:
        """Forget peers without link, alias or ban that nobody has heard of for long."""
        for peer in list(self):
            if peer.seen_mono_s < before_mono_s and peer.id not in needed and _is_idle(peer):
                self._forget(peer, now_mono_s)

    def resolve(self, text: str) -> PeerId:
        """Return the peer that an operator means by an id or its beginning, a name, alias or address.

        An exact match counts before a beginning, and an alias, which our operator gave, before a name.

        Raises:
            NotFoundError: Nothing fits.
            AmbiguousError: Several peers fit; carries them.
        """
        if text in self._peer_by_id:
            return PeerId(text)
        for fits in (self._by_alias, self._by_name, self._by_address, self._by_prefix):
            found = list(fits(text))
            if len(found) == 1:
                return found[0].id
            if found:
                raise AmbiguousError(text, [_described(peer) for peer in found[:_MAX_CANDIDATES]])
        raise NotFoundError(f"no peer is known as {text!r}")

    def _by_alias(self, text: str) -> Iterable[Peer]:
        return (peer for peer in self if text and peer.alias == text)

    def _by_name(self, text: str) -> Iterable[Peer]:
        return (peer for peer in self if text and peer.name == text)

    def _by_address(self, text: str) -> Iterable[Peer]:
        return (
            peer
            for peer in self
            if any(text in {str(endpoint), endpoint.host} for endpoint in peer.endpoints)
        )

    def _by_prefix(self, text: str) -> Iterable[Peer]:
        if not is_id_prefix(text):
            return ()
        return (peer for peer in self if peer.id.startswith(text))

    def _make_room(self, now_mono_s: float) -> bool:
        if len(self._peer_by_id) < self._limit:
            return True
        spare = [peer for peer in self if not peer.alias]
        # A banned peer stays banned without its row; so many bans must not keep everybody else out.
        candidates = [peer for peer in spare if _is_idle(peer)] or [
            peer for peer in spare if peer.state is PeerState.BANNED
        ]
        if not candidates:
            return False
        self._forget(min(candidates, key=lambda peer: peer.seen_mono_s), now_mono_s)
        return True

    def _forget(self, peer: Peer, now_mono_s: float) -> None:
        del self._peer_by_id[peer.id]
        self._collector.forget_peer(peer.handle, now_mono_s=now_mono_s)


def is_id_prefix(text: str) -> bool:
    """Tell whether a text is the beginning of a PeerId, and says more than what all of them begin with."""
    return len(text) > len(_COMMON_PREFIX) and text.startswith(_COMMON_PREFIX)


def _is_idle(peer: Peer) -> bool:
    return peer.state is PeerState.KNOWN and not peer.alias


def _described(peer: Peer) -> str:
    return f"{peer.shown_name} ({peer.id})"
