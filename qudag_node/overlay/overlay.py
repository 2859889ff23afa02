"""The network as the rest of the node sees it: start, stop, peers, links, messages, the map.

Everything that runs is a named task in one group; ``wait`` ends when one of them fails, with its error.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from random import Random

from qudag_node.config import OverlayConfig
from qudag_node.errors import (
    ConfigError,
    NotFoundError,
    PeerError,
    PeerTimeoutError,
    PeerUnreachableError,
    PortInUseError,
)
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.aliases import ALIASES_FILE_NAME, Aliases
from qudag_node.overlay.bans import BAN_FILE_NAME, Ban, Bans
from qudag_node.overlay.certificate import certificate_of, client_context, server_context
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.dialer import PEERS_FILE_NAME, Dialer, Target, read_added_peers
from qudag_node.overlay.discovery import PeerBook
from qudag_node.overlay.endpoints import Endpoint, PeerEndpoint, parse_endpoint, parse_peer
from qudag_node.overlay.events import EventKind, EventLog
from qudag_node.overlay.faults import DuplicateLinkError, LinkIdentityError, LinkRefusedError, cause_of
from qudag_node.overlay.finder import Finder
from qudag_node.overlay.flood import Flood
from qudag_node.overlay.frames import FrameType, GoodbyeReason, encode_frame
from qudag_node.overlay.gauges import Gauges
from qudag_node.overlay.handlers import Handlers, Parts
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.inbox import Inbox
from qudag_node.overlay.link import Link, LinkSettings
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig, MapNode
from qudag_node.overlay.lsdb import DatabaseLimits
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.pace import Pace
from qudag_node.overlay.paths import MapLink
from qudag_node.overlay.peertable import Peer, PeerState, PeerTable
from qudag_node.overlay.pins import PIN_FILE_NAME, Pins
from qudag_node.overlay.routed import Drop, ProbeResult, RoutedMessage, Router
from qudag_node.overlay.routing import ROUTING_FILE_NAME, Routing, read_sequence
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Signer, Verifier
from qudag_node.overlay.switchboard import Switchboard
from qudag_node.overlay.text import clean_text
from qudag_node.overlay.vertices import Vertex
from qudag_node.peerid import PeerId, peer_id_of, public_key_of

__all__ = ["LocalNode", "Overlay"]

_HOUSEKEEPING_S = 1.0
# A peer without link, alias or ban that was not on the map for so long is forgotten.
_FORGET_AFTER_S = 600.0
_DRAIN_TIMEOUT_S = 1.0
_CLOSE_TIMEOUT_S = 3.0
_READ_BUFFER_BYTES = 32 * 1024
# Signing 32 vertices takes about 2 ms.
_SUBMIT_SLICE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """Who this node is.

    Attributes:
        directory: Where bans, pins and added peers are kept; None to keep them in memory.
    """

    identity: Identity
    name: str
    network: str
    agent: str
    directory: Path | None = None


class Overlay:
    """One node's part in the network. Made and used within one running event loop.

    Args:
        config: The overlay's settings.
        node: Who this node is.
        collector: Takes what is measured; its message types are ``FRAME_NAMES``.
        clock: The ``time`` module, outside tests.
        events: Takes what happens.

    Attributes:
        on_vertex: Called with every vertex that others made, once; it must neither block nor raise.
        on_message: Called with every routed message that reaches this node: its sender and its body.
    """

    def __init__(
        self,
        config: OverlayConfig,
        node: LocalNode,
        collector: MetricsCollector,
        clock: Clock,
        events: EventLog,
    ) -> None:
        """Read what the last run left.

        Raises:
            DataDirectoryError: A file of it is damaged.
        """
        self.on_vertex: Callable[[Vertex], None] = lambda _: None
        self.on_message: Callable[[PeerId, bytes], None] = lambda _sender, _body: None
        self._config, self._node, self._collector = config, node, collector
        self._clock, self._events = clock, events
        self._bans = Bans(self._file(BAN_FILE_NAME))
        self._pins = Pins(self._file(PIN_FILE_NAME))
        self._aliases = Aliases(self._file(ALIASES_FILE_NAME))
        self._table = PeerTable(collector, own_id=self.peer_id, limit=config.max_known_peers)
        self._admission = Admission(
            self.peer_id,
            max_links=config.max_links,
            max_per_address=config.max_links_per_address,
            max_pending=config.max_pending_links,
            settle_s=config.handshake_timeout_s,
        )
        self._pace = Pace()
        self._neighbours = Neighbours(exchange_interval_s=config.exchange_interval_s)
        self._gauges = Gauges(collector, self._admission, self._table, events, limit=config.max_links)
        parts = _parts_of(config, node, clock, self._file(ROUTING_FILE_NAME))
        inbox = Inbox(max_messages=config.receive_queue_messages, max_bytes=config.send_queue_bytes)
        self._link_state, self._router = parts.link_state, parts.router
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
            path=self._file(ROUTING_FILE_NAME),
            pace=self._pace,
        )
        self._handlers.on_map = self._routing.wake
        self._handlers.on_probe = self._routing.take_probe
        self._handlers.on_vertex = self._deliver_vertex
        self._handlers.on_message = self._deliver
        self._switchboard = Switchboard(
            admission=self._admission,
            table=self._table,
            bans=self._bans,
            neighbours=self._neighbours,
            handlers=self._handlers,
            routing=self._routing,
            book=parts.book,
            collector=collector,
            clock=clock,
            events=events,
        )
        self._dialer = Dialer(
            dial=self._dial,
            link_to=self._admission.link_to,
            watcher=self,
            reconnect_min_s=config.reconnect_min_s,
            reconnect_max_s=config.reconnect_max_s,
            path=self._file(PEERS_FILE_NAME),
        )
        self._finder = Finder(
            config=config,
            book=parts.book,
            neighbours=self._neighbours,
            dial=self._dial,
            is_wanted=self._is_wanted,
            clock=clock,
            pace=self._pace,
        )
        self._settings: LinkSettings | None = None
        self._servers: list[asyncio.Server] = []
        self._runner: asyncio.Task[None] | None = None
        self._restore()

    # Life

    async def start(self) -> None:
        """Listen, and begin to link.

        Raises:
            PortInUseError: An address to listen on is taken, or is not of this machine.
        """
        for text in self._config.listen:
            await self._bind(parse_endpoint(text))
        identity = self._node.identity
        self._settings = LinkSettings(
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
            pace=self._pace,
        )
        for server in self._servers:
            await self._serve(server)
        self._runner = asyncio.create_task(self._run(), name="overlay")

    async def wait(self) -> None:
        """Wait until the overlay has stopped.

        Raises:
            ExceptionGroup: One of its tasks failed; the others have been ended.
        """
        if self._runner is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._runner)

    async def stop(self) -> None:
        """Say goodbye, close everything, end every task. Takes at most about 4 s."""
        self._stop_listening()
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await self._routing.leave()
        await self._until(lambda: all(len(link.queue) == 0 for link in self._admission), _DRAIN_TIMEOUT_S)
        runner.cancel()
        links = [*self._admission, *self._admission.opening()]
        for link in links:
            link.leave(GoodbyeReason.STOPPING)
        await self._until(lambda: all(link.is_closed for link in links), _CLOSE_TIMEOUT_S)
        for link in links:
            link.abort(PeerUnreachableError("this node is stopping"))
        with suppress(asyncio.CancelledError):
            await runner
        for server in self._servers:
            await server.wait_closed()

    # What the node asks

    @property
    def peer_id(self) -> PeerId:
        """Our own."""
        return self._node.identity.peer_id

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Where links are accepted, with the ports that were free where 0 was asked for."""
        sockets = [sock for server in self._servers for sock in server.sockets]
        return tuple(str(Endpoint(*sock.getsockname()[:2])) for sock in sockets)

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

    def bans(self) -> list[Ban]:
        """Return the bans that hold."""
        return self._bans.active(self._clock.time())

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
            link = await self._dial(parse_peer(address))
        except DuplicateLinkError as exc:
            return exc.peer_id
        return link.peer_id or self.peer_id

    def add(self, address: str) -> bool:
        """Keep a link to [PEERID@]HOST:PORT from now on, over restarts; return whether that is news.

        Raises:
            ConfigError: It is no address.
            PeerRefusedError: There are as many as may be.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        peer = parse_peer(address)
        if not self._dialer.add(peer, is_added=True):
            return False
        self._dialer.save()
        self._events.add(EventKind.PEER_ADDED, str(peer.endpoint), "a link to it is kept from now on")
        return True

    def remove(self, text: str) -> None:
        """Keep no link to a peer any more, and close the present one. It may still dial us: ban it for that.

        Raises:
            NotFoundError, AmbiguousError: See ``resolve``.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        peer_id, endpoint = self._target_of(text)
        removed = self._dialer.remove(peer_id=peer_id, endpoint=endpoint)
        for target in removed:
            self._pins.unpin(target.peer.endpoint)
        self._dialer.save()
        link = None if peer_id is None else self._admission.link_to(peer_id)
        if link is not None:
            link.leave(GoodbyeReason.REMOVED)
        self._events.add(EventKind.PEER_REMOVED, text, "no link to it is kept any more")

    def ban(self, text: str, *, duration_s: float | None = None, reason: str = "") -> Ban:
        """Refuse a peer, or every peer of an IP address, and close its links.

        Raises:
            NotFoundError, AmbiguousError: See ``resolve``.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        subject = self._subject_of(text)
        ban = self._bans.ban(subject, reason, now_unix_s=self._clock.time(), duration_s=duration_s)
        for link in self.links():
            if subject in {link.peer_id, link.remote[0]}:
                link.leave(GoodbyeReason.BANNED, reason)
        self._show_ban(subject, PeerState.BANNED)
        until = "for good" if duration_s is None else f"for {duration_s:g} s"
        self._events.add(EventKind.BANNED, subject, f"{until}{f': {clean_text(reason)}' if reason else ''}")
        return ban

    def unban(self, text: str) -> None:
        """Lift a ban.

        Raises:
            NotFoundError: Nothing of that name is banned.
        """
        try:
            subject = self._subject_of(text)
        except NotFoundError:
            subject = text
        if not self._bans.unban(subject, now_unix_s=self._clock.time()):
            raise NotFoundError(f"{text!r} is not banned")
        self._show_ban(subject, PeerState.KNOWN)
        self._dialer.wake(PeerId(subject))
        self._events.add(EventKind.UNBANNED, subject, "may link again")

    def alias(self, text: str, alias: str) -> PeerId:
        """Call a peer something; an empty alias takes it away.

        Raises:
            NotFoundError, AmbiguousError: See ``resolve``.
            PeerRefusedError: It is no name, or another peer's.
        """
        peer_id = self.resolve(text)
        self._aliases.set(peer_id, alias)
        peer = self._table.get(peer_id)
        if peer is not None:
            peer.alias = alias
            self._table.publish(peer)
        return peer_id

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

    # What the dialer tells

    def dial_began(self, target: Target) -> None:
        """Show that a peer is being dialled."""
        self._show_dialling(target, PeerState.CONNECTING)

    def dial_failed(self, target: Target, error: PeerError, wait_s: float) -> None:
        """Show that a peer could not be linked to."""
        self._show_dialling(target, PeerState.BACKOFF)
        subject = str(target.peer.endpoint)
        if isinstance(error, LinkIdentityError):
            self._events.add_quietly(EventKind.IDENTITY_CHANGED, subject, str(error))
        else:
            self._events.add_quietly(EventKind.DIAL_FAILED, subject, f"{error}; again in {wait_s:.1f} s")

    # Inside

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            loops: dict[str, Coroutine[None, None, None]] = {
                "frames": self._handlers.run(),
                "routing": self._routing.run(),
                "routed probes": self._routing.run_probes(),
                "housekeeping": self._keep_house(),
            }
            if self._config.discovery:
                loops["ask for peers"] = self._finder.ask()
                loops["find peers"] = self._finder.run()
            for name, loop in loops.items():
                tasks.create_task(loop, name=name)
            self._dialer.start(tasks)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self.update_gauges()
            self._gauges.tell_drops()
            now_mono_s = self._clock.monotonic()
            needed = {target.peer_id for target in self._dialer.targets if target.peer_id is not None}
            self._table.forget_unseen(now_mono_s - _FORGET_AFTER_S, now_mono_s, needed=needed)

    async def _bind(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                self._new_incoming, endpoint.host, endpoint.port, start_serving=False, backlog=512
            )
        except OSError as exc:
            self._stop_listening()
            raise _cannot_listen(endpoint, exc) from exc
        self._servers.append(server)

    async def _serve(self, server: asyncio.Server) -> None:
        endpoint = Endpoint(*server.sockets[0].getsockname()[:2])
        try:
            await server.start_serving()
        except OSError as exc:  # two may bind a port, but not both listen
            self._stop_listening()
            raise _cannot_listen(endpoint, exc) from exc

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    def _new_incoming(self) -> Link:
        return Link(self._link_settings, Role.SERVER)

    @property
    def _link_settings(self) -> LinkSettings:
        if self._settings is None:
            raise RuntimeError("the overlay has not been started")
        return self._settings

    async def _dial(self, peer: PeerEndpoint) -> Link:
        """Make one link.

        Raises:
            DuplicateLinkError: Another one is kept.
            PeerError: Anything else.
        """
        pinned = None if peer.peer_id is not None else self._pins.find(peer.endpoint)
        expected = peer.peer_id or pinned
        for subject in (expected, peer.endpoint.host):
            if subject is not None and self._bans.find(subject, self._clock.time()):
                raise LinkRefusedError(GoodbyeReason.BANNED, f"{subject} is banned")
        link = await self._connect(peer.endpoint, expected)
        try:
            await link.opened
        except asyncio.CancelledError:
            link.abort(PeerUnreachableError("given up"))
            raise
        except LinkRefusedError as exc:
            if exc.reason is not GoodbyeReason.DUPLICATE or link.peer_id is None:
                raise
            self._pin(peer, link.peer_id)
            raise DuplicateLinkError(link.peer_id) from exc
        except LinkIdentityError as exc:
            if pinned is None or exc.found is None:
                raise
            where = self._pins.path or "known_peers"
            raise LinkIdentityError(
                "identity_changed",
                f"was {pinned}, is now {exc.found}; if that is meant, remove its line from {where}",
                found=exc.found,
            ) from exc
        if link.peer_id is not None:
            self._pin(peer, link.peer_id)
        return link

    async def _connect(self, endpoint: Endpoint, expected: PeerId | None) -> Link:
        link = Link(self._link_settings, Role.CLIENT, expected=expected)
        loop, timeout_s = asyncio.get_running_loop(), self._config.handshake_timeout_s
        self._admission.dialling(link)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(
                    lambda: link, endpoint.host, endpoint.port, happy_eyeballs_delay=0.25
                )
        except TimeoutError as exc:
            self._admission.closed(link)
            error: PeerError = PeerTimeoutError(f"no TCP connection within {timeout_s:g} s")
            self._collector.connection_failed(cause_of(error))
            raise error from exc
        except OSError as exc:
            self._admission.closed(link)
            error = PeerUnreachableError(exc.strerror or str(exc))
            self._collector.connection_failed(cause_of(error))
            raise error from exc
        except BaseException:
            self._admission.closed(link)
            raise
        return link

    def _pin(self, peer: PeerEndpoint, peer_id: PeerId) -> None:
        """Remember who was met first where nobody was named."""
        if peer.peer_id is None:
            self._pins.pin(peer.endpoint, peer_id)

    def _is_wanted(self, key: bytes) -> bool:
        peer_id = peer_id_of(key)
        return (
            peer_id != self.peer_id
            and self._bans.find(peer_id, self._clock.time()) is None
            and not any(target.peer_id == peer_id for target in self._dialer.targets)
        )

    def _is_congested(self) -> bool:
        """Whether no neighbour could take another vertex; without neighbours there is nothing in the way."""
        links = self.links()
        limit = self._config.send_queue_messages
        return bool(links) and all(len(link.queue) >= limit for link in links)

    def _deliver_vertex(self, vertex: Vertex) -> None:
        self.on_vertex(vertex)

    def _deliver(self, message: RoutedMessage) -> None:
        self.on_message(peer_id_of(message.source), message.body)

    def _target_of(self, text: str) -> tuple[PeerId | None, Endpoint | None]:
        """Return the peer or address that a link is kept to."""
        try:
            peer_id: PeerId | None = self.resolve(text)
        except NotFoundError:
            peer_id = None
        endpoint: Endpoint | None = None
        with suppress(ConfigError):
            endpoint = parse_peer(text).endpoint
        if peer_id is None and not any(target.peer.endpoint == endpoint for target in self._dialer.targets):
            raise NotFoundError(f"no peer is known as {text!r}; run: qudag peer list")
        return peer_id, endpoint

    def _subject_of(self, text: str) -> str:
        """Return the PeerId or IP address that is to be banned."""
        try:
            return str(ip_address(text))
        except ValueError:
            pass
        try:
            return self.resolve(text)
        except NotFoundError:
            with suppress(ValueError):
                public_key_of(text)
                return text
            raise

    def _show_ban(self, subject: str, state: PeerState) -> None:
        peer = self._table.get(PeerId(subject))
        if peer is not None and peer.state is not PeerState.CONNECTED:
            peer.state = state
            self._table.publish(peer)

    def _show_dialling(self, target: Target, state: PeerState) -> None:
        if target.peer_id is None:
            return
        peer = self._table.open(target.peer_id, self._clock.monotonic())
        if peer is not None and peer.state not in {PeerState.CONNECTED, PeerState.BANNED}:
            peer.state = state
            peer.note_endpoint(target.peer.endpoint)
            self._table.publish(peer)

    def _restore(self) -> None:
        """Open what the configuration and the last run name."""
        for text in self._config.peers:
            self._dialer.add(parse_peer(text), is_added=False)
        path = self._file(PEERS_FILE_NAME)
        for added in [] if path is None else read_added_peers(path):
            self._dialer.add(added, is_added=True)
        now_mono_s = self._clock.monotonic()
        for peer_id, alias in self._aliases.items():
            peer = self._table.open(peer_id, now_mono_s)
            if peer is not None:
                peer.alias = alias
                self._table.publish(peer)

    def _file(self, name: str) -> Path | None:
        return None if self._node.directory is None else self._node.directory / name

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline_mono_s = self._clock.monotonic() + timeout_s
        while not condition() and self._clock.monotonic() < deadline_mono_s:  # noqa: ASYNC110  # many ends
            await asyncio.sleep(0.01)


def _cannot_listen(endpoint: Endpoint, exc: OSError) -> PortInUseError:
    return PortInUseError(f"{endpoint}: cannot listen there ({exc.strerror or exc}); choose another --listen")


def _parts_of(config: OverlayConfig, node: LocalNode, clock: Clock, routing_file: Path | None) -> Parts:
    now_mono_s = clock.monotonic()
    signer, verifier = Signer(node.identity.private_key, node.network), Verifier(node.network)
    seen = SeenCache(config.seen_vertices, ttl_s=config.seen_ttl_s, now_mono_s=now_mono_s)
    link_state = LinkState(
        signer,
        verifier,
        LinkStateConfig(
            name=node.name,
            renew_interval_s=config.advert_interval_s,
            is_leaf=not config.share_links,
            limits=DatabaseLimits(origins=config.max_origins),
        ),
        sequence=0 if routing_file is None else read_sequence(routing_file),
        rng=Random(),
        now_mono_s=now_mono_s,
    )

    def next_hop(destination: bytes) -> bytes | None:
        route = link_state.route(destination)
        return None if route is None else route.next_hop

    return Parts(
        flood=Flood(signer, verifier, seen),
        seen=seen,
        link_state=link_state,
        router=Router(signer, verifier, next_hop, relays=config.share_links, max_relays=config.max_hops),
        book=PeerBook(node.identity.public_key, config.max_known_peers),
        relays=config.share_links,
        exchanges=config.discovery,
    )
