"""Each monitor alone, with times as arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.host import TcpInfo
from qudag_node.metrics import MetricsCollector
from qudag_node.metrics.statistics import Peak, Rates, Summary
from qudag_node.monitors import BandwidthMonitor, LatencyTracker, PerformanceMetrics, ThroughputMonitor

UNIX_S = 1_700_000_000.0


def test_bandwidth_has_rates_peaks_and_utilization() -> None:
    monitor = BandwidthMonitor(capacity_bits_per_s=80_000)
    sent = [0, 1000, 6000, 7000]
    for second, sent_bytes in enumerate(sent):
        monitor.observe(
            sent_bytes=sent_bytes,
            received_bytes=second * 100,
            now_mono_s=second,
            now_unix_s=UNIX_S + second,
        )
    found = monitor.statistics()
    assert (found.sent_bytes, found.received_bytes) == (7000, 300)
    assert (found.sent_rate.per_s_1, found.received_rate.per_s_1) == (1000.0, 100.0)
    assert found.sent_peak == Peak(per_s=5000.0, at_unix_s=UNIX_S + 2)
    assert found.utilization_ratio == pytest.approx(0.1)


def test_utilization_is_unknown_without_a_capacity_or_a_rate() -> None:
    monitor = BandwidthMonitor()
    for second in range(2):
        monitor.observe(sent_bytes=second, received_bytes=0, now_mono_s=second, now_unix_s=UNIX_S)
    assert monitor.statistics().utilization_ratio is None
    monitor = BandwidthMonitor(capacity_bits_per_s=1e6)
    monitor.observe(sent_bytes=1, received_bytes=0, now_mono_s=0, now_unix_s=UNIX_S)
    assert monitor.statistics().utilization_ratio is None
    assert monitor.statistics().sent_peak is None


def test_a_capacity_measured_later_counts_from_then_on() -> None:
    monitor = BandwidthMonitor()
    for second in range(3):
        monitor.observe(sent_bytes=second * 125, received_bytes=0, now_mono_s=second, now_unix_s=UNIX_S)
        monitor.capacity_bits_per_s = 2000.0
    assert monitor.statistics().utilization_ratio == pytest.approx(0.5)


def test_throughput_tells_types_and_fates_apart() -> None:
    collector = MetricsCollector(message_types=("ping", "data", "test"))
    peer = collector.open_peer("a")
    monitor = ThroughputMonitor(("ping", "data"))
    for second in range(11):
        monitor.observe(collector.totals(), now_mono_s=second, now_unix_s=UNIX_S + second)
        for _ in range(10):
            collector.record_message_received(peer, "data", 100)
        collector.record_message_received(peer, "test", 100)
        collector.record_message_sent(peer, "ping", 10)
        collector.record_message_processed("data")
        collector.record_message_failed(peer, "data", "signature")
        collector.record_message_dropped(peer, "data", "in", "rate-limit")
        collector.record_message_dropped(peer, "ping", "out", "queue-full", 2)
    found = monitor.statistics(collector.totals(), {"data": Summary(samples=1)})
    assert (found.sent, found.received, found.processed, found.failed) == (11, 110, 11, 11)
    assert (found.dropped_in, found.dropped_out, found.queued_in) == (11, 22, 77)
    assert found.received_rate == Rates(per_s_1=10.0, per_s_10=10.0)
    assert found.received_peak == Peak(per_s=10.0, at_unix_s=UNIX_S + 1)
    assert monitor.rates("failed", "data").per_s_10 == 1.0
    assert monitor.rates("dropped_out").per_s_1 == 2.0
    assert monitor.rates("received", "ping").per_s_1 == 0.0
    assert found.by_type["data"].size_bytes.samples == 1
    assert found.by_type["ping"].size_bytes.samples == 0
    assert found.dropped_by_cause == {"rate-limit": 11, "queue-full": 22}


def test_performance_counts_vertices_and_messages() -> None:
    performance = PerformanceMetrics()
    for second in range(3):
        performance.observe(
            vertices_accepted=second * second * 10,
            messages=second * 7,
            now_mono_s=second,
            now_unix_s=UNIX_S + second,
        )
    found = performance.statistics(queue_depth=3, queue_bytes=300)
    assert (found.tps.per_s_1, found.mps.per_s_1) == (30.0, 7.0)
    assert found.tps_peak == Peak(per_s=30.0, at_unix_s=UNIX_S + 2)
    assert found.mps_peak == Peak(per_s=7.0, at_unix_s=UNIX_S + 1)
    assert (found.vertices_accepted, found.queue_depth, found.queue_bytes) == (40, 3, 300)
    assert found.processing_time_s.samples == 0
    assert found.propagation_time_s is None


def test_latency_of_peers_types_and_routes() -> None:
    collector = MetricsCollector(message_types=("ping", "data", "test"))
    near, far = collector.open_peer("near"), collector.open_peer("far")
    tracker = LatencyTracker(collector)
    for sample in range(1, 101):
        collector.record_latency(near, sample / 1000, method="link-ping")
    collector.record_type_latency("ping", 0.25, method="request-reply")
    collector.record_type_latency("test", 0.25, method="request-reply")
    collector.record_routing_latency(0.5)
    tracker.tick(now_mono_s=0)
    found = tracker.peer(near, now_mono_s=0)
    assert (found.samples, found.method) == (100, "link-ping")
    exact = {"last": 0.1, "min": 0.001, "avg": 0.0505, "p50": 0.05, "p95": 0.095, "p99": 0.099, "max": 0.1}
    assert {name: getattr(found, f"{name}_s") for name in exact} == pytest.approx(exact, rel=1e-5)
    assert tracker.peer(far, now_mono_s=0).p50_s is None
    statistics = tracker.statistics()
    assert statistics.links.samples == 100
    assert statistics.links.method == "link-ping"
    assert statistics.links.p95 == pytest.approx(0.095, rel=0.004)
    assert set(statistics.by_type) == {"ping"}
    assert statistics.by_type["ping"].method == "request-reply"
    assert statistics.routing.avg == pytest.approx(0.5)


def test_two_ways_to_a_round_trip_time_are_mixed() -> None:
    collector = MetricsCollector(message_types=("ping",))
    tracker = LatencyTracker(collector)
    assert tracker.statistics().links.method is None
    collector.record_latency(collector.open_peer("a"), 0.1, method="link-ping")
    collector.record_latency(collector.open_peer("b"), 0.1, method="stamp")
    assert tracker.statistics().links.method == "mixed"


def test_samples_leave_the_summaries_after_the_window() -> None:
    collector = MetricsCollector(message_types=("ping",))
    peer = collector.open_peer("a")
    tracker = LatencyTracker(collector, window_s=60)
    tracker.tick(now_mono_s=0)
    collector.record_latency(peer, 0.1, method="link-ping")
    for second in range(1, 51):
        tracker.tick(now_mono_s=second)
        assert tracker.statistics().links.samples == 1
    for second in range(51, 62):
        tracker.tick(now_mono_s=second)
    assert tracker.statistics().links.samples == 0
    assert tracker.peer(peer, now_mono_s=62).samples == 1


def test_a_long_pause_empties_the_window_at_once() -> None:
    collector = MetricsCollector(message_types=("ping",))
    tracker = LatencyTracker(collector)
    tracker.tick(now_mono_s=0)
    collector.record_routing_latency(0.1)
    tracker.tick(now_mono_s=1e9)
    assert tracker.statistics().routing.samples == 0


def test_loss_is_told_for_the_window_and_the_session() -> None:
    collector = MetricsCollector(message_types=("ping",))
    peer, idle = collector.open_peer("a"), collector.open_peer("idle")
    tracker = LatencyTracker(collector, window_s=60)
    for second in range(200):
        tracker.tick(now_mono_s=second)
        collector.probe_sent(peer)
        if second < 50:
            collector.probe_lost(peer)
    found = tracker.peer(peer, now_mono_s=199)
    assert (found.probes_sent, found.probes_lost) == (200, 50)
    assert found.loss_session_ratio == pytest.approx(0.25)
    assert found.loss_ratio == 0.0
    assert tracker.peer(idle, now_mono_s=199).loss_ratio is None
    assert tracker.nbytes > 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=120))
def test_the_loss_of_the_window_is_that_of_its_probes(seconds: list[tuple[int, int]]) -> None:
    collector = MetricsCollector(message_types=("ping",))
    peer = collector.open_peer("a")
    tracker = LatencyTracker(collector, window_s=12)
    for now_s, (sent, lost) in enumerate(seconds):
        tracker.tick(now_mono_s=now_s)
        for _ in range(sent):
            collector.probe_sent(peer)
        for _ in range(min(lost, sent)):
            collector.probe_lost(peer)
    found = tracker.peer(peer, now_mono_s=len(seconds) - 1)
    # Steps of a second: the window begins at the tick 12 s ago, before that second's probes.
    newest = seconds[-13:] if len(seconds) > 13 else seconds
    sent = sum(sent for sent, _ in newest)
    lost = sum(min(lost, sent) for sent, lost in newest)
    assert found.loss_ratio == (pytest.approx(lost / sent) if sent else None)


def propagation_of(samples: Sequence[tuple[float, float]]) -> Summary | None:
    collector = MetricsCollector(message_types=("data",))
    for seconds, bound_s in samples:
        collector.record_propagation(seconds, error_bound_s=bound_s)
    return LatencyTracker(collector).propagation_time()


def test_propagation_keeps_the_fast_samples_of_slow_links() -> None:
    assert propagation_of([]) is None
    found = propagation_of([(0.02, 0.001), (0.03, 0.004), (0.001, 0.004)])
    assert found is not None
    assert found.samples == 3
    assert found.p50 == pytest.approx(0.02, rel=0.01)
    assert found.error_bound_s == pytest.approx(0.001, rel=0.2)


def test_propagation_is_absent_when_its_median_may_be_all_error() -> None:
    assert propagation_of([(0.010, 0.0105)] * 5 + [(0.5, 0.001)]) is None
    assert propagation_of([(0.010, 0.009)] * 5 + [(0.0, 0.5)]) is not None


@given(
    st.lists(
        st.tuples(st.floats(1e-6, 10.0), st.floats(0.0, 2.0), st.floats(-1.0, 1.0)), min_size=1, max_size=40
    )
)
def test_the_true_median_of_propagation_lies_within_the_error_bound(
    truths: list[tuple[float, float, float]],
) -> None:
    found = propagation_of([(true_s + share * bound_s, bound_s) for true_s, bound_s, share in truths])
    if found is None:
        return
    assert found.samples == len(truths)
    assert found.p50 is not None
    assert found.error_bound_s is not None
    assert found.error_bound_s <= found.p50
    median_s = sorted(true_s for true_s, _, _ in truths)[(len(truths) - 1) // 2]
    # The buckets of a histogram are 0.39 % wide, at both ends of the interval.
    slack_s = 0.01 * (found.p50 + found.error_bound_s) + 1e-8
    assert abs(found.p50 - median_s) <= found.error_bound_s + slack_s


def test_retransmissions_are_a_share_of_the_bytes_sent_within_the_window() -> None:
    collector = MetricsCollector(message_types=("data",))
    tracker = LatencyTracker(collector)
    peer, silent = collector.open_peer("a"), collector.open_peer("b")

    def look(sent_bytes: int | None, resent_bytes: int | None) -> None:
        info = TcpInfo(
            rtt_s=0.01,
            rttvar_s=0.0,
            cwnd_segments=10,
            retransmits=0,
            sent_bytes=sent_bytes,
            retransmitted_bytes=resent_bytes,
        )
        collector.set_tcp_info(peer, info)

    def ratio_at(second: int) -> float:
        tracker.tick(now_mono_s=second)
        ratios = tracker.retransmit_ratios(now_mono_s=second)
        assert np.isnan(ratios[silent.slot])
        return float(ratios[peer.slot])

    tracker.tick(now_mono_s=0)
    look(95_000, 5_000)
    assert ratio_at(5) == pytest.approx(0.05, rel=0.01)
    # A new connection counts from zero; its share adds to that of the one before.
    collector.connection_opened(peer, "out", now_mono_s=5, now_unix_s=UNIX_S)
    collector.connection_closed(peer, now_mono_s=6)
    look(100_000, 0)
    assert ratio_at(10) == pytest.approx(0.025, rel=0.01)
    for second in range(11, 90):
        tracker.tick(now_mono_s=second)
    assert np.isnan(tracker.retransmit_ratios(now_mono_s=89)[peer.slot])  # nothing was sent for a minute
    look(199_000, 1_000)
    assert ratio_at(90) == pytest.approx(0.01, rel=0.01)


def test_retransmissions_are_not_known_where_the_kernel_does_not_tell() -> None:
    collector = MetricsCollector(message_types=("data",))
    peer = collector.open_peer("a")
    info = TcpInfo(rtt_s=0.01, rttvar_s=0.0, cwnd_segments=10, retransmits=3)
    collector.set_tcp_info(peer, info)
    assert np.isnan(LatencyTracker(collector).retransmit_ratios(now_mono_s=1)[peer.slot])
