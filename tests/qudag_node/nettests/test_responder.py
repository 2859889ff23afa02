"""A node's part in the tests of others: sessions, their ends, and dialling back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from typing import Any

import pytest

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, PeerError
from qudag_node.nettests import traceroute
from qudag_node.nettests.consent import Caps, Consent, Grant
from qudag_node.nettests.control import Asker
from qudag_node.nettests.requests import TracerouteOptions
from qudag_node.nettests.responder import Responder
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import Way
from tests.qudag_node.nettests.contexts import bench
from tests.qudag_node.nettests.nodes import Tested, chain
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, linked, running


class ShiftedClock:
    """Real time, and as much more as a test wants; or one moment only."""

    def __init__(self, *, stands_still: bool = False) -> None:
        self.ahead_s = 0.0
        self._since_s = time.monotonic()
        self._stands_still = stands_still

    def monotonic(self) -> float:
        return (self._since_s if self._stands_still else time.monotonic()) + self.ahead_s

    def monotonic_ns(self) -> int:
        return round(self.monotonic() * 1e9)

    def time(self) -> float:
        return time.time()

    def time_ns(self) -> int:
        return time.time_ns()


class Counting:
    """A kind of session that counts what is done with it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.grants: list[Grant] = []
        self.fails = ""
        self.may_open, self.may_finish = asyncio.Event(), asyncio.Event()
        self.may_open.set()
        self.may_finish.set()

    async def open(self, asker: Asker, params: dict[str, object], grant: Grant) -> Counting:
        assert asker.facts.id == grant.peer
        self.log.append("open")
        self.grants.append(grant)
        await self.may_open.wait()
        self._fail("open")
        return self

    async def describe(self) -> dict[str, Any]:
        self._fail("describe")
        return {"port": 4711}

    async def finish(self) -> dict[str, Any]:
        self.log.append("finish")
        await self.may_finish.wait()
        self._fail("finish")
        return {"received": 42}

    async def abort(self) -> None:
        self.log.append("abort")
        self._fail("abort")

    def _fail(self, where: str) -> None:
        if self.fails == where:
            raise DeclinedError(f"no {where} today")


class Responding:
    """A node that responds; ``kind`` serves all its kinds."""

    def __init__(self, tested: Tested, caps: Caps, clock: Clock) -> None:
        self.tested = tested
        self.kind = Counting()
        self.consent = Consent(caps)
        self.responder = Responder(tested.port, tested.control, self.consent, clock)
        for kind in ("stamp", "tcp", "stress"):
            self.responder.add_kind(kind, self.kind.open)


@asynccontextmanager
async def responding(
    names: str, *, caps: Caps | None = None, clock: Clock = time, **settings: Any
) -> AsyncGenerator[tuple[list[Tested], Responding]]:
    """Run nodes in a line; the last one responds."""
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(chain(names, **settings))
        last = Responding(nodes[-1], caps or Caps(), clock)
        await stack.enter_async_context(last.responder)
        yield nodes, last


def asked(kind: str = "stamp", name: bytes = bytes(16), **params: object) -> dict[str, object]:
    return {"kind": kind, "session": name, "duration_s": 5.0, "packets_per_s": 10.0, **params}


async def test_a_session_is_opened_described_and_ended() -> None:
    async with responding("ab") as ([a, b], last):
        opened = await a.control.ask(b.id, "session.open", asked(extra=1))
        assert opened["port"] == 4711
        assert opened["granted"] == {"duration_s": 5.0, "rate_bits_per_s": 120_000.0, "packets_per_s": 10.0}
        assert (len(last.responder), len(last.consent.grants)) == (1, 1)
        assert last.kind.grants[0].peer == a.id
        with pytest.raises(DeclinedError, match="opened already"):
            await a.control.ask(b.id, "session.open", asked())
        assert await a.control.ask(b.id, "session.end", {"session": bytes(16)}) == {"received": 42}
        assert (len(last.responder), last.consent.grants) == (0, ())
        with pytest.raises(DeclinedError, match="no session of this name"):
            await a.control.ask(b.id, "session.end", {"session": bytes(16)})
        assert last.kind.log == ["open", "finish"]
        # Nor can a relay that has recorded the request open it again.
        with pytest.raises(DeclinedError, match="opened already"):
            await a.control.ask(b.id, "session.open", asked())
        assert last.consent.grants == ()


