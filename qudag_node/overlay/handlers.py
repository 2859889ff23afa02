"""What received frames do: pass vertices on, learn the map, exchange addresses, relay messages.

A frame is counted as received when it is decoded, and then as exactly one of processed, failed or dropped.
Signatures are the cost here (0.14 ms each), so what must be verified waits in the inbox, and is
taken from it in slices that leave the event loop free; a vertex that is known already is recognised at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from random import Random
from typing import TypeAlias

from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.discovery import decode_peers, encode_tell
from qudag_node.overlay.flood import Refusal
from qudag_node.overlay.frames import FRAME_NAMES, FrameType, RemoteFault, encode_frame
from qudag_node.overlay.inbox import FULL, Inbox, Received
from qudag_node.overlay.link import Link
from qudag_node.overlay.lsdb import Outcome
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.outlet import DROPPED_AT_END
from qudag_node.overlay.parts import Parts
from qudag_node.overlay.routed import (
    PLAIN_KINDS,
    TEST_KINDS,
    Decision,
    Deliver,
    Drop,
    DropCause,
    Forward,
    ProbeResult,
    RoutedKind,
    RoutedMessage,
    TraceEnd,
)
from qudag_node.overlay.testframes import PortDropCause, Subtype, encode_test, subtype_of
from qudag_node.overlay.trace import TraceResult
from qudag_node.overlay.vertices import Vertex, vertex_id

__all__ = ["Handlers"]

# How long frames are handled before the event loop gets its turn; one more signature may come on top.
_SLICE_S = 0.002

#: What became of a frame: None for processed, else the cause of its being dropped.
_Fate: TypeAlias = str | None


class Handlers:
    """Handles the frames of all links.

    Attributes:
        inbox: What waits.
        on_vertex: Called with every vertex accepted from others, its signature valid.
        on_message: Called with every routed message for this node.
        on_probe: Called with every answer to a probe of ours.
        on_test: Called with every message of a network test for this node: who sent it, its body, the links
            it passed (0 for a neighbour's own) and when it was read. Returns None, or why it was dropped.
        on_trace: Called with every answer to a trace of ours, and when it was read.
        on_map: Called when an advert may have changed the map.
    """

    def __init__(
        self, parts: Parts, neighbours: Neighbours, inbox: Inbox, collector: MetricsCollector, clock: Clock
    ) -> None:
        self.inbox = inbox
        self.on_vertex: Callable[[Vertex], None] = lambda _: None
        self.on_message: Callable[[RoutedMessage], None] = lambda _: None
        self.on_probe: Callable[[ProbeResult], None] = lambda _: None
        self.on_test: Callable[[bytes, bytes, int, float], str | None] = lambda *_: PortDropCause.UNHANDLED
        self.on_trace: Callable[[TraceResult, float], None] = lambda *_: None
        self.on_map: Callable[[], None] = lambda: None
        self._parts = parts
        self._neighbours = neighbours
        self._collector = collector
        self._clock = clock
        self._rng = Random()
        self._has_work = asyncio.Event()
        # Vertices that wait to be verified, and every link that has brought them: none of those needs them.
        self._bearers_by_vertex: dict[bytes, list[Link]] = {}
        self._processing_key = tuple(collector.processing_key(name) for name in FRAME_NAMES)
        self._handler_by_kind: dict[FrameType, Callable[[Received], _Fate]] = {
            FrameType.DATA: self._handle_data,
            FrameType.ADVERT: self._handle_advert,
            FrameType.PEERS: self._handle_peers,
            FrameType.ROUTED: self._handle_routed,
            FrameType.TEST: self._handle_test_envelope,
        }

    def take(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        """Take a frame from a link: handle what is cheap, queue the rest."""
        if kind is FrameType.DATA:
            identity = vertex_id(payload)
            bearers = self._bearers_by_vertex.get(identity)
            if bearers is not None and link not in bearers:
                bearers.append(link)
            if bearers is not None or identity in self._parts.seen:
                self._collector.record_duplicate("data")
                self._collector.record_message_processed("data")
                return
            if self._offer(Received(link, kind, payload, now_mono_s, identity)):
                self._bearers_by_vertex[identity] = [link]
        elif kind is FrameType.TEST and subtype_of(payload) is not Subtype.ENVELOPE:
            self._take_test(link, payload, now_mono_s)
        else:
            self._offer(Received(link, kind, payload, now_mono_s))

    @property
    def exchanges(self) -> bool:
        """Whether addresses are told and learnt."""
        return self._parts.exchanges

    async def run(self) -> None:
        """Handle what waits, until cancelled."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            until_s = self._clock.monotonic() + _SLICE_S
            while (received := self.inbox.take()) is not None:
                if self._handle(received) > until_s:
                    self._collector.fold_if_due()
                    await asyncio.sleep(0)
                    until_s = self._clock.monotonic() + _SLICE_S
            self._collector.fold_if_due()

    def submit(self, payload: bytes) -> Vertex:
        """Make a vertex of our own and send it to every neighbour.

        Raises:
            ValueError: The payload is over 16 KiB.
        """
        now_mono_s = self._clock.monotonic()
        vertex = self._parts.flood.submit(payload, now_unix_ns=self._clock.time_ns(), now_mono_s=now_mono_s)
        self._collector.record_vertex_accepted()
        self._neighbours.flood(FrameType.DATA, encode_frame(FrameType.DATA, vertex.encoded), now_mono_s)
        return vertex

    def _offer(self, received: Received) -> bool:
        if self.inbox.offer(received):
            self._has_work.set()
            return True
        link, kind = received.link, received.kind
        self._collector.record_message_dropped(link.peer, FRAME_NAMES[kind], "in", FULL)
        return False

    def _handle(self, received: Received) -> float:
        """Handle one frame; return the time when that was done."""
        link, kind, read_mono_s = received.link, received.kind, received.read_mono_s
        collector = self._collector
        try:
            dropped = self._handler_by_kind[kind](received)
        except RemoteFault as exc:
            collector.record_message_failed(link.peer, FRAME_NAMES[kind], exc.cause)
            link.fail(exc)
            return self._clock.monotonic()
        done_mono_s = self._clock.monotonic()
        if dropped is None:
            collector.log_series(self._processing_key[kind])
            collector.log_value(done_mono_s - read_mono_s)
        else:
            collector.record_message_dropped(link.peer, FRAME_NAMES[kind], "in", dropped)
        return done_mono_s

    def _handle_data(self, received: Received) -> _Fate:
        link, payload, read_mono_s = received.link, received.payload, received.read_mono_s
        identity = received.identity or vertex_id(payload)
        bearers = self._bearers_by_vertex.pop(identity, [link])
        now_unix_ns = self._clock.time_ns()
        vertex = self._parts.flood.receive(
            payload, now_unix_ns=now_unix_ns, now_mono_s=read_mono_s, identity=identity
        )
        if vertex is Refusal.DUPLICATE:
            self._collector.record_duplicate("data")
            return None
        if isinstance(vertex, Refusal):
            return vertex
        self._collector.record_vertex_accepted()
        self._record_propagation(vertex, now_unix_ns)
        if self._parts.relays:
            frame = encode_frame(FrameType.DATA, payload)
            self._neighbours.flood(FrameType.DATA, frame, read_mono_s, but=bearers)
        self.on_vertex(vertex)
        return None

    def _record_propagation(self, vertex: Vertex, now_unix_ns: int) -> None:
        """Record how long a neighbour's vertex took: only of neighbours we know the clock's offset."""
        origin = self._neighbours.origin(vertex.origin)
        offset = None if origin is None else origin.link.pings.clock_offset
        if offset is not None:
            seconds = (now_unix_ns - vertex.origin_unix_ns) / 1e9 + offset.offset_s
            self._collector.record_propagation(seconds, error_bound_s=offset.error_bound_s)

    def _handle_advert(self, received: Received) -> _Fate:
        link, payload, read_mono_s = received.link, received.payload, received.read_mono_s
        neighbour = self._neighbours.at(link)
        sender = b"" if neighbour is None else neighbour.key
        verdict = self._parts.link_state.receive(payload, sender, read_mono_s)
        if verdict.flood is not None:
            frame = encode_frame(FrameType.ADVERT, verdict.flood)
            self._neighbours.flood(FrameType.ADVERT, frame, read_mono_s, but=(link,))
        if verdict.reply is not None:
            link.send(FrameType.ADVERT, encode_frame(FrameType.ADVERT, verdict.reply), read_mono_s)
        match verdict.outcome:
            case Outcome.ACCEPTED:
                self.on_map()
                return None
            case Outcome.KNOWN | Outcome.OLDER:
                self._collector.record_duplicate("advert")
                self.on_map()
                return None
            case Outcome.RATE | Outcome.STRANGERS | Outcome.FULL:
                return verdict.outcome

    def _handle_peers(self, received: Received) -> _Fate:
        link, payload, read_mono_s = received.link, received.payload, received.read_mono_s
        frame = decode_peers(payload)
        neighbour = self._neighbours.at(link)
        if neighbour is None or not self._parts.exchanges:
            return None
        refusal = neighbour.exchange.judge(frame, read_mono_s)
        if refusal is not None:
            return refusal
        host = link.remote[0]
        if frame.is_ask:
            told = self._parts.book.tell(self._rng, to_key=neighbour.key, to_host=host)
            link.send(FrameType.PEERS, encode_tell(told), read_mono_s)
        else:
            self._parts.book.learn(frame.addresses, source=neighbour.key, source_host=host)
        return None

    def _take_test(self, link: Link, payload: bytes, read_mono_s: float) -> None:
        """Handle a neighbour's own test message at once: nothing is to be verified, and its time matters."""
        neighbour = self._neighbours.at(link)
        if subtype_of(payload) is None:
            dropped: _Fate = PortDropCause.SUBTYPE
        elif neighbour is None:
            dropped = DROPPED_AT_END
        else:
            dropped = self.on_test(neighbour.key, payload[1:], 0, read_mono_s)
        if dropped is None:
            self._collector.record_message_processed("test")
        else:
            self._collector.record_message_dropped(link.peer, "test", "in", dropped)

    def _handle_routed(self, received: Received) -> _Fate:
        decision = self._judge(received, received.payload, PLAIN_KINDS)
        match decision:
            case Forward(next_hop, forwarded):
                if next_hop not in self._neighbours:
                    return DropCause.NO_ROUTE
                frame = encode_frame(FrameType.ROUTED, forwarded)
                self._neighbours.send(next_hop, FrameType.ROUTED, frame, received.read_mono_s)
                return None
            case Deliver(message):
                self.on_message(message)
                return None
            case ProbeResult():
                self.on_probe(decision)
                return None
            case Drop(cause):
                return cause
            case _:
                raise AssertionError(f"a ROUTED frame led to {decision}")

    def _handle_test_envelope(self, received: Received) -> _Fate:
        read_mono_s = received.read_mono_s
        decision = self._judge(received, received.payload[1:], TEST_KINDS)
        if isinstance(decision, TraceEnd):
            decision = self._answer_trace(decision, read_mono_s)
        match decision:
            case Forward(next_hop, forwarded):
                if next_hop not in self._neighbours:
                    return DropCause.NO_ROUTE
                frame = encode_test(Subtype.ENVELOPE, forwarded)
                self._neighbours.send(next_hop, FrameType.TEST, frame, read_mono_s)
                return None
            case Deliver(message):
                return self.on_test(message.source, message.body, message.hops, read_mono_s)
            case TraceResult():
                self.on_trace(decision, read_mono_s)
                return None
            case Drop(cause):
                return cause
            case _:
                raise AssertionError(f"a TEST frame led to {decision}")

    def _judge(self, received: Received, envelope: bytes, kinds: Container[RoutedKind]) -> Decision:
        now_mono_s = self._clock.monotonic()
        neighbour = self._neighbours.at(received.link)
        came_from = b"" if neighbour is None else neighbour.key
        return self._parts.router.receive(envelope, came_from, now_mono_s, kinds=kinds)

    def _answer_trace(self, end: TraceEnd, read_mono_s: float) -> Forward | Drop:
        processing_ns = round((self._clock.monotonic() - read_mono_s) * 1e9)
        sent_unix_ns = self._clock.time_ns()
        return self._parts.router.answer(
            end,
            received_unix_ns=sent_unix_ns - processing_ns,
            sent_unix_ns=sent_unix_ns,
            processing_ns=processing_ns,
        )
