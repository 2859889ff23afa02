"""The map and the judgement of relays, on networks described in files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from qudag_node.nettests.hops import Answer, HopTable, PathReport
from qudag_node.nettests.relays import Trace, judge_relays
from qudag_node.nettests.routemap import MapEdge, RouteMap
from tests.conftest import REPO

SCENARIOS = sorted((REPO / "tests" / "scenarios" / "routing_test").glob("*.toml"))
ROUNDS = 10


def map_of(scenario: dict[str, Any]) -> RouteMap:
    ends = [(*pair.split("-"), cost_s) for pair, cost_s in scenario["links"].items()]
    edges = [MapEdge(str(a), str(b), cost_s) for a, b, cost_s in ends]
    return RouteMap(edges, scenario.get("leaves", ()))


def report_of(way: list[str], peer: dict[str, Any]) -> PathReport:
    """What ten rounds of traces over this way show; an empty name answers nothing."""
    length = peer.get("dead_from", len(way))
    table = HopTable(max_hops=length, expected_hops=length)
    for number in range(ROUNDS):
        for ttl in range(1, length + 1):
            table.sent(number, ttl, 0.0)
        for ttl, source in enumerate(way, start=1):
            reached = ttl == len(way) and "dead_from" not in peer and "refuses" not in peer
            reason = "reached" if reached else "ttl"
            if ttl == len(way) and "refuses" in peer:
                reason = peer["refuses"]
            if source:
                table.answered(number, ttl, Answer(source=source, reason=reason, hops=ttl, rtt_s=0.01))
        table.close(number)
    return table.report()


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_relays_are_judged_as_the_scenario_says(path: Path) -> None:
    scenario = tomllib.loads(path.read_text(encoding="utf-8"))
    route_map, expected = map_of(scenario), scenario["expected"]
    traces = [
        Trace(source="a", destination=name, report=report_of(peer["way"], peer))
        for name, peer in scenario["peers"].items()
    ]
    relays = judge_relays(traces, route_map, scenario.get("dropped", {}))
    assert [relay.peer for relay in relays] == sorted(expected["relays"])
    for relay in relays:
        wanted = expected["relays"][relay.peer]
        assert relay.forwarding == wanted["forwarding"], relay
        assert [f"{step.relay}>{step.next_hop}" for step in relay.misroutes] == wanted.get("misroutes", [])
        assert relay.blocked == wanted.get("blocked", [])
        assert relay.refusals == wanted.get("refusals", {})
        assert relay.drops == wanted.get("drops", 0)
        for figure in ("passed", "offered"):
            assert getattr(relay, figure) == wanted.get(figure, getattr(relay, figure))
    for name, peer in scenario["peers"].items():
        if "cost_s" in peer:
            assert route_map.cost_s("a", name) == pytest.approx(peer["cost_s"])
            assert route_map.path("a", name) == ["a", *peer["way"]]
            assert route_map.least_hops("a", name) == peer["least_hops"]
    for source, row in expected.get("matrix", {}).items():
        assert route_map.matrix([*"abcde"])["abcde".index(source)] == [int(hops) for hops in row]


def test_where_there_is_no_way_the_map_says_so() -> None:
    route_map = RouteMap([MapEdge("a", "b", 0.01)])
    assert route_map.path("a", "z") == []
    assert route_map.hops("a", "z") is route_map.cost_s("a", "z") is route_map.least_hops("a", "z") is None
    assert (route_map.hops("a", "a"), route_map.cost_s("a", "a"), route_map.path("a", "a")) == (0, 0.0, ["a"])
    assert route_map.matrix(["a", "b", "z"]) == [[0, 1, None], [1, 0, None], [None, None, 0]]
    assert route_map.least_hops("a", "a") == 0
    assert (route_map.link_cost_s("b", "a"), route_map.link_cost_s("a", "z")) == (0.01, None)
    assert route_map.misrouted(["a", "q", "z"], "z") == [], "of what is not on the map nothing is said"


def test_a_little_more_is_no_detour() -> None:
    edges = [MapEdge("a", "b", 0.01), MapEdge("b", "c", 0.1), MapEdge("b", "d", 0.0), MapEdge("d", "c", 0.1)]
    assert RouteMap(edges).misrouted(["a", "b", "d", "c"], "c") == []


def test_what_is_best_seen_from_beyond_says_how_much_a_relay_passes_on() -> None:
    table = HopTable(max_hops=3, expected_hops=3)
    for number in range(4):
        # The hop in the middle is probed in two of four rounds only, and answers one of them.
        ttls = (1, 2, 3) if number < 2 else (1, 3)
        for ttl in ttls:
            table.sent(number, ttl, 0.0)
            if ttl != 2 or number == 0:
                reason = "reached" if ttl == 3 else "ttl"
                table.answered(number, ttl, Answer(source=" bcd"[ttl], reason=reason, hops=ttl, rtt_s=0.01))
        table.close(number)
    edges = [MapEdge("a", "b", 0.01), MapEdge("b", "c", 0.01), MapEdge("c", "d", 0.01)]
    trace = Trace(source="a", destination="d", report=table.report())
    relays = {relay.peer: relay for relay in judge_relays([trace], RouteMap(edges), {})}
    assert (relays["b"].offered, relays["b"].passed) == (4, 4)
    assert (relays["c"].offered, relays["c"].passed) == (4, 4)