async def test_a_session_that_is_given_up_is_aborted_and_twice_does_no_harm() -> None:
    async with responding("ab") as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked())
        for _ in range(2):
            assert await a.control.ask(b.id, "session.abort", {"session": bytes(16)}) == {}
        assert (last.kind.log, last.consent.grants) == (["open", "abort"], ())


async def test_a_session_belongs_to_who_opened_it() -> None:
    async with responding("abc") as ([a, b, c], last):
        await b.control.ask(c.id, "session.open", asked())
        with pytest.raises(DeclinedError, match="no session"):
            await a.control.ask(c.id, "session.end", {"session": bytes(16)})
        await a.control.ask(c.id, "session.abort", {"session": bytes(16)})
        assert len(last.responder) == 1
        assert await b.control.ask(c.id, "session.end", {"session": bytes(16)}) == {"received": 42}


async def test_links_are_tested_by_neighbours_and_the_overlay_by_all() -> None:
    async with responding("abc") as ([a, b, c], last):
        with pytest.raises(DeclinedError, match="tcp sessions are for neighbours"):
            await a.control.ask(c.id, "session.open", asked("tcp"))
        with pytest.raises(DeclinedError, match="tcp sessions are for neighbours"):
            await b.control.ask(c.id, "session.open", asked("tcp"), way=Way.OVERLAY)
        await a.control.ask(c.id, "session.open", asked("stress"))
        assert await a.control.ask(c.id, "session.end", {"session": bytes(16)}) == {"received": 42}
        assert last.kind.log == ["open", "finish"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "'kind' must be a text"),
        (asked("icmp"), "'icmp' are not known"),
        (asked("udp"), "'udp' are not known"),
        (asked("a\x1b[0m"), "no kind"),
        (asked(name=b"short"), "'session' must be 16 bytes"),
        (asked(name="text" * 4), "'session' must be 16 bytes"),  # type: ignore[arg-type]  # on purpose
        (asked(duration_s="long"), "'duration_s' must be a number"),
        (asked(duration_s=float("inf")), "'duration_s' must be a number"),
        (asked(duration_s=True), "'duration_s' must be a number"),
        (asked(rate_bits_per_s=-1), "'rate_bits_per_s' must be a number"),
        (asked(duration_s=1e9), "at most 3600 s"),
        (asked("tcp", rate_bits_per_s=1e10), "at most 1 Gbit/s"),
    ],
)
async def test_what_is_asked_wrongly_is_declined_and_opens_nothing(
    params: dict[str, object], words: str
) -> None:
    async with responding("ab") as ([a, b], last):
        with pytest.raises(DeclinedError) as caught:
            await a.control.ask(b.id, "session.open", params)
        assert words in caught.value.reason
        assert (last.kind.log, last.consent.grants, len(last.responder)) == ([], (), 0)


@pytest.mark.parametrize(
    ("where", "log"), [("open", ["open"]), ("describe", ["open", "abort"])], ids=["open", "describe"]
)
async def test_a_session_that_cannot_be_opened_leaves_nothing(where: str, log: list[str]) -> None:
    async with responding("ab") as ([a, b], last):
        last.kind.fails = where
        with pytest.raises(DeclinedError, match=f"no {where} today"):
            await a.control.ask(b.id, "session.open", asked())
        assert (last.kind.log, last.consent.grants, len(last.responder)) == (log, (), 0)


