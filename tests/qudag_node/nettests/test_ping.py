from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, PeerUnreachableError
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.echo import Echo, decode_echo, encode_echo
from qudag_node.nettests.messages import Opcode
from qudag_node.nettests.ping import run
from qudag_node.nettests.pingservice import PingService
from qudag_node.nettests.requests import PingOptions
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.results import Measured
from qudag_node.nettests.stampsession import StampPlan, open_stamp, plain_address
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.testport import Way
from tests.qudag_node.nettests.contexts import Bench, bench
from tests.qudag_node.nettests.nodes import Tested
from tests.qudag_node.overlay.links import until

PATIENCE_S = 60.0
PLACES = ("received", "late", "forward_lost", "backward_lost", "local_dropped", "unplaced_lost")


@dataclass
class Pinging:
    """Some nodes that ping each other."""

    bench: Bench
    services: dict[str, PingService]
    reflectors: Workers = field(default_factory=Workers)

    @property
    def nodes(self) -> Sequence[Tested]:
        return self.bench.nodes

    def context(self, source: Tested, target: Tested, stopping: asyncio.Event | None = None) -> Context:
        context = self.bench.context(source, target.id, stopping=stopping)
        return replace(context, echoes=self.services[source.id].echoes)


@asynccontextmanager
async def pinging(names: str, **settings: Any) -> AsyncGenerator[Pinging]:
    workers, services = Workers(), dict[str, PingService]()

    def add(node: Tested, responder: Responder, _: Consent) -> None:
        services[node.id] = PingService(
            port=node.port,
            control=node.control,
            responder=responder,
            workers=workers,
            config=TestsConfig(),
            collector=node.node.collector,
            clock=time,
        )

    try:
        async with bench(names, add=add, **settings) as made:
            yield Pinging(made, services, workers)
            for responder in made.responders.values():
                assert len(responder) == 0
    finally:
        await workers.close()


def options(**values: Any) -> PingOptions:
    return replace(PingOptions(count=30, interval_s=0.005, timeout_s=20.0), **values)


def check(measured: Measured, sent: int, *, is_well: bool = True) -> dict[str, Any]:
    """What must hold whatever the machine does."""
    fields: dict[str, Any] = dict(measured.fields)
    assert fields["sent"] == sum(fields[place] for place in PLACES) == sent
    assert measured.success == is_well, measured
    assert fields["rtt"]["samples"] == fields["received"] + fields["late"]
    both = fields["forward_delay"]["avg_s"] + fields["backward_delay"]["avg_s"]
    assert both == pytest.approx(fields["rtt"]["avg_s"], abs=2e-9)
    return fields


async def test_a_neighbour_is_pinged_by_stamp() -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        measured = await run(network.context(a, b), options())
        fields = check(measured, 30)
        assert (measured.method, measured.timestamps, measured.errors) == ("stamp-udp", "kernel", ())
        assert (fields["received"], fields["loss_ratio"], fields["duplicates"]) == (30, 0.0, 0)
        assert fields["clock_relation"]["method"] == "same-clock"
        assert fields["forward_delay"]["min_s"] >= 0
        assert fields["backward_delay"]["min_s"] >= 0
        assert "by STAMP over UDP; none of 30 lost" in measured.verdict
        for node in (a, b):
            traffic = node.port.traffic()
            assert (traffic.sent >= 30, traffic.received >= 30) == (True, True)
            assert traffic.sent_bytes >= 30 * 152


@pytest.mark.parametrize(("via", "method"), [("link", "link-echo"), ("overlay", "overlay-echo")])
async def test_a_neighbour_is_pinged_over_its_link_too(via: str, method: str) -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        measured = await run(network.context(a, b), options(via=via, size_bytes=500))
        fields = check(measured, 30)
        assert (measured.method, measured.timestamps) == (method, "user")
        assert fields["received"] == 30
        assert network.bench.told[-1]["done"] > 0


async def test_a_peer_that_is_no_neighbour_is_pinged_over_the_overlay_and_that_is_said() -> None:
    async with pinging("abc") as network:
        a, _, c = network.nodes
        measured = await run(network.context(a, c), options())
        fields = check(measured, 30)
        assert measured.method == "overlay-echo"
        assert "through the overlay, 2 hops" in measured.verdict
        assert fields["received"] == 30
        for via in ("udp", "link"):
            with pytest.raises(PeerUnreachableError, match="is no neighbour but 2 hops away: without --via"):
                await run(network.context(a, c), options(via=via))


async def test_who_declines_says_why() -> None:
    async with pinging("ab", caps=Caps(max_packets_per_s=100)) as network:
        a, b = network.nodes
        for via in ("udp", "link"):
            with pytest.raises(DeclinedError, match="100"):
                await run(network.context(a, b), options(via=via))


@pytest.mark.parametrize("via", ["udp", "link"])
async def test_a_ping_that_is_stopped_tells_what_it_has(via: str) -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        stopping = asyncio.Event()
        context = network.context(a, b, stopping)
        running = asyncio.create_task(run(context, options(count=4000, via=via)))
        await until(lambda: any(told.get("received", 0) > 0 for told in network.bench.told), PATIENCE_S)
        stopping.set()
        measured = await running
        fields: dict[str, Any] = dict(measured.fields)
        assert 0 < fields["sent"] < 4000
        check(measured, fields["sent"])
        assert fields["unplaced_lost"] == 0


