"""What the node gets done: vertices and messages a second, its queues, how long things take."""

from __future__ import annotations

from qudag_node.metrics.statistics import PerformanceStatistics, Rates, Summary
from qudag_node.monitors.windows import CounterWindow, PeakTracker

__all__ = ["PerformanceMetrics"]

_VERTICES, _MESSAGES = 0, 1


class PerformanceMetrics:
    """Transactions and messages per second over 1, 10 and 60 s, with their peaks.

        performance.observe(vertices_accepted=…, messages=…, now_mono_s=…, now_unix_s=…)  # every interval
        performance.statistics(queue_depth=…).tps.per_s_10

    Args:
        interval_s: Usual time between observations.
    """

    def __init__(self, *, interval_s: float = 1.0) -> None:
        self._window = CounterWindow(interval_s=interval_s)
        self._tps_peak, self._mps_peak = PeakTracker(), PeakTracker()
        self._tps = self._mps = Rates()
        self._vertices_accepted = 0

    def observe(self, *, vertices_accepted: int, messages: int, now_mono_s: float, now_unix_s: float) -> None:
        """Take in the vertices accepted, and the messages sent and received, since the start."""
        self._vertices_accepted = vertices_accepted
        self._window.push((vertices_accepted, messages), now_mono_s=now_mono_s)
        self._tps, self._mps = self._window.rates(_VERTICES), self._window.rates(_MESSAGES)
        self._tps_peak.observe(self._tps.per_s_1, now_unix_s=now_unix_s)
        self._mps_peak.observe(self._mps.per_s_1, now_unix_s=now_unix_s)

    def statistics(
        self,
        *,
        vertices_accepted: int | None = None,
        queue_depth: int = 0,
        queue_bytes: int = 0,
        processing_time_s: Summary | None = None,
        propagation_time_s: Summary | None = None,
    ) -> PerformanceStatistics:
        """Return what is given with the rates and peaks of the last observation."""
        return PerformanceStatistics(
            tps=self._tps,
            mps=self._mps,
            tps_peak=self._tps_peak.peak,
            mps_peak=self._mps_peak.peak,
            vertices_accepted=self._vertices_accepted if vertices_accepted is None else vertices_accepted,
            queue_depth=queue_depth,
            queue_bytes=queue_bytes,
            processing_time_s=processing_time_s or Summary(samples=0),
            propagation_time_s=propagation_time_s,
        )
