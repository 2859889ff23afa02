"""What links do to the node: who is let in, who is a neighbour now, what is counted and told of it."""

from __future__ import annotations

import logging

from qudag_node.errors import ConfigError, PeerError, PeerUnreachableError
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.metrics.labels import Direction
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.bans import Bans
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.discovery import PeerAddress, PeerBook
from qudag_node.overlay.endpoints import Endpoint, parse_endpoint
from qudag_node.overlay.events import EventKind, EventLog, Severity
from qudag_node.overlay.faults import LinkRefusedError, cause_of
from qudag_node.overlay.frames import FrameType, GoodbyeReason
from qudag_node.overlay.handlers import Handlers
from qudag_node.overlay.handshake import LinkTerms, Role
from qudag_node.overlay.link import Link
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.opening import explain_goodbye
from qudag_node.overlay.peertable import Peer, PeerState, PeerTable
from qudag_node.overlay.routing import Intent, Routing
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["Switchboard"]

_log = logging.getLogger(__name__)

# How long the event of a link waits for the peer's name.
_NAME_TIMEOUT_S = 2.0


class Switchboard:
    """The owner of every link; see ``LinkOwner`` for what each method is told."""

    def __init__(
        self,
        *,
        admission: Admission,
        table: PeerTable,
        bans: Bans,
        neighbours: Neighbours,
        handlers: Handlers,
        routing: Routing,
        book: PeerBook,
        collector: MetricsCollector,
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._admission = admission
        self._table = table
        self._bans = bans
        self._neighbours = neighbours
        self._handlers = handlers
        self._routing = routing
        self._book = book
        self._collector = collector
        self._clock = clock
        self._events = events
        # Links whose event waits for the peer's name, which comes with its first advert.
        self._unannounced: dict[PeerId, str] = {}

    def accept(self, link: Link) -> None:
        """Let an unknown client begin."""
        host = link.remote[0]
        self._refuse_banned(host)
        self._admission.accept(link, host)

    def admit(self, link: Link, peer_id: PeerId) -> None:
        """Let a peer in that has proven itself, or go on to prove ourselves to it."""
        self._refuse_banned(link.remote[0])
        self._refuse_banned(peer_id)
        now_mono_s = self._clock.monotonic()
        losers = self._admission.admit(link, peer_id, now_mono_s)
        if self._table.open(peer_id, now_mono_s) is None:
            raise LinkRefusedError(GoodbyeReason.FULL, f"{len(self._table)} known peers are the limit")
        for loser in losers:
            loser.leave(GoodbyeReason.DUPLICATE, "a newer link is kept")

    def link_up(self, link: Link) -> PeerHandle:
        """Count and note a link that stands."""
        terms = link.terms
        if terms is None:
            raise AssertionError("a link without terms is up")
        peer = self._table.open(terms.peer_id, link.up_mono_s)
        if peer is None:
            raise AssertionError("a peer was admitted that has no place")
        direction: Direction = "out" if link.role is Role.CLIENT else "in"
        self._collector.connection_opened(
            peer.handle, direction, now_mono_s=link.up_mono_s, now_unix_s=link.up_unix_s
        )
        peer.direction, peer.state, peer.hops = direction, PeerState.CONNECTED, 1
        peer.agent, peer.protocol_version = clean_text(terms.agent, 64), terms.version
        peer.connected_unix_s = link.up_unix_s
        self._note_address(peer, link, terms)
        self._admission.up(link, terms.peer_id)
        self._neighbours.add(link, terms.peer_id, link.up_mono_s)
        self._table.publish(peer)
        words = "dialled" if direction == "out" else "accepted"
        self._unannounced[peer.id] = f"{words}, {Endpoint(*link.remote)}, {peer.id}"
        if peer.name or peer.alias:
            self.announce(peer)
        return peer.handle

    def announce(self, peer: Peer) -> None:
        """Tell of a peer's link, unless that was told; its name is known now, or does not come."""
        words = self._unannounced.pop(peer.id, None)
        if words is not None:
            self._events.add(EventKind.LINK_UP, peer.shown_name, words)

    def link_ready(self, link: Link) -> None:
        """Tell a new neighbour what we know, and ask what it knows."""
        neighbour = self._neighbours.at(link)
        if neighbour is None:
            return
        self._routing.neighbour_up(link, neighbour.key)
        if self._handlers.exchanges:
            link.send(FrameType.PEERS, neighbour.exchange.ask(), self._clock.monotonic())

    def take_frame(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        """Pass a frame to the handlers."""
        self._handlers.take(link, kind, payload, now_mono_s)

    def link_measured(self, link: Link, rtt_s: float) -> None:
        """Let the map know what a link costs."""
        neighbour = self._neighbours.at(link)
        if neighbour is None:
            return
        self._routing.neighbour_rtt(neighbour.key, rtt_s)
        is_late = self._clock.monotonic() - link.up_mono_s > _NAME_TIMEOUT_S
        if is_late and neighbour.peer_id in self._unannounced:
            peer = self._table.get(neighbour.peer_id)
            if peer is not None:
                self.announce(peer)

    def link_failed(self, link: Link, error: PeerError) -> None:
        """Count and tell what never became a link, unless it is in the order of things."""
        self._admission.closed(link)
        if isinstance(error, LinkRefusedError) and error.reason is GoodbyeReason.DUPLICATE:
            return
        if link.role is Role.SERVER:
            if isinstance(error, PeerUnreachableError):
                # Who connects and goes again has done nothing wrong: so ends a dial that was given up.
                _log.debug("%s: %s", link.remote[0], error)
                return
            self._events.add_quietly(EventKind.LINK_REFUSED, link.remote[0], str(error))
        self._collector.connection_failed(cause_of(error))

    def link_down(self, link: Link, error: PeerError | None) -> None:
        """Count and tell that a link no longer stands."""
        self._admission.down(link)
        neighbour = self._neighbours.remove(link)
        if neighbour is None:
            return
        intent = _intent_of(link)
        self._routing.neighbour_down(neighbour.key, intent)
        peer = self._table.get(neighbour.peer_id)
        if peer is None:
            return
        self.announce(peer)
        now_mono_s = self._clock.monotonic()
        cause = None if error is None else cause_of(error)
        self._collector.connection_closed(peer.handle, now_mono_s=now_mono_s, cause=cause)
        peer.direction, peer.connected_unix_s, peer.hops = "none", None, 0
        is_banned = self._bans.find(peer.id, self._clock.time()) is not None
        peer.state = PeerState.BANNED if is_banned else PeerState.KNOWN
        peer.seen_mono_s = now_mono_s
        self._table.publish(peer)
        if intent is not None:
            severity, why = intent.severity, intent.words(peer.shown_name)
        elif error is None:
            severity, why = Severity.INFO, "in order"
        else:
            severity, why = Severity.WARNING, str(error)
        self._events.add(EventKind.LINK_DOWN, peer.shown_name, why, severity)

    def link_closed(self, link: Link) -> None:
        """Remember what was sent on the link and never confirmed."""
        self._admission.closed(link)
        peer = None if link.peer_id is None else self._table.get(link.peer_id)
        if peer is not None:
            messages, size_bytes = link.unconfirmed
            peer.lost_messages += messages
            peer.lost_bytes += size_bytes

    def _refuse_banned(self, subject: str) -> None:
        ban = self._bans.find(subject, self._clock.time())
        if ban is not None:
            raise LinkRefusedError(GoodbyeReason.BANNED, f"{subject} is banned")

    def _note_address(self, peer: Peer, link: Link, terms: LinkTerms) -> None:
        """Remember where the peer listens: where we reached it, or where it says."""
        host, port = link.remote
        key = public_key_of(peer.id)
        if link.role is Role.CLIENT:
            peer.note_endpoint(Endpoint(host, port))
            self._book.prove(PeerAddress(key, host, port))
            return
        try:
            said = parse_endpoint(terms.listen)
        except ConfigError:
            return  # it does not listen, or not anywhere one could dial
        if said.is_unspecified:
            said = Endpoint(host, said.port)
        if said.port == 0 or not said.is_numeric:
            return
        peer.note_endpoint(said)
        address = PeerAddress(key, said.host, said.port)
        if said.host == host:
            self._book.prove(address)
        else:
            self._book.learn([address], source=key, source_host=host)


def _intent_of(link: Link) -> Intent | None:
    """Return whose operator ended a link, if one did."""
    goodbye = link.goodbye
    if goodbye is None or goodbye.reason not in {GoodbyeReason.BANNED, GoodbyeReason.REMOVED}:
        return None
    return Intent(explain_goodbye(goodbye), is_ours=not link.is_left)
