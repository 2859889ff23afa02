"""Connectivity step by step, with peers that are well, gone, somebody else, deaf or far; and from outside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from qudag_node.errors import ConfigError, DeclinedError, PeerUnreachableError
from qudag_node.nettests import connectivity
from qudag_node.nettests.connectivity import read_steps
from qudag_node.nettests.requests import ConnectivityOptions
from qudag_node.nettests.results import Measured
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.peerid import PeerId
from tests.qudag_node.nettests.contexts import bench
from tests.qudag_node.nettests.nodes import Tested
from tests.qudag_node.nettests.test_ping import Pinging, pinging
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, running

DIAL_STEPS = ["resolve", "tcp", "tls", "identity", "protocol"]
# A loaded machine answers late; what is silent here is silent for good.
PATIENT_S = 10.0


async def examined(
    nodes: Pinging, source: Tested, target: PeerId | None, **changes: Any
) -> tuple[Measured, list[dict[str, Any]]]:
    values: dict[str, Any] = {"timeout_s": PATIENT_S, **changes}
    context = nodes.bench.context(source, target)
    if source.id in nodes.services:
        context = replace(context, echoes=nodes.services[source.id].echoes)
    measured = await connectivity.run(context, ConnectivityOptions(**values))
    steps: list[dict[str, Any]] = dict[str, Any](measured.fields)["steps"]
    return measured, steps


def outcome(steps: list[dict[str, Any]]) -> dict[str, bool | None]:
    return {step["step"]: step["ok"] for step in steps}


def listen_address(node: Node) -> str:
    return node.overlay.listen_addresses[0]


@asynccontextmanager
async def deaf_port() -> AsyncGenerator[str]:
    """A port that takes connections and never says a word, as one behind some firewalls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@asynccontextmanager
