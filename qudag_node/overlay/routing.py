"""Keeping the map: our adverts in time, everybody's reachability told, distant nodes probed now and then."""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerTimeoutError, PeerUnreachableError
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.events import EventKind, EventLog, Severity
from qudag_node.overlay.frames import FrameType, encode_frame
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkstate import LinkState
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.pace import Pace
from qudag_node.overlay.peertable import Peer, PeerTable
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.reachability import ReachabilityChange, ReachabilityKind
from qudag_node.overlay.routed import Drop, ProbeResult, Router
from qudag_node.overlay.sequence import SequenceFile
from qudag_node.peerid import peer_id_of

__all__ = ["Intent", "Routing"]

# How soon the peer table follows the map, and how often when nothing has changed.
_FOLLOW_S = 0.1
_FOLLOW_ANYHOW_S = 30.0
_PROBES_PER_ROUND = 16
# A probe and its answer, on the link they leave and come by.
_PROBE_BYTES = 307
_PROBE_TIMEOUT_S = 5.0
_MAX_NAMES_TOLD = 5
# A node that an operator parted from and that is lost within so long is lost for that reason.
_INTENT_HOLDS_S = 5.0

_EVENT_BY_CHANGE: Mapping[ReachabilityKind, tuple[EventKind, str]] = {
    ReachabilityKind.JOINED: (EventKind.JOINED, "can be reached"),
    ReachabilityKind.LEFT: (EventKind.LEFT, "is stopping"),
    ReachabilityKind.PARTITION: (EventKind.PARTITION, "can no longer be reached"),
    ReachabilityKind.HEALED: (EventKind.HEALED, "can be reached again"),
}


@dataclass(frozen=True, slots=True)
class Intent:
    """An operator ended a link: ours, or the peer's. ``reason`` is the goodbye's, in words."""

    reason: str
    is_ours: bool

    @property
    def severity(self) -> Severity:
        """What our own operator does is in order; what another does may be news."""
        return Severity.INFO if self.is_ours else Severity.WARNING

    def words(self, name: str) -> str:
        """Return what happened."""
        return f"ended here: {self.reason}" if self.is_ours else f"peer {name} ended the link: {self.reason}"