async def test_a_session_that_cannot_be_finished_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with responding("ab") as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked())
        last.kind.fails = "finish"
        with pytest.raises(DeclinedError, match="no finish today"):
            await a.control.ask(b.id, "session.end", {"session": bytes(16)})
        assert (last.kind.log, last.consent.grants) == (["open", "finish", "abort"], ())
        last.kind.fails = "abort"
        await a.control.ask(b.id, "session.open", asked(name=b"\1" * 16))
        await a.control.ask(b.id, "session.abort", {"session": b"\1" * 16})
        assert (last.consent.grants, len(last.responder)) == ((), 0)
        assert "could not be ended in order" in caplog.text


async def test_a_session_that_nobody_ends_ends_at_its_deadline() -> None:
    clock = ShiftedClock()
    async with responding("ab", clock=clock) as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked("tcp"))
        assert last.kind.log == ["open"]
        clock.ahead_s = 16.0
        await until(lambda: last.kind.log == ["open", "abort"])
        assert (last.consent.grants, len(last.responder)) == ((), 0)
        await a.control.ask(b.id, "session.open", asked("tcp", name=b"\1" * 16))


async def test_a_session_that_ends_while_it_is_opened_is_aborted() -> None:
    async with responding("ab") as ([a, b], last):
        last.kind.may_open.clear()
        opening = asyncio.ensure_future(a.control.ask(b.id, "session.open", asked(), timeout_s=30.0))
        await until(lambda: last.kind.log == ["open"])
        with pytest.raises(DeclinedError, match="no session"):
            await a.control.ask(b.id, "session.end", {"session": bytes(16)})
        await a.control.ask(b.id, "session.abort", {"session": bytes(16)})
        last.kind.may_open.set()
        with pytest.raises(DeclinedError, match="while it was being opened"):
            await opening
        assert (last.kind.log, last.consent.grants, len(last.responder)) == (["open", "abort"], (), 0)


async def test_who_is_gone_holds_no_place() -> None:
    clock = ShiftedClock(stands_still=True)
    lonely: dict[str, Any] = {"reconnect_min_s": 3600.0, "reconnect_max_s": 3600.0}
    async with responding("ab", clock=clock, **lonely) as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked("tcp", duration_s=60.0))
        await a.node.overlay.stop()
        await until(lambda: not b.node.neighbours)
        clock.ahead_s = 4.0
        # Some sweeps: it may come back.
        await asyncio.sleep(0.6)
        assert len(last.responder) == 1
        clock.ahead_s = 6.0
        await until(lambda: last.kind.log == ["open", "abort"])
        assert last.consent.grants == ()


async def test_who_is_banned_holds_no_place() -> None:
    async with responding("ab", clock=ShiftedClock(stands_still=True)) as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked("tcp"))
        b.node.overlay.ban(a.id)
        await until(lambda: last.kind.log == ["open", "abort"])
        assert last.consent.grants == ()


async def test_a_session_that_is_being_ended_is_not_aborted_too() -> None:
    async with responding("ab") as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked())
        last.kind.may_finish.clear()
        ending = asyncio.ensure_future(
            a.control.ask(b.id, "session.end", {"session": bytes(16)}, timeout_s=30.0)
        )
        await until(lambda: last.kind.log == ["open", "finish"])
        await a.control.ask(b.id, "session.abort", {"session": bytes(16)})
        with pytest.raises(DeclinedError, match="no session"):
            await a.control.ask(b.id, "session.end", {"session": bytes(16)})
        last.kind.may_finish.set()
        assert await ending == {"received": 42}
        assert (last.kind.log, last.consent.grants) == (["open", "finish"], ())


async def test_who_stops_ends_its_sessions() -> None:
    async with responding("ab") as ([a, b], last):
        await a.control.ask(b.id, "session.open", asked())
    assert (last.kind.log, len(last.responder)) == (["open", "abort"], 0)


