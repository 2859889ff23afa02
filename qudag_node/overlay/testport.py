"""`TestPort`: all that the network tests see of the overlay.

    nettests ──send, trace──> TestPort ──> Neighbours (TEST frames to a neighbour) or Router (envelopes)
    nettests <──on_message, on_trace── TestPort <── Handlers

Who a message is from is proved: by the link when it is a neighbour's own, by its signature when it was
relayed. What a message says is not: its body is a stranger's.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import ClassVar

from qudag_node.config import OverlayConfig
from qudag_node.errors import AmbiguousError, ConfigError, NotFoundError, PeerUnreachableError
from qudag_node.metrics import MetricsCollector
from qudag_node.metrics.statistics import TestTraffic
from qudag_node.overlay.bans import Bans
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.endpoints import Endpoint, parse_endpoint
from qudag_node.overlay.examine import ExamineStep, examine
from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.handlers import Handlers
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkkeys import LinkKeys
from qudag_node.overlay.linkstate import LinkState, MapNode
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.parts import LocalNode, Parts
from qudag_node.overlay.paths import MapLink
from qudag_node.overlay.peertable import PeerState, PeerTable
from qudag_node.overlay.ping import ClockOffset
from qudag_node.overlay.routed import MAX_BODY_BYTES, MAX_TTL, Drop, Forward
from qudag_node.overlay.testframes import PortDropCause, Subtype, encode_test
from qudag_node.overlay.trace import TraceReason, TraceResult
from qudag_node.peerid import PeerId, peer_id_of, public_key_of

__all__ = [
    "LinkFacts",
    "PeerFacts",
    "TestMessage",
    "TestPort",
    "TraceReply",
    "Way",
]


_log = logging.getLogger(__name__)


class Way(Enum):
    """How a test message goes."""

    #: To a neighbour, over the link itself.
    LINK = "link"
    #: Routed, through relays if need be.
    OVERLAY = "overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """One link, as of now.

    Attributes:
        role: Client where this node dialled.
        listen_port: Where the peer accepts links, at its end's address: the port that this node dialled, or
            that the peer announced when it dialled; 0 when it announced none.
        keys: None until both ends have sent their half, which is the first thing they do.
        srtt_s: The smoothed round-trip time of the link's pings, None before the first.
        clock_offset: How far the peer's wall clock is ahead of ours.
        socket: For what the kernel knows of it; None once it is closing.
    """

    role: Role
    local: tuple[str, int]
    remote: tuple[str, int]
    listen_port: int
    keys: LinkKeys | None
    srtt_s: float | None
    clock_offset: ClockOffset | None
    socket: socket.socket | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """One peer, as of now; of a peer that nobody knows, only the id.

    Attributes:
        name: As it is shown: alias, name, or the end of its id.
        state: ``connected``, ``known`` and so on; see ``PeerState``.
        hops: 1 for a neighbour, more through relays, 0 when there is no way.
        address: ``HOST:PORT`` that can be dialled, or empty.
        link: The link to it, when there is one.
    """

    id: PeerId
    name: str
    state: str
    hops: int
    address: str
    link: LinkFacts | None
    is_banned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMessage:
    """A test message that has come in.

    Attributes:
        source: Who sent it, proved.
        hops: Links it has passed; 1 over the link.
        received_mono_s: When it was read, by this process.
        received_unix_ns: The same by the wall clock.
    """

    #: pytest looks at the name.
    __test__: ClassVar[bool] = False

    source: PeerId
    body: bytes
    way: Way
    hops: int
    received_mono_s: float
    received_unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceReply:
    """The answer to a trace.

    Attributes:
        identity: That of the trace.
        source: Who answered, proved; ``destination`` is who was to be reached.
        reason: Why the trace ended there.
        hops: Links on the way there, ``return_hops`` back.
        received_mono_s: When the answer was read here.
        received_unix_ns: When the trace was read there, by the answerer's wall clock.
        sent_unix_ns: When the answer was made there.
        processing_s: From the one to the other, by its monotonic clock.
    """

    identity: bytes
    source: PeerId
    destination: PeerId
    reason: TraceReason
    hops: int
    return_hops: int
    received_mono_s: float
    received_unix_ns: int
    sent_unix_ns: int
    processing_s: float


class TestPort:
    """The network tests' access to the overlay.

    Attributes:
        on_message: Takes every test message for this node; returns None, or a cause when it drops it. It is
            called while the link is being read: it must neither block nor raise.
        on_trace: Takes every answer to a trace; the same holds.
        own_addresses: Tells where this node may be dialled, HOST:PORT.
    """

    #: pytest looks at the name.
    __test__: ClassVar[bool] = False

    def __init__(
        self,
        *,
        config: OverlayConfig,
        node: LocalNode,
        parts: Parts,
        table: PeerTable,
        bans: Bans,
        neighbours: Neighbours,
        handlers: Handlers,
        collector: MetricsCollector,
        clock: Clock,
    ) -> None:
        self.own_id: PeerId = node.identity.peer_id
        self.on_message: Callable[[TestMessage], str | None] = lambda _: PortDropCause.UNHANDLED
        self.on_trace: Callable[[TraceReply], None] = lambda _: None
        self.own_addresses: Callable[[], tuple[str, ...]] = tuple
        self._node = node
        self._link_state: LinkState = parts.link_state
        self._router = parts.router
        self._table = table
        self._bans = bans
        self._neighbours = neighbours
        self._collector = collector
        self._clock = clock
        # Writing a key in base58 takes 20 µs.
        self._peer_id_of = lru_cache(config.max_origins)(peer_id_of)
        handlers.on_test = self._take_message
        handlers.on_trace = self._take_trace

    # Who is there

    def resolve(self, text: str) -> PeerId:
        """Return the peer that an operator means, which may be this node itself.

        Raises:
            NotFoundError: Nothing fits.
            AmbiguousError: Several peers fit, or one and this node.
        """
        if text == self.own_id:
            return self.own_id
        if text != self._node.name:
            return self._table.resolve(text)
        try:
            found = self._table.resolve(text)
        except NotFoundError:
            return self.own_id
        peer = self._table.get(found)
        if peer is not None and peer.alias == text:
            return found
        raise AmbiguousError(text, [f"{text} ({found})", f"this node ({self.own_id})"])

    def facts(self, peer: PeerId) -> PeerFacts:
        """Return what is known of a peer now."""
        known = self._table.get(peer)
        key = public_key_of(peer)
        neighbour = self._neighbours.origin(key)
        route = self._link_state.route(key)
        is_banned = self._bans.find(peer, self._clock.time()) is not None
        return PeerFacts(
            id=peer,
            name=f"…{peer[-8:]}" if known is None else known.shown_name,
            state=str(PeerState.BANNED if is_banned else PeerState.KNOWN if known is None else known.state),
            hops=1 if neighbour is not None else 0 if route is None else route.hops,
            address="" if known is None else _dialable(known.endpoints),
            link=None if neighbour is None else _facts_of(neighbour.link),
            is_banned=is_banned,
        )

    def peers(self) -> list[PeerId]:
        """Return every node that can be reached, neighbours first."""
        neighbours = self.neighbours()
        linked = set(neighbours)
        distant = [
            peer_id
            for node in self._link_state.nodes()[1:]
            if node.hops is not None and (peer_id := self._peer_id_of(node.key)) not in linked
        ]
        return neighbours + distant

    def neighbours(self) -> list[PeerId]:
        """Return who is at the other ends of the links."""
        return [neighbour.peer_id for neighbour in self._neighbours.values()]

    def path(self, peer: PeerId) -> list[PeerId]:
        """Return the nodes from here to a peer by the map, both included; empty when there is no way."""
        return [self._peer_id_of(key) for key in self._link_state.path(public_key_of(peer))]

    def path_cost_s(self, peer: PeerId) -> float | None:
        """Return the sum of the round-trip times of the links on the path; None when there is no way."""
        route = self._link_state.route(public_key_of(peer))
        return None if route is None else route.rtt_us / 1e6

    def topology(self) -> tuple[list[MapNode], list[MapLink]]:
        """Return the nodes and links of the map, ourselves first."""
        return self._link_state.nodes(), self._link_state.links()

    def drop_counts(self) -> Mapping[str, int]:
        """Return how many test messages this node has dropped since it started, by cause."""
        return self._collector.test_drops()

    def traffic(self) -> TestTraffic:
        """Return what this node has exchanged for tests since it started, its own and others'."""
        return self._collector.test_traffic()

    # Messages

    def send(self, peer: PeerId, body: bytes, *, way: Way | None = None) -> Way:
        """Send a message: over the link to a neighbour, routed to others. It may be lost; say how it goes.

        Args:
            peer: Whom to.
            body: At most 16 KiB.
            way: Insist on one.

        Raises:
            PeerUnreachableError: There is no such way to it now, or a queue is full.
            ValueError: The body is too long, or the peer is this node.
        """
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"a body of {len(body)} bytes: at most {MAX_BODY_BYTES}")
        key, now_mono_s = public_key_of(peer), self._clock.monotonic()
        is_neighbour = self._neighbours.origin(key) is not None
        if way is Way.LINK and not is_neighbour:
            raise PeerUnreachableError(f"{self.facts(peer).name}: is no neighbour")
        if is_neighbour and way is not Way.OVERLAY:
            frame = encode_test(Subtype.DIRECT, body)
            if not self._neighbours.send(key, FrameType.TEST, frame, now_mono_s):
                raise PeerUnreachableError(f"{self.facts(peer).name}: the queue of the link is full")
            return Way.LINK
        self._send_envelope(peer, self._router.test(key, body, identity=os.urandom(16)), now_mono_s)
        return Way.OVERLAY

    def trace(self, peer: PeerId, *, ttl: int, identity: bytes) -> None:
        """Send a trace that passes at most ``ttl`` links; ``identity`` is 16 random bytes, new for each.

        Raises:
            PeerUnreachableError: There is no way to it, a queue is full, or too many traces are unanswered.
            ValueError: The ttl is not 1 to 255, or the peer is this node.
        """
        if not 1 <= ttl <= MAX_TTL:
            raise ValueError(f"a ttl of {ttl} is not 1 to {MAX_TTL}")
        now_mono_s = self._clock.monotonic()
        decision = self._router.trace(public_key_of(peer), ttl=ttl, identity=identity, now_mono_s=now_mono_s)
        self._send_envelope(peer, decision, now_mono_s)

    @contextmanager
    def expecting(self, peer: PeerId, messages_per_s: float) -> Generator[None]:
        """Take so many messages a second from a peer, through relays, while the context is entered.

        Without it a node takes 100 a second of what each neighbour brings: enough to agree on a test. Over
        a link the limits of the link hold, as for all its messages.

        Raises:
            ValueError: The rate is not positive.
        """
        key, allowance = public_key_of(peer), self._router.allowance
        expected = allowance.expect(key, messages_per_s, self._clock.monotonic())
        try:
            yield
        finally:
            allowance.forget(key, expected)

    async def examine(
        self, host: str, port: int, *, expected: PeerId | None = None, timeout_s: float = 5.0
    ) -> list[ExamineStep]:
        """Dial an address as a link would be dialled, step by step, and hang up; see ``examine``."""
        return await examine(
            host,
            port,
            network=self._node.network,
            expected=expected,
            clock=self._clock,
            timeout_s=timeout_s,
        )

    # Inside

    def _send_envelope(self, peer: PeerId, decision: Forward | Drop, now_mono_s: float) -> None:
        if isinstance(decision, Drop):
            raise PeerUnreachableError(f"{self.facts(peer).name}: {decision.cause}")
        frame = encode_test(Subtype.ENVELOPE, decision.payload)
        if not self._neighbours.send(decision.next_hop, FrameType.TEST, frame, now_mono_s):
            raise PeerUnreachableError(f"{self.facts(peer).name}: the queue to the next hop is full")

    def _take_message(self, source: bytes, body: bytes, hops: int, read_mono_s: float) -> str | None:
        peer = self._peer_id_of(source)
        if self._bans.find(peer, self._clock.time()) is not None:
            return PortDropCause.BANNED
        return self.on_message(
            TestMessage(
                source=peer,
                body=body,
                way=Way.OVERLAY if hops else Way.LINK,
                hops=hops or 1,
                received_mono_s=read_mono_s,
                received_unix_ns=self._unix_ns_at(read_mono_s),
            )
        )

    def _take_trace(self, result: TraceResult, read_mono_s: float) -> None:
        body = result.body
        reply = TraceReply(
            identity=result.identity,
            source=self._peer_id_of(result.source),
            destination=self._peer_id_of(result.destination),
            reason=body.reason,
            hops=body.hops,
            return_hops=result.return_hops,
            received_mono_s=read_mono_s,
            received_unix_ns=body.received_unix_ns,
            sent_unix_ns=body.sent_unix_ns,
            processing_s=body.processing_ns / 1e9,
        )
        try:
            self.on_trace(reply)
        except Exception:  # noqa: BLE001  # what a stranger says must not end the node
            _log.exception("an answer to a trace was not understood")

    def _unix_ns_at(self, mono_s: float) -> int:
        return self._clock.time_ns() - round((self._clock.monotonic() - mono_s) * 1e9)


def _facts_of(link: Link) -> LinkFacts:
    sock = link.socket
    local = ("", 0) if sock is None else sock.getsockname()
    return LinkFacts(
        role=link.role,
        local=(local[0], local[1]),
        remote=link.remote,
        listen_port=_listen_port(link),
        keys=link.keys,
        srtt_s=link.pings.srtt_s,
        clock_offset=link.pings.clock_offset,
        socket=sock,
    )


def _listen_port(link: Link) -> int:
    if link.role is Role.CLIENT:
        return link.remote[1]
    try:
        return parse_endpoint("" if link.terms is None else link.terms.listen).port
    except ConfigError:
        return 0  # it does not listen, or not anywhere one could dial


def _dialable(endpoints: list[Endpoint]) -> str:
    """Return the best known address that is one."""
    return next(
        (str(endpoint) for endpoint in endpoints if endpoint.port and not endpoint.is_unspecified), ""
    )