class Routing:
    """Runs the link state of one node.

    Attributes:
        on_named: Called with a peer whose name or distance has become known, or changed.
    """

    def __init__(
        self,
        *,
        config: OverlayConfig,
        link_state: LinkState,
        router: Router,
        neighbours: Neighbours,
        table: PeerTable,
        collector: MetricsCollector,
        clock: Clock,
        events: EventLog,
        file: SequenceFile,
        pace: Pace,
        background_bytes_per_s: float = math.inf,
    ) -> None:
        self.on_named: Callable[[Peer], None] = lambda _: None
        self._pace = pace
        self._config = config
        interval_s = config.routing_probe_interval_s
        # What probes that nobody has asked for may take, saved up over one interval.
        self._probe_budget = (
            TokenBucket(
                background_bytes_per_s,
                max(_PROBE_BYTES, background_bytes_per_s * interval_s),
                clock.monotonic(),
            )
            if 0 < background_bytes_per_s < math.inf
            else None
        )
        self._probes = background_bytes_per_s > 0 and interval_s > 0
        self._link_state = link_state
        self._router = router
        self._neighbours = neighbours
        self._table = table
        self._collector = collector
        self._clock = clock
        self._events = events
        self._file = file
        self._wake = asyncio.Event()
        self._is_leaving = False
        self._answers: dict[bytes, asyncio.Future[ProbeResult]] = {}
        self._turns: deque[bytes] = deque()
        self._intents: dict[bytes, tuple[Intent, float]] = {}
        self._map_is_news = True
        self._followed_mono_s = -math.inf
        # Writing a key in base58 takes 20 µs; a map of 4,096 nodes is looked through every second.
        self._peer_id_of = lru_cache(config.max_origins)(peer_id_of)

    # What links and frames tell

    def wake(self) -> None:
        """Something was learnt: look whether anything is due."""
        self._map_is_news = True
        self._wake.set()

    def neighbour_up(self, link: Link, key: bytes) -> None:
        """A link stands: tell the other end all that is known."""
        now_mono_s = self._clock.monotonic()
        self._link_state.neighbour_up(key, now_mono_s)
        for payload in self._link_state.adverts():
            link.send(FrameType.ADVERT, encode_frame(FrameType.ADVERT, payload), now_mono_s)
        self.wake()

    def neighbour_rtt(self, key: bytes, rtt_s: float) -> None:
        """A ping was answered."""
        if self._link_state.neighbour_rtt(key, rtt_s):
            self.wake()

    def neighbour_down(self, key: bytes, intent: Intent | None = None) -> None:
        """A link no longer stands, because an operator meant it so or for another reason."""
        now_mono_s = self._clock.monotonic()
        self._intents = {
            known: held for known, held in self._intents.items() if now_mono_s < held[1] and known != key
        }
        if intent is not None:
            self._intents[key] = intent, now_mono_s + _INTENT_HOLDS_S
        self._link_state.neighbour_down(key)
        self.wake()

    def take_probe(self, result: ProbeResult) -> None:
        """A probe of ours was answered."""
        self._collector.record_routing_latency(result.rtt_s)
        peer = self._table.get(peer_id_of(result.destination))
        if peer is not None and result.destination not in self._neighbours:
            self._collector.record_latency(peer.handle, result.rtt_s, method="routed-probe")
        answer = self._answers.pop(result.identity, None)
        if answer is not None and not answer.done():
            answer.set_result(result)

    # Loops

    async def run(self) -> None:
        """Do what is due when it is due, until cancelled or told to leave."""
        while not self._is_leaving:
            await self._pace.goes_on()
            self._tick()
            await self._file.save(self._link_state.sequence, self._clock.monotonic())
            due_mono_s = min(self._link_state.due_mono_s, self._follow_due_mono_s)
            wait_s = max(due_mono_s - self._clock.monotonic(), 0.005)
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def run_probes(self) -> None:
        """Probe some of the nodes that are no neighbours at every interval, each in its turn."""
        while self._probes:
            await asyncio.sleep(self._config.routing_probe_interval_s)
            await self._pace.goes_on()
            now_mono_s = self._clock.monotonic()
            self._expire(now_mono_s)
            for key in self._next_to_probe(now_mono_s):
                # A route that was lost this moment is told by the map.
                with suppress(PeerUnreachableError):
                    self._probe(key, os.urandom(16), now_mono_s)

    async def probe(self, key: bytes) -> ProbeResult:
        """Probe a node and wait for its answer.

        Raises:
            PeerUnreachableError: There is no way to it.
            PeerTimeoutError: It does not answer in time.
        """
        identity = os.urandom(16)
        answer: asyncio.Future[ProbeResult] = asyncio.get_running_loop().create_future()
        self._answers[identity] = answer
        try:
            self._probe(key, identity, self._clock.monotonic())
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await answer
        except TimeoutError as exc:
            raise PeerTimeoutError(f"{peer_id_of(key)}: no answer within {_PROBE_TIMEOUT_S:g} s") from exc
        finally:
            self._answers.pop(identity, None)

    async def leave(self) -> None:
        """Tell everybody that this node is stopping, and keep the sequence; what follows is no partition."""
        self._is_leaving = True
        payload = self._link_state.leave(self._clock.time_ns() // 1_000_000)
        self._flood_advert(payload)
        await self._file.save(self._link_state.sequence, self._clock.monotonic(), at_once=True)

    @property
    def _follow_due_mono_s(self) -> float:
        return self._followed_mono_s + (_FOLLOW_S if self._map_is_news else _FOLLOW_ANYHOW_S)

    def _tick(self) -> None:
        now_mono_s = self._clock.monotonic()
        advert, changes = self._link_state.tick(now_mono_s, self._clock.time_ns() // 1_000_000)
        if advert is not None:
            self._flood_advert(advert)
        for change in changes:
            self._tell(change)
        self._follow_map(now_mono_s)

    def _flood_advert(self, payload: bytes) -> None:
        self._neighbours.flood(
            FrameType.ADVERT, encode_frame(FrameType.ADVERT, payload), self._clock.monotonic()
        )

    def _tell(self, change: ReachabilityChange) -> None:
        kind, words = _EVENT_BY_CHANGE[change.kind]
        name_by_key = {node.key: node.name for node in self._link_state.nodes()}
        others: list[bytes] = []
        for key in change.nodes:
            intent = self._take_intent(key) if kind is EventKind.PARTITION else None
            if intent is None:
                others.append(key)
                continue
            name = name_by_key.get(key) or peer_id_of(key)
            self._events.add(kind, name, f"{words}; {intent.words(name)}", intent.severity)
        if not others:
            return
        names = [name_by_key.get(key) or peer_id_of(key) for key in others[:_MAX_NAMES_TOLD]]
        further = len(others) - len(names)
        subject = ", ".join(names) + (f" and {further} more" if further else "")
        self._events.add(kind, subject, words)

    def _take_intent(self, key: bytes) -> Intent | None:
        intent, until_mono_s = self._intents.pop(key, (None, 0.0))
        return intent if self._clock.monotonic() < until_mono_s else None

    def _follow_map(self, now_mono_s: float) -> None:
        """Let the peer table show the names and distances of the map."""
        if now_mono_s < self._follow_due_mono_s:
            return
        self._map_is_news, self._followed_mono_s = False, now_mono_s
        for node in self._link_state.nodes()[1:]:
            peer_id = self._peer_id_of(node.key)
            # Anybody can tell of nodes that nobody can reach.
            is_new = node.hops is None and self._table.get(peer_id) is None
            peer = None if is_new else self._table.hear_of(peer_id, now_mono_s)
            if peer is None:
                continue
            hops = node.hops or 0
            if (peer.name, peer.hops) != (node.name, hops):
                peer.name, peer.hops = node.name, hops
                self._table.publish(peer)
                self.on_named(peer)

    def _next_to_probe(self, now_mono_s: float) -> list[bytes]:
        nodes = self._link_state.nodes()
        distant = {node.key for node in nodes if node.hops is not None and node.hops > 1}
        waiting = [key for key in self._turns if key in distant]
        self._turns = deque(waiting)
        self._turns.extend(distant.difference(waiting))
        most = min(_PROBES_PER_ROUND, len(self._turns))
        if self._probe_budget is not None:
            most = min(most, int(self._probe_budget.available(now_mono_s) // _PROBE_BYTES))
            self._probe_budget.take(most * _PROBE_BYTES, now_mono_s)
        chosen = [self._turns.popleft() for _ in range(most)]
        self._turns.extend(chosen)
        return chosen

    def _probe(self, key: bytes, identity: bytes, now_mono_s: float) -> None:
        peer_id = self._peer_id_of(key)
        decision = self._router.probe(
            key, identity=identity, now_mono_s=now_mono_s, timeout_s=_PROBE_TIMEOUT_S
        )
        if isinstance(decision, Drop):
            raise PeerUnreachableError(f"{peer_id}: {decision.cause}")
        frame = encode_frame(FrameType.ROUTED, decision.payload)
        if not self._neighbours.send(decision.next_hop, FrameType.ROUTED, frame, now_mono_s):
            raise PeerUnreachableError(f"{peer_id}: the queue to the next hop is full")
        peer = self._table.get(peer_id)
        if peer is not None:
            self._collector.probe_sent(peer.handle)

    def _expire(self, now_mono_s: float) -> None:
        for lost in self._router.expire(now_mono_s):
            peer = self._table.get(peer_id_of(lost.destination))
            if peer is not None:
                self._collector.probe_lost(peer.handle)
