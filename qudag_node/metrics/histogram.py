"""Log-linear histograms of whole numbers: bytes, or nanoseconds.

Every power of two is cut into 2^7 equal buckets, so a bucket's midpoint is within 0.39 % of anything in it:

    value     0 … 255   256 … 511   512 … 1023   …
    width           1           2            4   …
    bucket    0 … 255   256 … 383   384 …  511   …

The bucket numbers are those of HdrHistogram with two significant digits and lowest value 1, so a histogram
can be written in its format. Merging is addition, hence exact. A percentile is nearest-rank: the value at
rank ceil(q · n), given as its bucket's midpoint and kept inside the exact minimum and maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.statistics import Summary

__all__ = [
    "HIGHEST_NS",
    "NANOSECOND_S",
    "Histogram",
    "HistogramTable",
    "RollingHistograms",
    "bucket_midpoint",
    "bucket_of",
    "buckets_of",
    "rank_of",
]

SUB_BUCKET_BITS = 7
NANOSECOND_S = 1e-9

#: 2^44 ns, 4.9 hours: a longer latency is counted as this long. It takes 4,864 buckets.
HIGHEST_NS = (1 << 44) - 1

_PERCENTILES = (0.50, 0.95, 0.99)
_MANTISSA_BITS = 52
_EXPONENT_BIAS = 1023
#: A double holds every whole number of so many bits; a larger one (under 2^63) without its lowest 10 bits.
_DOUBLE_BITS = _MANTISSA_BITS + 1
_UPPER_BITS = -(1 << 10)
_LARGEST = np.iinfo(np.int64).max

Int64s = npt.NDArray[np.int64]


def bucket_of(value: int) -> int:
    """Return the bucket of one value, which is not negative."""
    shift = max(value.bit_length() - (SUB_BUCKET_BITS + 1), 0)
    return (shift << SUB_BUCKET_BITS) + (value >> shift)


def buckets_of(values: Int64s) -> Int64s:
    """Return the buckets of many values, none of them negative. About 2 ns each."""
    if len(values) and int(values.max()) >> _DOUBLE_BITS:
        # A double would round these, perhaps up to the next bucket; what is cleared decides nothing.
        values = np.where(values >> _DOUBLE_BITS, values & _UPPER_BITS, values)
    # The upper bits of a double are its exponent and the bits that follow the leading one: but for a constant
    # they are the number of the bucket. Below 128 there are too few bits, and the value is the bucket.
    buckets = values.astype(np.float64).view(np.int64)
    buckets >>= _MANTISSA_BITS - SUB_BUCKET_BITS
    buckets -= _EXPONENT_BIAS + SUB_BUCKET_BITS - 1 << SUB_BUCKET_BITS
    return np.maximum(buckets, np.minimum(values, (1 << SUB_BUCKET_BITS) - 1), out=buckets)


def bucket_midpoint(bucket: int) -> int:
    """Return the middle of a bucket; below 256 that is the value itself."""
    shift = max((bucket >> SUB_BUCKET_BITS) - 1, 0)
    return ((bucket - (shift << SUB_BUCKET_BITS)) << shift) + ((1 << shift) >> 1)


def rank_of(quantile: float, samples: int) -> int:
    """Return the nearest rank, 1 to ``samples``: ceil(quantile · samples) in whole numbers."""
    per_million = round(quantile * 1_000_000)
    return min(max(-(-samples * per_million // 1_000_000), 1), samples)


class Histogram:
    """One distribution, with exact count, sum, minimum and maximum.

    Args:
        highest: A larger value is counted in this value's bucket; the maximum stays exact.
    """

    def __init__(self, highest: int = HIGHEST_NS) -> None:
        self.highest = highest
        self.counts: Int64s = np.zeros(bucket_of(highest) + 1, np.int64)
        self.samples = 0
        self.sum = 0
        self.min: int | None = None
        self.max: int | None = None

    def record(self, value: int) -> None:
        """Add one value.

        Raises:
            ValueError: it is negative, which means a broken clock.
        """
        if value < 0:
            raise ValueError(f"{value} is negative")
        self.counts[bucket_of(min(value, self.highest))] += 1
        self.widen(samples=1, total=value, low=value, high=value)

    def record_many(self, values: Int64s) -> None:
        """Add many values, in any order.

        Raises:
            ValueError: one is negative.
        """
        if not len(values):
            return
        low, high = int(values.min()), int(values.max())
        if low < 0:
            raise ValueError(f"{low} is negative")
        np.add.at(self.counts, buckets_of(np.minimum(values, self.highest)), 1)
        fits = high * len(values) <= _LARGEST
        total = int(values.sum()) if fits else sum(values.tolist())
        self.widen(samples=len(values), total=total, low=low, high=high)

    def merge(self, other: Histogram) -> None:
        """Add everything that ``other`` holds.

        Raises:
            ValueError: the two cover different ranges.
        """
        if other.highest != self.highest:
            raise ValueError(f"a histogram to {other.highest} does not fit one to {self.highest}")
        if other.min is None or other.max is None:
            return
        self.counts += other.counts
        self.widen(samples=other.samples, total=other.sum, low=other.min, high=other.max)

    def percentile(self, quantile: float) -> int | None:
        """Return the nearest-rank percentile (0 to 1), within 0.39 %; None without samples."""
        found = self.percentiles((quantile,))
        return found[0] if found else None

    def percentiles(self, quantiles: Sequence[float]) -> list[int]:
        """Return several percentiles at the cost of one; an empty list without samples."""
        if self.min is None or self.max is None:
            return []
        low, high = min(self.min, self.highest), min(self.max, self.highest)
        first = bucket_of(low)
        cumulative = self.counts[first : bucket_of(high) + 1].cumsum()
        ranks = [rank_of(quantile, self.samples) for quantile in quantiles]
        buckets: list[int] = cumulative.searchsorted(ranks).tolist()
        return [min(max(bucket_midpoint(first + bucket), low), high) for bucket in buckets]

    def summary(self, *, unit: float = NANOSECOND_S, method: str | None = None) -> Summary:
        """Describe the distribution, each figure times ``unit``."""
        if self.min is None or self.max is None:
            return Summary(samples=0, method=method)
        p50, p95, p99 = self.percentiles(_PERCENTILES)
        return Summary(
            samples=self.samples,
            min=self.min * unit,
            avg=self.sum / self.samples * unit,
            p50=p50 * unit,
            p95=p95 * unit,
            p99=p99 * unit,
            max=self.max * unit,
            method=method,
        )

    def widen(self, *, samples: int, total: int, low: int, high: int) -> None:
        """Account for samples whose counts were added directly."""
        self.samples += samples
        self.sum += total
        self.min = low if self.min is None else min(self.min, low)
        self.max = high if self.max is None else max(self.max, high)


class HistogramTable:
    """A histogram for each of a fixed number of rows, fed in batches.

    Args:
        rows: How many.
        highest: Larger values count as this one.
        counts: Type of the counts; int32 halves the memory of a table that is cleared in time.

    Attributes:
        samples: How many values each row holds.
        sums: Their sums.
    """

    def __init__(
        self, rows: int, highest: int = HIGHEST_NS, counts: type[np.int64 | np.int32] = np.int64
    ) -> None:
        self.highest = highest
        self._counts = np.zeros((rows, bucket_of(highest) + 1), counts)
        self._cells = self._counts.reshape(-1)
        self._one = counts(1)  # of the same type: with a plain 1 numpy takes a way that is 30 times slower
        self.samples: Int64s = np.zeros(rows, np.int64)
        self.sums: Int64s = np.zeros(rows, np.int64)
        self._lows = np.full(rows, _LARGEST, np.int64)
        self._highs = np.zeros(rows, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        arrays = (self._counts, self.samples, self.sums, self._lows, self._highs)
        return sum(array.nbytes for array in arrays)

    def record_many(self, rows: Int64s, values: Int64s) -> None:
        """Add ``values[i]`` to row ``rows[i]``; none is negative or above ``highest``. About 13 ns each."""
        cells = rows * self._counts.shape[1]
        cells += buckets_of(values)
        np.add.at(self._cells, cells, self._one)
        self.samples += np.bincount(rows, minlength=len(self.samples))
        np.add.at(self.sums, rows, values)
        np.minimum.at(self._lows, rows, values)
        np.maximum.at(self._highs, rows, values)

    def record_runs(self, rows: Int64s, starts: Int64s, values: Int64s) -> None:
        """Add runs of values: from ``starts[i]`` on they are of row ``rows[i]``, up to the next start.

        The rows differ. Faster than `record_many`, about 6 ns each, if the runs are few.
        """
        runs = np.diff(starts, append=len(values))
        cells = buckets_of(values)
        cells += np.repeat(rows * self._counts.shape[1], runs)
        np.add.at(self._cells, cells, self._one)
        self.samples[rows] += runs
        self.sums[rows] += np.add.reduceat(values, starts)
        self._lows[rows] = np.minimum(self._lows[rows], np.minimum.reduceat(values, starts))
        self._highs[rows] = np.maximum(self._highs[rows], np.maximum.reduceat(values, starts))

    def add_to(self, histogram: Histogram, row: int) -> None:
        """Merge one row into a histogram of the same range."""
        samples = int(self.samples[row])
        if not samples:
            return
        used = self._used(row)
        histogram.counts[used] += self._counts[row, used]
        low, high = int(self._lows[row]), int(self._highs[row])
        histogram.widen(samples=samples, total=int(self.sums[row]), low=low, high=high)

    def histogram(self, rows: Iterable[int]) -> Histogram:
        """Return some rows together as a histogram of its own."""
        histogram = Histogram(self.highest)
        for row in rows:
            self.add_to(histogram, row)
        return histogram

    def clear(self) -> None:
        """Forget everything. What was never counted is not written to, so it takes no memory."""
        for row in np.flatnonzero(self.samples).tolist():
            self._counts[row, self._used(row)] = 0
        self.samples[:] = 0
        self.sums[:] = 0
        self._lows[:] = _LARGEST
        self._highs[:] = 0

    def _used(self, row: int) -> slice:
        """Return the buckets outside which a row is empty."""
        return slice(bucket_of(int(self._lows[row])), bucket_of(int(self._highs[row])) + 1)


class RollingHistograms:
    """A histogram per row over a rolling window, cut into slices; `rotate` drops the oldest."""

    def __init__(self, rows: int, *, slices: int = 6, highest: int = HIGHEST_NS) -> None:
        self.highest = highest
        self.slices = slices
        self._tables = [HistogramTable(rows, highest, np.int32) for _ in range(slices)]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(table.nbytes for table in self._tables)

    def record_runs(self, rows: Int64s, starts: Int64s, values: Int64s) -> None:
        """Add runs of values to the newest slice; see `HistogramTable.record_runs`."""
        self._tables[-1].record_runs(rows, starts, values)

    def rotate(self) -> None:
        """Begin a new slice in place of the oldest."""
        oldest = self._tables.pop(0)
        oldest.clear()
        self._tables.append(oldest)

    def histogram(self, rows: Iterable[int]) -> Histogram:
        """Return the distribution of some rows together, over the window."""
        merged = Histogram(self.highest)
        for row in rows:
            for table in self._tables:
                table.add_to(merged, row)
        return merged
