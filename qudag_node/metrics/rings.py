"""The newest round-trip times of every peer, and exact figures over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.slots import grown

__all__ = ["FIGURES", "RING_SAMPLES", "LatencyRings"]

#: 128 float32 take 512 bytes a peer; with fewer than 100 samples a p99 would be the maximum.
RING_SAMPLES = 128

FIGURES = ("last", "min", "avg", "p50", "p95", "p99", "max", "jitter")

#: RFC 3550, section 6.4.1: J += (|D| - J) / 16. So the newest difference weighs 1/16, the one before 15/256,
#: and what lies beyond the ring would weigh under 0.03 %. A row for each place that the next sample may take.
_AGES = np.subtract.outer(np.arange(RING_SAMPLES), np.arange(RING_SAMPLES) + 2) % RING_SAMPLES
_JITTER_WEIGHTS = np.where(_AGES < RING_SAMPLES - 1, (15 / 16) ** _AGES / 16, 0).astype(np.float32)
#: The figures that are one of the samples in order of size.
_OF_ORDER = [1, 3, 4, 5, 6]
#: Place in the ring of the n-th sample: n & this, three times faster than n % 128.
_PLACE_MASK = RING_SAMPLES - 1
_PER_MILLION = np.array([500_000, 950_000, 990_000])
#: For each number of samples held, the places of minimum, percentiles (nearest-rank) and maximum among all
#: places in order of size: those not taken yet hold zeros, which come first.
_HELD = np.arange(RING_SAMPLES + 1)[:, None]
_RANKS = (
    RING_SAMPLES
    - _HELD
    + np.hstack(
        (
            np.zeros_like(_HELD),
            np.maximum(-(-_HELD * _PER_MILLION // 1_000_000) - 1, 0),
            np.maximum(_HELD - 1, 0),
        )
    )
)
#: Rows worked on at a time: 128 KiB of samples, which stay in the processor's cache.
_ROWS = 256

Float32s = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]


class LatencyRings:
    """The newest 128 samples of each peer, in seconds.

    The percentiles are nearest-rank and, like minimum, average and maximum, exact over these samples
    (as float32). They are worked out when asked for, and only for peers with new samples.
    """

    def __init__(self, capacity: int) -> None:
        self._samples = np.zeros((capacity, RING_SAMPLES), np.float32)
        self._figures = np.full((capacity, len(FIGURES)), np.nan, np.float32)
        self._has_news = np.zeros(capacity, np.bool_)
        self.count: Int64s = np.zeros(capacity, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        arrays = (self._samples, self._figures, self._has_news, self.count)
        return sum(array.nbytes for array in arrays)

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self._samples = grown(self._samples, capacity)
        self._figures = grown(self._figures, capacity, np.nan)
        self._has_news = grown(self._has_news, capacity)
        self.count = grown(self.count, capacity)

    def clear(self, slot: int) -> None:
        """Forget one slot's samples."""
        self._samples[slot] = 0
        self._figures[slot] = np.nan
        self._has_news[slot] = False
        self.count[slot] = 0

    def record_runs(self, slots: Int64s, starts: Int64s, seconds: npt.NDArray[np.float64]) -> None:
        """Add runs of samples, each in the order of time: from ``starts[i]`` on they are of ``slots[i]``."""
        runs = np.diff(starts, append=len(seconds))
        # The n-th sample of a slot has place n & mask; here n is its place in its run plus the slot's count.
        cells = np.repeat(self.count[slots] - starts, runs)
        cells += np.arange(len(seconds))
        cells &= _PLACE_MASK
        cells += np.repeat(slots * RING_SAMPLES, runs)
        if runs.max() > RING_SAMPLES:  # older ones would only be overwritten
            newest = np.repeat(starts + runs, runs) - np.arange(len(seconds)) <= RING_SAMPLES
            cells, seconds = cells[newest], seconds[newest]
        self._samples.reshape(-1)[cells] = seconds
        self.count[slots] += runs
        self._has_news[slots] = True

    def figure(self, name: str) -> Float32s:
        """Return one of `FIGURES` for every slot, NaN where there is no sample. Call `refresh` first."""
        return self._figures[:, FIGURES.index(name)]

    def refresh(self) -> None:
        """Bring the figures up to date."""
        changed = np.flatnonzero(self._has_news)
        for first in range(0, len(changed), _ROWS):
            self._refresh(changed[first : first + _ROWS])
        self._has_news[changed] = False

    def _refresh(self, slots: Int64s) -> None:
        samples, count = self._samples[slots], self.count[slots]
        held = np.minimum(count, RING_SAMPLES)
        rows = np.arange(0, samples.size, RING_SAMPLES)
        ordered = np.sort(samples, axis=1)
        figures = np.empty((len(slots), len(FIGURES)), np.float32)
        figures[:, 0] = samples.reshape(-1).take(rows + (count - 1 & _PLACE_MASK))
        figures[:, _OF_ORDER] = ordered.reshape(-1).take(rows[:, None] + _RANKS[held])
        figures[:, 2] = np.einsum("ij->i", samples) / held
        figures[:, 7] = np.einsum(
            "ij,ij->i", _differences(samples, count), _JITTER_WEIGHTS[count & _PLACE_MASK]
        )
        self._figures[slots] = figures


def _differences(samples: Float32s, count: Int64s) -> Float32s:
    """Return by how much each place's sample differs from the one at the next place of its ring."""
    # In one run over all rows, which is five times faster than row by row; then each row's end is put right.
    differences = np.empty_like(samples)
    np.subtract(samples.reshape(-1)[1:], samples.reshape(-1)[:-1], out=differences.reshape(-1)[:-1])
    np.subtract(samples[:, 0], samples[:, -1], out=differences[:, -1])
    differences[count < RING_SAMPLES, -1] = 0  # there is nothing at the last place yet
    return np.abs(differences, out=differences)