async def test_sessions_cannot_be_opened_as_fast_as_one_likes() -> None:
    clock = ShiftedClock(stands_still=True)
    async with responding("ab", clock=clock) as ([a, b], last):
        for _ in range(12):
            name = os.urandom(16)
            await a.control.ask(b.id, "session.open", asked(name=name))
            await a.control.ask(b.id, "session.abort", {"session": name})
        with pytest.raises(DeclinedError, match="too fast") as caught:
            await a.control.ask(b.id, "session.open", asked())
        assert caught.value.is_passing
        assert last.consent.grants == ()
        clock.ahead_s = 1.0
        await a.control.ask(b.id, "session.open", asked())


async def test_caps_and_counters_are_told() -> None:
    async with responding("ab") as ([a, b], _):
        b.control.on_body(99, lambda _: "not_this")
        a.port.send(b.id, b"\x63")
        caps = await a.control.ask(b.id, "caps", {})
        assert (caps["is_enabled"], caps["max_rate_bits_per_s"], caps["max_gentle_duration_s"]) == (
            True,
            1e9,
            3600.0,
        )
        assert (caps["kinds"], caps["sessions"]) == (["stamp", "stress", "tcp"], 0)
        counters = await a.control.ask(b.id, "counters", {})
        assert counters["drops"] == {"not_this": 1}
        assert counters["received"] == 3
        assert counters["sent"] >= 1


async def test_a_node_that_wants_no_tests_says_so() -> None:
    async with responding("ab", caps=Caps(is_enabled=False)) as ([a, b], last):
        assert (await a.control.ask(b.id, "caps", {}))["is_enabled"] is False
        for method, params in (("session.open", asked()), ("dialback", {}), ("counters", {})):
            with pytest.raises(
                DeclinedError, match=r"takes part in no tests \(tests\.enabled = false there\)"
            ):
                await a.control.ask(b.id, method, params)
        assert last.kind.log == []


async def test_traces_are_routings_own_and_answered_by_a_node_that_wants_no_tests() -> None:
    async with bench("abc", caps=Caps(is_enabled=False)) as nodes:
        a, _, c = nodes.nodes
        options = TracerouteOptions(count=1, timeout_s=10.0)
        measured = await traceroute.run(nodes.context(a, c.id), options)
    assert measured.success, measured
    (enabled,) = [each for each in fields(TestsConfig) if each.name == "enabled"]
    assert "traces are answered all the same" in enabled.metadata["help"]


# Dialling back


async def test_a_neighbour_is_dialled_back_at_the_port_it_announced() -> None:
    async with responding("ab") as ([a, b], _):
        port = int(a.node.overlay.listen_addresses[0].rpartition(":")[2])
        found = await a.control.ask(b.id, "dialback", {}, timeout_s=20.0)
        assert (found["reachable"], found["address"]) == (True, f"127.0.0.1:{port}")
        steps = [(step["step"], step["ok"]) for step in found["steps"]]
        assert steps == [(name, True) for name in ("resolve", "tcp", "tls", "identity", "protocol")]
        # It is a look, not a link: nothing has changed at either end.
        assert (a.node.neighbours, b.node.neighbours) == ({b.id}, {a.id})
        assert await a.control.ask(b.id, "dialback", {"port": port}, timeout_s=20.0)


async def test_nobody_is_dialled_elsewhere() -> None:
    async with responding("abc") as ([a, b, c], _):
        with pytest.raises(DeclinedError, match="only a neighbour"):
            await a.control.ask(c.id, "dialback", {}, timeout_s=20.0)
        with pytest.raises(DeclinedError, match="only a neighbour"):
            await b.control.ask(c.id, "dialback", {}, timeout_s=20.0, way=Way.OVERLAY)
        [link] = [link for link in c.node.overlay.links() if link.peer_id == b.id]
        for port in (22, 1, 65_535):
            with pytest.raises(DeclinedError, match="only the port that you have announced"):
                await b.control.ask(c.id, "dialback", {"port": port, "host": "192.0.2.1"}, timeout_s=20.0)
        with pytest.raises(DeclinedError, match="'port' must be"):
            await b.control.ask(c.id, "dialback", {"port": "22"}, timeout_s=20.0)
        assert link.is_up


