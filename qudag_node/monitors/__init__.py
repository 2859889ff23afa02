"""Windows over what the collector counts: rates, peaks, percentiles, losses; `StatsAggregator` joins them.

They know no overlay and read no clock: every call that needs a time is given it.
"""

from qudag_node.monitors.aggregator import StatsAggregator
from qudag_node.monitors.bandwidth import BandwidthMonitor
from qudag_node.monitors.latency import LatencyTracker, PeerLatency
from qudag_node.monitors.performance import PerformanceMetrics
from qudag_node.monitors.throughput import ThroughputMonitor

__all__ = [
    "BandwidthMonitor",
    "LatencyTracker",
    "PeerLatency",
    "PerformanceMetrics",
    "StatsAggregator",
    "ThroughputMonitor",
]
