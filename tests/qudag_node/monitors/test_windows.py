from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qudag_node.metrics.statistics import Peak, Rates
from qudag_node.monitors.windows import CounterWindow, PeakTracker, PeerCounterWindow

GENERATION = np.ones(2, np.uint32)


def test_a_rate_is_not_known_before_its_span_has_passed() -> None:
    window = CounterWindow()
    assert window.per_s(1.0) is None
    for second in range(62):
        window.push([second * 5], now_mono_s=100 + second)
        known = window.rates(0)
        assert (known.per_s_1 is None) == (second < 1)
        assert (known.per_s_10 is None) == (second < 10)
        assert (known.per_s_60 is None) == (second < 60)
    assert window.rates(0) == Rates(per_s_1=5.0, per_s_10=5.0, per_s_60=5.0)


def test_a_burst_leaves_the_short_span_first() -> None:
    window = CounterWindow()
    for second in range(70):
        window.push([600 if second >= 62 else 0], now_mono_s=second)
    assert window.rates(0) == Rates(per_s_1=0.0, per_s_10=60.0, per_s_60=10.0)


@given(
    st.lists(st.tuples(st.floats(0.6, 1.4), st.integers(0, 1000)), min_size=70, max_size=140),
    st.sampled_from([1.0, 10.0, 60.0]),
)
def test_however_ticks_jitter_a_rate_is_an_increase_over_its_time(
    steps: list[tuple[float, int]], span_s: float
) -> None:
    window = CounterWindow()
    now_s, total = 0.0, 0
    history = [(now_s, total)]
    window.push([total], now_mono_s=now_s)
    for step_s, count in steps:
        now_s, total = now_s + step_s, total + count
        history.append((now_s, total))
        window.push([total], now_mono_s=now_s)
    found = window.per_s(span_s)
    then_s, before = max((when, counted) for when, counted in history if when <= now_s - span_s + 0.5)
    assert found is not None
    assert found[0] == pytest.approx((total - before) / (now_s - then_s))
    # The span in truth is the one asked for, give or take half an interval and one late tick.
    assert span_s - 0.5 <= now_s - then_s <= span_s + 0.5 + 1.4


@pytest.mark.parametrize("interval_s", [0.1, 0.5, 1.0, 5.0, 60.0])
def test_any_interval_gives_the_right_rates(interval_s: float) -> None:
    window = CounterWindow(interval_s=interval_s)
    ticks = math.ceil(130 / interval_s)
    for tick in range(ticks):
        window.push([round(tick * interval_s * 10)], now_mono_s=tick * interval_s)
    for rate in (window.per_s(1.0), window.per_s(10.0), window.per_s(60.0)):
        assert rate is not None
        assert rate[0] == pytest.approx(10.0)


@pytest.mark.parametrize("interval_s", [0.0, -1.0])
def test_an_interval_is_positive(interval_s: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        CounterWindow(interval_s=interval_s)


def test_ticks_that_come_too_often_do_not_grow_the_window() -> None:
    window = CounterWindow()
    for tick in range(10_000):
        window.push([tick], now_mono_s=tick / 1000)
    assert len(window) < 200


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=50))
def test_a_peak_is_the_first_of_the_largest_rates(rates: list[float | None]) -> None:
    tracker = PeakTracker()
    for second, rate in enumerate(rates):
        tracker.observe(rate, now_unix_s=second)
    known = [rate for rate in rates if rate is not None]
    assume(known)
    assert tracker.peak == Peak(per_s=max(known), at_unix_s=rates.index(max(known)))


def test_every_slot_has_its_own_increase() -> None:
    window = PeerCounterWindow(2, longest_s=1.0, interval_s=1.0)
    window.push(np.array([[0, 10], [5, 5]]), GENERATION, now_mono_s=0.0)
    found = window.increase(np.array([[1, 20], [5, 9]]), GENERATION, span_s=1.0, now_mono_s=2.0)
    assert found is not None
    assert found[0].tolist() == [[1, 10], [0, 4]]
    assert found[1] == 2.0


def test_an_increase_is_not_known_before_its_span() -> None:
    window = PeerCounterWindow(1, longest_s=1.0, interval_s=1.0)
    zero = np.zeros((2, 1), np.int64)
    assert window.increase(zero, GENERATION, span_s=1.0, now_mono_s=0.0) is None
    window.push(zero, GENERATION, now_mono_s=0.0)
    assert window.increase(zero, GENERATION, span_s=1.0, now_mono_s=0.4) is None


def test_counters_may_pass_32_bits() -> None:
    window = PeerCounterWindow(1, longest_s=1.0, interval_s=1.0)
    window.push(np.array([[2**32 - 1], [2**40]]), GENERATION, now_mono_s=0.0)
    found = window.increase(np.array([[2**32 + 1], [2**40 + 7]]), GENERATION, span_s=1.0, now_mono_s=1.0)
    assert found is not None
    assert found[0].tolist() == [[2], [7]]


def test_a_slot_that_changed_hands_begins_at_zero_and_new_slots_fit_in() -> None:
    window = PeerCounterWindow(1, longest_s=1.0, interval_s=1.0)
    window.push(np.array([[100], [100]]), GENERATION, now_mono_s=0.0)
    generation = np.array([1, 2, 1], np.uint32)
    found = window.increase(np.array([[101], [3], [4]]), generation, span_s=1.0, now_mono_s=1.0)
    assert found is not None
    assert found[0].tolist() == [[1], [3], [4]]
    window.push(np.array([[101], [3], [4]]), generation, now_mono_s=1.0)
    assert window.nbytes > 0
