from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.advert import MAX_COST_US
from qudag_node.overlay.costs import UNKNOWN_COST_US, LinkCost


def test_a_link_that_was_not_measured_looks_bad() -> None:
    cost = LinkCost()
    assert (cost.is_measured, cost.smoothed_us, cost.advertised_us) == (
        False,
        UNKNOWN_COST_US,
        UNKNOWN_COST_US,
    )


def test_one_slow_answer_is_smoothed() -> None:
    cost = LinkCost(0.020)
    cost.sample(0.100)
    assert cost.smoothed_us == 30_000


@pytest.mark.parametrize(
    ("before_s", "after_s", "is_told"),
    [
        (0.0001, 0.0009, False),
        (0.0001, 0.0012, True),
        (0.100, 0.120, False),
        (0.100, 0.130, True),
        (0.100, 0.070, True),
        (0.100, 0.080, False),
    ],
)
def test_only_a_change_of_a_quarter_and_a_millisecond_is_told(
    before_s: float, after_s: float, is_told: bool
) -> None:
    cost = LinkCost(before_s)
    for _ in range(100):
        cost.sample(after_s)
    assert cost.is_worth_telling is is_told
    assert cost.advertised_us == round(before_s * 1e6)
    assert cost.advertise() == cost.advertised_us == pytest.approx(after_s * 1e6, abs=1)
    assert not cost.is_worth_telling


@given(samples=st.lists(st.floats(0, 10_000), min_size=1, max_size=20))
def test_a_cost_lies_between_its_samples_and_fits_an_advert(samples: list[float]) -> None:
    cost = LinkCost()
    for sample in samples:
        cost.sample(sample)
    assert 1 <= cost.smoothed_us <= MAX_COST_US
    assert min(samples) * 1e6 - 2 <= cost.smoothed_us or cost.smoothed_us == MAX_COST_US
    assert cost.smoothed_us <= max(samples) * 1e6 + 2


def test_a_negative_time_is_a_broken_clock() -> None:
    with pytest.raises(ValueError, match="round-trip"):
        LinkCost().sample(-0.001)
