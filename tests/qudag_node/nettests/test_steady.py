from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.steady import interval_bounds, rate_bits_per_s, steadiness

TICK_US = 100_000


def counted(*rates: float) -> tuple[list[int], list[int]]:
    """Times and bytes of a transfer that had these rates, in bytes per tick."""
    t_us, sums = [0], [0]
    for rate in rates:
        t_us.append(t_us[-1] + TICK_US)
        sums.append(sums[-1] + int(rate))
    return t_us, sums


def test_a_rate_is_bytes_over_time() -> None:
    t_us, sums = counted(1000, 3000)
    assert rate_bits_per_s(t_us, sums, 0, 2) == 160_000
    assert rate_bits_per_s(t_us, sums, 1, 1) is None


def test_a_transfer_that_is_steady_at_once_loses_nothing() -> None:
    found = steadiness(*counted(*[1000] * 50))
    assert (found.first, found.is_steady, found.spread_ratio) == (0, True, 0)


def test_slow_start_is_left_out() -> None:
    t_us, sums = counted(*[10, 20, 40, 80, 160, 320, 640], *[1000] * 60)
    found = steadiness(t_us, sums)
    assert 0.3e6 <= t_us[found.first] <= 0.8e6
    assert found.is_steady
    rate = rate_bits_per_s(t_us, sums, found.first, len(t_us) - 1)
    assert rate is not None
    assert abs(rate - 80_000) < 1_000


def test_a_burst_at_the_start_is_left_out_too() -> None:
    t_us, sums = counted(*[9000] * 3, *[1000] * 60)
    found = steadiness(t_us, sums)
    assert 0.2e6 <= t_us[found.first] <= 0.8e6
    assert found.is_steady


def test_at_most_half_goes() -> None:
    t_us, sums = counted(*[100 * n for n in range(1, 101)])
    found = steadiness(t_us, sums)
    assert t_us[found.first] <= t_us[-1] / 2
    assert not found.is_steady


def test_a_rate_that_still_rises_is_known() -> None:
    assert steadiness(*counted(*[100 * n for n in range(1, 101)])).is_rising
    assert steadiness(*counted(*[100 * n for n in range(1, 101)]), omit_s=1.0).is_rising
    # Slow start, and what falls or has come to rest, is none.
    assert not steadiness(*counted(*[10, 50, 100, 500] * 2, *[1000] * 22), omit_s=0.0).is_rising
    assert not steadiness(*counted(*[100 * n for n in range(100, 0, -1)])).is_rising
    assert not steadiness(*counted(*[1000] * 50)).is_rising


def test_a_rate_that_comes_and_goes_is_not_steady() -> None:
    assert not steadiness(*counted(*([0] * 10 + [2000] * 10) * 5)).is_steady


def test_what_evens_out_within_half_a_second_is_steady() -> None:
    found = steadiness(*counted(*[500, 1500] * 30), omit_s=0.0)
    assert found.is_steady
    assert found.spread_ratio is not None
    assert 0.05 < found.spread_ratio < 0.15


def test_what_is_to_be_left_out_is_left_out() -> None:
    t_us, sums = counted(*[1000] * 50)
    assert t_us[steadiness(t_us, sums, omit_s=2.0).first] == 2_000_000
    assert steadiness(t_us, sums, omit_s=0.0).first == 0
    # A test that was cut short of that keeps what it has.
    assert steadiness(t_us, sums, omit_s=50.0).first == 0


def test_nothing_says_nothing() -> None:
    assert not steadiness([], []).is_steady
    assert not steadiness([0], [0]).is_steady
    assert not steadiness(*counted(*[0] * 50)).is_steady
    assert steadiness([0, 0], [0, 5]).first == 0


def test_intervals_are_seconds() -> None:
    t_us, _ = counted(*[1] * 35)
    assert list(interval_bounds(t_us, 1.0)) == [(0, 10), (10, 20), (20, 30), (30, 35)]


def test_samples_that_are_late_move_no_interval_for_long() -> None:
    t_us = [0, 400_000, 1_020_000, 1_500_000, 1_980_000, 3_050_000]
    assert list(interval_bounds(t_us, 1.0)) == [(0, 2), (2, 4), (4, 5)]


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=80))
def test_intervals_cover_everything_once(steps: list[int]) -> None:
    t_us = [0]
    for step in steps:
        t_us.append(t_us[-1] + step)
    bounds = list(interval_bounds(t_us, 1.0))
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(t_us) - 1
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))


@given(
    st.lists(st.tuples(st.integers(0, 500_000), st.integers(0, 10**9)), max_size=60),
    st.none() | st.floats(0, 9),
)
def test_whatever_was_counted_something_is_left(steps: list[tuple[int, int]], omit_s: float | None) -> None:
    t_us, sums = [0], [0]
    for step, count in steps:
        t_us.append(t_us[-1] + step)
        sums.append(sums[-1] + count)
    found = steadiness(t_us, sums, omit_s=omit_s)
    assert found.first == 0 or found.first < len(t_us) - 1