async def chatty_port() -> AsyncGenerator[str]:
    """A port where something else than a node is."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


async def test_with_a_neighbour_that_is_well_every_step_succeeds() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        measured, steps = await examined(nodes, a, b.id)
        address = listen_address(b.node)
    assert outcome(steps) == dict.fromkeys([*DIAL_STEPS, "ping-udp", "ping-link"], True)
    assert measured.success
    assert measured.verdict == "b: all 7 steps succeed"
    assert measured.method == "steps"
    assert all(step["duration_s"] >= 0 and not step["reason"] for step in steps)
    assert steps[3]["detail"] == b.id
    assert steps[5]["detail"].startswith("5 of 5 answered, ")
    assert measured.fields["reachable_from_outside"] is None
    lines = [told["line"] for told in nodes.bench.told]
    assert lines == [f"dialling {address}", "ping-udp", "ping-link"]


@pytest.mark.parametrize("what", ["closed", "deaf", "chatty", "somebody"])
async def test_the_step_that_fails_and_why_is_named(what: str) -> None:
    async with pinging("abc") as nodes, deaf_port() as deaf, chatty_port() as chatty:
        a, b, c = nodes.nodes
        address, step, reason, timeout_s = {
            "closed": (closed_port(), "tcp", "nothing listens at this port", PATIENT_S),
            "deaf": (deaf, "tls", "no answer within 0.5 s: what listens there does not speak TLS", 0.5),
            "chatty": (chatty, "tls", "TLS failed", PATIENT_S),
            "somebody": (
                listen_address(c.node),
                "identity",
                f"another node answers there: {c.id}",
                PATIENT_S,
            ),
        }[what]
        measured, steps = await examined(nodes, a, b.id, address=address, timeout_s=timeout_s)
    dialled = DIAL_STEPS[: DIAL_STEPS.index(step) + 1]
    assert outcome(steps) == {
        **{name: name != step for name in dialled},
        **dict.fromkeys(DIAL_STEPS[len(dialled) :]),
        "ping-udp": True,
        "ping-link": True,
    }
    assert [each["step"] for each in steps][:5] == DIAL_STEPS
    if len(dialled) < len(DIAL_STEPS):
        assert steps[len(dialled)]["reason"] == f"not tried: {step} fails"
    assert reason in steps[len(dialled) - 1]["reason"]
    assert not measured.success
    assert f"b: {step} fails: {reason}" in measured.verdict
    assert measured.verdict.endswith("A link to it stands all the same")


async def test_a_peer_behind_relays_is_dialled_and_not_pinged() -> None:
    async with pinging("abc") as nodes:
        a, _, c = nodes.nodes
        known, unknown = (
            await examined(nodes, a, c.id, address=listen_address(c.node)),
            await examined(nodes, a, c.id, address=closed_port()),
        )
    measured, steps = known
    assert outcome(steps) == {**dict.fromkeys(DIAL_STEPS, True), "ping-udp": None, "ping-link": None}
    assert steps[-1]["reason"] == "not tried: reached through relays, 2 hops"
    assert measured.success
    assert measured.verdict == "c: the first 5 steps succeed; ping-udp, ping-link not tried"
    assert unknown[0].verdict.endswith("It is reached all the same, through relays")


async def test_a_peer_behind_relays_is_asked_for_its_address() -> None:
    async with pinging("abc") as nodes:
        a, _, c = nodes.nodes
        assert a.port.facts(c.id).address == ""
        measured, steps = await examined(nodes, a, c.id)
        # What is no address to dial is passed over.
        c.port.own_addresses = lambda: ("0.0.0.0:1", "nowhere", "127.0.0.1:0", listen_address(c.node))
        again, _ = await examined(nodes, a, c.id)
    assert outcome(steps) == {**dict.fromkeys(DIAL_STEPS, True), "ping-udp": None, "ping-link": None}
    assert measured.success
    assert again.success


async def test_a_peer_without_an_address_says_how_to_give_one() -> None:
    async with pinging("abc") as nodes:
        a, _, c = nodes.nodes
        consent = nodes.bench.consents[c.id]
        consent.caps = type(consent.caps)(is_enabled=False)
        measured, steps = await examined(nodes, a, c.id)
    assert steps[0]["reason"] == "no address of it is known here; --address HOST:PORT names one"
    assert outcome(steps) == {**dict.fromkeys([*DIAL_STEPS, "ping-udp", "ping-link"]), "resolve": False}
    assert not measured.success


async def test_a_peer_that_is_gone_fails_at_its_port() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        address = listen_address(b.node)
        await b.node.overlay.stop()
        await until(lambda: not a.port.facts(b.id).hops)
        measured, steps = await examined(nodes, a, b.id, address=address)
    not_tried = dict.fromkeys([*DIAL_STEPS, "ping-udp", "ping-link"])
    assert outcome(steps) == {**not_tried, "resolve": True, "tcp": False}
    assert "b: tcp fails: nothing listens at this port" in measured.verdict


async def test_an_address_alone_shows_who_is_there() -> None:
    async with pinging("ab") as nodes, running(stranger := Node("stranger")):
        a, b = nodes.nodes
        linked, steps = await examined(nodes, a, None, address=listen_address(b.node))
        other, other_steps = await examined(nodes, a, None, address=listen_address(stranger))
        itself, _ = await examined(nodes, a, None, address=listen_address(a.node))
        with pytest.raises(ConfigError):
            await examined(nodes, a, None)
    assert outcome(steps) == dict.fromkeys([*DIAL_STEPS, "ping-udp", "ping-link"], True)
    assert linked.verdict == "b: all 7 steps succeed"
    assert other_steps[3]["detail"] == stranger.id
    assert other.success
    assert itself.success, "what is there is a node; which one is in the details"


async def test_another_network_is_told() -> None:
    async with pinging("ab") as nodes, running(other := Node("other", network="elsewhere")):
        a, _ = nodes.nodes
        measured, steps = await examined(nodes, a, None, address=listen_address(other))
    assert outcome(steps)["protocol"] is False
    assert "it is in network 'elsewhere'" in measured.verdict


async def test_a_banned_peer_is_not_dialled() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        a.node.overlay.ban(b.id, reason="a test")
        with pytest.raises(PeerUnreachableError, match="qudag peer unban"):
            await examined(nodes, a, b.id)


async def test_a_peer_that_declines_pings_fails_no_step_and_has_declined() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        consent = nodes.bench.consents[b.id]
        consent.caps = type(consent.caps)(is_enabled=False)
        measured, steps = await examined(nodes, a, b.id)
    assert (outcome(steps)["ping-udp"], outcome(steps)["ping-link"]) == (None, None)
    assert "not tried: it declined: it takes part in no tests" in steps[-1]["reason"]
    assert measured.declined == "it takes part in no tests (tests.enabled = false there)"
    assert not measured.success


async def test_a_peer_that_answers_but_is_not_linked_is_not_well() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        address = listen_address(b.node)
        b.node.overlay.ban(a.id, reason="a test")
        await until(lambda: not a.port.facts(b.id).hops)
        measured, steps = await examined(nodes, a, b.id, address=address)
    assert outcome(steps) == {**dict.fromkeys(DIAL_STEPS, True), "ping-udp": None, "ping-link": None}
    assert not measured.success
    assert measured.verdict == (
        "b: it answers at its address, but there is no link to it: it may have banned this node, or be full"
    )


async def test_a_peer_behind_relays_that_bans_this_node_is_not_well() -> None:
    async with pinging("abc") as nodes:
        a, _, c = nodes.nodes
        c.node.overlay.ban(a.id, reason="a test")
        measured, _ = await examined(nodes, a, c.id, address=listen_address(c.node))
    assert not measured.success
    assert "through relays it does not answer: it may have banned this node" in measured.verdict


# From outside.


async def test_a_peer_dials_back_and_says_that_it_got_through() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        measured, steps = await examined(nodes, a, None, outside=True)
        address = listen_address(a.node)
    assert outcome(steps) == dict.fromkeys(DIAL_STEPS, True)
    fields = measured.fields
    assert (fields["reachable_from_outside"], fields["by"], fields["by_name"]) == (None, b.id, "b")
    assert fields["address"] == address
    assert measured.success
    assert measured.verdict == (
        f"reachable: b dialled {address}, and all 5 steps succeed; "
        "that is this machine, and says nothing of the outside"
    )


async def test_a_port_that_nobody_gets_through_to_is_told() -> None:
    port = int(closed_port().rpartition(":")[2])
    async with pinging("ab", advertise=(f"127.0.0.1:{port}",)) as nodes:
        a, b = nodes.nodes
        measured, steps = await examined(nodes, a, None, outside=True)
    assert outcome(steps) == {**dict.fromkeys(DIAL_STEPS), "resolve": True, "tcp": False}
    assert measured.fields["reachable_from_outside"] is False
    assert not measured.success
    assert f"not reachable from outside: b dialled 127.0.0.1:{port}: tcp fails" in measured.verdict
    assert b.id == measured.fields["by"]


async def test_where_nobody_dials_back_the_reasons_stand() -> None:
    async with pinging("ab") as nodes:
        a, b = nodes.nodes
        consent = nodes.bench.consents[b.id]
        consent.caps = type(consent.caps)(is_enabled=False)
        with pytest.raises(DeclinedError, match="nobody dials back: b: it takes part in no tests"):
            await examined(nodes, a, None, outside=True)
        for link in a.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        await until(lambda: not a.port.neighbours())
        with pytest.raises(PeerUnreachableError, match="no peer is linked"):
            await examined(nodes, a, None, outside=True)


def test_what_a_peer_tells_of_its_steps_is_read_with_care() -> None:
    good = {"step": "tcp", "ok": True, "duration_s": 0.5, "detail": "fine\x1b[31m", "reason": ""}
    told: list[object] = [
        good,
        {**good, "step": "dance"},
        {**good, "ok": "yes"},
        {**good, "duration_s": -1.0},
        {"step": "tcp"},
        "tcp",
        *[good] * 10,
    ]
    steps = read_steps(told)
    assert len(steps) == 5
    assert steps[0].detail.isprintable()
    assert (steps[0].step, steps[0].ok, steps[0].duration_s) == ("tcp", True, 0.5)
    assert read_steps("nothing") == read_steps(None) == []


async def test_without_a_service_for_echoes_the_link_is_not_called_broken() -> None:
    async with bench("ab") as made:
        a, b = made.nodes
        nodes = Pinging(made, {})
        measured, steps = await examined(nodes, a, b.id)
    assert outcome(steps)["ping-udp"] is None
    assert "not known here" in steps[5]["reason"]
    assert measured.verdict.startswith("b: ")