async def test_who_listens_nowhere_is_not_dialled() -> None:
    b = Node("b")
    a = Node("a", listen=())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(a, b))
        one, other = Tested(a), Tested(b)
        await stack.enter_async_context(one.control)
        await stack.enter_async_context(other.control)
        responder = Responder(other.port, other.control, Consent(Caps()), time)
        await stack.enter_async_context(responder)
        await linked((a, b))
        with pytest.raises(DeclinedError, match="announced no address"):
            await one.control.ask(other.id, "dialback", {}, timeout_s=20.0)


async def test_what_cannot_be_reached_is_told_step_by_step() -> None:
    a, b = Node("a"), Node("b")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(a, b))
        one, other = Tested(a), Tested(b)
        await stack.enter_async_context(one.control)
        await stack.enter_async_context(other.control)
        await stack.enter_async_context(Responder(other.port, other.control, Consent(Caps()), time))
        await linked((a, b))
        # From now on nobody can dial a, though its link stands.
        a.overlay._listeners.close()
        found = await one.control.ask(other.id, "dialback", {}, timeout_s=20.0)
        assert found["reachable"] is False
        [resolve, tcp] = found["steps"]
        assert (resolve["ok"], tcp["step"], tcp["ok"]) == (True, "tcp", False)
        assert "nothing listens" in tcp["reason"]


async def test_who_announces_another_node_is_not_called_reachable() -> None:
    other, b = Node("other"), Node("b")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(other, b))
        a = Node("a", advertise=other.overlay.listen_addresses)
        await stack.enter_async_context(running(a))
        one, asked_one = Tested(a), Tested(b)
        await stack.enter_async_context(one.control)
        await stack.enter_async_context(asked_one.control)
        responder = Responder(asked_one.port, asked_one.control, Consent(Caps()), time)
        await stack.enter_async_context(responder)
        await linked((a, b))
        found = await one.control.ask(asked_one.id, "dialback", {}, timeout_s=20.0)
        assert found["reachable"] is False
        assert found["steps"][-1]["step"] == "identity"
        assert f"another node answers there: {other.id}" in found["steps"][-1]["reason"]


async def test_a_host_is_dialled_back_seldom_whoever_asks() -> None:
    clock = ShiftedClock(stands_still=True)
    async with responding("ab", clock=clock) as ([a, b], _):
        for _ in range(3):
            await a.control.ask(b.id, "dialback", {}, timeout_s=20.0)
        with pytest.raises(PeerError, match="often enough"):
            await a.control.ask(b.id, "dialback", {}, timeout_s=20.0)
        c = Tested(Node("c"))
        async with running(c.node), c.control:
            await linked((c.node, b.node))
            # Another identity at the same address.
            with pytest.raises(DeclinedError, match="often enough"):
                await c.control.ask(b.id, "dialback", {}, timeout_s=20.0)
            clock.ahead_s = 10.0
            assert (await c.control.ask(b.id, "dialback", {}, timeout_s=20.0))["reachable"]


async def test_the_messages_of_a_session_are_let_in_while_it_is_open() -> None:
    roomy: dict[str, Any] = {"send_queue_messages": 4096, "receive_queue_messages": 4096}
    async with responding("abc", **roomy) as ([a, _, c], _):
        got: list[bytes] = []
        c.control.on_body(99, lambda message: got.append(message.body))
        await a.control.ask(c.id, "session.open", asked("stress", packets_per_s=2000.0))
        for number in range(1500):
            a.port.send(c.id, b"\x63" + number.to_bytes(2))
        await until(lambda: len(got) == 1500, 60.0)
        await a.control.ask(c.id, "session.end", {"session": bytes(16)})
        # All of these would have to take 11 s to be let in.
        for number in range(1500):
            a.port.send(c.id, b"\x63" + number.to_bytes(2))
        await until(lambda: len(got) + c.drops.get("routed_test_rate", 0) == 3000, 60.0)
        assert c.drops["routed_test_rate"] > 0
