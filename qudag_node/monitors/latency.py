"""How long things take between peers: round-trip times, their jitter and losses, by peer, type and route."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.metrics.collector import TEST_TYPE
from qudag_node.metrics.statistics import LatencyStatistics, Summary
from qudag_node.monitors.windows import PeerCounterWindow

__all__ = ["LatencyTracker", "PeerLatency"]

#: Probes are remembered in steps of a twelfth of the window: 5 s of 60.
_LOSS_STEPS = 12
#: Retransmissions are remembered in units of 16 bytes: 9 Gb/s for a minute then fit 32 bits.
_RESEND_UNIT_BITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLatency:
    """One peer's round-trip times. All figures but ``samples`` are of its newest 128 samples.

    Attributes:
        samples: How many there were since the peer is known.
        jitter_s: RFC 3550's, of successive round-trip times.
        loss_ratio: Probes lost of those sent within the rolling window; None if none was sent.
        loss_session_ratio: The same since the peer is known.
    """

    samples: int
    last_s: float | None
    min_s: float | None
    avg_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None
    jitter_s: float | None
    probes_sent: int
    probes_lost: int
    loss_ratio: float | None
    loss_session_ratio: float | None
    method: str


class LatencyTracker:
    """Latencies of a collector over a rolling window.

        collector.record_latency(peer, 0.012, method="link-ping")
        tracker.tick(now_mono_s=…)  # every interval
        tracker.peer(peer).p99_s
        tracker.statistics().links.p99

    Args:
        collector: What records the latencies and probes.
        interval_s: Usual time between ticks.
        window_s: How long a sample counts in the summaries, and a probe in the loss ratio; the oldest sixth
            of it leaves at once.
    """

    def __init__(
        self, collector: MetricsCollector, *, interval_s: float = 1.0, window_s: float = 60.0
    ) -> None:
        self._collector = collector
        self._window_s = window_s
        self._slices = _Steps(window_s / collector.latencies.window.slices)
        self._loss_steps = _Steps(window_s / _LOSS_STEPS)
        self._losses = PeerCounterWindow(
            2, longest_s=window_s, interval_s=max(window_s / _LOSS_STEPS, interval_s)
        )

        self._resends = PeerCounterWindow(
            2, longest_s=window_s, interval_s=max(window_s / _LOSS_STEPS, interval_s)
        )

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._losses.nbytes + self._resends.nbytes

    def tick(self, *, now_mono_s: float) -> None:
        """Let what is too old leave the window, and bring the figures of the peers up to date."""
        for _ in range(min(self._slices.passed(now_mono_s), self._collector.latencies.window.slices)):
            self._collector.fold()
            self._collector.latencies.window.rotate()
        if self._loss_steps.passed(now_mono_s):
            generation = self._collector.registry.generation
            self._losses.push(self._collector.tallies.probes, generation, now_mono_s=now_mono_s)
            self._resends.push(self._resent(), generation, now_mono_s=now_mono_s)
        self._collector.fold()
        self._collector.latencies.rings.refresh()

    def loss_ratios(self, *, now_mono_s: float) -> npt.NDArray[np.float32]:
        """Return the loss of every slot within the window, NaN where no probe was sent."""
        probes = self._collector.tallies.probes
        generation = self._collector.registry.generation
        found = self._losses.increase(probes, generation, span_s=self._window_s, now_mono_s=now_mono_s)
        # Until a window has passed, everything so far lies within it.
        return _ratio(probes if found is None else found[0])

    def retransmit_ratios(self, *, now_mono_s: float) -> npt.NDArray[np.float32]:
        """Return the share of the bytes the kernel sent within the window that it sent again, by slot.

        NaN where it sent nothing, or does not tell.
        """
        resent, generation = self._resent(), self._collector.registry.generation
        found = self._resends.increase(resent, generation, span_s=self._window_s, now_mono_s=now_mono_s)
        return _ratio(resent if found is None else found[0])

    def _resent(self) -> npt.NDArray[np.int64]:
        return self._collector.tallies.resends() >> _RESEND_UNIT_BITS

    def session_loss_ratios(self) -> npt.NDArray[np.float32]:
        """Return the loss of every slot since its peer is known, NaN where no probe was sent."""
        return _ratio(self._collector.tallies.probes)

    def peer(self, peer: PeerHandle, *, now_mono_s: float) -> PeerLatency:
        """Return the figures of one peer."""
        self._collector.fold()
        rings, tallies, slot = self._collector.latencies.rings, self._collector.tallies, peer.slot
        rings.refresh()
        return PeerLatency(
            samples=int(rings.count[slot]),
            last_s=_known(rings.figure("last")[slot]),
            min_s=_known(rings.figure("min")[slot]),
            avg_s=_known(rings.figure("avg")[slot]),
            p50_s=_known(rings.figure("p50")[slot]),
            p95_s=_known(rings.figure("p95")[slot]),
            p99_s=_known(rings.figure("p99")[slot]),
            max_s=_known(rings.figure("max")[slot]),
            jitter_s=_known(rings.figure("jitter")[slot]),
            probes_sent=int(tallies.probes_sent[slot]),
            probes_lost=int(tallies.probes_lost[slot]),
            loss_ratio=_known(self.loss_ratios(now_mono_s=now_mono_s)[slot]),
            loss_session_ratio=_known(self.session_loss_ratios()[slot]),
            method=peer.rtt_method,
        )

    def statistics(self) -> LatencyStatistics:
        """Return the distributions over the window; ``by_type`` has the types with any sample in it."""
        collector = self._collector
        return LatencyStatistics(
            links=collector.summary(collector.series.links, method=collector.registry.rtt_method),
            by_type=self._by_type(),
            routing=collector.summary(collector.series.routing, method="routed-probe"),
        )

    def processing_time(self) -> Summary:
        """Return the time from socket read to handler end, of all types together."""
        series = self._collector.series.all_processing
        return self._collector.summary(*range(series.start, series.stop))

    def propagation_time(self) -> Summary | None:
        """Return how long vertices took from their origin, and by how much the median may be wrong.

        All samples are in it. The true times lie between the ends of the samples' intervals, so their
        median lies between the medians of the ends. None when that error exceeds the median, or nothing
        is known.
        """
        collector, series = self._collector, self._collector.series
        times = collector.summary(series.propagation, method="origin-clock")
        least, most = collector.summary(series.propagation_least), collector.summary(series.propagation_most)
        if times.p50 is None or least.p50 is None or most.p50 is None:
            return None
        bound_s = max(times.p50 - least.p50, most.p50 - times.p50, 0.0)
        return replace(times, error_bound_s=bound_s) if bound_s <= times.p50 else None

    def _by_type(self) -> dict[str, Summary]:
        methods, series = self._collector.type_methods, self._collector.series
        summaries = {
            name: self._collector.summary(series.type_latency(number), method=methods.get(name))
            for number, name in enumerate(self._collector.message_types)
            if name != TEST_TYPE
        }
        return {name: summary for name, summary in summaries.items() if summary.samples}


class _Steps:
    """Tells how many steps have passed since it was last asked."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._begin_mono_s: float | None = None

    def passed(self, now_mono_s: float) -> int:
        if self._begin_mono_s is None:
            self._begin_mono_s = now_mono_s
        steps = int((now_mono_s - self._begin_mono_s) // self._step_s)
        self._begin_mono_s += steps * self._step_s
        return steps


def _ratio(counts: npt.NDArray[np.uint32] | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return lost / sent; a loss may be noticed after its probe left the window, so at most 1."""
    sent, lost = counts.T.astype(np.float32)
    ratio: npt.NDArray[np.float32] = np.full(len(counts), np.nan, np.float32)
    np.divide(lost, sent, out=ratio, where=sent > 0)
    np.minimum(ratio, 1, out=ratio)
    return ratio


def _known(figure: np.float32) -> float | None:
    return None if np.isnan(figure) else float(figure)
