"""Goals and the search for a rate, on networks described in files and on all that hypothesis invents."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import ConfigError
from qudag_node.nettests.search import RateSearch, SearchEnd, Step, Term, parse_goal
from tests.conftest import REPO

SCENARIOS = sorted((REPO / "tests" / "scenarios" / "rate_search").glob("*.toml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_search_finds_what_the_scenario_says(path: Path) -> None:
    scenario = tomllib.loads(path.read_text(encoding="utf-8"))
    search = RateSearch(
        start=scenario["start"], most=scenario["most"], max_steps=scenario.get("max_steps", 30)
    )
    sender, disturbed = scenario.get("sender"), scenario.get("disturbed", [])
    while (rate := search.next_rate()) is not None:
        offered = rate if sender is None else min(rate, sender)
        is_met = offered <= scenario["network"]["capacity"] and len(search.steps) + 1 not in disturbed
        search.record(is_met=is_met, offered=offered)
    expected = scenario["expected"]
    assert search.end == expected["end"]
    if "found" in expected:
        assert search.found is not None
        assert expected["found"]["least"] <= search.found <= expected["found"]["most"]
    else:
        assert search.found is None


@given(
    capacity=st.floats(1, 1e9), start=st.floats(1, 1e6), growth=st.floats(1.1, 10), tries=st.integers(1, 3)
)
def test_whatever_the_capacity_it_is_found_or_the_search_says_why_not(
    capacity: float, start: float, growth: float, tries: int
) -> None:
    search = RateSearch(start=start, most=1e7, precision=0.02, max_steps=10_000, growth=growth, tries=tries)
    while (rate := search.next_rate()) is not None:
        assert start / 1024 <= rate <= 1e7
        search.record(is_met=rate <= capacity)
    match search.end:
        case SearchEnd.PRECISION:
            assert search.found is not None
            assert search.found <= capacity <= search.found * 1.02 * (1 + 1e-9)
            assert search.refused is not None
            assert search.refused > capacity
        case SearchEnd.MOST:
            assert search.found == 1e7
        case SearchEnd.LEAST:
            assert capacity < start / 1024 * (1 + 1e-9)
        case unexpected:
            pytest.fail(f"it ended with {unexpected}")


def test_a_rate_is_given_up_only_when_it_has_failed_twice() -> None:
    search = RateSearch(start=100, most=1000)
    search.record(is_met=False)
    assert search.next_rate() == 100
    search.record(is_met=True)
    assert search.next_rate() == 200
    search.record(is_met=False)
    search.record(is_met=False)
    rate = search.next_rate()
    assert rate == pytest.approx(141.42, abs=0.01)
    assert search.steps == [Step(100, False), Step(100, True), Step(200, False), Step(200, False)]
    assert (search.found, search.refused) == (100, 200)
    assert search.found_at_try == 2
    search.record(is_met=True)
    assert (search.found, search.found_at_try) == (rate, 1)


def test_what_was_never_tried_itself_met_the_goal_at_no_try() -> None:
    search = RateSearch(start=100, most=400)
    assert search.found_at_try is None
    search.record(is_met=True, offered=60)
    search.record(is_met=True, offered=60)
    assert (search.found, search.found_at_try) == (60, None)


def test_a_sender_that_falls_short_once_gets_another_try() -> None:
    search = RateSearch(start=100, most=400)
    search.record(is_met=True, offered=60)
    assert search.next_rate() == 100
    search.record(is_met=True, offered=100)
    assert search.next_rate() == 200
    search.record(is_met=True, offered=150)
    search.record(is_met=True, offered=160)
    assert search.next_rate() is None
    assert (search.found, search.end) == (160, SearchEnd.SENDER)


def test_a_sender_that_falls_short_and_misses_the_goal_twice_ends_the_search_without_an_answer() -> None:
    search = RateSearch(start=100, most=1000)
    search.record(is_met=False, offered=50)
    assert search.next_rate() == 100
    search.record(is_met=False, offered=50)
    assert search.end == "sender"
    assert search.found is None
    with pytest.raises(ValueError, match="over"):
        search.record(is_met=True)


def test_a_search_with_senseless_numbers_is_refused() -> None:
    for wrong in ({"start": 0.0}, {"growth": 1.0}, {"precision": 0.0}, {"tries": 0}, {"max_steps": 0}):
        numbers: dict[str, float] = {"start": 1.0, "most": 10.0, **wrong}
        with pytest.raises(ValueError, match="out of range"):
            RateSearch(**numbers)  # type: ignore[arg-type]  # floats and integers


def test_a_goal_is_read_with_its_units() -> None:
    goal = parse_goal("p99 < 500ms, loss<=1%,P99.9<2s,avg<250us,jitter<1.5µs,min<7ns")
    assert [(term.figure, term.relation) for term in goal.terms] == [
        ("p99", "<"),
        ("loss", "<="),
        ("p999", "<"),
        ("avg", "<"),
        ("jitter", "<"),
        ("min", "<"),
    ]
    assert [term.limit for term in goal.terms] == pytest.approx([0.5, 0.01, 2.0, 250e-6, 1.5e-6, 7e-9])
    assert str(goal) == "p99<500ms,loss<=1%,p999<2s,avg<250us,jitter<1.5us,min<7ns"
    assert str(parse_goal(str(goal))) == str(goal)


def test_a_goal_is_met_when_every_term_is() -> None:
    goal = parse_goal("p99<500ms,loss<=0.01")
    assert goal.is_met({"p99": 0.4999, "loss": 0.01})
    assert goal.failures({"p99": 0.5, "loss": 0.0}) == [Term("p99", "<", 0.5)]
    assert goal.failures({"p99": 0.1, "loss": 0.0101}) == [Term("loss", "<=", 0.01)]
    assert not goal.is_met({"p99": None, "loss": 0.0}), "a delay nobody could measure meets nothing"
    assert not goal.is_met({"loss": 0.0})
    assert not goal.is_met({"p99": float("nan"), "loss": 0.0})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "FIGURE<LIMIT"),
        ("p99", "FIGURE<LIMIT"),
        ("p99>5ms", "FIGURE<LIMIT"),
        ("p99<5ms,", "FIGURE<LIMIT"),
        ("p99<-5ms", "FIGURE<LIMIT"),
        ("p98<5ms", "'p98' is not one of loss, min"),
        ("p99<5", "the unit of p99 is ns, us, ms or s"),
        ("p99<5%", "the unit of p99"),
        ("loss<1ms", "the unit of loss is % or a ratio"),
        ("loss<101%", "more than everything"),
        (",".join(["loss<1%"] * 17), "17 terms are more than 16"),
    ],
)
def test_what_is_no_goal_is_refused_with_the_part_that_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_goal(text)
