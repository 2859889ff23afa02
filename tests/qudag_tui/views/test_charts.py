from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.views.charts import area, histogram, nice_top, sparkline
from qudag_tui.views.glyphs import ASCII, UNICODE


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ([], 1.0),
        ([0.4], 1.0),
        ([1.0], 1.0),
        ([1.01], 1.5),
        ([7.0, None], 8.0),
        ([123.0], 150.0),
        ([9.9e6], 1e7),
    ],
)
def test_a_scale_ends_at_a_round_number(values: list[float | None], top: float) -> None:
    assert nice_top(values, 1.0) == pytest.approx(top)


def test_a_scale_comes_down_when_the_spike_has_left() -> None:
    values: list[float | None] = [1.0, 900.0, 1.0, 2.0]
    assert nice_top(values, 1.0) == 1000.0
    assert nice_top(values[2:], 1.0) == 2.0


def test_an_area_is_filled_from_below_and_new_values_stand_at_the_right() -> None:
    assert area([8, 8], 2, 2, 8, UNICODE) == [" ⣿", " ⣿"]
    assert area([4, 8], 1, 2, 8, UNICODE) == ["⢸", "⣿"]


def test_little_is_told_from_nothing_and_nothing_from_the_unknown() -> None:
    assert area([0.001, 0.0], 1, 1, 8, UNICODE) == ["⡀"]
    assert area([None, None], 1, 1, 8, UNICODE) == [" "]


def test_ascii_areas_have_one_value_per_cell() -> None:
    assert area([1, 2, 3, 4, 8], 5, 2, 8, ASCII) == ["    #", ".:|##"]


def test_no_room_is_no_chart() -> None:
    assert area([1.0], 0, 3, 1, UNICODE) == []
    assert area([1.0], 3, 0, 1, UNICODE) == []


@given(
    values=st.lists(st.none() | st.floats(0, 1e12), max_size=60),
    width=st.integers(1, 30),
    height=st.integers(1, 6),
    top=st.floats(1, 1e12),
)
def test_an_area_fills_its_box_whatever_comes(
    values: list[float | None], width: int, height: int, top: float
) -> None:
    for glyphs in (UNICODE, ASCII):
        assert [len(row) for row in area(values, width, height, top, glyphs)] == [width] * height


def test_a_history_breaks_where_nothing_is_known() -> None:
    assert sparkline([1.0, None, 8.0], 5, 8.0, UNICODE) == "  ▁ ▇"
    assert sparkline([0.0, 0.0], 2, 0.0, UNICODE) == "▁▁"
    assert sparkline([4.0, 8.0], 2, 8.0, ASCII) == ":#"
    assert sparkline([1.0] * 9, 3, 1.0, UNICODE) == "▇▇▇"


def test_a_histogram_counts_every_value_once() -> None:
    bins = histogram([1.0, 1.5, 2.0, 9.0], 4)
    assert [count for _, _, count in bins] == [3, 0, 0, 1]
    assert bins[0][0] == 1.0
    assert bins[-1][1] == 9.0
    assert histogram([], 4) == []
    assert sum(count for _, _, count in histogram([5.0, 5.0], 3)) == 2


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 12))
def test_any_histogram_counts_every_value_once(values: list[float], bins: int) -> None:
    assert sum(count for _, _, count in histogram(values, bins)) == len(values)
