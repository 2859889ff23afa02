"""Waits between attempts: growing, bounded, never in step."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.backoff import BackOff


def test_waits_double_up_to_the_limit_and_are_cut_by_up_to_half() -> None:
    back_off = BackOff(1.0, 10.0, Random(1))
    for whole_s in (1, 2, 4, 8, 10, 10, 10):
        assert whole_s / 2 <= back_off.fail() <= whole_s
    assert back_off.failures == 7
    back_off.succeed()
    assert back_off.fail() <= 1


def test_two_nodes_do_not_return_in_step() -> None:
    one, other = BackOff(1.0, 60.0, Random(1)), BackOff(1.0, 60.0, Random(2))
    assert [one.fail() for _ in range(5)] != [other.fail() for _ in range(5)]


@given(failures=st.integers(0, 5000))
def test_any_number_of_failures_stays_within_the_limits(failures: int) -> None:
    back_off = BackOff(0.5, 60.0, Random(0))
    back_off.failures = failures
    assert 0.25 <= back_off.fail() <= 60.0


@pytest.mark.parametrize(("least_s", "most_s"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_senseless_limits_are_refused(least_s: float, most_s: float) -> None:
    with pytest.raises(ValueError, match="waits from"):
        BackOff(least_s, most_s, Random(0))
