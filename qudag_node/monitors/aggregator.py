"""`StatsAggregator`: ticks the monitors, and joins everything into one `NetworkStatistics`."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from qudag_node.host import ProcessSampler
from qudag_node.metrics import MetricsCollector, NetworkStatistics
from qudag_node.metrics.messages import MessageTotals
from qudag_node.metrics.statistics import (
    BandwidthStatistics,
    MessageStatistics,
    NodeStatistics,
    PeerDistribution,
    PeerTable,
    PerformanceStatistics,
    ResourceStatistics,
)
from qudag_node.monitors.bandwidth import BandwidthMonitor
from qudag_node.monitors.latency import LatencyTracker
from qudag_node.monitors.peer_table import TRAFFIC, PeerWindows, latency_bands, peer_table, slot_traffic
from qudag_node.monitors.performance import PerformanceMetrics
from qudag_node.monitors.throughput import ThroughputMonitor
from qudag_node.monitors.windows import PeerCounterWindow

__all__ = ["StatsAggregator"]

_PEER_SPAN_S = 1.0
# With one more for what the two clocks may differ by.
_MOST_CORES = 1 + (os.cpu_count() or 1)


class StatsAggregator:
    """Everything about a node at one instant, from one collector.

        aggregator = StatsAggregator(collector, started_mono_s=…, started_unix_s=…)
        aggregator.tick(now_mono_s=…, now_unix_s=…)       # every interval
        statistics = aggregator.aggregate(now_mono_s=…, now_unix_s=…)

    Counts are exact at the moment of `aggregate`; rates, peaks and the process are those of the last tick.

    Args:
        collector: What the program records with.
        started_mono_s: Monotonic time when the node started.
        started_unix_s: Wall time when it did.
        node: Who the node is; the fields about times and ticks are filled in.
        interval_s: Time between ticks.
        retention_s: How long a latency counts in the summaries, and a probe in the loss ratio.
        capacity_bits_per_s: What one direction of the node's link can carry, None if unknown.
        process: What looks at this process.

    Attributes:
        node: May be replaced while the node runs.
        bandwidth: The monitors, to be asked for more than the statistics hold.
        latency: …
        throughput: …
        performance: …
    """

    def __init__(
        self,
        collector: MetricsCollector,
        *,
        started_mono_s: float,
        started_unix_s: float,
        node: NodeStatistics | None = None,
        interval_s: float = 1.0,
        retention_s: float = 60.0,
        capacity_bits_per_s: float | None = None,
        process: ProcessSampler | None = None,
    ) -> None:
        self.node = node or NodeStatistics(id="", name="", version="", network="")
        self.interval_s = interval_s
        self.bandwidth = BandwidthMonitor(interval_s=interval_s, capacity_bits_per_s=capacity_bits_per_s)
        self.latency = LatencyTracker(collector, interval_s=interval_s, window_s=retention_s)
        self.throughput = ThroughputMonitor(collector.totals().types, interval_s=interval_s)
        self.performance = PerformanceMetrics(interval_s=interval_s)
        self._collector = collector
        self._started_mono_s = started_mono_s
        self._started_unix_s = started_unix_s
        self._process = process or ProcessSampler()
        self._ticks = 0
        self._tick_mono_s: float | None = None
        self._resources = ResourceStatistics()
        self._peers = PeerCounterWindow(len(TRAFFIC), longest_s=_PEER_SPAN_S, interval_s=interval_s)
        self._peers_per_s: npt.NDArray[np.float32] = np.empty((0, len(TRAFFIC)), np.float32)
        self._rated_generation: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    def tick(self, *, now_mono_s: float, now_unix_s: float) -> None:
        """Bring windows, rates and peaks up to date. To be called once every interval."""
        with self._collector.cost.measured():
            self.latency.tick(now_mono_s=now_mono_s)
            totals = self._collector.totals()
            sent_bytes, received_bytes = int(totals.sent_bytes.sum()), int(totals.received_bytes.sum())
            self.bandwidth.observe(
                sent_bytes=sent_bytes,
                received_bytes=received_bytes,
                now_mono_s=now_mono_s,
                now_unix_s=now_unix_s,
            )
            self.throughput.observe(totals, now_mono_s=now_mono_s, now_unix_s=now_unix_s)
            self.performance.observe(
                vertices_accepted=self._collector.vertices_accepted,
                messages=int(totals.sent.sum() + totals.received.sum()),
                now_mono_s=now_mono_s,
                now_unix_s=now_unix_s,
            )
            self._peers_per_s = self._peer_rates(now_mono_s)
            self._resources = self._look_at_process(now_mono_s)
        self._ticks += 1
        self._tick_mono_s = now_mono_s

    def aggregate(self, *, now_mono_s: float, now_unix_s: float) -> NetworkStatistics:
        """Return everything there is to know now. With 1,000 peers that takes well under a millisecond."""
        with self._collector.cost.measured():
            return self._aggregate(now_mono_s, now_unix_s)

    @property
    def memory_bytes(self) -> int:
        """Memory that metrics take: the collector's and the windows'."""
        return self._collector.memory_bytes() + self.latency.nbytes + self._peers.nbytes

    def _aggregate(self, now_mono_s: float, now_unix_s: float) -> NetworkStatistics:
        collector = self._collector
        totals = collector.totals()
        peers = self._peer_table(now_mono_s)
        return NetworkStatistics(
            node=self._node(now_mono_s, now_unix_s),
            connections=collector.connections.statistics(now_mono_s=now_mono_s),
            messages=self._messages(totals),
            bandwidth=self._bandwidth(totals),
            latency=self.latency.statistics(),
            performance=self._performance(peers),
            peers=peers,
            protocol_versions=collector.registry.census.counts("version"),
            peer_distribution=self._distribution(peers),
            test_traffic=collector.test_traffic(),
            resources=replace(self._resources, loop_lag_s=collector.summary(collector.series.loop_lag)),
        )

    def _node(self, now_mono_s: float, now_unix_s: float) -> NodeStatistics:
        return replace(
            self.node,
            started_unix_s=self._started_unix_s,
            uptime_s=now_mono_s - self._started_mono_s,
            sampled_unix_s=now_unix_s,
            tick=self._ticks,
            interval_s=self.interval_s,
        )

    def _messages(self, totals: MessageTotals) -> MessageStatistics:
        sizes = {name: self._collector.size_summary(name) for name in totals.types}
        return self.throughput.statistics(totals, sizes)

    def _bandwidth(self, totals: MessageTotals) -> BandwidthStatistics:
        wire_bytes = self._collector.tallies.wire_bytes()
        return replace(
            self.bandwidth.statistics(),
            sent_bytes=int(totals.sent_bytes.sum()),
            received_bytes=int(totals.received_bytes.sum()),
            wire_sent_bytes=None if wire_bytes is None else wire_bytes[0],
            wire_received_bytes=None if wire_bytes is None else wire_bytes[1],
        )

    def _performance(self, peers: PeerTable) -> PerformanceStatistics:
        return self.performance.statistics(
            vertices_accepted=self._collector.vertices_accepted,
            queue_depth=int(peers.numbers["queue_messages"].sum()),
            queue_bytes=int(peers.numbers["queue_bytes"].sum()),
            processing_time_s=self.latency.processing_time(),
            propagation_time_s=self.latency.propagation_time(),
        )

    def _distribution(self, peers: PeerTable) -> PeerDistribution:
        census = self._collector.registry.census
        return PeerDistribution(
            direction=census.counts("direction"),
            agent=census.counts("agent"),
            address_family=census.counts("address_family"),
            latency_band=latency_bands(peers),
            hop_distance=census.counts("hops"),
        )

    def _peer_table(self, now_mono_s: float) -> PeerTable:
        generation, per_s = self._collector.registry.generation, self._peers_per_s
        known = len(per_s)
        is_new = generation[:known] != self._rated_generation
        if len(generation) > known or is_new.any():  # peers came since the tick
            per_s = np.full((len(generation), len(TRAFFIC)), np.nan, np.float32)
            per_s[:known] = self._peers_per_s
            per_s[:known][is_new] = np.nan  # what is there is of those whose slots they took
        windows = PeerWindows(
            traffic_per_s=per_s,
            loss_ratio=self.latency.loss_ratios(now_mono_s=now_mono_s),
            loss_session_ratio=self.latency.session_loss_ratios(),
            retransmit_ratio=self._retransmit_ratios(now_mono_s),
        )
        return peer_table(self._collector, windows, capacity_bits_per_s=self.bandwidth.capacity_bits_per_s)

    def _retransmit_ratios(self, now_mono_s: float) -> npt.NDArray[np.float32]:
        """Return `LatencyTracker.retransmit_ratios`; NaN where TCP ends before the peer."""
        ratios = self.latency.retransmit_ratios(now_mono_s=now_mono_s)
        return ratios if self.node.tcp_info == "path" else np.full_like(ratios, np.nan)

    def _peer_rates(self, now_mono_s: float) -> npt.NDArray[np.float32]:
        """Return the rates of `TRAFFIC` of every slot, and remember the counters for the next tick."""
        counters, generation = slot_traffic(self._collector), self._collector.registry.generation
        found = self._peers.increase(counters, generation, span_s=_PEER_SPAN_S, now_mono_s=now_mono_s)
        self._peers.push(counters, generation, now_mono_s=now_mono_s)
        self._rated_generation = generation.copy()
        if found is None:
            return np.full(counters.shape, np.nan, np.float32)
        increase, span_s = found
        return (increase / np.float32(span_s)).astype(np.float32)

    def _look_at_process(self, now_mono_s: float) -> ResourceStatistics:
        sample, before = self._process.sample(), self._resources
        collector_cpu_s = self._collector.cpu_s()
        elapsed_s = None if self._tick_mono_s is None else now_mono_s - self._tick_mono_s
        return ResourceStatistics(
            cpu_s=sample.cpu_s,
            cpu_ratio=_ratio(sample.cpu_s - before.cpu_s, elapsed_s),
            rss_bytes=sample.rss_bytes,
            open_files=sample.open_files,
            open_files_limit=sample.open_files_limit,
            threads=sample.threads,
            collector_cpu_s=collector_cpu_s,
            collector_cpu_ratio=_ratio(collector_cpu_s - before.collector_cpu_s, elapsed_s),
            collector_memory_bytes=self.memory_bytes,
        )


def _ratio(spent_s: float, elapsed_s: float | None) -> float | None:
    """Return the share of a core; None where the clocks disagree, as after a machine stood still."""
    if not elapsed_s or not 0 <= spent_s <= _MOST_CORES * elapsed_s:
        return None
    return spent_s / elapsed_s
