"""The stress test over real overlays: rates held, losses placed, the highest rate found, peers declining."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, PeerUnreachableError
from qudag_node.nettests import stress
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.load import LoadAck, LoadService, decode_load, encode_ack
from qudag_node.nettests.messages import Opcode
from qudag_node.nettests.requests import StressOptions
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.results import Measured
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.routed import RoutedKind, RoutedMessage
from qudag_node.overlay.testport import Way
from tests.qudag_node.nettests.contexts import Bench, bench, drop_on_the_way
from tests.qudag_node.nettests.nodes import Tested
from tests.qudag_node.overlay.links import until


@dataclass
class Loading:
    """Some nodes that load each other."""

    bench: Bench
    services: dict[str, LoadService]

    @property
    def nodes(self) -> Sequence[Tested]:
        return self.bench.nodes

    def context(self, source: Tested, target: Tested, **changes: Any) -> Context:
        context = self.bench.context(source, target.id)
        return replace(context, loads=self.services[source.id], **changes)


@asynccontextmanager
async def loading(names: str, **settings: Any) -> AsyncGenerator[Loading]:
    services: dict[str, LoadService] = {}

    def add(node: Tested, responder: Responder, _: Consent) -> None:
        services[node.id] = LoadService(port=node.port, control=node.control, responder=responder, clock=time)

    async with bench(names, add=add, **settings) as made:
        yield Loading(made, services)


def options(**changes: Any) -> StressOptions:
    values: dict[str, Any] = {"rate_per_s": 200.0, "duration_s": 0.5, "timeout_s": 10.0, **changes}
    return StressOptions(**values)


async def stressed(nodes: Loading, **changes: Any) -> tuple[Measured, dict[str, Any]]:
    """Load the last node from the first; no session is left behind."""
    a, z = nodes.nodes[0], nodes.nodes[-1]
    measured = await stress.run(nodes.context(a, z), options(**changes))
    assert len(nodes.bench.responders[z.id]) == 0
    return measured, dict(measured.fields)


def is_load(message: RoutedMessage) -> bool:
    return message.kind is RoutedKind.TEST and message.body[0] == Opcode.LOAD


async def test_a_rate_is_held_and_every_message_is_accounted_for() -> None:
    async with loading("abc") as nodes:
        measured, fields = await stressed(nodes, size_bytes=100)
    assert measured.success
    assert (measured.method, measured.errors) == ("overlay-messages", ())
    assert (fields["due"], fields["offered"], fields["delivered"]) == (100, 100, 100)
    assert (fields["loss_ratio"], fields["drops"], fields["reordered"]) == (0.0, [], 0)
    assert (fields["rate_per_s"], fields["size_bytes"], fields["hops"]) == (200.0, 100, 2)
    assert (fields["found_rate_per_s"], fields["steps"], fields["goal"]) == (None, [], None)
    latency = fields["latency"]
    assert latency["samples"] == 100
    assert 0 < latency["min_s"] <= latency["p50_s"] <= latency["p99_s"] <= latency["max_s"]
    assert fields["throughput_per_s"] * 100 * 8 == pytest.approx(fields["goodput_bits_per_s"])
    assert measured.verdict.startswith("c: ")
    assert "none lost, p50 " in measured.verdict
    told = nodes.bench.told[-1]
    assert (told["offered"], told["delivered"]) == (100, 100)
    assert told["done"] is not None


async def test_over_200_a_second_not_every_message_is_acknowledged_but_all_are_counted() -> None:
    async with loading("ab") as nodes:
        _, fields = await stressed(nodes, rate_per_s=1_500.0, duration_s=0.2)
    assert (fields["due"], fields["delivered"]) == (300, 300)
    assert fields["latency"]["samples"] == 38, "every eighth"


async def test_what_a_relay_drops_is_counted_to_the_message_and_placed() -> None:
    async with loading("abc") as nodes:
        b = nodes.nodes[1]
        drop_on_the_way(b, every=5, where=is_load)
        measured, fields = await stressed(nodes)
    assert (fields["offered"], fields["delivered"], fields["loss_ratio"]) == (100, 80, 0.2)
    assert fields["drops"] == [
        {"where": "relay", "peer": b.id, "name": "b", "cause": "routed_no_route", "count": 20}
    ]
    assert measured.success, "it was measured, however bad it is"
    assert "20 % lost" in measured.verdict
    assert measured.verdict.endswith("; 20 messages dropped by b: routed_no_route")


async def test_what_nobody_counts_was_dropped_in_an_unknown_place() -> None:
    async with loading("abc") as nodes:
        b = nodes.nodes[1]
        drop_on_the_way(b, every=2, where=is_load)
        nodes.bench.consents[b.id].caps = Caps(is_enabled=False)
        measured, fields = await stressed(nodes)
    [place] = fields["drops"]
    assert (place["where"], place["peer"], place["count"]) == ("unknown", None, 50)
    assert "50 messages dropped by an unknown place" in measured.verdict


@pytest.mark.parametrize(("every", "causes"), [(None, set()), (5, {"routed_no_route"})])
async def test_a_drop_that_is_none_of_the_messages_is_not_told(every: int | None, causes: set[str]) -> None:
    async with loading("abc") as nodes:
        a, b, c = nodes.nodes
        if every is not None:
            drop_on_the_way(b, every=every, where=is_load)
        context = nodes.context(a, c)
        run = asyncio.create_task(stress.run(context, options(duration_s=60.0)))
        await until(lambda: any(told["delivered"] >= 20 for told in nodes.bench.told))
        # As an acknowledgement does that comes when its test is over.
        c.port.send(a.id, encode_ack(LoadAck(bytes(16), 0, 0, 1)), way=Way.OVERLAY)
        await until(lambda: "test_unasked" in a.port.drop_counts())
        context.stopping.set()
        measured = await run
    fields: dict[str, Any] = dict(measured.fields)
    assert {drop["cause"] for drop in fields["drops"]} == causes
    assert (fields["offered"] > fields["delivered"]) is bool(causes)
    assert "test_unasked" not in measured.verdict


async def test_a_relay_that_lets_nothing_through_is_a_failure() -> None:
    async with loading("abc") as nodes:
        drop_on_the_way(nodes.nodes[1], where=is_load)
        measured, fields = await stressed(nodes)
    assert not measured.success
    assert (fields["delivered"], fields["loss_ratio"]) == (0, 1.0)
    assert fields["latency"]["p99_s"] is None
    assert measured.verdict.startswith("c: nothing of 100 messages arrived; 100 messages dropped by b")


async def test_the_highest_rate_that_meets_the_goal_is_found() -> None:
    async with loading("abc") as nodes:
        # A relay that carries 30 messages of each step of half a second, and drops the others.
        carried: Counter[int] = Counter()

        def is_too_much(message: RoutedMessage) -> bool:
            load = decode_load(message.body) if is_load(message) else None
            if load is None:
                return False
            carried[load.step] += 1
            return carried[load.step] > 30

        drop_on_the_way(nodes.nodes[1], where=is_too_much)
        measured, fields = await stressed(
            nodes, rate_per_s=20.0, max_rate_per_s=1000.0, duration_s=5.0, find="loss<5%"
        )
    assert measured.success
    found = fields["found_rate_per_s"]
    assert 40 <= found < 64
    assert fields["rate_per_s"] == found
    assert fields["goal"] == "loss<5%"
    steps = fields["steps"]
    tried = {(step["rate_per_s"], step["is_met"]) for step in steps}
    assert tried >= {(20.0, True), (40.0, True), (80.0, False)}
    assert fields["loss_ratio"] < 0.05
    assert f"loss<5% is met up to {found:.3g} messages/s, not at" in measured.verdict


async def test_a_rate_that_met_the_goal_at_the_second_try_only_says_so() -> None:
    async with loading("abc") as nodes:

        def is_of_the_first_try(message: RoutedMessage) -> bool:
            load = decode_load(message.body) if is_load(message) else None
            return load is not None and load.step == 0

        drop_on_the_way(nodes.nodes[1], where=is_of_the_first_try)
        measured, fields = await stressed(
            nodes, rate_per_s=20.0, max_rate_per_s=20.0, duration_s=5.0, find="loss<50%"
        )
    assert [step["is_met"] for step in fields["steps"]] == [False, True]
    assert "loss<50% is met up to 20 messages/s at the second try (" in measured.verdict


async def test_a_goal_that_is_never_met_is_told_and_fails() -> None:
    async with loading("ab") as nodes:
        measured, fields = await stressed(
            nodes, rate_per_s=1.0, max_rate_per_s=50.0, duration_s=1.0, find="p50<1ns"
        )
    assert not measured.success
    assert fields["found_rate_per_s"] is None
    assert "p50<1ns is not met even at 1 messages/s" in measured.verdict


async def test_a_search_goes_no_higher_than_the_peer_allows() -> None:
    async with loading("ab", caps=Caps(max_packets_per_s=30.0)) as nodes:
        _, fields = await stressed(
            nodes, rate_per_s=10.0, max_rate_per_s=1000.0, duration_s=4.0, find="loss<50%"
        )
    assert max(step["rate_per_s"] for step in fields["steps"]) <= 30.0
    assert (fields["found_rate_per_s"], fields["search_end"]) == (30.0, "most")


@pytest.mark.parametrize(
    ("caps", "reason"),
    [
        (Caps(is_enabled=False), "takes part in no tests"),
        (Caps(max_packets_per_s=100.0), "at most 100 packets/s"),
        (Caps(max_duration_s=0.1), "at most 0.1 s"),
        (Caps(max_heavy_sessions=0), "busy"),
    ],
)
async def test_a_peer_that_declines_is_not_loaded(caps: Caps, reason: str) -> None:
    async with loading("ab", caps=caps) as nodes:
        with pytest.raises(DeclinedError, match=reason):
            await stressed(nodes)
        assert nodes.nodes[1].drops == {}


async def test_this_nodes_own_caps_hold_for_itself() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        context = nodes.context(a, b, config=TestsConfig(max_packets_per_s=100.0))
        with pytest.raises(DeclinedError, match=r"this node's own .* is 100, 200 were asked"):
            await stress.run(context, options())


async def test_a_test_that_is_stopped_says_what_it_has() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        context = nodes.context(a, b)
        run = asyncio.create_task(stress.run(context, options(duration_s=60.0)))
        await until(lambda: any(told["delivered"] for told in nodes.bench.told))
        context.stopping.set()
        measured = await run
        assert len(nodes.bench.responders[b.id]) == 0
    fields: dict[str, Any] = dict(measured.fields)
    assert 0 < fields["delivered"] == fields["offered"] < 12_000
    assert measured.success


async def test_a_peer_that_goes_away_meanwhile_leaves_what_was_measured() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        run = asyncio.create_task(stress.run(nodes.context(a, b), options(duration_s=2.0, timeout_s=0.5)))
        await until(lambda: any(told["delivered"] for told in nodes.bench.told))
        for link in b.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        measured = await run
    fields: dict[str, Any] = dict(measured.fields)
    assert not measured.success
    assert fields["offered"] == 400
    assert fields["delivered"] < 400
    assert any("the peer's last counts are missing" in line for line in measured.errors)


async def test_a_peer_that_cannot_be_reached_is_refused_with_one_line() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        a.node.overlay.ban(b.id, reason="a test")
        with pytest.raises(PeerUnreachableError, match="is banned by this node"):
            await stressed(nodes)
        with pytest.raises(PeerUnreachableError, match="no part in stress tests"):
            a.node.overlay.unban(b.id)
            await a.node.overlay.dial(b.node.address)
            await stress.run(nodes.bench.context(a, b.id), options())
