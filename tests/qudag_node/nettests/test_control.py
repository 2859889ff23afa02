"""Requests between real overlays: a link, two hops, and what hostile peers send."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgpack
import pytest

from qudag_node.errors import (
    DeclinedError,
    NotFoundError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from qudag_node.nettests import control as control_module
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.messages import Opcode, Request, Response, Status, encode_request, encode_response
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.testport import TestMessage, Way
from qudag_node.peerid import PeerId, peer_id_of
from tests.qudag_node.nettests.nodes import Tested, chain
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, linked, running

STRANGER = PeerId("12D3KooWGjMCSHyTBQUVhEDfxPfq4cbGmqVjVrVKDKQrYsF5DMrd")


async def echo(asker: Asker, params: dict[str, object]) -> dict[str, Any]:
    return {"peer": asker.peer, "way": asker.way.value, "hops": asker.facts.hops, **params}


@pytest.mark.parametrize(("names", "way"), [("ab", "link"), ("abc", "overlay")])
async def test_a_request_is_answered(names: str, way: str) -> None:
    async with chain(names) as nodes:
        first, last = nodes[0], nodes[-1]
        last.control.serve("echo", echo)
        answer = await first.control.ask(last.id, "echo", {"n": 7, "b": b"\0\xff", "f": 0.5})
        assert answer == {
            "peer": first.id,
            "way": way,
            "hops": len(names) - 1,
            "n": 7,
            "b": b"\0\xff",
            "f": 0.5,
        }
        assert [node.drops for node in nodes] == [{}] * len(nodes)


async def test_who_will_not_says_why_in_one_clean_line() -> None:
    async def refuse(_: Asker, params: dict[str, object]) -> dict[str, Any]:
        if params:
            raise DeclinedError("not\x1b[31m today\nat all")
        raise NotFoundError("no such session")

    async with chain("ab") as (a, b):
        b.control.serve("refuse", refuse)
        with pytest.raises(DeclinedError) as caught:
            await a.control.ask(b.id, "refuse", {"x": 1})
        assert caught.value.reason.isprintable()
        assert "today" in caught.value.reason
        with pytest.raises(DeclinedError, match="no such session"):
            await a.control.ask(b.id, "refuse", {})
        with pytest.raises(DeclinedError, match=r"does not know 'unheard\.of'"):
            await a.control.ask(b.id, "unheard.of", {})


async def test_who_is_declined_for_now_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def busy(_: Asker, params: dict[str, object]) -> dict[str, Any]:
        asked.append(params["n"])
        if asked.count(params["n"]) < 3:
            raise DeclinedError("again in a second", is_passing=True)
        if params["n"] == 2:
            raise DeclinedError("never")
        return params

    monkeypatch.setattr(control_module, "_ASK_AGAIN_S", 0.01)
    async with chain("ab") as (a, b):
        b.control.serve("busy", busy)
        with pytest.raises(DeclinedError, match="again in a second") as caught:
            await a.control.ask(b.id, "busy", {"n": 0})  # without patience
        assert (caught.value.is_passing, asked) == (True, [0])
        patient = Control(a.port, patience_s=60.0)
        a.control = patient
        assert await patient.ask(b.id, "busy", {"n": 1}) == {"n": 1}
        with pytest.raises(DeclinedError, match="never"):
            await patient.ask(b.id, "busy", {"n": 2})
        answers = await asyncio.gather(*(patient.ask(b.id, "busy", {"n": n}) for n in (3, 4, 5)))
        assert answers == [{"n": 3}, {"n": 4}, {"n": 5}]


async def test_the_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        raise DeclinedError("busy", is_passing=True)

    monkeypatch.setattr(control_module, "_ASK_AGAIN_S", 0.01)
    async with chain("ab") as (a, b):
        b.control.serve("busy", busy)
        with pytest.raises(DeclinedError, match="busy"):
            await Control(a.port, patience_s=0.1).ask(b.id, "busy", {})


async def test_a_handler_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        raise KeyError("oops")

    async def odd(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        return {"x": object()}

    async def long(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        return {"x": bytes(20_000)}

    async with chain("ab") as (a, b):
        for name, handler in (("broken", broken), ("odd", odd), ("long", long), ("echo", echo)):
            b.control.serve(name, handler)
        with caplog.at_level(logging.ERROR):
            for name in ["broken", "odd", "long"] * 3:
                with pytest.raises(DeclinedError, match="log says why"):
                    await a.control.ask(b.id, name, {})
        # A peer that makes it fail again and again fills no log.
        assert 5 <= len(caplog.records) < 9
        assert (await a.control.ask(b.id, "echo", {}))["peer"] == a.id


async def test_silence_is_a_timeout_and_a_stranger_unreachable() -> None:
    async def never(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async with chain("ab") as (a, b):
        b.control.serve("never", never)
        with pytest.raises(PeerTimeoutError, match=r"b: no answer to never within 0\.05 s"):
            await a.control.ask(b.id, "never", {}, timeout_s=0.05)
        with pytest.raises(PeerUnreachableError):
            await a.control.ask(STRANGER, "never", {})


async def test_a_request_that_is_lost_on_the_way_is_sent_again_and_done_once() -> None:
    asked: list[object] = []

    async def count(_: Asker, params: dict[str, object]) -> dict[str, Any]:
        asked.append(params["n"])
        return {"count": len(asked)}

    async with chain("abc") as (a, _, c):
        c.control.serve("count", count)
        # The first answer is lost: c sends it into the void.
        answers = 0
        take = a.port.on_message

        def lose_the_first(message: TestMessage) -> str | None:
            nonlocal answers
            answers += 1
            return "lost" if answers == 1 else take(message)

        a.port.on_message = lose_the_first
        assert await a.control.ask(c.id, "count", {"n": 1}, timeout_s=4.0) == {"count": 1}
        assert (asked, answers) == ([1], 2)


async def test_what_is_asked_here_at_once_is_bounded() -> None:
    async def never(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async with chain("ab") as (a, b):
        b.control.serve("never", never)
        waiting = [asyncio.ensure_future(a.control.ask(b.id, "never", {})) for _ in range(256)]
        await asyncio.sleep(0)
        with pytest.raises(PeerRefusedError, match="256 requests"):
            await a.control.ask(b.id, "never", {})
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_flood_of_requests_is_dropped_and_counted_and_others_are_served() -> None:
    running_now: list[int] = []
    go_on = asyncio.Event()

    async def wait(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        running_now.append(1)
        await go_on.wait()
        return {}

    async with chain("abc") as (a, b, c):
        b.control.serve("wait", wait)
        b.control.serve("echo", echo)
        for number in range(500):
            a.port.send(b.id, encode_request(Request(number.to_bytes(8), "wait", {})))
        await until(lambda: sum(b.drops.values()) == 492)
        assert b.drops["test_request_busy"] >= 52
        # The rate lets some more through while the machine is slow.
        assert b.drops["test_request_rate"] >= 100
        assert len(running_now) == 8
        assert (await c.control.ask(b.id, "echo", {}))["peer"] == c.id
        go_on.set()


async def test_garbage_is_dropped_and_counted() -> None:
    async with chain("ab") as (a, b):
        b.control.serve("echo", echo)
        for body in (b"", b"\1", b"\1" + bytes(8) + b"\xc1", b"\2" + bytes(8) + b"\x91" * 2000):
            a.port.send(b.id, body)
        a.port.send(b.id, b"\xee unknown opcode")
        a.port.send(b.id, encode_response(Response(bytes(8), Status.OK, {}, "")))
        await until(lambda: b.drops == {"test_malformed": 4, "test_opcode": 1, "test_unasked": 1})
        assert (await a.control.ask(b.id, "echo", {}))["peer"] == a.id


async def test_an_answer_from_somebody_else_is_none() -> None:
    async def never(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    seen: list[TestMessage] = []
    async with chain("abc") as (a, b, c):
        take = b.port.on_message

        def spy(message: TestMessage) -> str | None:
            seen.append(message)
            return take(message)

        b.port.on_message = spy
        b.control.serve("never", never)
        asking = asyncio.ensure_future(a.control.ask(b.id, "never", {}, timeout_s=30.0))
        await until(lambda: bool(seen))
        identity = seen[0].body[1:9]
        # c has learnt the id somehow, and is not who was asked.
        c.port.send(a.id, encode_response(Response(identity, Status.OK, {"by": "c"}, "")))
        await until(lambda: a.drops == {"test_unasked": 1})
        assert not asking.done()
        b.port.send(a.id, encode_response(Response(identity, Status.OK, {"by": "b"}, "")))
        assert await asking == {"by": "b"}


async def test_bodies_of_an_opcode_go_to_who_asked_for_them() -> None:
    got: list[tuple[bytes, Way]] = []

    def take(message: TestMessage) -> str | None:
        got.append((message.body, message.way))
        return None

    async with chain("ab") as (a, b):
        b.control.on_body(Opcode.ECHO, take)
        a.port.send(b.id, bytes([Opcode.ECHO]) + b"hello")
        await until(lambda: got == [(b"\3hello", Way.LINK)])
        with pytest.raises(ValueError, match="is taken"):
            b.control.on_body(Opcode.ECHO, take)
        with pytest.raises(ValueError, match="is taken"):
            b.control.on_body(Opcode.REQUEST, take)
        b.control.serve("echo", echo)
        with pytest.raises(ValueError, match="served already"):
            b.control.serve("echo", echo)


async def test_who_stops_ends_what_waits_and_what_runs() -> None:
    started: list[int] = []
    ended: list[str] = []

    async def never(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        started.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("handler")
        raise AssertionError

    a, b = Node("a"), Node("b")
    async with running(a, b):
        await linked((a, b))
        one, other = Tested(a), Tested(b)
        other.control.serve("never", never)
        async with one.control:
            async with other.control:
                asking = asyncio.ensure_future(one.control.ask(other.id, "never", {}, timeout_s=60.0))
                back = asyncio.ensure_future(other.control.ask(one.id, "nothing", {}, timeout_s=60.0))
                with pytest.raises(DeclinedError):
                    await back
                await until(lambda: started == [1])
            assert ended == ["handler"]
            one.port.send(other.id, encode_request(Request(bytes(8), "never", {})))
            await until(lambda: other.drops == {"test_stopping": 1})
        with pytest.raises(PeerRefusedError, match="stopping"):
            await asking


async def test_who_cannot_be_answered_is_not_served() -> None:
    async with chain("abc") as (a, b, c):
        c.control.serve("echo", echo)
        # It leaves right after asking; by the time it is read nobody is there.
        take, held = c.port.on_message, list[TestMessage]()

        def hold(message: TestMessage) -> str | None:
            held.append(message)
            return None

        c.port.on_message = hold
        a.port.send(c.id, encode_request(Request(bytes(8), "echo", {})))
        await until(lambda: len(held) == 1)
        for link in a.node.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        await until(lambda: c.port.facts(a.id).hops == 0)
        assert take(held[0]) == "test_unreachable"
        assert b.id in c.node.neighbours


def test_a_request_is_what_the_drawing_says() -> None:
    body = encode_request(Request(bytes(range(8)), "caps", {"a": 1}))
    assert body[:9] == b"\1" + bytes(range(8))
    assert msgpack.unpackb(body[9:]) == ["caps", {"a": 1}]


async def test_what_fails_around_it_fails_as_it_is() -> None:
    a = Node("a")
    async with running(a):
        with pytest.raises(NotFoundError, match="by itself"):
            async with Tested(a).control:
                raise NotFoundError("by itself")


@pytest.mark.parametrize("names", ["ab", "abc"])
async def test_who_fails_on_a_body_ends_neither_link_nor_node(
    names: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: TestMessage) -> str | None:
        raise IndexError(message.body[99])

    async with chain(names) as nodes:
        first, last = nodes[0], nodes[-1]
        last.control.on_body(99, fail)
        last.control.serve("echo", echo)
        for _ in range(20):
            first.port.send(last.id, b"\x63")
        await until(lambda: last.drops == {"test_failed": 20})
        assert (await first.control.ask(last.id, "echo", {}))["peer"] == first.id
        assert 5 <= len([record for record in caplog.records if record.levelno >= logging.ERROR]) < 20


async def test_what_takes_too_long_is_given_up() -> None:
    async def never(_: Asker, __: dict[str, object]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    a, b = Node("a"), Node("b")
    async with running(a, b):
        one = Tested(a)
        patient = Control(b.overlay.tests, handler_timeout_s=0.05)
        patient.serve("never", never)
        async with one.control, patient:
            await linked((a, b))
            with pytest.raises(DeclinedError, match="took too long"):
                await one.control.ask(b.identity.peer_id, "never", {}, timeout_s=60.0)


async def test_what_was_asked_is_remembered_in_bounds() -> None:
    now_s = 0.0

    async with chain("ab") as (a, b):
        control = Control(b.port, monotonic=lambda: now_s)
        control.serve("echo", echo)
        async with control:
            for identity in range(100):
                now_s += 1.0
                await a.control.ask(b.id, "echo", {"n": identity})
            [served] = control._served.values()
            assert len(served.answer_by_identity) == 16
            # So many identities are not linked; what counts is that nothing is kept of more than 256.
            for number in range(300):
                now_s += 1.0
                control._served_of(peer_id_of(number.to_bytes(32)))
            assert len(control._served) == 256
