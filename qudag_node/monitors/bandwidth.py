"""How many bytes a second flow, and how much of the capacity that is."""

from __future__ import annotations

from qudag_node.metrics.statistics import BandwidthStatistics
from qudag_node.monitors.windows import CounterWindow, PeakTracker

__all__ = ["BandwidthMonitor"]

_SENT, _RECEIVED = 0, 1
_BITS = 8


class BandwidthMonitor:
    """Rates over 1, 10 and 60 s and their peaks, from cumulative byte counts.

        monitor = BandwidthMonitor(capacity_bits_per_s=100e6)
        monitor.observe(sent_bytes=…, received_bytes=…, now_mono_s=…, now_unix_s=…)  # every interval
        monitor.statistics().sent_rate.per_s_10

    Args:
        interval_s: Usual time between observations.
        capacity_bits_per_s: What one direction can carry, as configured or last measured; None if unknown.
            It may be set later.
    """

    def __init__(self, *, interval_s: float = 1.0, capacity_bits_per_s: float | None = None) -> None:
        self.capacity_bits_per_s = capacity_bits_per_s
        self._window = CounterWindow(interval_s=interval_s)
        self._peaks = (PeakTracker(), PeakTracker())
        self._statistics = BandwidthStatistics()

    def observe(self, *, sent_bytes: int, received_bytes: int, now_mono_s: float, now_unix_s: float) -> None:
        """Take in the bytes sent and received since the start."""
        self._window.push((sent_bytes, received_bytes), now_mono_s=now_mono_s)
        sent_rate, received_rate = self._window.rates(_SENT), self._window.rates(_RECEIVED)
        for peak, rates in zip(self._peaks, (sent_rate, received_rate), strict=True):
            peak.observe(rates.per_s_1, now_unix_s=now_unix_s)
        self._statistics = BandwidthStatistics(
            sent_bytes=sent_bytes,
            received_bytes=received_bytes,
            sent_rate=sent_rate,
            received_rate=received_rate,
            sent_peak=self._peaks[_SENT].peak,
            received_peak=self._peaks[_RECEIVED].peak,
            capacity_bits_per_s=self.capacity_bits_per_s,
            utilization_ratio=self._utilization_ratio(sent_rate.per_s_1, received_rate.per_s_1),
        )

    def statistics(self) -> BandwidthStatistics:
        """Return what the last observation showed."""
        return self._statistics

    def _utilization_ratio(self, *bytes_per_s: float | None) -> float | None:
        known = [rate for rate in bytes_per_s if rate is not None]
        if not known or not self.capacity_bits_per_s:
            return None
        return max(known) * _BITS / self.capacity_bits_per_s
