"""The routing test over real overlays: all reached, relays that drop, misroute or refuse, dead nodes."""

from __future__ import annotations

from typing import Any

import pytest

from qudag_node.nettests import routing
from qudag_node.nettests.requests import RoutingOptions
from qudag_node.nettests.results import Measured
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.routed import RoutedKind
from qudag_node.peerid import PeerId, public_key_of
from tests.qudag_node.nettests.contexts import Bench, bench, drop_on_the_way, pass_on_to
from tests.qudag_node.nettests.nodes import Tested
from tests.qudag_node.overlay.links import until

# A loaded machine answers late; what is lost here is lost on purpose.
PATIENT_S = 10.0
LOST_S = 1.5


async def examined(
    nodes: Bench, source: Tested, target: PeerId | None = None, **changes: Any
) -> tuple[Measured, dict[str, Any]]:
    values: dict[str, Any] = {"count": 3, "interval_s": 0.05, "timeout_s": PATIENT_S, **changes}
    measured = await routing.run(nodes.context(source, target), RoutingOptions(**values))
    return measured, dict(measured.fields)


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


def is_on_the_map(one: Tested, other: Tested) -> bool:
    """Whether one knows of the link between the two that both ends tell of it."""
    ends = {public_key_of(one.id), public_key_of(other.id)}
    return any(link.is_up and {link.a, link.b} == ends for link in one.port.topology()[1])


async def test_everybody_in_a_line_is_reached_and_the_matrix_is_the_line() -> None:
    async with bench("abcd") as nodes:
        measured, fields = await examined(nodes, nodes.nodes[1])
        ids = {node.node.name: node.id for node in nodes.nodes}
    assert measured.success
    assert measured.verdict == "3 of 3 peers reached; every relay passes on"
    matrix = fields["matrix"]
    order = "".join(matrix["names"])
    assert order[0] == "b"
    assert sorted(order) == [*"abcd"]
    assert matrix["peers"] == [ids[name] for name in order]
    assert matrix["hops"] == [[abs(ord(one) - ord(other)) for other in order] for one in order]
    assert matrix["sources"] == ["own", "told", "told", "told"]
    peers = by_name(fields["peers"])
    assert peers["d"]["path"] == [ids["c"], ids["d"]]
    assert (peers["d"]["hops"], peers["d"]["best_hops"], peers["a"]["hops"]) == (2, 2, 1)
    for row in peers.values():
        assert (row["reachable"], row["loss_ratio"], row["verdict"]) == (True, 0.0, "ok")
        assert row["rtt"]["samples"] == 3
        assert row["best_known_s"] == row["rtt"]["p50_s"] > 0
        assert row["stretch"] == 1.0, "there is one way only: nothing is shorter"
        assert row["path_cost_s"] == pytest.approx(row["best_cost_s"])
    assert [row["name"] for row in fields["peers"]] == ["a", "c", "d"], "by hops, then by name"
    [relay] = fields["relays"]
    assert (relay["name"], relay["forwarding"], relay["blocked"]) == ("c", "yes", [])
    assert (relay["misroutes"], relay["refusals"], relay["dropped"]) == ([], {}, {})
    assert nodes.told[-1]["done"] == 1.0


async def test_one_peer_alone_can_be_examined() -> None:
    async with bench("abc") as nodes:
        a, b, c = nodes.nodes
        _, fields = await examined(nodes, a, c.id)
    [row] = fields["peers"]
    assert (row["peer"], row["path"]) == (c.id, [b.id, c.id])
    assert fields["matrix"]["peers"] == [a.id, c.id]


async def test_a_relay_that_drops_for_one_is_found_and_says_how_much() -> None:
    async with bench("abcd") as nodes:
        a, _, c, d = nodes.nodes
        drop_on_the_way(c, to=d.id, kinds={RoutedKind.TRACE})
        measured, fields = await examined(nodes, a, timeout_s=LOST_S)
    assert not measured.success
    assert by_name(fields["peers"])["d"]["verdict"] == "does not answer, though the map knows a way"
    assert by_name(fields["peers"])["d"]["loss_ratio"] == 1.0
    relays = by_name(fields["relays"])
    assert (relays["b"]["forwarding"], relays["c"]["forwarding"]) == ("yes", "no")
    assert relays["c"]["blocked"] == [d.id]
    assert relays["c"]["dropped"]["routed_no_route"] >= 3
    assert "2 of 3 peers reached; d on the map, but silent; c passes nothing on" in measured.verdict
    assert "by its own count" in measured.verdict


async def test_a_relay_that_misroutes_is_named_with_where_it_sends_to() -> None:
    async with bench("abcd") as nodes:
        a, b, c, d = nodes.nodes
        # c sends what is for d back to b, whence b would send it on to c for ever; it says that it loops.
        pass_on_to(c, d.id, b)
        measured, fields = await examined(nodes, a, timeout_s=LOST_S)
    assert not measured.success
    relay = by_name(fields["relays"])["c"]
    assert (relay["forwarding"], relay["refusals"]) == ("refuses", {"loop": 3})
    assert "c says that it does not pass on: loop" in measured.verdict


async def test_a_detour_is_told_from_the_best_way() -> None:
    async with bench("abc") as nodes:
        a, b, c = nodes.nodes
        await a.node.overlay.dial(c.node.address)
        await until(lambda: is_on_the_map(a, c))
        # a hands to b what is for its own neighbour c; b does not think of handing it back.
        pass_on_to(a, c.id, b)
        pass_on_to(b, c.id, c)
        _, fields = await examined(nodes, a, c.id)
    [row] = fields["peers"]
    assert (row["path"], row["hops"], row["best_hops"]) == ([b.id, c.id], 2, 1)
    assert row["path_cost_s"] >= row["best_cost_s"] * 0.999
    # By the map of a busy machine either way may be the best; nobody traced the direct one.
    assert row["stretch"] in {None, 1.0}


async def test_a_node_that_died_is_on_the_map_and_cut_off() -> None:
    async with bench("abc") as nodes:
        a, _, c = nodes.nodes
        for link in c.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        await until(lambda: not a.port.facts(c.id).hops)
        measured, fields = await examined(nodes, a)
        alone, _ = await examined(nodes, a, c.id)
    assert not measured.success
    assert measured.verdict == "1 of 2 peers reached; no way to c"
    row = by_name(fields["peers"])["c"]
    assert (row["reachable"], row["verdict"]) == (False, "no way to it: stopped, dead or cut off")
    assert fields["matrix"]["hops"] == [[0, 1, None], [1, 0, None], [None, None, 0]]
    assert fields["matrix"]["sources"] == ["own", "told", "map"]
    assert not alone.success
    assert alone.verdict == "0 of 1 peer reached; no way to c"


async def test_peers_that_take_part_in_no_tests_are_known_by_the_map_alone() -> None:
    async with bench("abc") as nodes:
        for consent in nodes.consents.values():
            consent.caps = type(consent.caps)(is_enabled=False)
        measured, fields = await examined(nodes, nodes.nodes[0])
    assert measured.success
    assert fields["matrix"]["sources"] == ["own", "map", "map"]
    assert fields["matrix"]["hops"] == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    [relay] = fields["relays"]
    assert relay["dropped"] is None


async def test_alone_there_is_nothing_to_examine() -> None:
    async with bench("a") as nodes:
        measured, fields = await examined(nodes, nodes.nodes[0])
    assert not measured.success
    assert measured.verdict == "no other node is known"
    assert (fields["peers"], fields["relays"]) == ([], [])
    assert fields["matrix"]["hops"] == [[0]]
