"""Small networks described in files: what is linked, what happens, which routes and events are expected."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.qudag_node.overlay.network import SimulatedNetwork

SCENARIOS = sorted((REPO / "tests" / "scenarios" / "routing").glob("*.toml"))
# Long enough for adverts, measurements and costs to settle; shorter than one renewal, so that nothing is
# owed to repetition.
SETTLE_S = 15.0


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_routes_and_events_are_as_the_scenario_says(path: Path) -> None:
    scenario = tomllib.loads(path.read_text(encoding="utf-8"))
    network = SimulatedNetwork(scenario["nodes"], leaves=scenario.get("leaves", ()))
    for liar, lies in scenario.get("lies", {}).items():
        network.nodes[liar].lies = lies
    perform(network, {"up": scenario["links"]})
    for number, step in enumerate(scenario["steps"], start=1):
        if number > 1:
            for node in network.nodes.values():
                node.changes.clear()
        perform(network, step)
        network.run(SETTLE_S)
        where = f"{path.name}, step {number}"
        for source, expected in step.get("routes", {}).items():
            assert routes_of(network, source, expected) == expected, f"{where}: routes of {source}"
        for source, changes in step.get("changes", {}).items():
            assert changes_of(network, source) == changes, f"{where}: changes seen by {source}"
        if step.get("changes") == {}:
            assert not any(node.changes for node in network.nodes.values()), where


def perform(network: SimulatedNetwork, step: dict[str, Any]) -> None:
    for ends in step.get("down", ()):
        a, b = ends.split("-")
        network.down(a, b)
    if "kill" in step:
        network.kill(step["kill"])
    if "restart" in step:
        network.restart(step["restart"])
    if "leave" in step:
        network.leave(step["leave"])
    for ends, rtt_s in step.get("up", {}).items():
        a, b = ends.split("-")
        network.up(a, b, rtt_s)


def routes_of(network: SimulatedNetwork, source: str, destinations: dict[str, Any]) -> dict[str, Any]:
    routes: dict[str, Any] = {}
    for destination in destinations:
        route = network.nodes[source].state.route(network.key(destination))
        if route is None:
            routes[destination] = "unreachable"
        else:
            via = network.name_of(route.next_hop)
            routes[destination] = {"via": via, "hops": route.hops, "rtt_s": route.rtt_us / 1e6}
    return routes


def changes_of(network: SimulatedNetwork, name: str) -> list[str]:
    return [
        f"{change.kind} {' '.join(sorted(map(network.name_of, change.nodes)))}"
        for change in network.nodes[name].changes
    ]
