from __future__ import annotations

import statistics

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.metrics.histogram import Histogram, rank_of
from qudag_node.nettests.hdr import hdr_blob
from qudag_node.nettests.samples import (
    MIN_SAMPLES,
    jitter_ns,
    percentile,
    samples_needed,
    sufficiency,
    time_statistics,
)

TIMES = st.lists(st.integers(-(10**12), 10**15), min_size=1, max_size=200)


@given(TIMES, st.sampled_from([500, 900, 950, 990, 999]))
def test_a_percentile_is_the_value_at_its_rank(times: list[int], share: int) -> None:
    ordered = sorted(times)
    assert percentile(ordered, share) == ordered[rank_of(share / 1000, len(ordered)) - 1]


@given(TIMES)
def test_statistics_are_those_of_the_library(times: list[int]) -> None:
    found = time_statistics(times)
    assert found["samples"] == len(times)
    assert (found["min_s"], found["max_s"]) == (min(times) / 1e9, max(times) / 1e9)
    assert found["avg_s"] == pytest.approx(statistics.fmean(times) / 1e9)
    assert found["stddev_s"] == pytest.approx(statistics.pstdev(times) / 1e9, abs=1e-9)
    assert list(found) == [
        *("samples", "min_s", "avg_s", "p50_s", "p90_s", "p95_s", "p99_s", "max_s", "stddev_s")
    ]


def test_nothing_measured_is_nothing_said() -> None:
    found = time_statistics([])
    assert found.pop("samples") == 0
    assert set(found.values()) == {None}
    assert "p99_s" in found
    assert "p999_s" not in found


def test_p999_is_told_only_where_the_samples_carry_it() -> None:
    needed = samples_needed(999)
    assert needed == 3688
    assert "p999_s" not in time_statistics(range(needed - 1))
    assert time_statistics(range(needed))["p999_s"] == (3685 - 1) / 1e9


def test_times_far_from_zero_lose_nothing() -> None:
    times = [10**18 + value for value in (1, 2, 3, 4)]
    assert time_statistics(times)["stddev_s"] == pytest.approx(1.118e-9, rel=0.2)


def test_jitter_is_that_of_the_rfc() -> None:
    assert jitter_ns([]) is None
    assert jitter_ns([5]) is None
    assert jitter_ns([100, 116]) == 1.0
    assert jitter_ns([100, 116, 116]) == 1.0 - 1 / 16
    assert jitter_ns([7] * 50) == 0.0
    # A wobble of 160 between neighbours: smoothed, it comes to 160.
    assert jitter_ns([0, 160] * 200) == pytest.approx(160)


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=60), st.integers(-(10**15), 10**15))
def test_jitter_needs_no_agreeing_clocks(transits: list[int], offset: int) -> None:
    assert jitter_ns(transits) == jitter_ns([transit + offset for transit in transits])


def test_samples_must_suffice() -> None:
    assert [samples_needed(share) for share in (500, 900, 950)] == [6, 36, 72]
    assert MIN_SAMPLES == 368
    assert sufficiency([]).text.startswith("0 samples carry no percentile")
    assert "no percentile" in sufficiency([1] * 5).text
    assert "up to p50, p99 takes 368" in sufficiency([1_000_000] * 6).text
    assert "p50 lies between 1.000 ms and 1.000 ms" in sufficiency([1_000_000] * 6).text
    assert "up to p95" in sufficiency([1] * 367).text
    assert not sufficiency([1] * 367).enough
    assert sufficiency([1] * 368).enough
    assert not sufficiency([1] * 5).enough
    six = sufficiency(value * 1_000_000 for value in range(1, 7))
    assert not six.enough
    assert "p50 lies between 1.000 ms and 6.000 ms" in six.text
    enough = sufficiency(value * 1_000_000 for value in range(1, 1001))
    assert enough.enough
    assert enough.text == (
        "1000 samples carry p99: p99 lies between 983.000 ms and 998.000 ms (95 % confidence)"
    )


@given(st.lists(st.integers(0, 10**13), max_size=300))
def test_the_blob_is_what_hdrhistogram_reads(times: list[int]) -> None:
    read = HdrHistogram.decode(hdr_blob(times))
    own = HdrHistogram(1, (1 << 44) - 1, 2)
    for time in times:
        own.record_value(time)
    assert read.get_total_count() == len(times)
    assert list(read.counts) == list(own.counts)


def test_the_blob_has_the_buckets_of_the_nodes_histograms() -> None:
    times = [1, 127, 128, 255, 256, 1000, 10**6, 10**9]
    histogram = Histogram()
    for time in times:
        histogram.record(time)
    read = HdrHistogram.decode(hdr_blob(times))
    counts = {bucket: count for bucket, count in enumerate(read.counts) if count}
    assert counts == {bucket: int(count) for bucket, count in enumerate(histogram.counts.tolist()) if count}


def test_what_no_bucket_fits_is_put_in_the_last() -> None:
    read = HdrHistogram.decode(hdr_blob([-5, 1 << 50]))
    assert read.get_total_count() == 2
