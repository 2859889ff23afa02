"""Rings: many series sampled together, each point the fold of all samples within one step of time.

    bucket = floor(unix time / step)            slot = bucket mod slots

              bucket   series   column 0    1    2 …
    slot 0   [   40 ] [    7 ]  [      ][    ][    ]     which bucket the slot holds; an older one is a gap
    slot 1   [   41 ] [    9 ]  [      ][    ][    ]     how many series there were then
    …                                                    float32, NaN: no value

A point that was never sampled, because the node was down or its loop stood still, is NaN: gaps are
shown, not bridged. A series whose samples have all been the same so far, mostly zero or unknown, is that one
number and takes no column; it gets one with its past when a sample differs. Columns are kept in blocks, so
that a new one moves no other, and the system gives memory to a slot when it is written first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qudag_node.history.series import Fold

__all__ = ["Ring", "Rings", "Tier", "fold_points"]

#: Columns of a block: in float32 one line of the processor's cache a slot.
BLOCK_SERIES = 16
NO_COLUMN = -1
#: No time is in this bucket.
_NEVER = np.iinfo(np.int64).min

_Floats = npt.NDArray[np.float32]
_Exact = npt.NDArray[np.float64]
_Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tier:
    """A resolution: ``slots`` points, each ``step_s`` seconds wide."""

    step_s: float
    slots: int

    def __post_init__(self) -> None:
        if self.step_s <= 0 or self.slots < 1:
            raise ValueError(f"a tier needs a positive step and at least one slot, not {self}")

    @property
    def span_s(self) -> float:
        """How far back it reaches."""
        return self.step_s * self.slots


class Ring:
    """One tier of all series of a group."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.newest: int | None = None
        """The bucket written last."""
        self._blocks: list[_Floats] = []
        self._buckets = np.full(tier.slots, _NEVER, np.int64)
        self._series = np.zeros(tier.slots, np.int32)
        self._folded: _Exact = np.empty(0)
        self._counts: _Exact = np.empty(0)

    @property
    def nbytes(self) -> int:
        """Memory of the points, when all slots have been written."""
        return sum(block.nbytes for block in self._blocks) + self._buckets.nbytes + self._series.nbytes

    def grow(self) -> None:
        """Make room for another block of series."""
        self._folded = np.append(self._folded, np.full(BLOCK_SERIES, np.nan))
        self._counts = np.append(self._counts, np.zeros(BLOCK_SERIES))

    def forget(self, series: int, column: int) -> None:
        """Empty a series that has a column."""
        self._fill(column, np.nan)
        self._folded[series] = np.nan
        self._counts[series] = 0

    def store(self, series: int, column: int, constant: float) -> None:
        """Give a series the next column; its samples so far were all the same."""
        if column % BLOCK_SERIES == 0:
            self._blocks.append(np.empty((self.tier.slots, BLOCK_SERIES), np.float32))
        self._fill(column, np.where(self._series > series, constant, np.nan))

    def _fill(self, column: int, points: float | _Exact) -> None:
        block, place = divmod(column, BLOCK_SERIES)
        # A slot that was never written stays so: it has no memory yet.
        written = self._buckets != _NEVER
        self._blocks[block][written, place] = points[written] if isinstance(points, np.ndarray) else points

    def push(
        self, bucket: int, values: _Exact, series_of: dict[Fold, _Rows], stored: _Rows, series: int
    ) -> None:
        """Fold one sample of every series, NaN where there is none, into a bucket."""
        if bucket != self.newest:
            self._folded[:] = np.nan
            self._counts[:] = 0
            self.newest = bucket
        folded, known = self._folded, ~np.isnan(values)
        mean, last = series_of[Fold.MEAN], series_of[Fold.LAST]
        most, least = series_of[Fold.MAX], series_of[Fold.MIN]
        folded[most] = np.fmax(folded[most], values[most])
        folded[least] = np.fmin(folded[least], values[least])
        folded[last] = np.where(known[last], values[last], folded[last])
        self._counts += known
        # The running mean: it moves by the new value's difference over how many there are.
        new = mean[known[mean]]
        before = np.where(self._counts[new] > 1, folded[new], 0.0)
        folded[new] = before + (values[new] - before) / self._counts[new]
        slot = bucket % self.tier.slots
        self._buckets[slot], self._series[slot] = bucket, series
        points = folded[stored].astype(np.float32)
        for number, block in enumerate(self._blocks):
            part = points[number * BLOCK_SERIES : (number + 1) * BLOCK_SERIES]
            block[slot, : len(part)] = part

    def read(self, series: int, column: int, constant: float, first: int, count: int) -> _Floats:
        """Return ``count`` points from a bucket on; NaN where nothing was written.

        Args:
            series: Its number.
            column: Where its points are, `NO_COLUMN` for one whose samples were all the same.
            constant: What they were.
            first: The first bucket.
            count: How many points.
        """
        buckets = np.arange(first, first + count)
        slots = buckets % self.tier.slots
        is_known = self._buckets[slots] == buckets
        if column == NO_COLUMN:
            is_known &= self._series[slots] > series
            return np.where(is_known, constant, np.nan).astype(np.float32)
        block, place = divmod(column, BLOCK_SERIES)
        points: _Floats = self._blocks[block][slots, place]
        points[~is_known] = np.nan
        return points


