from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.metrics.histogram import (
    HIGHEST_NS,
    Histogram,
    HistogramTable,
    RollingHistograms,
    bucket_midpoint,
    bucket_of,
    buckets_of,
    rank_of,
)

VALUES = st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=200)
#: Half a bucket is at most 1/256 of its value.
WORST_ERROR = 1 / 256


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(np.array(values, np.int64))
    return histogram


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0, 0), (1, 1), (255, 255), (256, 256), (257, 256), (258, 257), (511, 383), (512, 384), (1 << 20, 1792)],
)
def test_buckets_are_those_of_hdr_histogram(value: int, bucket: int) -> None:
    # counts_index(value) of HdrHistogram(1, …, 2): 256 sub-buckets, then 128 for each doubling.
    assert bucket_of(value) == bucket


@given(st.lists(st.integers(0, (1 << 62) - 1), max_size=50))
def test_many_values_find_the_buckets_that_each_would(values: list[int]) -> None:
    assert buckets_of(np.array(values, np.int64)).tolist() == [bucket_of(value) for value in values]


@given(st.integers(1, 61), st.integers(-2, 2))
def test_buckets_are_right_around_powers_of_two(exponent: int, off: int) -> None:
    value = max((1 << exponent) + off, 0)
    assert buckets_of(np.array([value], np.int64)).tolist() == [bucket_of(value)]


@given(st.integers(0, (1 << 62) - 1))
def test_a_midpoint_lies_in_its_bucket_and_near_every_value_of_it(value: int) -> None:
    middle = bucket_midpoint(bucket_of(value))
    assert bucket_of(middle) == bucket_of(value)
    assert abs(middle - value) <= value * WORST_ERROR


@given(st.integers(1, 10**7), st.sampled_from([0.5, 0.95, 0.99, 0.999, 0.07]))
def test_ranks_are_the_ceiling_of_the_exact_product(samples: int, quantile: float) -> None:
    numerator, denominator = {
        0.5: (1, 2),
        0.95: (19, 20),
        0.99: (99, 100),
        0.999: (999, 1000),
        0.07: (7, 100),
    }[quantile]
    assert rank_of(quantile, samples) == -(-samples * numerator // denominator)


@given(VALUES, st.sampled_from([0.0, 0.5, 0.95, 0.99, 0.999, 1.0]))
def test_percentiles_are_near_those_of_a_sorted_list(values: list[int], quantile: float) -> None:
    exact = sorted(values)[max(math.ceil(quantile * len(values)), 1) - 1]
    found = histogram_of(values).percentile(quantile)
    assert found is not None
    assert abs(found - exact) <= exact * WORST_ERROR


@given(VALUES)
def test_count_sum_and_extremes_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.samples == len(values) == int(histogram.counts.sum())
    assert histogram.sum == sum(values)
    assert (histogram.min, histogram.max) == (min(values), max(values))


@given(st.lists(st.lists(st.integers(0, HIGHEST_NS), max_size=20), min_size=1, max_size=6))
def test_merging_equals_recording_everything_in_one(parts: list[list[int]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(histogram_of(part))
    together = histogram_of([value for part in parts for value in part])
    assert merged.summary() == together.summary()
    assert np.array_equal(merged.counts, together.counts)
    assert (merged.samples, merged.sum) == (together.samples, together.sum)


@given(VALUES)
def test_one_by_one_equals_many(values: list[int]) -> None:
    single = Histogram()
    for value in values:
        single.record(value)
    assert single.summary() == histogram_of(values).summary()


def test_a_sum_beyond_64_bits_stays_exact() -> None:
    values = np.full(4, (1 << 62) - 1, np.int64)
    histogram = Histogram(highest=(1 << 62) - 1)
    histogram.record_many(values)
    assert histogram.sum == 4 * ((1 << 62) - 1)


def test_values_above_the_highest_count_as_it_but_the_maximum_is_exact() -> None:
    histogram = Histogram(highest=1000)
    histogram.record(5000)
    assert histogram.max == 5000
    assert histogram.percentile(0.5) == 1000


def test_negative_values_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        Histogram().record(-1)
    with pytest.raises(ValueError, match="-3 is negative"):
        Histogram().record_many(np.array([5, -3]))


def test_histograms_of_different_ranges_do_not_merge() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Histogram(100).merge(Histogram(1000))


def test_nothing_recorded_is_nothing_known() -> None:
    empty = Histogram()
    empty.record_many(np.array([], np.int64))
    assert empty.percentile(0.5) is None
    assert empty.summary(method="ping").samples == 0
    assert empty.summary().p50 is None


@given(samples=st.lists(st.tuples(st.integers(0, 3), st.integers(0, HIGHEST_NS)), min_size=1, max_size=100))
@pytest.mark.parametrize("in_runs", [False, True])
def test_a_table_is_a_histogram_for_each_row(in_runs: bool, samples: list[tuple[int, int]]) -> None:
    table = HistogramTable(4)
    half = len(samples) // 2
    for part in (samples[:half], samples[half:]):
        rows, values = (np.array([each[column] for each in sorted(part)], np.int64) for column in (0, 1))
        if in_runs and part:
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            table.record_runs(rows[starts], starts, values)
        else:
            table.record_many(rows, values)
    for row in range(4):
        expected = histogram_of([value for of, value in samples if of == row])
        found = Histogram()
        table.add_to(found, row)
        assert found.summary() == expected.summary()
        assert (table.samples[row], table.sums[row]) == (expected.samples, expected.sum)


def test_a_window_forgets_its_oldest_slice() -> None:
    window = RollingHistograms(2, slices=3)
    for value in (1, 2, 3):
        window.record_runs(np.array([0]), np.array([0]), np.array([value]))
        assert window.histogram([0]).max == value
        window.rotate()
    assert (window.histogram([0]).min, window.histogram([0]).max) == (2, 3)
    window.rotate()
    window.rotate()
    assert window.histogram([0, 1]).samples == 0


@given(VALUES, VALUES)
def test_a_slice_that_is_used_again_holds_nothing_of_before(before: list[int], after: list[int]) -> None:
    window = RollingHistograms(1, slices=1)
    for values in (before, after):
        window.rotate()
        window.record_runs(np.array([0]), np.array([0]), np.array(values))
    found = window.histogram([0])
    assert np.array_equal(found.counts, histogram_of(after).counts)
    assert found.summary() == histogram_of(after).summary()


def test_rows_of_a_window_can_be_seen_together() -> None:
    window = RollingHistograms(3)
    window.record_runs(np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([10, 20, 30]))
    assert window.histogram([0, 2]).sum == 40