async def test_a_reflector_that_dies_meanwhile_is_told_of_and_what_came_back_is_kept() -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        stopping = asyncio.Event()
        running = asyncio.create_task(run(network.context(a, b, stopping), options(count=4000)))
        await until(lambda: any(told.get("received", 0) > 0 for told in network.bench.told), PATIENCE_S)
        (reflector,) = list(vars(network.reflectors)["_running"])
        os.kill(reflector.pid, signal.SIGKILL)
        told = network.bench.told
        await until(lambda: told[-1].get("sent", 0) - told[-1].get("received", 0) > 10, PATIENCE_S)
        stopping.set()
        measured = await running
        fields: dict[str, Any] = dict(measured.fields)
        check(measured, fields["sent"], is_well=False)
        assert measured.verdict.startswith("b: stopped answering after ")
        assert any("the peer's counts are missing" in error for error in measured.errors)
        assert fields["received"] > 0
        assert fields["unplaced_lost"] > 10


async def test_a_peer_that_goes_away_while_it_is_pinged_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qudag_node.nettests.responder._OUT_OF_REACH_S", 0.1)
    async with pinging("ab") as network:
        a, b = network.nodes
        context = network.context(a, b)
        running = asyncio.create_task(run(context, options(count=1000, via="link", timeout_s=1.0)))
        await until(lambda: any(told.get("received", 0) > 0 for told in network.bench.told), PATIENCE_S)
        for link in a.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        measured = await running
        assert not measured.success
        assert measured.verdict.startswith("b: stopped answering after ")
        assert "; until then " in measured.verdict
        assert any(error.endswith("it cannot be reached any more") for error in measured.errors)
        await until(lambda: len(network.bench.responders[b.id]) == 0, PATIENCE_S)


async def test_a_ping_that_is_cancelled_leaves_nothing_behind() -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        running = asyncio.create_task(run(network.context(a, b), options(count=4000)))
        await until(lambda: len(network.bench.told) > 0, PATIENCE_S)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert network.bench.workers.running == 0
        await until(lambda: len(network.bench.responders[b.id]) == 0, PATIENCE_S)


async def test_the_single_times_of_a_session_can_be_kept() -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        plan = StampPlan(interval_s=0.005, duration_s=30, size_bytes=300, timeout_s=20, keep=True)
        async with await open_stamp(network.context(a, b), b.id, plan) as session:
            received = asyncio.Event()
            sent = asyncio.create_task(
                session.sent(lambda event: received.set() if event["received"] > 1 else None)
            )
            await received.wait()
            session.stop()
            await sent
            measured = await session.result()
        assert measured.statistics["sent"] == len(measured.due_mono_ns) == len(measured.round_trip_ns)
        assert measured.has_reached
        assert min(measured.round_trip_ns) / 1e9 == measured.statistics["rtt"]["min_s"]
        gaps = {
            late - early for early, late in zip(measured.due_mono_ns, measured.due_mono_ns[1:], strict=False)
        }
        assert min(gaps) == 5_000_000


async def test_echoes_that_nobody_agreed_on_are_dropped() -> None:
    async with pinging("ab") as network:
        a, b = network.nodes
        for body in (
            encode_echo(Opcode.ECHO, Echo(b"s" * 16, 0), 100),
            encode_echo(Opcode.ECHO_REPLY, Echo(b"s" * 16, 0), 100),
            bytes([Opcode.ECHO]) + b"short",
            bytes([Opcode.ECHO_REPLY]) + b"short",
        ):
            a.port.send(b.id, body, way=Way.LINK)
        await until(lambda: sum(b.drops.values()) >= 4, PATIENCE_S)
        assert b.drops["test_unasked"] == 2
        assert b.drops["test_malformed"] == 2


def test_an_echo_is_drawn_at_the_top_of_its_module() -> None:
    echo = Echo(b"0123456789abcdef", 7, 1 << 60, (1 << 60) + 5)
    body = encode_echo(Opcode.ECHO_REPLY, echo, 50)
    assert body == b"\x04" + echo.session + b"\0\0\0\x07" + b"\x10" + bytes(7) + b"\x10" + bytes(
        6
    ) + b"\x05" + bytes(13)
    assert decode_echo(body) == echo
    assert decode_echo(body[:36]) is None
    assert len(encode_echo(Opcode.ECHO, echo, 0)) == 37


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_addresses_are_of_their_own_family(host: str, plain: str) -> None:
    assert plain_address(host) == plain


def sent(source: Tested, target: Tested, body: bytes) -> bool:
    """Whether there was room for it in the queue of the link."""
    try:
        source.port.send(target.id, body)
    except PeerUnreachableError:
        return False
    return True


async def test_echoes_are_answered_in_the_size_that_was_granted_whatever_is_sent() -> None:
    """Its 200 packets a second may be small ones only: sixteen of the largest come through, and a few."""
    async with pinging("ab") as network:
        a, b = network.nodes
        session = bytes(range(16))
        asked: dict[str, object] = {
            "kind": "echo",
            "session": session,
            "duration_s": 30.0,
            "packets_per_s": 200.0,
            "rate_bits_per_s": 80_000.0,
            "count": 60,
        }
        await a.control.ask(b.id, "session.open", asked, timeout_s=20.0)
        for number in range(60):
            body = encode_echo(Opcode.ECHO, Echo(session, number), 16_000)
            await until(partial(sent, a, b, body))
        counts = await a.control.ask(b.id, "session.end", {"session": session}, timeout_s=20.0)
    assert counts["received"] + counts["dropped"] == 60
    assert counts["received"] >= 16
    assert counts["dropped"] > 0
