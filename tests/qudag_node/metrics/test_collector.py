"""The collector against a model: plain dictionaries that count the same calls one by one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qudag_node.host import TcpInfo
from qudag_node.metrics import MetricsCollector, PeerHandle, PeerLabels
from qudag_node.metrics.recorder import FOLD_AT, MAX_SIZE_BYTES

TYPES = ("ping", "data", "test")
PEERS = ("a", "b", "c")
SIZES = st.integers(0, MAX_SIZE_BYTES)


def collector_of_three() -> tuple[MetricsCollector, list[PeerHandle]]:
    collector = MetricsCollector(message_types=TYPES)
    return collector, [collector.open_peer(peer_id) for peer_id in PEERS]


class CollectorMachine(RuleBasedStateMachine):
    """Any legal sequence of calls: what is processed, failed or dropped on the way in was received before."""

    @initialize(friendly=st.booleans())
    def begin(self, friendly: bool) -> None:
        self.collector, self.peers = collector_of_three()
        self.friendly = friendly
        self.counts: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()
        self.by_peer: Counter[tuple[int, str, str]] = Counter()
        self.failed_by_cause: Counter[str] = Counter()
        self.dropped_by_cause: Counter[str] = Counter()

    @rule(peer=st.integers(0, 2), kind=st.sampled_from(TYPES), sent=st.booleans(), size=SIZES)
    def message(self, peer: int, kind: str, sent: bool, size: int) -> None:
        handle, collector = self.peers[peer], self.collector
        if self.friendly:
            record = collector.record_message_sent if sent else collector.record_message_received
            record(handle, kind, size)
        else:
            key = collector.sent_key(kind) if sent else collector.received_key(kind)
            collector.log(handle.key + key + size)
            collector.fold_if_due()
        way = "sent" if sent else "received"
        self.counts[way, kind] += 1
        self.bytes[way, kind] += size
        self.by_peer[peer, way, kind] += 1

    def undecided(self, kind: str) -> int:
        decided = sum(self.counts[fate, kind] for fate in ("processed", "failed", "dropped_in"))
        return self.counts["received", kind] - decided

    @precondition(lambda self: any(self.undecided(kind) for kind in TYPES))
    @rule(
        data=st.data(),
        peer=st.integers(0, 2),
        fate=st.sampled_from(["processed", "failed", "dropped_in"]),
        cause=st.sampled_from(["signature", "queue", "rate"]),
        seconds=st.none() | st.floats(0, 100),
    )
    def decide(self, data: st.DataObject, peer: int, fate: str, cause: str, seconds: float | None) -> None:
        kind = data.draw(st.sampled_from([kind for kind in TYPES if self.undecided(kind)]))
        if fate == "processed":
            self.collector.record_message_processed(kind, seconds)
        elif fate == "failed":
            self.collector.record_message_failed(self.peers[peer], kind, cause)
            self.failed_by_cause[cause] += kind != "test"
        else:
            self.collector.record_message_dropped(self.peers[peer], kind, "in", cause)
            self.dropped_by_cause[cause] += kind != "test"
        self.counts[fate, kind] += 1

    @rule(peer=st.integers(0, 2), kind=st.sampled_from(TYPES), count=st.integers(1, 9))
    def drop_out(self, peer: int, kind: str, count: int) -> None:
        self.collector.record_message_dropped(self.peers[peer], kind, "out", "queue", count)
        self.counts["dropped_out", kind] += count
        self.dropped_by_cause["queue"] += count * (kind != "test")

    @rule(kind=st.sampled_from(TYPES), delta=st.integers(-3, 9))
    def queue(self, kind: str, delta: int) -> None:
        self.collector.change_queued_out(kind, delta)
        self.counts["queued_out", kind] += delta

    @rule(peer=st.integers(0, 2))
    def replace_peer(self, peer: int) -> None:
        self.collector.forget_peer(self.peers[peer], now_mono_s=0)
        self.peers[peer] = self.collector.open_peer(PEERS[peer])
        for key in [key for key in self.by_peer if key[0] == peer]:
            del self.by_peer[key]

    @invariant()
    def identities_hold(self) -> None:
        totals = self.collector.totals()
        assert totals.types == ("ping", "data")
        decided = totals.processed + totals.failed + totals.dropped_in
        assert np.array_equal(totals.received, decided + totals.queued_in)
        assert (totals.queued_in >= 0).all()
        for number, kind in enumerate(totals.types):
            for fate in (
                "sent",
                "received",
                "processed",
                "failed",
                "dropped_in",
                "dropped_out",
                "queued_out",
            ):
                assert getattr(totals, fate)[number] == self.counts[fate, kind], (fate, kind)
            assert totals.sent_bytes[number] == self.bytes["sent", kind]
            assert totals.received_bytes[number] == self.bytes["received", kind]
        assert totals.failed_by_cause == +self.failed_by_cause
        assert totals.dropped_by_cause == +self.dropped_by_cause
        assert sum(totals.failed_by_cause.values()) == totals.failed.sum()
        assert sum(totals.dropped_by_cause.values()) == (totals.dropped_in + totals.dropped_out).sum()

    @invariant()
    def test_traffic_is_apart(self) -> None:
        traffic = self.collector.test_traffic()
        assert (traffic.sent, traffic.received) == (
            self.counts["sent", "test"],
            self.counts["received", "test"],
        )
        assert traffic.sent_bytes == self.bytes["sent", "test"]
        assert traffic.received_bytes == self.bytes["received", "test"]

    @invariant()
    def peers_are_told_apart(self) -> None:
        for peer, handle in enumerate(self.peers):
            by_type = self.collector.peer_types(handle)
            assert set(by_type) == {"ping", "data"}
            for kind, traffic in by_type.items():
                assert traffic.sent == self.by_peer[peer, "sent", kind]
                assert traffic.received == self.by_peer[peer, "received", kind]


TestCollectorAgainstAModel = CollectorMachine.TestCase
TestCollectorAgainstAModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@given(st.integers(1, 3 * FOLD_AT))
@settings(max_examples=10, deadline=None)
def test_totals_are_exact_however_the_log_is_sliced(count: int) -> None:
    collector, (peer, *_) = collector_of_three()
    key = peer.key + collector.received_key("data")
    for size in range(count):
        collector.log(key + size)
    assert collector.totals().received.tolist() == [0, count]
    assert collector.totals().received_bytes.tolist() == [0, count * (count - 1) // 2]


@pytest.mark.parametrize("what", ["sent", "received", "latency", "log"])
def test_logs_are_folded_when_they_are_full(what: str) -> None:
    collector, (peer, *_) = collector_of_three()
    key = peer.key + collector.sent_key("data")
    for _ in range(FOLD_AT + 10):
        if what == "sent":
            collector.record_message_sent(peer, "data", 1)
        elif what == "received":
            collector.record_message_received(peer, "data", 1)
        elif what == "latency":
            collector.record_latency(peer, 0.001, method="link-ping")
        else:
            collector.log(key)
            collector.fold_if_due()
    assert len(collector.latencies.events if what == "latency" else collector.traffic.events) == 10


def test_what_a_sent_to_b_is_what_b_received_from_a_by_type() -> None:
    a, b = MetricsCollector(message_types=TYPES), MetricsCollector(message_types=TYPES)
    b_at_a, a_at_b = a.open_peer("b"), b.open_peer("a")
    for number in range(1000):
        kind = TYPES[number % 2]
        a.record_message_sent(b_at_a, kind, number)
        b.record_message_received(a_at_b, kind, number)
    for kind in ("ping", "data"):
        sent, received = a.peer_types(b_at_a)[kind], b.peer_types(a_at_b)[kind]
        assert (sent.sent, sent.sent_bytes) == (received.received, received.received_bytes)


def test_a_forgotten_peer_leaves_its_slot_clean_and_the_totals_whole() -> None:
    collector, (a, *_) = collector_of_three()
    collector.record_message_sent(a, "data", 100)
    collector.record_message_failed(a, "data", "signature")
    collector.record_latency(a, 0.5, method="link-ping")
    collector.probe_sent(a)
    collector.forget_peer(a, now_mono_s=1)
    newcomer = collector.open_peer("d")
    assert newcomer.slot == 1
    assert collector.peer_types(newcomer)["data"].sent == 0
    assert collector.tallies.failed[1] == collector.tallies.probes[1, 0] == 0
    assert collector.latencies.rings.count[1] == 0
    assert collector.totals().sent.sum() == 1


def test_a_handle_that_outlives_its_peer_counts_for_nobody() -> None:
    collector, (a, *_) = collector_of_three()
    collector.forget_peer(a, now_mono_s=0)
    collector.forget_peer(a, now_mono_s=0)
    newcomer = collector.open_peer("d")
    collector.record_message_sent(a, "data", 100)
    a.set_labels(PeerLabels(name="ghost"))
    assert collector.peer_types(newcomer)["data"].sent == 0
    assert collector.peer_types(collector.nobody)["data"].sent == 1
    assert collector.registry.text("name") == ("", "", "")


def test_peers_beyond_the_limit_are_counted_in_the_totals_only() -> None:
    collector = MetricsCollector(message_types=TYPES, max_peers=2)
    handles = [collector.open_peer(name) for name in "abc"]
    assert handles[2] is collector.nobody
    for handle in handles:
        collector.record_message_sent(handle, "data", 10)
        collector.connection_opened(handle, "in", now_mono_s=0, now_unix_s=0)
    assert collector.totals().sent.sum() == 3
    assert len(collector.registry) == 2
    connections = collector.connections.statistics(now_mono_s=1)
    assert (connections.active, connections.total, connections.closed) == (2, 3, 1)


def test_many_peers_keep_their_figures_while_the_arrays_grow() -> None:
    collector = MetricsCollector(message_types=TYPES)
    handles = [collector.open_peer(f"peer{number}") for number in range(500)]
    for number, handle in enumerate(handles):
        collector.record_message_sent(handle, "data", number)
        collector.record_latency(handle, number, method="link-ping")
    assert [collector.peer_types(handle)["data"].sent_bytes for handle in handles] == list(range(500))
    collector.latencies.rings.refresh()
    assert collector.latencies.rings.figure("last")[1:501].tolist() == list(range(500))
    assert collector.open_peer("peer7") is handles[7]


def test_recording_off_counts_nothing() -> None:
    collector = MetricsCollector(message_types=TYPES, recording=False)
    peer = collector.open_peer("a")
    collector.record_message_sent(peer, "data", 1)
    collector.record_message_processed("data")
    collector.record_message_processed("data", 0.1)
    collector.record_message_failed(peer, "data", "x")
    collector.record_message_dropped(peer, "data", "in", "x")
    collector.record_duplicate("data")
    collector.record_vertex_accepted()
    collector.record_latency(peer, 0.1, method="link-ping")
    totals = collector.totals()
    for name in ("sent", "received", "processed", "failed", "dropped_in", "dropped_out"):
        assert not getattr(totals, name).any()
    assert totals.duplicates == collector.vertices_accepted == 0
    assert collector.summary(collector.series.links).samples == 0


@pytest.mark.parametrize("size", [-1, MAX_SIZE_BYTES + 1])
def test_a_size_that_the_key_cannot_hold_is_refused(size: int) -> None:
    collector, (peer, *_) = collector_of_three()
    for record in (collector.record_message_sent, collector.record_message_received):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            record(peer, "data", size)


def test_an_unknown_message_type_is_named_with_the_known_ones() -> None:
    collector, (peer, *_) = collector_of_three()
    with pytest.raises(ValueError, match="'pong' is not a message type; there are ping, data, test"):
        collector.record_message_sent(peer, "pong", 1)


@pytest.mark.parametrize("types", [(), ("a", "a"), tuple(str(number) for number in range(65))])
def test_the_message_types_are_bounded_and_different(types: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different message types"):
        MetricsCollector(message_types=types)


@pytest.mark.parametrize("seconds", [-0.001, math.nan])
def test_an_impossible_time_is_refused(seconds: float) -> None:
    collector, (peer, *_) = collector_of_three()
    with pytest.raises(ValueError, match="broken clock"):
        collector.record_latency(peer, seconds, method="link-ping")


def test_an_impossible_time_in_the_log_is_left_out_and_counted() -> None:
    collector, (peer, *_) = collector_of_three()
    for seconds in (0.5, -1.0, math.nan, math.inf):
        collector.log_series(peer.key)
        collector.log_value(seconds)
    assert collector.summary(collector.series.links).samples == 2
    assert collector.latencies.rejected == 2


def test_causes_are_bounded() -> None:
    collector, (peer, *_) = collector_of_three()
    for number in range(100):
        collector.record_message_failed(peer, "data", f"cause {number}")
    causes = collector.totals().failed_by_cause
    assert len(causes) == 65
    assert causes["other"] == 36


def test_a_propagation_time_counts_however_uncertain_it_is() -> None:
    collector, _ = collector_of_three()
    collector.record_propagation(0.010, error_bound_s=0.002)
    collector.record_propagation(0.010, error_bound_s=0.011)
    collector.record_propagation(-0.010, error_bound_s=0.001)
    found = collector.summary(collector.series.propagation)
    assert (found.samples, found.min) == (3, 0.0)
    with pytest.raises(ValueError, match="error bound"):
        collector.record_propagation(0.010, error_bound_s=-1.0)


def test_connections_are_counted_by_direction_with_their_durations() -> None:
    collector, (a, b, c) = collector_of_three()
    collector.connection_opened(a, "in", now_mono_s=0, now_unix_s=1000)
    collector.connection_opened(b, "out", now_mono_s=1, now_unix_s=1001)
    collector.connection_opened(c, "out", now_mono_s=2, now_unix_s=1002)
    collector.connection_closed(b, now_mono_s=4, cause="timeout")
    collector.connection_closed(b, now_mono_s=5)
    collector.connection_failed("refused")
    collector.connections.gauges.pending = 7
    found = collector.connections.statistics(now_mono_s=10)
    assert (found.active, found.incoming, found.outgoing) == (2, 1, 1)
    assert (found.total, found.closed, found.pending) == (3, 1, 7)
    assert found.errors == {"timeout": 1, "refused": 1}
    assert (found.duration_s.samples, found.duration_s.min, found.duration_s.max) == (3, 3.0, 10.0)
    assert a.labels.state == "connected"
    assert (b.labels.state, b.labels.direction) == ("known", "none")


def test_a_second_link_to_a_peer_ends_the_first_and_is_a_reconnect() -> None:
    collector, (a, *_) = collector_of_three()
    collector.connection_opened(a, "in", now_mono_s=0, now_unix_s=0)
    collector.connection_opened(a, "out", now_mono_s=3, now_unix_s=3)
    found = collector.connections.statistics(now_mono_s=3)
    assert (found.active, found.outgoing, found.closed, found.total) == (1, 1, 1, 2)
    assert collector.connections.reconnects[a.slot] == 1


def test_a_clock_that_steps_back_makes_no_negative_duration() -> None:
    collector, (a, *_) = collector_of_three()
    collector.connection_opened(a, "in", now_mono_s=10, now_unix_s=0)
    assert collector.connections.statistics(now_mono_s=5).duration_s.max == 0.0


def test_wire_bytes_survive_the_end_of_a_link() -> None:
    collector, (a, b, _) = collector_of_three()
    info = TcpInfo(
        rtt_s=0.01, rttvar_s=0.001, cwnd_segments=10, retransmits=2, sent_bytes=1000, received_bytes=500
    )
    assert collector.tallies.wire_bytes() is None
    for peer in (a, b, collector.nobody):
        collector.connection_opened(peer, "in", now_mono_s=0, now_unix_s=0)
        collector.set_tcp_info(peer, info)
    assert collector.tallies.wire_bytes() == (2000, 1000)
    collector.connection_closed(a, now_mono_s=1)
    assert collector.tallies.wire_bytes() == (2000, 1000)
    assert np.isnan(collector.tallies.tcp_times[a.slot]).all()
    collector.set_tcp_info(b, info._replace(sent_bytes=None, received_bytes=None))
    assert collector.tallies.wire_bytes() == (1000, 500)


def test_the_collector_knows_what_it_costs() -> None:
    clock = iter(range(1000))
    collector = MetricsCollector(message_types=TYPES, cpu_clock=lambda: float(next(clock)))
    for _ in range(2):
        collector.record_message_sent(collector.nobody, "data", 1)
        collector.fold()
        collector.fold()
    assert collector.cpu_s() == 2.0
    before = collector.memory_bytes()
    for number in range(1000):
        collector.open_peer(f"peer{number}")
    assert collector.memory_bytes() > before + 500 * 1000


def test_every_hot_key_counts_what_its_method_does() -> None:
    collector, (peer, *_) = collector_of_three()
    collector.log(peer.key + collector.sent_key("data") + 5)
    collector.log_series(collector.processing_key("data"))
    collector.log_value(0.5)
    collector.log_series(collector.type_latency_key("ping"))
    collector.log_value(0.25)
    collector.record_duplicate("data")
    collector.record_duplicate("test")
    totals = collector.totals()
    assert (totals.sent.tolist(), totals.processed.tolist()) == ([0, 1], [0, 1])
    assert totals.duplicates == 1
    assert collector.summary(0).avg == pytest.approx(0.25)


def test_a_collector_without_a_test_type_has_no_test_traffic() -> None:
    collector = MetricsCollector(message_types=["data"])
    collector.record_message_sent(collector.nobody, "data", 1)
    assert collector.test_traffic().sent == 0
    assert collector.totals().types == ("data",)


def test_traffic_beside_the_links_adds_to_the_test_traffic() -> None:
    collector, (peer, *_) = collector_of_three()
    collector.record_message_sent(peer, "test", 100)
    collector.record_test_traffic(sent_messages=5, received_messages=4, sent_bytes=6000, received_bytes=4800)
    collector.record_test_traffic(sent_messages=1, received_messages=0, sent_bytes=2**40, received_bytes=0)
    traffic = collector.test_traffic()
    assert (traffic.sent, traffic.received) == (7, 4)
    assert (traffic.sent_bytes, traffic.received_bytes) == (6100 + 2**40, 4800)
    assert collector.totals().sent.sum() == 0
    with pytest.raises(ValueError, match="negative"):
        collector.record_test_traffic(sent_messages=0, received_messages=-1, sent_bytes=0, received_bytes=0)
    without_types = MetricsCollector(message_types=("data",))
    without_types.record_test_traffic(sent_messages=1, received_messages=2, sent_bytes=3, received_bytes=4)
    assert without_types.test_traffic().received_bytes == 4
    off = MetricsCollector(message_types=TYPES, recording=False)
    off.record_test_traffic(sent_messages=1, received_messages=2, sent_bytes=3, received_bytes=4)
    assert off.test_traffic().sent == 0


def test_drops_of_tests_are_told_by_cause_and_nowhere_else() -> None:
    collector, (peer, *_) = collector_of_three()
    collector.record_message_received(peer, "test", 10)
    collector.record_message_dropped(peer, "test", "in", "rate_limit_messages")
    collector.record_message_dropped(peer, "test", "out", "queue_full_bytes", 3)
    collector.record_message_failed(peer, "test", "routed_malformed")
    collector.record_message_dropped(peer, "data", "out", "queue_full_bytes")
    assert collector.test_drops() == {"rate_limit_messages": 1, "queue_full_bytes": 3, "routed_malformed": 1}
    assert collector.totals().dropped_by_cause == {"queue_full_bytes": 1}
    assert collector.totals().failed_by_cause == {}