class Rings:
    """A group of series that are sampled together, at several tiers.

    Args:
        tiers: Finest first.
    """

    def __init__(self, tiers: tuple[Tier, ...]) -> None:
        self._rings = tuple(Ring(tier) for tier in tiers)
        self._folds: list[Fold] = []
        self._series_of: dict[Fold, _Rows] | None = None
        self._last_unix_s = 0.0
        # The column of each series, the series of each column, and for a series without one what all its
        # samples were.
        self._columns: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._stored: _Rows = np.empty(0, np.intp)
        self._constants: _Exact = np.empty(0)
        #: How many series have had a sample.
        self._begun = 0

    def __len__(self) -> int:
        return len(self._folds)

    @property
    def nbytes(self) -> int:
        """Memory of the points."""
        return sum(ring.nbytes for ring in self._rings)

    @property
    def span_s(self) -> float:
        """How far back the coarsest tier reaches."""
        return self._rings[-1].tier.span_s

    @property
    def end_unix_s(self) -> float:
        """Where the newest point of the finest tier ends; 0 before the first sample."""
        finest = self._rings[0]
        return 0.0 if finest.newest is None else (finest.newest + 1) * finest.tier.step_s

    def add(self, fold: Fold) -> int:
        """Make a series and return its number."""
        if len(self._folds) % BLOCK_SERIES == 0:
            for ring in self._rings:
                ring.grow()
            self._columns = np.append(self._columns, np.full(BLOCK_SERIES, NO_COLUMN))
            self._constants = np.append(self._constants, np.full(BLOCK_SERIES, np.nan))
        self._folds.append(fold)
        self._series_of = None
        return len(self._folds) - 1

    def forget(self, series: int) -> None:
        """Empty a series, for another use of its number."""
        if self._columns[series] == NO_COLUMN:
            self._store(series)
        for ring in self._rings:
            ring.forget(series, int(self._columns[series]))

    def sample(self) -> _Exact:
        """Return a new sample to fill, NaN for every series; larger than their number."""
        return np.full(len(self._columns), np.nan)

    def push(self, at_unix_s: float, values: _Exact) -> None:
        """Fold a sample, as `sample` made it, into every tier."""
        if self._series_of is None:
            folds = np.array(self._folds, np.intp)
            self._series_of = {fold: np.flatnonzero(folds == fold) for fold in Fold}
        self._store_what_differs(values)
        for ring in self._rings:
            bucket = int(at_unix_s // ring.tier.step_s)
            if ring is self._rings[0]:
                bucket = self._steadied(bucket, ring, at_unix_s)
            ring.push(bucket, values, self._series_of, self._stored, len(self))
        self._last_unix_s = at_unix_s

    def _store_what_differs(self, values: _Exact) -> None:
        """Give columns to the series that are no longer what they always were."""
        self._constants[self._begun : len(self)] = values[self._begun : len(self)]
        self._begun = len(self)
        is_same = (values == self._constants) | (np.isnan(values) & np.isnan(self._constants))
        for series in np.flatnonzero(~is_same & (self._columns == NO_COLUMN)).tolist():
            self._store(series)

    def _store(self, series: int) -> None:
        column = self._columns[series] = len(self._stored)
        self._stored = np.append(self._stored, series)
        for ring in self._rings:
            ring.store(series, column, float(self._constants[series]))

    def _steadied(self, bucket: int, ring: Ring, at_unix_s: float) -> int:
        """Return the bucket of a sample in the finest ring.

        Samples taken once per step drift over the boundary of a bucket back and forth; each gets the
        bucket after the one before it, so that none stays empty. A bucket is off by one at the most.
        """
        since_steps = (at_unix_s - self._last_unix_s) / ring.tier.step_s
        if ring.newest is not None and 0.5 < since_steps < 1.5 and abs(bucket - ring.newest - 1) == 1:
            return ring.newest + 1
        return bucket

    def tier_for(self, from_unix_s: float, step_s: float) -> int:
        """Return the number of the tier to read.

        It is the coarsest that reaches back so far and is not coarser than asked; else the finest
        that reaches back so far; else the last.
        """
        newest_unix_s = self._last_unix_s
        reaching = [
            number
            for number, ring in enumerate(self._rings)
            if newest_unix_s - ring.tier.span_s <= from_unix_s
        ]
        if not reaching:
            return len(self._rings) - 1
        fine_enough = [number for number in reaching if self._rings[number].tier.step_s <= step_s]
        return fine_enough[-1] if fine_enough else reaching[0]

    def step_s(self, tier: int) -> float:
        """Return the width of a tier's points."""
        return self._rings[tier].tier.step_s

    def read(self, series: int, tier: int, first: int, count: int, together: int) -> _Floats:
        """Return points of a tier from a bucket on, each the fold of ``together`` of the tier's."""
        column, constant = int(self._columns[series]), float(self._constants[series])
        points = self._rings[tier].read(series, column, constant, first, count * together)
        return points if together == 1 else fold_points(points.reshape(count, together), self._folds[series])


def fold_points(points: _Floats, fold: Fold) -> _Floats:
    """Fold every row of points into one; NaN where a row has none."""
    known = ~np.isnan(points)
    some = known.any(axis=1)
    match fold:
        case Fold.MAX:
            folded = np.where(known, points, -np.inf).max(axis=1)
        case Fold.MIN:
            folded = np.where(known, points, np.inf).min(axis=1)
        case Fold.LAST:
            newest = points.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
            folded = points[np.arange(len(points)), newest]
        case Fold.MEAN:
            folded = np.where(known, points, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(some, folded, np.nan).astype(np.float32)
