"""The network as the rest of the node sees it: start, stop, peers, links, messages, the map.

    Listeners, Connector ──> Link ──> Switchboard ──> Handlers ──> gossip's decisions (Parts)
    Dialer, Finder ──────────┘           │                └──> Neighbours ──> Link
    Membership (bans, pins, aliases)     └──> Admission, PeerTable, Routing

Everything that runs is a named task in one group; ``wait`` ends when one of them fails, with its error.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerUnreachableError
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.bans import Ban
from qudag_node.overlay.certificate import certificate_of, client_context, server_context
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.connector import Connector
from qudag_node.overlay.dialer import PEERS_FILE_NAME, Dialer, Target, read_added_peers
from qudag_node.overlay.endpoints import PeerEndpoint, parse_endpoint, parse_peer
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.faults import DuplicateLinkError
from qudag_node.overlay.finder import Finder
from qudag_node.overlay.frames import FrameType, GoodbyeReason, encode_frame
from qudag_node.overlay.gauges import Gauges
from qudag_node.overlay.handlers import Handlers
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.inbox import Inbox
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.overlay.linkstate import MapNode
from qudag_node.overlay.listeners import Listeners
from qudag_node.overlay.membership import Membership
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.pace import Pace
from qudag_node.overlay.parts import LocalNode, make_parts
from qudag_node.overlay.paths import MapLink
from qudag_node.overlay.peertable import Peer, PeerTable
from qudag_node.overlay.routed import Drop, ProbeResult, RoutedMessage
from qudag_node.overlay.routing import Routing
from qudag_node.overlay.sequence import ROUTING_FILE_NAME, SequenceFile
from qudag_node.overlay.switchboard import Switchboard
from qudag_node.overlay.testport import TestPort
from qudag_node.overlay.vertices import Vertex
from qudag_node.peerid import PeerId, peer_id_of, public_key_of

__all__ = ["LocalNode", "Overlay"]

_HOUSEKEEPING_S = 1.0
# A peer without link, alias or ban that was not on the map for so long is forgotten.
_FORGET_AFTER_S = 600.0
_DRAIN_TIMEOUT_S = 1.0
_CLOSE_TIMEOUT_S = 3.0
# One read gives at most so many frames to handle at once: a thousand of the smallest, about 5 ms.
_READ_BUFFER_BYTES = 32 * 1024
# Signing 32 vertices takes about 2 ms.
_SUBMIT_SLICE = 32


class Overlay:
    """One node's part in the network. Made and used within one running event loop.

    Args:
        config: The overlay's settings.
        node: Who this node is.
        collector: Takes what is measured; its message types are ``FRAME_NAMES``.
        clock: The ``time`` module, outside tests.
        events: Takes what happens.
        sockets: Takes the file descriptors of the links.
        background_bytes_per_s: What routed probes that nobody has asked for may take; 0 for none.

    Attributes:
        on_message: Called with every routed message that reaches this node: its sender and its body.
        on_vertex: Called with every vertex that others made, once; it must neither block nor raise.
        tests: What the network tests see of the overlay.
    """

    def __init__(
        self,
        config: OverlayConfig,
        node: LocalNode,
        collector: MetricsCollector,
        clock: Clock,
        events: EventLog,
        *,
        sockets: set[int] | None = None,
        background_bytes_per_s: float = math.inf,
    ) -> None:
        """Read what the last run left.

        Raises:
            DataDirectoryError: A file of it is damaged.
        """
        self.on_message: Callable[[PeerId, bytes], None] = lambda _sender, _body: None
        self.on_vertex: Callable[[Vertex], None] = lambda _vertex: None
        self._config, self._node, self._collector, self._clock = config, node, collector, clock
        self._pace = Pace()
        self._sockets = set[int]() if sockets is None else sockets
        self._listeners = Listeners()
        self._table = PeerTable(collector, own_id=self.peer_id, limit=config.max_known_peers)
        self._admission = Admission(
            self.peer_id,
            max_links=config.max_links,
            max_per_address=config.max_links_per_address,
            max_pending=config.max_pending_links,
            settle_s=config.handshake_timeout_s,
        )
        self._neighbours = Neighbours(exchange_interval_s=config.exchange_interval_s)
        self._gauges = Gauges(collector, self._admission, self._table, events, limit=config.max_links)
        sequence = SequenceFile(node.file(ROUTING_FILE_NAME))
        parts = make_parts(config, node, clock, sequence=sequence.sequence)
        self._membership = Membership(node, self._admission, self._table, parts.book, events, clock)
        self._link_state, self._router = parts.link_state, parts.router
        inbox = Inbox(max_messages=config.receive_queue_messages, max_bytes=config.send_queue_bytes)
        self._handlers = Handlers(parts, self._neighbours, inbox, collector, clock)
        self._routing = Routing(
            config=config,
            link_state=parts.link_state,
            router=parts.router,
            neighbours=self._neighbours,
            table=self._table,
            collector=collector,
            clock=clock,
            events=events,
            file=sequence,
            pace=self._pace,
            background_bytes_per_s=background_bytes_per_s,
        )
        self._handlers.on_map = self._routing.wake
        self._handlers.on_probe = self._routing.take_probe
        self._handlers.on_message = self._take_message
        self._handlers.on_vertex = self._take_vertex
        self.tests = TestPort(
            config=config,
            node=node,
            parts=parts,
            table=self._table,
            bans=self._membership.bans,
            neighbours=self._neighbours,
            handlers=self._handlers,
            collector=collector,
            clock=clock,
        )
        self.tests.own_addresses = lambda: self.advertised_addresses
        self._switchboard = Switchboard(
            admission=self._admission,
            table=self._table,
            bans=self._membership.bans,
            neighbours=self._neighbours,
            handlers=self._handlers,
            routing=self._routing,
            book=parts.book,
            collector=collector,
            clock=clock,
            events=events,
        )
        self._routing.on_named = self._switchboard.announce
        self._dialer = Dialer(
            dial=self._connect,
            link_to=self._admission.link_to,
            watcher=self._membership,
            reconnect_min_s=config.reconnect_min_s,
            reconnect_max_s=config.reconnect_max_s,
            path=node.file(PEERS_FILE_NAME),
            clock=clock,
        )
        self._finder = Finder(
            config=config,
            book=parts.book,
            neighbours=self._neighbours,
            dial=self._connect,
            is_wanted=self._is_wanted,
            clock=clock,
            pace=self._pace,
        )
        self._connector: Connector | None = None
        self._runner: asyncio.Task[None] | None = None
        self._restore_targets()

    # Life

    async def start(self) -> None:
        """Listen, and begin to link.

        Raises:
            PortInUseError: An address to listen on is taken, or is not of this machine.
        """
        for text in self._config.listen:
            await self._listeners.bind(parse_endpoint(text), self._new_incoming)
        settings = self._link_settings()
        self._connector = Connector(settings, self._admission, self._membership.bans, self._membership.pins)
        await self._listeners.serve()
        self._runner = asyncio.create_task(self._run(), name="overlay")

    async def wait(self) -> None:
        """Wait until the overlay has stopped.

        Raises:
            ExceptionGroup: One of its tasks failed; the others have been ended.
        """
        if self._runner is not None:
            await asyncio.wait([self._runner])
            if not self._runner.cancelled():
                self._runner.result()

    async def stop(self) -> None:
        """Say goodbye, read what is on its way, close everything, end every task. Takes 5 s at most.

        Raises:
            ExceptionGroup: One of its tasks had failed.
        """
        self._listeners.close()
        runner, self._runner = self._runner, None
        if runner is None or self._connector is None:
            return
        self._connector.is_closed = True
        self._dialer.stop()
        await self._routing.leave()
        await self._until(lambda: not any(len(link.queue) for link in self._admission), _DRAIN_TIMEOUT_S)
        links = [*self._admission, *self._admission.opening()]
        for link in links:
            link.leave(GoodbyeReason.STOPPING)
        await self._until(
            lambda: not len(self._handlers.inbox) and all(link.is_closed for link in links), _CLOSE_TIMEOUT_S
        )
        for link in links:
            link.abort(PeerUnreachableError("this node is stopping"))
        await self._until(lambda: all(link.is_closed for link in links), _DRAIN_TIMEOUT_S)
        runner.cancel()
        with suppress(asyncio.CancelledError):
            await runner

    # What the node asks

    @property
    def peer_id(self) -> PeerId:
        """Our own."""
        return self._node.identity.peer_id

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Where links are accepted, with the ports that were free where 0 was asked for."""
        return tuple(map(str, self._listeners.endpoints))

    @property
    def advertised_addresses(self) -> tuple[str, ...]:
        """What others are told."""
        return self._config.advertise or self.listen_addresses

    def peers(self) -> list[Peer]:
        """Return every known peer."""
        return list(self._table)

    def links(self) -> list[Link]:
        """Return the links that stand."""
        return list(self._admission)

    def dials(self) -> list[Target]:
        """Return the peers to keep a link to that have none now, whether one ever stood or not."""
        return [
            target
            for target in self._dialer.targets
            if not target.is_linked
            and (target.peer_id is None or self._admission.link_to(target.peer_id) is None)
        ]

    def bans(self) -> list[Ban]:
        """Return the bans that hold."""
        return self._membership.bans.active(self._clock.time())

    def topology(self) -> tuple[list[MapNode], list[MapLink]]:
        """Return the nodes and links of the map, ourselves first."""
        return self._link_state.nodes(), self._link_state.links()

    def path(self, peer_id: PeerId) -> list[bytes]:
        """Return the keys of the nodes from here to a peer, both included; empty when there is no way."""
        return self._link_state.path(public_key_of(peer_id))

    def resolve(self, text: str) -> PeerId:
        """Return the peer that an operator means; see ``PeerTable.resolve``."""
        return self._table.resolve(text)

    def update_gauges(self) -> None:
        """Bring the collector's gauges up to date; to be called before statistics are made."""
        self._gauges.update(banned=len(self.bans()))

    def sample_tcp(self) -> None:
        """Let the collector have the kernel's view of every link; to be called at each tick."""
        self._gauges.sample_tcp()

    # What an operator does

    async def dial(self, address: str) -> PeerId:
        """Make one link to [PEERID@]HOST:PORT; return who is there.

        Raises:
            ConfigError: It is no address.
            PeerError: There will be no link.
        """
        try:
            link = await self._connect(parse_peer(address))
        except DuplicateLinkError as exc:
            return exc.peer_id
        if link.peer_id is None:
            raise PeerUnreachableError(f"{address}: the link has ended")
        return link.peer_id

    def add(self, address: str) -> bool:
        """Keep a link to an address from now on; see ``Membership.add``."""
        own = [parse_endpoint(text) for text in (*self.listen_addresses, *self.advertised_addresses)]
        return self._membership.add(self._dialer, address, own)

    def remove(self, text: str) -> None:
        """Keep no link to a peer any more; see ``Membership.remove``."""
        self._membership.remove(self._dialer, text)

    def ban(self, text: str, *, duration_s: float | None = None, reason: str = "") -> Ban:
        """Refuse a peer or an IP address; see ``Membership.ban``."""
        return self._membership.ban(text, duration_s=duration_s, reason=reason)

    def unban(self, text: str) -> None:
        """Lift a ban; see ``Membership.unban``."""
        self._membership.unban(self._dialer, text)

    def alias(self, text: str, alias: str) -> PeerId:
        """Call a peer something; see ``Membership.alias``."""
        return self._membership.alias(text, alias)

    def hold(self, *, held: bool) -> None:
        """Send nothing of our own accord, or go on; see ``Pace``. One last ping has all confirmed."""
        if held and not self._pace.is_held:
            for link in self.links():
                link.ping()
        self._pace.hold(held=held)

    # Messages

    async def submit(self, payloads: Sequence[bytes]) -> int:
        """Make a vertex of each payload and send it to everybody; return how many were made.

        Fewer than asked when every neighbour's queue is full; the rest may be submitted again.

        Raises:
            ValueError: A payload is over 16 KiB; those before it were sent.
        """
        for number, payload in enumerate(payloads):
            if number and number % _SUBMIT_SLICE == 0:
                await asyncio.sleep(0)
            if self._is_congested():
                return number
            self._handlers.submit(payload)
        return len(payloads)

    def send_routed(self, peer_id: PeerId, body: bytes) -> None:
        """Send a message to a peer, through relays if need be. It may be lost.

        Raises:
            PeerUnreachableError: There is no way to it now.
        """
        decision = self._router.message(public_key_of(peer_id), body, identity=os.urandom(16))
        if isinstance(decision, Drop):
            raise PeerUnreachableError(f"{peer_id}: {decision.cause}")
        frame = encode_frame(FrameType.ROUTED, decision.payload)
        now_mono_s = self._clock.monotonic()
        if not self._neighbours.send(decision.next_hop, FrameType.ROUTED, frame, now_mono_s):
            raise PeerUnreachableError(f"{peer_id}: the queue to the next hop is full")

    async def probe_routed(self, peer_id: PeerId) -> ProbeResult:
        """Measure the way to a peer, through relays if need be.

        Raises:
            PeerUnreachableError: There is no way to it now.
            PeerTimeoutError: It does not answer.
        """
        return await self._routing.probe(public_key_of(peer_id))

    # Inside

    async def _run(self) -> None:
        loops: dict[str, Coroutine[None, None, None]] = {
            "frames": self._handlers.run(),
            "routing": self._routing.run(),
            "routed probes": self._routing.run_probes(),
            "housekeeping": self._keep_house(),
        }
        if self._config.discovery:
            loops["ask for peers"] = self._finder.ask()
            loops["find peers"] = self._finder.run()
        async with asyncio.TaskGroup() as tasks:
            for name, loop in loops.items():
                tasks.create_task(loop, name=name)
            self._dialer.start(tasks)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self.update_gauges()
            self._gauges.tell_drops()
            self._membership.show_expired()
            now_mono_s = self._clock.monotonic()
            needed = {target.peer_id for target in self._dialer.targets if target.peer_id is not None}
            self._table.forget_unseen(now_mono_s - _FORGET_AFTER_S, now_mono_s, needed=needed)

    def _link_settings(self) -> LinkSettings:
        identity = self._node.identity
        return LinkSettings(
            me=LocalEnd(
                identity=identity,
                network=self._node.network,
                agent=self._node.agent,
                certificate=certificate_of(identity),
                listen=next(iter(self.advertised_addresses), ""),
            ),
            server_tls=server_context(identity),
            client_tls=client_context(),
            config=self._config,
            collector=self._collector,
            clock=self._clock,
            owner=self._switchboard,
            read_buffer=memoryview(bytearray(_READ_BUFFER_BYTES)),
            sockets=self._sockets,
            pace=self._pace,
        )

    def _new_incoming(self) -> Link:
        return Link(self._started().settings, Role.SERVER)

    async def _connect(self, peer: PeerEndpoint) -> Link:
        return await self._started().dial(peer)

    def _started(self) -> Connector:
        if self._connector is None:
            raise RuntimeError("the overlay has not been started")
        return self._connector

    def _is_wanted(self, key: bytes) -> bool:
        peer_id = peer_id_of(key)
        return (
            peer_id != self.peer_id
            and self._membership.bans.find(peer_id, self._clock.time()) is None
            and not any(target.peer_id == peer_id for target in self._dialer.targets)
        )

    def _is_congested(self) -> bool:
        """Whether no neighbour could take another vertex; without neighbours there is nothing in the way."""
        links = self.links()
        return bool(links) and all(len(link.queue) >= self._config.send_queue_messages for link in links)

    def _take_message(self, message: RoutedMessage) -> None:
        self.on_message(peer_id_of(message.source), message.body)

    def _take_vertex(self, vertex: Vertex) -> None:
        self.on_vertex(vertex)

    def _restore_targets(self) -> None:
        """Keep links to the peers that the configuration and the last run name."""
        for text in self._config.peers:
            self._dialer.add(parse_peer(text), is_added=False)
        path = self._node.file(PEERS_FILE_NAME)
        for added in [] if path is None else read_added_peers(path):
            self._dialer.add(added, is_added=True)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline_mono_s = self._clock.monotonic() + timeout_s
        while not condition() and self._clock.monotonic() < deadline_mono_s:  # noqa: ASYNC110  # many ends
            await asyncio.sleep(0.01)
