"""Rates from cumulative counters: remember them at every tick, and subtract.

A rate over a span is (counters now - counters then) / (now - then), where *then* is the newest tick at least
a span ago, give or take half an interval, since ticks come a little early or late. Until there is such a
tick the rate is not known; where the interval is longer than the span, the rate is that of an interval.
Nothing is lost between ticks: the counters are exact, however late a tick is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.slots import grown
from qudag_node.metrics.statistics import Peak, Rates

__all__ = ["SPANS_S", "CounterWindow", "PeakTracker", "PeerCounterWindow"]

Counters = npt.NDArray[np.int64] | npt.NDArray[np.uint32]
Generation = npt.NDArray[np.uint32]

#: The spans of `Rates`.
SPANS_S = (1.0, 10.0, 60.0)


class _Ticks:
    """When the rows of a ring were written; the newest is the last."""

    def __init__(self, *, longest_s: float, interval_s: float, density: int = 1) -> None:
        if interval_s <= 0:
            raise ValueError(f"an interval of {interval_s} s is not positive")
        # One row more for then, and two because ticks come early and late.
        self.rows = density * math.ceil(longest_s / interval_s) + 3
        self.times_s: deque[float] = deque(maxlen=self.rows)
        self._slack_s = interval_s / 2

    def ago(self, span_s: float, *, now_s: float) -> int | None:
        """Return how many ticks before the newest the one lies that a span until now begins with."""
        latest_s = now_s - span_s + min(self._slack_s, span_s / 2)
        for back, time_s in enumerate(reversed(self.times_s)):
            if time_s <= latest_s:
                return back
        return None


class CounterWindow:
    """Rates of a few counters of the node.

    Args:
        longest_s: The longest span asked for.
        interval_s: Usual time between ticks.
    """

    def __init__(self, *, longest_s: float = SPANS_S[-1], interval_s: float = 1.0) -> None:
        # Rows are small here: twice as many, for ticks that come too often.
        self._ticks = _Ticks(longest_s=longest_s, interval_s=interval_s, density=2)
        self._rows: deque[npt.NDArray[np.int64]] = deque(maxlen=self._ticks.rows)

    def __len__(self) -> int:
        """Return how many ticks are remembered."""
        return len(self._rows)

    def push(self, counters: Sequence[int] | npt.NDArray[np.int64], *, now_mono_s: float) -> None:
        """Remember the counters, always as many of them."""
        self._ticks.times_s.append(now_mono_s)
        self._rows.append(np.array(counters, np.int64))

    def per_s(self, span_s: float) -> npt.NDArray[np.float64] | None:
        """Return the rate of each counter over the span, None until that much time is known."""
        times_s = self._ticks.times_s
        back = self._ticks.ago(span_s, now_s=times_s[-1]) if times_s else None
        if back is None:
            return None
        increase: npt.NDArray[np.int64] = self._rows[-1] - self._rows[-1 - back]
        return increase / (times_s[-1] - times_s[-1 - back])

    def rates(self, counter: int) -> Rates:
        """Return one counter's rates over 1, 10 and 60 s."""
        per_s = [None if rates is None else float(rates[counter]) for rates in map(self.per_s, SPANS_S)]
        return Rates(per_s_1=per_s[0], per_s_10=per_s[1], per_s_60=per_s[2])


class PeakTracker:
    """The largest rate so far."""

    def __init__(self) -> None:
        self.peak: Peak | None = None

    def observe(self, per_s: float | None, *, now_unix_s: float) -> None:
        """Take a new rate into account; None is not known."""
        if per_s is not None and (self.peak is None or per_s > self.peak.per_s):
            self.peak = Peak(per_s=per_s, at_unix_s=now_unix_s)


class PeerCounterWindow:
    """Rates of a few counters of every peer slot, all computed at once.

    The ring holds the counters modulo 2^32: differences come out right as long as none grows by more than
    that within the span.

    Args:
        counters: How many counters a slot has.
        longest_s: The longest span asked for.
        interval_s: Usual time between ticks.
    """

    def __init__(self, counters: int, *, longest_s: float, interval_s: float) -> None:
        self._ticks = _Ticks(longest_s=longest_s, interval_s=interval_s)
        self._ring = np.zeros((self._ticks.rows, 0, counters), np.uint32)
        self._newest = 0
        self._generation = np.zeros(0, np.uint32)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._ring.nbytes + self._generation.nbytes

    def push(self, counters: Counters, generation: Generation, *, now_mono_s: float) -> None:
        """Remember the counters of all slots."""
        self._follow(generation)
        self._newest = (self._newest + 1) % self._ticks.rows
        self._ring[self._newest] = counters
        self._ticks.times_s.append(now_mono_s)

    def increase(
        self, counters: Counters, generation: Generation, *, span_s: float, now_mono_s: float
    ) -> tuple[npt.NDArray[np.uint32], float] | None:
        """Return by how much each counter grew over the span until now, and the span in truth.

        None until that much time is known.
        """
        back = self._ticks.ago(span_s, now_s=now_mono_s)
        if back is None:
            return None
        self._follow(generation)
        then = self._ring[(self._newest - back) % self._ticks.rows]
        return counters.astype(np.uint32) - then, now_mono_s - self._ticks.times_s[-1 - back]

    def _follow(self, generation: Generation) -> None:
        """Make room for new slots, and let slots of a new generation begin at zero."""
        if len(generation) > len(self._generation):
            self._grow(len(generation))
        changed = np.flatnonzero(generation != self._generation)
        if len(changed):
            self._ring[:, changed] = 0
            self._generation[:] = generation

    def _grow(self, slots: int) -> None:
        larger = np.zeros((self._ring.shape[0], slots, self._ring.shape[2]), np.uint32)
        larger[:, : self._ring.shape[1]] = self._ring
        self._ring = larger
        self._generation = grown(self._generation, slots)
