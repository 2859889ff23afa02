"""`MetricsCollector`: everything that a program tells about its connections, messages, latencies and peers.

Nothing here reads a wall or monotonic clock, opens anything or waits: times are arguments. All counts are
exact. Windows, rates and peaks are made of them in `qudag_node.monitors`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from qudag_node.host import TcpInfo
from qudag_node.metrics.connections import ConnectionCounters
from qudag_node.metrics.cost import CollectionCost
from qudag_node.metrics.labels import Direction
from qudag_node.metrics.messages import MessageFates, MessageTotals, PeerTypeTraffic
from qudag_node.metrics.peers import NOBODY_SLOT, PeerHandle, PeerRegistry
from qudag_node.metrics.recorder import (
    FOLD_AT,
    MAX_SIZE_BYTES,
    RECEIVED,
    SENT,
    LatencyRecorder,
    TrafficRecorder,
)
from qudag_node.metrics.series import ByType, NodeSeries
from qudag_node.metrics.slots import SlotStore
from qudag_node.metrics.statistics import Summary, TestTraffic
from qudag_node.metrics.tallies import PeerTallies

__all__ = ["MAX_MESSAGE_TYPES", "TEST_TYPE", "MetricsCollector"]

MAX_MESSAGE_TYPES = 64
#: Messages of this type are counted as test traffic and nowhere else.
TEST_TYPE = "test"

Int64s = npt.NDArray[np.int64]


class MetricsCollector:
    """Counts what happens to a node. One event loop, or one thread, feeds it.

    The hot path makes no Python call: a program keeps the keys of its message types, and writes

        collector.log(peer.key + received_key + size_bytes)       # one message
        collector.log_series(key); collector.log_value(seconds)   # one latency, always both

    and calls `fold_if_due` after each batch it has read. The ``record_*`` methods are the same with names
    and checks, for about 0.3 µs.

    Args:
        message_types: Every type there is, at most 64. ``test`` is counted apart, see `TEST_TYPE`.
        max_peers: Most peers known at a time; what belongs to further ones is counted in the totals only.
        recording: False leaves messages and latencies uncounted, to tell what counting costs.
        cpu_clock: Processor time of this thread, for the collector's own cost.

    Attributes:
        log: Takes ``peer.key + sent_key(type) + size`` or the same with `received_key`, 0 ≤ size < 2^24.
        log_series: Takes `processing_key`, `type_latency_key` or a peer's ``key``.
        log_value: Takes the seconds that belong to it.
        sent_keys: All `sent_key`, in the order of ``message_types``. Share it rather than keep one for each
            connection: with a thousand of them the processor's cache would hold none.
        received_keys: The same for `received_key`.
        nobody: The peer to name while it is not known who the peer is.
        registry: The peers, their slots and labels.
        traffic: Messages and bytes. Like ``latencies`` it is exact after a `fold`.
        latencies: Round-trip times of peers, and the node's own series.
        connections: Links; its ``gauges`` are the overlay's to set.
        tallies: The rarer counts of each peer.
        cost: What all this costs.
    """

    def __init__(
        self,
        *,
        message_types: Sequence[str],
        max_peers: int = 10_000,
        recording: bool = True,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        types = len(message_types)
        if not 0 < len(set(message_types)) == types <= MAX_MESSAGE_TYPES:
            raise ValueError(f"1 to {MAX_MESSAGE_TYPES} different message types, not {list(message_types)}")
        self.message_types = tuple(message_types)
        self.recording = recording
        self.cost = CollectionCost(cpu_clock)
        self.registry = PeerRegistry(max_peers)
        self.series = NodeSeries(types)
        self.traffic = TrafficRecorder(types, self.registry.capacity)
        self.latencies = LatencyRecorder(self.series.count, self.registry.capacity, self.traffic.slot_key(1))
        self._traffic_log, self._latency_log = self.traffic.events, self.latencies.events
        self.connections = ConnectionCounters(self.registry.capacity)
        self.tallies = PeerTallies(self.registry.capacity)
        self._stores: tuple[SlotStore, ...] = (self.traffic, self.latencies, self.connections, self.tallies)
        self._fates = MessageFates(types)
        self.vertices_accepted = 0
        #: How the latency of each type is obtained.
        self.type_methods: dict[str, str] = {}
        numbers = range(types)
        self._numbers = self._by_type(numbers)
        self.sent_keys = tuple(self.traffic.cell_key(SENT, number) for number in numbers)
        self.received_keys = tuple(self.traffic.cell_key(RECEIVED, number) for number in numbers)
        self._sent_keys, self._received_keys = (
            self._by_type(self.sent_keys),
            self._by_type(self.received_keys),
        )
        self._processing_keys = self._by_type(self._key(self.series.processing(number)) for number in numbers)
        self._type_latency_keys = self._by_type(
            self._key(self.series.type_latency(number)) for number in numbers
        )
        self._counted = [number for number in numbers if self.message_types[number] != TEST_TYPE]
        discard: Callable[[float], None] = deque[float](maxlen=0).append
        self.log = self.traffic.log if recording else discard
        self.log_series = self.latencies.log_series if recording else discard
        self.log_value = self.latencies.log_value if recording else discard
        self.nobody = self.registry.nobody
        self._give_keys(self.nobody)

    # Keys of the hot path.

    def sent_key(self, message_type: str) -> float:
        """Return the part of a `log` key for a message sent."""
        return self._sent_keys[message_type]

    def received_key(self, message_type: str) -> float:
        """Return the part of a `log` key for a message received."""
        return self._received_keys[message_type]

    def processing_key(self, message_type: str) -> float:
        """Return the `log_series` key by which a message counts as processed, with its processing time."""
        return self._processing_keys[message_type]

    def type_latency_key(self, message_type: str) -> float:
        """Return the `log_series` key for a latency of a message type."""
        return self._type_latency_keys[message_type]

    def fold_if_due(self) -> None:
        """Fold when enough has been logged. Call it after each batch read."""
        if len(self._traffic_log) >= FOLD_AT or len(self._latency_log) >= FOLD_AT:
            self.fold()

    def fold(self) -> None:
        """Take everything logged into the totals: what is read afterwards is exact."""
        if self._traffic_log or self._latency_log:
            with self.cost.measured():
                self.traffic.fold()
                self.latencies.fold()

    # Messages.

    def record_message_sent(self, peer: PeerHandle, message_type: str, size_bytes: int) -> None:
        """Count a message handed to the kernel.

        Raises:
            ValueError: the type is not one of `message_types`, or the size not in [0, 2^24).
        """
        key = peer.key + self._sent_keys[message_type]
        if not 0 <= size_bytes <= MAX_SIZE_BYTES:
            raise ValueError(f"a size of {size_bytes} bytes is not in [0, {MAX_SIZE_BYTES}]")
        self.log(key + size_bytes)
        if len(self._traffic_log) >= FOLD_AT:
            self.fold()

    def record_message_received(self, peer: PeerHandle, message_type: str, size_bytes: int) -> None:
        """Count a message decoded; raises as `record_message_sent` does."""
        key = peer.key + self._received_keys[message_type]
        if not 0 <= size_bytes <= MAX_SIZE_BYTES:
            raise ValueError(f"a size of {size_bytes} bytes is not in [0, {MAX_SIZE_BYTES}]")
        self.log(key + size_bytes)
        if len(self._traffic_log) >= FOLD_AT:
            self.fold()

    def record_message_processed(self, message_type: str, seconds: float | None = None) -> None:
        """Count a received message whose handler completed, and the time from socket read to there."""
        if seconds is not None:
            self._record_value(self._processing_keys[message_type], seconds)
        elif self.recording:
            self._fates.processed_untimed[self._number(message_type)] += 1

    def record_message_failed(self, peer: PeerHandle, message_type: str, cause: str) -> None:
        """Count a received message whose handler or verification failed."""
        number = self._number(message_type)
        if not self.recording:
            return
        self._fates.failed[number] += 1
        if message_type == TEST_TYPE:
            self._fates.test_drops_by_cause.add(cause)
        else:
            self.tallies.failed[peer.slot] += 1
            self._fates.failed_by_cause.add(cause)

    def record_message_dropped(
        self, peer: PeerHandle, message_type: str, direction: Direction, cause: str, count: int = 1
    ) -> None:
        """Count messages that a queue or a rate limit refused: received ones (in), or ones to send (out)."""
        number = self._number(message_type)
        if not self.recording:
            return
        is_in = direction == "in"
        (self._fates.dropped_in if is_in else self._fates.dropped_out)[number] += count
        if message_type == TEST_TYPE:
            self._fates.test_drops_by_cause.add(cause, count)
        else:
            (self.tallies.dropped_in if is_in else self.tallies.dropped_out)[peer.slot] += count
            self._fates.dropped_by_cause.add(cause, count)

    def record_duplicate(self, message_type: str) -> None:
        """Count a received message whose content was known; it counts as processed besides."""
        if message_type != TEST_TYPE:
            self._fates.duplicates += self.recording

    def record_test_traffic(
        self, *, sent_messages: int, received_messages: int, sent_bytes: int, received_bytes: int
    ) -> None:
        """Count what a network test exchanged beside the links: its packets, and the bytes they carried.

        Raises:
            ValueError: A count is negative.
        """
        if min(sent_messages, received_messages, sent_bytes, received_bytes) < 0:
            raise ValueError("a count of test traffic is negative")
        if not self.recording:
            return
        before = self._fates.beside_links
        self._fates.beside_links = PeerTypeTraffic(
            sent=before.sent + sent_messages,
            received=before.received + received_messages,
            sent_bytes=before.sent_bytes + sent_bytes,
            received_bytes=before.received_bytes + received_bytes,
        )

    def change_queued_out(self, message_type: str, delta: int) -> None:
        """Count messages into (positive) or out of the queues of what is to be sent."""
        self._fates.queued_out[self._number(message_type)] += delta

    def record_vertex_accepted(self, count: int = 1) -> None:
        """Count vertices newly accepted: first copy, signature valid."""
        self.vertices_accepted += count * self.recording

    # Latencies.

    def record_latency(self, peer: PeerHandle, seconds: float, *, method: str) -> None:
        """Record a round-trip time to a peer, and how it was obtained.

        Raises:
            ValueError: the time is negative or not a number, which means a broken clock.
        """
        if method != peer.rtt_method:
            peer.set_rtt_method(method)
        # As `_record_value`, without the call: with a thousand links this is done a thousand times a tick.
        if not seconds >= 0:
            _refuse_time(seconds)
        self.log_series(peer.key)
        self.log_value(seconds)
        if len(self._latency_log) >= FOLD_AT:
            self.fold()

    def record_type_latency(self, message_type: str, seconds: float, *, method: str) -> None:
        """Record a latency of a message type: request to reply, or queue to kernel; ``method`` says which."""
        self.type_methods[message_type] = method
        self._record_value(self._type_latency_keys[message_type], seconds)

    def record_routing_latency(self, seconds: float) -> None:
        """Record the end-to-end round-trip time of a routed probe."""
        self._record_value(self._key(self.series.routing), seconds)

    def record_propagation(self, seconds: float, *, error_bound_s: float) -> None:
        """Record how long a vertex took from its origin, and the interval in which the truth lies.

        Every sample is kept, however uncertain: to keep only those larger than their error would
        describe the slow ones. A time below zero is an error of the clocks and counts as zero.

        Raises:
            ValueError: ``error_bound_s`` is negative.
        """
        if not error_bound_s >= 0:
            raise ValueError(f"an error bound of {error_bound_s} s is not one")
        self._record_value(self._key(self.series.propagation), max(seconds, 0.0))
        self._record_value(self._key(self.series.propagation_least), max(seconds - error_bound_s, 0.0))
        self._record_value(self._key(self.series.propagation_most), max(seconds + error_bound_s, 0.0))

    def record_loop_lag(self, seconds: float) -> None:
        """Record how late the event loop ran something."""
        self._record_value(self._key(self.series.loop_lag), seconds)

    # Peers and connections.

    def open_peer(self, peer_id: str) -> PeerHandle:
        """Return the handle of a peer, new or known; `nobody` beyond ``max_peers``."""
        capacity = self.registry.capacity
        handle = self.registry.open(peer_id)
        if self.registry.capacity > capacity:
            for store in self._stores:
                store.grow(self.registry.capacity)
        self._give_keys(handle)
        return handle

    def forget_peer(self, peer: PeerHandle, *, now_mono_s: float) -> None:
        """Close the peer's link and free its slot; what the handle still records is nobody's."""
        if peer.slot == NOBODY_SLOT:
            return
        self.fold()
        self.connection_closed(peer, now_mono_s=now_mono_s)
        for store in self._stores:
            store.clear(peer.slot)
        self.registry.forget(peer)
        self._give_keys(peer)

    def connection_opened(
        self, peer: PeerHandle, direction: Direction, *, now_mono_s: float, now_unix_s: float
    ) -> None:
        """Count a link that stands. It also sets the labels ``direction`` and ``state``."""
        self.connections.opened(peer.slot, direction, now_mono_s=now_mono_s, now_unix_s=now_unix_s)
        peer.set_labels(replace(peer.labels, direction=direction, state="connected"))

    def connection_closed(self, peer: PeerHandle, *, now_mono_s: float, cause: str | None = None) -> None:
        """Count a link's end; a cause makes it an error. Without a link nothing happens."""
        if not self.connections.is_open(peer.slot):
            return
        self.connections.closed(peer.slot, now_mono_s=now_mono_s, cause=cause)
        self.tallies.end_link(peer.slot)
        peer.set_labels(replace(peer.labels, direction="none", state="known"))

    def connection_failed(self, cause: str) -> None:
        """Count a connection that never became a link."""
        self.connections.failed(cause)

    def probe_sent(self, peer: PeerHandle) -> None:
        """Count a probe sent to a peer."""
        self.tallies.probe_sent(peer.slot)

    def probe_lost(self, peer: PeerHandle) -> None:
        """Count a probe that will not be answered any more."""
        self.tallies.probe_lost(peer.slot)

    def set_tcp_info(self, peer: PeerHandle, info: TcpInfo) -> None:
        """Keep the newest look at the TCP connection of a peer's link."""
        self.set_tcp_infos([(peer, info)])

    def set_tcp_infos(self, looks: Iterable[tuple[PeerHandle, TcpInfo]]) -> None:
        """Do so for many links at once, of different peers, which costs a quarter as much."""
        known = [(peer.slot, info) for peer, info in looks if peer.slot != NOBODY_SLOT]
        if self.recording and known:
            slots, infos = zip(*known, strict=True)
            self.tallies.set_tcp_infos(slots, infos)

    # Reading. Each of these folds first, so the figures are exact now.

    def totals(self) -> MessageTotals:
        """Return the message counts by type."""
        self.fold()
        sent, sent_bytes = self._counted_totals(SENT)
        received, received_bytes = self._counted_totals(RECEIVED)
        fates = self._fates
        timed = self.latencies.counts[self.series.all_processing]
        return MessageTotals(
            types=tuple(self.message_types[number] for number in self._counted),
            sent=sent,
            received=received,
            sent_bytes=sent_bytes,
            received_bytes=received_bytes,
            processed=(timed + fates.processed_untimed)[self._counted],
            failed=fates.failed[self._counted],
            dropped_in=fates.dropped_in[self._counted],
            dropped_out=fates.dropped_out[self._counted],
            queued_out=fates.queued_out[self._counted],
            duplicates=fates.duplicates,
            failed_by_cause=fates.failed_by_cause.counts(),
            dropped_by_cause=fates.dropped_by_cause.counts(),
        )

    def test_traffic(self) -> TestTraffic:
        """Return what was exchanged for network tests, over links and beside them."""
        beside = self._fates.beside_links
        sent = received = sent_bytes = received_bytes = 0
        if TEST_TYPE in self.message_types:
            number = self._number(TEST_TYPE)
            self.fold()
            (all_sent, all_sent_bytes), (all_received, all_received_bytes) = (
                self.traffic.totals(SENT),
                self.traffic.totals(RECEIVED),
            )
            sent, sent_bytes = int(all_sent[number]), int(all_sent_bytes[number])
            received, received_bytes = int(all_received[number]), int(all_received_bytes[number])
        return TestTraffic(
            sent=sent + beside.sent,
            received=received + beside.received,
            sent_bytes=sent_bytes + beside.sent_bytes,
            received_bytes=received_bytes + beside.received_bytes,
        )

    def test_drops(self) -> Mapping[str, int]:
        """Return how many test messages were dropped or failed, both directions, by cause."""
        return self._fates.test_drops_by_cause.counts()

    def peer_types(self, peer: PeerHandle) -> dict[str, PeerTypeTraffic]:
        """Return what was exchanged with one peer, for every type: what A sent to B, B received from A."""
        self.fold()
        sent, sent_bytes = self.traffic.of_slot(peer.slot, SENT)
        received, received_bytes = self.traffic.of_slot(peer.slot, RECEIVED)
        return {
            self.message_types[number]: PeerTypeTraffic(
                sent=int(sent[number]),
                received=int(received[number]),
                sent_bytes=int(sent_bytes[number]),
                received_bytes=int(received_bytes[number]),
            )
            for number in self._counted
        }

    def summary(self, *series: int, method: str | None = None) -> Summary:
        """Describe some of the node's own latency series together, over the last minute."""
        self.fold()
        return self.latencies.window.histogram(series).summary(method=method)

    def size_summary(self, message_type: str) -> Summary:
        """Describe the sizes in bytes of a type's messages since the start, sent and received together."""
        self.fold()
        return self.traffic.size_histogram(self._number(message_type)).summary(unit=1)

    def cpu_s(self) -> float:
        """Return the processor time that collecting has taken; see `CollectionCost`."""
        return self.cost.cpu_s(self.traffic.recorded + self.latencies.recorded)

    def memory_bytes(self) -> int:
        """Return the memory that the collector holds, the handles of the peers included."""
        return sum(store.nbytes for store in self._stores) + self.registry.nbytes

    def _by_type(self, numbers: Iterable[float]) -> ByType:
        return ByType(self.message_types, numbers)

    def _number(self, message_type: str) -> int:
        return int(self._numbers[message_type])

    def _give_keys(self, peer: PeerHandle) -> None:
        peer.key = self.traffic.slot_key(peer.slot)

    def _key(self, series: int) -> float:
        return self.latencies.series_key(series)

    def _record_value(self, series: float, seconds: float) -> None:
        if not seconds >= 0:
            _refuse_time(seconds)
        self.log_series(series)
        self.log_value(seconds)
        if len(self._latency_log) >= FOLD_AT:
            self.fold()

    def _counted_totals(self, direction: int) -> tuple[Int64s, Int64s]:
        messages, size_bytes = self.traffic.totals(direction)
        return messages[self._counted], size_bytes[self._counted]


def _refuse_time(seconds: float) -> NoReturn:
    raise ValueError(f"a time of {seconds} s means a broken clock")
