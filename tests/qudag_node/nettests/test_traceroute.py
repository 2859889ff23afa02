"""The traceroute over real overlays: each hop, relays that drop, peers that are gone, the IP path below."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from qudag_node.errors import PeerUnreachableError
from qudag_node.nettests import traceroute
from qudag_node.nettests.requests import TracerouteOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.tracing import PathTracer, desk_of
from qudag_node.nettests.underlay import read_path
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.routed import RoutedKind
from tests.needs import need
from tests.qudag_node.nettests.contexts import Bench, bench, drop_on_the_way, pass_on_to
from tests.qudag_node.overlay.links import until

# A loaded machine answers late; what is lost here is lost on purpose.
PATIENT_S = 10.0
LOST_S = 1.5


def options(**changes: Any) -> TracerouteOptions:
    values: dict[str, Any] = {"count": 3, "interval_s": 0.05, "timeout_s": PATIENT_S, **changes}
    return TracerouteOptions(**values)


async def traced(nodes: Bench, **changes: Any) -> Measured:
    """Trace from the first node to the last."""
    context = nodes.context(nodes.nodes[0], nodes.nodes[-1].id)
    return await traceroute.run(context, options(**changes))


def figures(measured: Measured) -> dict[str, Any]:
    return dict(measured.fields)


def hops(measured: Measured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = figures(measured)["hops"]
    return rows


async def test_every_hop_of_the_overlay_answers_with_its_figures() -> None:
    async with bench("abcd") as nodes:
        measured = await traced(nodes, count=5)
        desk = desk_of(nodes.nodes[0].port)
    rows = hops(measured)
    assert [(row["ttl"], row["name"], row["reason"]) for row in rows] == [
        (1, "b", "ttl"),
        (2, "c", "ttl"),
        (3, "d", "reached"),
    ]
    assert [row["peer"] for row in rows] == [node.id for node in nodes.nodes[1:]]
    for row in rows:
        assert (row["sent"], row["received"], row["loss_ratio"], row["return_hops"]) == (
            5,
            5,
            0.0,
            row["ttl"],
        )
        assert row["rtt"]["samples"] == 5
        assert 0 < row["rtt"]["min_s"] <= row["rtt"]["p50_s"] <= row["rtt"]["max_s"] < PATIENT_S
    [route] = figures(measured)["routes"]
    assert (route["path"], route["count"]) == ([node.id for node in nodes.nodes[1:]], 5)
    assert measured.fields["route_changes"] == 0
    assert measured.fields["destination_reached"] is True
    assert measured.success
    assert measured.verdict.startswith("d answers over 3 hops in ")
    assert "no loss" in measured.verdict
    assert (measured.method, measured.errors) == ("overlay-trace", ())
    assert len(desk) == 0, "nothing is waited for any more"


async def test_what_is_under_way_when_it_is_ended_is_no_loss() -> None:
    async with bench("abc") as nodes:
        context = nodes.context(nodes.nodes[0], nodes.nodes[-1].id)
        run = asyncio.create_task(traceroute.run(context, options(count=0)))
        await until(lambda: len(desk_of(nodes.nodes[0].port)) > 0)  # traces are out, and not all are answered
        context.stopping.set()
        measured = await run
    assert {row["loss_ratio"] for row in hops(measured)} == {0.0}


async def test_a_relay_that_drops_is_where_the_loss_begins() -> None:
    async with bench("abcd") as nodes:
        # Of the traces that pass b to each of the nodes beyond, every second one.
        drop_on_the_way(nodes.nodes[1], every=2, kinds={RoutedKind.TRACE})
        measured = await traced(nodes, count=20, timeout_s=LOST_S)
    assert [row["loss_ratio"] for row in hops(measured)] == [0.0, 0.5, 0.5]
    assert hops(measured)[1]["verdict"] == "loss begins here"
    assert "50 % lost, from hop 2 (c) on" in measured.verdict


async def test_where_everything_is_dropped_the_last_that_answers_is_named() -> None:
    async with bench("abcd") as nodes:
        drop_on_the_way(nodes.nodes[2])
        measured = await traced(nodes, timeout_s=LOST_S)
    assert not measured.success
    assert [row["verdict"] for row in hops(measured)][1:] == [
        "nothing beyond it answers",
        "no answer, nor from beyond",
    ]
    assert measured.verdict.startswith("d was not reached: hop 2 (c) is the last that answers")
    assert measured.fields["destination_reached"] is False


async def test_a_relay_without_a_route_says_so() -> None:
    async with bench("abc") as nodes:
        _, b, c = nodes.nodes
        pass_on_to(b, c.id, None)
        measured = await traced(nodes)
    assert [row["reason"] for row in hops(measured)] == ["no-route"]
    assert measured.verdict == "c was not reached: hop 1 (b) has no route to it"
    assert not measured.success


async def test_a_neighbour_is_one_hop_and_nobody_adds_anything() -> None:
    async with bench("ab") as nodes:
        measured = await traced(nodes)
    [row] = hops(measured)
    assert (row["reason"], row["verdict"]) == ("reached", "ok")
    assert row["added_s"] == pytest.approx(row["rtt"]["p50_s"])
    assert measured.verdict.startswith("b answers over 1 hop in ")


async def test_a_route_that_changes_meanwhile_is_told() -> None:
    async with bench("abc") as nodes:
        a, b, c = nodes.nodes
        await a.node.overlay.dial(c.node.address)
        await until(lambda: {a.id, b.id} <= set(c.port.neighbours()))
        # Which of the two ways is the better one is not for a busy machine to decide.
        pass_on_to(a, c.id, b)
        pass_on_to(b, c.id, c)
        pass_on_to(c, a.id, a)
        stopping = asyncio.Event()
        context = nodes.context(a, c.id, stopping=stopping)
        run = asyncio.create_task(traceroute.run(context, options(count=0)))
        await until(lambda: any(told["destination_reached"] for told in nodes.told))
        pass_on_to(a, c.id, c)
        await until(lambda: any(len(told["routes"]) == 2 for told in nodes.told))
        stopping.set()
        measured = await run
    assert [route["path"] for route in figures(measured)["routes"]] == [[b.id, c.id], [c.id]]
    assert measured.fields["route_changes"] == 1
    assert "the route changed 1 time" in measured.verdict
    assert all(told["done"] is None for told in nodes.told), "nobody knows when it ends"


async def test_a_way_back_that_is_another_one_is_told() -> None:
    async with bench("abc") as nodes:
        a, b, c = nodes.nodes
        await a.node.overlay.dial(c.node.address)
        await until(lambda: {a.id, b.id} <= set(c.port.neighbours()))
        # There over b, back at once.
        pass_on_to(a, c.id, b)
        pass_on_to(b, c.id, c)
        pass_on_to(b, a.id, a)
        pass_on_to(c, a.id, a)
        stopping = asyncio.Event()
        run = asyncio.create_task(traceroute.run(nodes.context(a, c.id, stopping=stopping), options(count=0)))
        await until(lambda: any(told["destination_reached"] for told in nodes.told))
        stopping.set()
        measured = await run
    assert [(row["ttl"], row["return_hops"]) for row in hops(measured)] == [(1, 1), (2, 1)]
    assert "its answers come back over 1 hop" in measured.verdict


async def test_a_peer_that_is_gone_or_banned_is_refused_with_one_line() -> None:
    async with bench("ab") as nodes:
        a, b = nodes.nodes
        a.node.overlay.ban(b.id, reason="a test")
        with pytest.raises(PeerUnreachableError, match="is banned by this node"):
            await traced(nodes)
        a.node.overlay.unban(b.id)
        await until(lambda: not a.port.facts(b.id).hops)
        with pytest.raises(PeerUnreachableError, match="b cannot be reached: it is not linked"):
            await traced(nodes)


async def test_what_cannot_be_sent_is_no_loss_of_the_network() -> None:
    async with bench("abc") as nodes:
        a, _, c = nodes.nodes
        tracer = PathTracer(a.port, c.id, nodes.context(a, c.id).clock, timeout_s=PATIENT_S, max_hops=4)
        for link in a.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        await until(lambda: not a.port.facts(c.id).hops)
        with tracer:
            tracer.send_round(0, 0.0)
            assert not tracer.is_waiting
        assert tracer.unsent == 2
        assert "routed_no_route" in tracer.why_unsent
        assert tracer.table.report().hops == ()


async def test_faster_than_relays_answer_is_not_tried() -> None:
    async with bench("ab") as nodes:
        measured = await traced(nodes, interval_s=0.01, count=2)
    assert measured.errors == ("a round every 25.0 ms: relays answer no more traces than that",)


async def test_the_ip_path_below_each_link_is_traced_where_the_link_is() -> None:
    need(sys.platform == "linux", "Linux")
    async with bench("abc") as nodes:
        measured = await traced(nodes, underlay=True)
        ids = [node.id for node in nodes.nodes]
    sections: Any = measured.fields["underlay"]
    assert [section["between"] for section in sections] == [ids[:2], ids[1:]]
    assert [section["names"][1] for section in sections] == ["b", "c"]
    for section in sections:
        assert section["error"] is None
        assert section["is_reached"]
        [hop] = section["hops"]
        assert (hop["address"], hop["ttl"], hop["reason"]) == ("127.0.0.1", 1, "reached")
        assert "peer" not in hop


async def test_a_relay_that_takes_part_in_no_tests_leaves_a_line_for_its_link() -> None:
    need(sys.platform == "linux", "Linux")
    async with bench("abc") as nodes:
        b = nodes.nodes[1]
        consent = nodes.consents[b.id]
        consent.caps = type(consent.caps)(is_enabled=False)
        measured = await traced(nodes, underlay=True)
    first, second = figures(measured)["underlay"]
    assert first["error"] is None
    assert "tests.enabled = false" in second["error"]
    assert second["hops"] == []


async def test_only_the_links_of_a_node_are_traced_by_it_and_seldom() -> None:
    need(sys.platform == "linux", "Linux")
    async with bench("abc") as nodes:
        a, b, c = nodes.nodes

        async def ask(to: str, rounds: int = 1) -> str:
            try:
                await a.control.ask(b.id, "underlay.trace", {"to": to, "rounds": rounds}, timeout_s=30.0)
            except Exception as exc:  # noqa: BLE001  # what it says is looked at
                return str(exc)
            return "done"

        assert "only the other end of a link" in await ask(b.id)
        assert "only the other end of a link" in await ask("nobody")
        assert "'rounds' must be a whole number from 1 to 5" in await ask(c.id, 100)
        answers = await asyncio.gather(*(ask(c.id) for _ in range(5)))
    assert sorted(answers)[1:] == ["done"] * 4
    assert "often enough for now" in min(answers)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"sent": [[0, 1]], "answers": []},
        {"sent": [[0, 99, 0.0]], "answers": []},
        {"sent": [[0, 1, 0.0]], "answers": [[0, 1, "x", "ttl", "soon", 1]]},
        {"sent": 5, "answers": []},
        {"sent": [[0, 1, 0.0]], "answers": [], "path_mtu_bytes": "large"},
    ],
)
def test_what_a_relay_tells_of_its_ip_path_is_not_believed_blindly(found: dict[str, Any]) -> None:
    with pytest.raises(PeerUnreachableError, match="cannot be read"):
        read_path(found)


def test_an_ip_path_that_does_not_reach_says_where_it_ends() -> None:
    sent = [[0, ttl, 0.0] for ttl in (1, 2)]
    silent = read_path({"sent": sent, "answers": []})
    assert silent["error"] == "nothing answers: a firewall drops UDP or ICMP on the way"
    ended = read_path({"sent": sent, "answers": [[0, 1, "10.0.0.1", "ttl", 0.001, None]]})
    assert ended["error"] == "the end does not answer: a firewall before it drops UDP or ICMP"
    refused = read_path({"sent": sent, "answers": [[0, 1, "10.0.0.1\x1b[31m", "prohibited", 0.001, 1]]})
    assert refused["error"] == "the path ends: prohibited"
    assert refused["hops"][0]["address"].isprintable()  # type: ignore[index]  # a list
