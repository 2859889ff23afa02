"""The statistics of each hop, on networks described in files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from qudag_node.nettests.hops import Answer, HopTable, HopVerdict, Route
from qudag_node.nettests.samples import time_statistics
from tests.conftest import REPO

SCENARIOS = sorted((REPO / "tests" / "scenarios" / "traceroute").glob("*.toml"))
EPOCH_S = 1_700_000_000.0


def answer_of(way: dict[str, Any], ttl: int, random: Random) -> Answer | None:
    """What comes back for a probe on this way, if anything."""
    rtt_s = 0.0
    hops: list[dict[str, Any]] = way["hops"]
    for number, hop in enumerate(hops[:ttl], start=1):
        if random.random() < hop.get("link_loss", 0.0):
            return None
        rtt_s += hop["link_s"]
        reason = "reached" if number == len(hops) else "ttl" if number == ttl else hop.get("refuses", "")
        if hop.get("refuses") == "not-relaying":
            reason = "not-relaying"  # a leaf looks at nothing else
        if reason:
            if random.random() >= hop.get("answers", 1.0):
                return None
            return Answer(
                source=hop["name"], reason=reason, hops=number, rtt_s=rtt_s + hop.get("answer_s", 0.0)
            )
    raise AssertionError("a probe ends somewhere")


def traced(scenario: dict[str, Any]) -> HopTable:
    random = Random(scenario.get("seed", 1))
    table = HopTable(max_hops=8, expected_hops=scenario.get("expected_hops"))
    for number in range(scenario["rounds"]):
        way = [way for way in scenario["ways"] if way.get("from_round", 0) <= number][-1]
        ttls = range(1, table.length + 1)
        for ttl in ttls:
            table.sent(number, ttl, EPOCH_S + number)
        for ttl in ttls:
            answer = None if [ttl, number] in scenario.get("lose", []) else answer_of(way, ttl, random)
            if answer is not None:
                assert table.answered(number, ttl, answer)
        table.close(number)
    assert table.open_rounds == 0
    return table


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_each_hop_is_judged_as_the_scenario_says(path: Path) -> None:
    scenario = tomllib.loads(path.read_text(encoding="utf-8"))
    report, expected = traced(scenario).report(), scenario["expected"]
    assert report.is_reached == expected["reached"]
    assert [[source or "" for source in route.path] for route in report.routes] == expected["routes"]
    assert report.route_changes == expected["changes"]
    if "verdicts" in expected:
        assert [str(hop.verdict) for hop in report.hops] == expected["verdicts"]
    if "added_s" in expected:
        added = [None if value == "none" else pytest.approx(value) for value in expected["added_s"]]
        assert [hop.added_s for hop in report.hops] == added
    if "loss_ratio" in expected:
        within = expected.get("loss_within", 0.0)
        assert [hop.loss_ratio for hop in report.hops] == pytest.approx(expected["loss_ratio"], abs=within)
    if "reasons" in expected:
        assert [hop.reason for hop in report.hops] == expected["reasons"]
    if "sent" in expected:
        assert [hop.sent for hop in report.hops] == expected["sent"]
    if "counts" in expected:
        assert [route.count for route in report.routes] == expected["counts"]


def test_what_hops_add_is_the_whole_delay() -> None:
    scenario = tomllib.loads((SCENARIOS[0].parent / "one_slow_link.toml").read_text(encoding="utf-8"))
    report = traced(scenario).report()
    assert sum(hop.added_s or 0.0 for hop in report.hops) == pytest.approx(report.hops[-1].rtts_s[0])
    slowest = report.named(HopVerdict.DELAY)
    assert slowest is not None
    assert slowest.source == "d"
    assert report.named(HopVerdict.LOSS) is None


def test_what_hops_add_adds_up_to_the_medians_that_are_shown_also_of_an_even_number_of_rounds() -> None:
    table = HopTable(max_hops=2, expected_hops=2)
    for number, (near_s, far_s) in enumerate(((0.001, 0.004), (0.009, 0.020))):
        for ttl, source, rtt_s in ((1, "b", near_s), (2, "c", far_s)):
            table.sent(number, ttl, EPOCH_S)
            reason = "reached" if source == "c" else "ttl"
            assert table.answered(number, ttl, Answer(source=source, reason=reason, hops=ttl, rtt_s=rtt_s))
        table.close(number)
    near, far = table.report().hops
    medians = [time_statistics(round(rtt_s * 1e9) for rtt_s in hop.rtts_s)["p50_s"] for hop in (near, far)]
    assert medians == [0.001, 0.004]
    assert (near.added_s, far.added_s) == pytest.approx((0.001, 0.003))


def test_an_answer_counts_once_and_only_in_its_round() -> None:
    table = HopTable(max_hops=4, expected_hops=1)
    answer = Answer(source="b", reason="reached", hops=1, rtt_s=0.5)
    table.sent(0, 1, EPOCH_S)
    assert not table.is_complete(0)
    assert not table.answered(0, 2, answer), "nothing was sent with that ttl"
    assert table.answered(0, 1, answer)
    assert table.is_complete(0)
    assert not table.answered(0, 1, answer), "it has been answered"
    table.close(0)
    assert not table.answered(0, 1, answer), "the round is over"
    table.close(0)
    assert table.is_complete(0)
    [hop] = table.report().hops
    assert (hop.sent, hop.received, hop.rtts_s) == (1, 1, (0.5,))


def test_without_any_answer_one_row_says_so() -> None:
    table = HopTable(max_hops=3)
    for number in range(3):
        for ttl in range(1, table.length + 1):
            table.sent(number, ttl, EPOCH_S)
        table.close(number)
    report = table.report()
    [hop] = report.hops
    assert (hop.verdict, hop.loss_ratio, hop.source, hop.added_s) == (HopVerdict.NOTHING, 1.0, None, None)
    assert (report.routes, report.route_changes, report.is_reached) == ((), 0, False)


def test_a_network_with_endless_routes_fills_no_memory() -> None:
    table = HopTable(max_hops=2, expected_hops=2)
    for number in range(100):
        for ttl, source in ((1, f"relay{number}"), (2, "d")):
            table.sent(number, ttl, EPOCH_S + number)
            reason = "reached" if ttl == 2 else "ttl"
            table.answered(number, ttl, Answer(source=source, reason=reason, hops=ttl, rtt_s=0.1))
        table.close(number)
    report = table.report()
    assert len(report.routes) == 32
    assert sum(route.count for route in report.routes) == 100
    assert report.routes[-1].path == []
    assert report.routes[1].first_unix_s == EPOCH_S + 1


def test_of_several_that_answer_at_one_hop_the_most_frequent_names_it() -> None:
    table = HopTable(max_hops=1)
    for number in range(3):
        table.sent(number, 1, EPOCH_S)
        source, back = ("b", 1) if number else ("x", 2)
        table.answered(
            number, 1, Answer(source=source, reason="reached", hops=1, rtt_s=number, return_hops=back)
        )
        table.close(number)
    [hop] = table.report().hops
    assert (hop.source, hop.others, hop.return_hops, hop.reason) == ("b", ("x",), 1, "reached")


def test_no_hops_cannot_be_traced() -> None:
    with pytest.raises(ValueError, match="too few"):
        HopTable(max_hops=0)


@pytest.mark.parametrize(
    ("known", "known_whole", "seen", "seen_whole", "fits"),
    [
        ("bd", True, "bd", True, True),
        ("bd", True, "b", False, True),
        ("bd", True, "b", True, False),
        ("bd", True, "b-e", False, False),
        ("bd", True, "-d", True, True),
        ("bd", True, "-e", True, False),
        ("b", False, "bcd", True, True),
        ("bc", False, "b", True, False),
        ("b", False, "c", False, False),
        ("b-d", False, "bcde", False, True),
    ],
)
def test_a_round_fits_a_way_unless_something_speaks_against_it(
    known: str, known_whole: bool, seen: str, seen_whole: bool, fits: bool
) -> None:
    path, saw = ([None if name == "-" else name for name in text] for text in (known, seen))
    route = Route(path, 1, 0.0, is_whole=known_whole)
    assert route.fits(saw, is_whole=seen_whole) is fits


def test_probes_go_as_far_as_the_destination_is_and_no_further() -> None:
    table = HopTable(max_hops=8, expected_hops=2)
    lengths: list[int] = []
    for number, end in enumerate((3, 3, 3, 1, 1)):
        ttls = range(1, table.length + 1)
        for ttl in ttls:
            table.sent(number, ttl, EPOCH_S)
        for ttl in ttls:
            hops = min(ttl, end)
            reason = "reached" if ttl >= end else "ttl"
            table.answered(number, ttl, Answer(source=f"h{hops}", reason=reason, hops=hops, rtt_s=0.1))
        table.close(number)
        lengths.append(table.length)
    assert lengths == [3, 3, 3, 1, 1]
