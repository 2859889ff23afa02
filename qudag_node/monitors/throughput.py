"""How many messages a second flow, of which type, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping

from qudag_node.metrics.messages import MessageTotals
from qudag_node.metrics.statistics import MessageStatistics, MessageTypeStatistics, Rates, Summary
from qudag_node.monitors.windows import CounterWindow, PeakTracker

__all__ = ["ThroughputMonitor", "message_types_of"]

_FATES = ("sent", "received", "processed", "failed", "dropped_in", "dropped_out")
_NO_SIZES: Mapping[str, Summary] = {}


class ThroughputMonitor:
    """Rates over 1, 10 and 60 s of messages sent, received, processed, failed and dropped; peaks; by type.

        monitor.observe(collector.totals(), now_mono_s=…, now_unix_s=…)  # every interval
        monitor.statistics(collector.totals()).received_rate.per_s_1
        monitor.rates("failed", "data").per_s_60

    Args:
        types: The message types, as in the totals.
        interval_s: Usual time between observations.
    """

    def __init__(self, types: tuple[str, ...], *, interval_s: float = 1.0) -> None:
        self._types = types
        self._window = CounterWindow(interval_s=interval_s)
        self._sent_peak, self._received_peak = PeakTracker(), PeakTracker()
        self._sent_rate = self._received_rate = Rates()

    def observe(self, totals: MessageTotals, *, now_mono_s: float, now_unix_s: float) -> None:
        """Take in the counts since the start."""
        by_fate = [getattr(totals, fate).tolist() for fate in _FATES]
        counters = [count for counts in by_fate for count in (*counts, sum(counts))]
        self._window.push(counters, now_mono_s=now_mono_s)
        self._sent_rate, self._received_rate = self.rates("sent"), self.rates("received")
        self._sent_peak.observe(self._sent_rate.per_s_1, now_unix_s=now_unix_s)
        self._received_peak.observe(self._received_rate.per_s_1, now_unix_s=now_unix_s)

    def rates(self, fate: str, message_type: str | None = None) -> Rates:
        """Return how often a fate (``sent``, … ``dropped_out``) befell a type, or all types together."""
        of_type = len(self._types) if message_type is None else self._types.index(message_type)
        return self._window.rates(_FATES.index(fate) * (len(self._types) + 1) + of_type)

    def statistics(
        self, totals: MessageTotals, sizes: Mapping[str, Summary] = _NO_SIZES
    ) -> MessageStatistics:
        """Return the given counts with the rates and peaks of the last observation.

        Args:
            totals: Counts, exact now.
            sizes: Sizes in bytes by type, where known.
        """
        return MessageStatistics(
            sent=int(totals.sent.sum()),
            received=int(totals.received.sum()),
            processed=int(totals.processed.sum()),
            failed=int(totals.failed.sum()),
            dropped_in=int(totals.dropped_in.sum()),
            dropped_out=int(totals.dropped_out.sum()),
            queued_in=int(totals.queued_in.sum()),
            queued_out=int(totals.queued_out.sum()),
            duplicates=totals.duplicates,
            sent_rate=self._sent_rate,
            received_rate=self._received_rate,
            sent_peak=self._sent_peak.peak,
            received_peak=self._received_peak.peak,
            failed_by_cause=totals.failed_by_cause,
            dropped_by_cause=totals.dropped_by_cause,
            by_type=message_types_of(totals, sizes),
        )


def message_types_of(totals: MessageTotals, sizes: Mapping[str, Summary]) -> dict[str, MessageTypeStatistics]:
    """Return the counts of each type."""
    columns = zip(
        totals.types,
        totals.sent.tolist(),
        totals.received.tolist(),
        totals.processed.tolist(),
        totals.failed.tolist(),
        totals.dropped_in.tolist(),
        totals.dropped_out.tolist(),
        totals.queued_in.tolist(),
        totals.queued_out.tolist(),
        totals.sent_bytes.tolist(),
        totals.received_bytes.tolist(),
        strict=True,
    )
    return {
        name: MessageTypeStatistics(
            sent=sent,
            received=received,
            processed=processed,
            failed=failed,
            dropped_in=dropped_in,
            dropped_out=dropped_out,
            queued_in=queued_in,
            queued_out=queued_out,
            sent_bytes=sent_bytes,
            received_bytes=received_bytes,
            size_bytes=sizes.get(name, Summary(samples=0)),
        )
        for (
            name,
            sent,
            received,
            processed,
            failed,
            dropped_in,
            dropped_out,
            queued_in,
            queued_out,
            sent_bytes,
            received_bytes,
        ) in columns
    }
