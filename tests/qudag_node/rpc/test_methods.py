"""Every method, over every transport: what it answers, who may call it, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qudag_node.rpc.methods import HANDLERS
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.methods import METHODS, Role
from tests.qudag_node.rpc.support import TRANSPORTS, connected, serving

# What each method needs to be called with, where it needs anything.
PARAMS: dict[str, dict[str, object]] = {
    "peer": {"peer": "peer1"},
    "subscribe": {"topic": "stats", "interval_s": 1},
    "unsubscribe": {"stream": 1},
    "submit": {"payloads": [b"x"]},
    "peer.add": {"address": "192.0.2.1:1"},
    "peer.remove": {"peer": "peer1"},
    "peer.ban": {"peer": "peer1"},
    "peer.unban": {"peer": "peer1"},
    "peer.alias": {"peer": "peer1", "alias": "a"},
    "token.add": {"name": "ci", "role": "viewer"},
    "token.revoke": {"name": "ci"},
    "lab.hold": {"held": True},
    "test.show": {"test_id": "abcdefghijkl"},
    "test.plan": {"type": "ping", "target": "peer1"},
    "test.subscribe": {"test_id": "abcdefghijkl"},
    "test.start": {"type": "ping", "target": "peer1"},
    "test.cancel": {"test_id": "abcdefghijkl"},
}
CALLED = [name for name, method in METHODS.items() if method.role is not None]


def test_the_table_of_the_wire_and_the_handlers_are_one() -> None:
    assert sorted(HANDLERS) == sorted(CALLED)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_method_is_served(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        await client.opened()
        for method in CALLED:
            try:
                assert isinstance(await client.call(method, **PARAMS.get(method, {})), dict)
            except RpcError as error:
                # The node of these tests bans nobody.
                assert (method, error.code) == ("peer.ban", ErrorCode.DECLINED)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_a_role_may_call_its_methods_and_no_others(tmp_path: Path, role: Role) -> None:
    async with serving(tmp_path) as served:
        token = served.tokens.add("t", role, 0.0)
        async with connected(served, "tcp", token=token.secret) as client:
            assert (await client.opened())["role"] == role
            for method in CALLED:
                needed = METHODS[method].role
                assert needed is not None
                if role.includes(needed):
                    await client.call(method, **PARAMS.get(method, {}))
                    continue
                with pytest.raises(RpcError) as caught:
                    await client.call(method, **PARAMS.get(method, {}))
                assert caught.value.code is ErrorCode.FORBIDDEN
                assert str(needed) in caught.value.message
        called = ["history", "list_tests", "show_test", "plan_test"]
        called += ["start_test", "cancel_test"] if role is Role.OPERATOR else []
        assert [name for name, _ in served.node.calls] == called


async def test_stats_can_be_cut_to_sections(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        assert set(await client.call("stats", sections=["node"])) == {"schema", "node"}
        with pytest.raises(RpcError, match="no section 'nodes'"):
            await client.call("stats", sections=["nodes"])


async def test_who_changed_something_sees_it_in_the_next_statistics(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        await client.call("stats")
        await client.call("peers")
        assert served.node.forgotten == 0
        await client.call("submit", payloads=[b"x"])
        await client.call("peer.add", address="192.0.2.1:1")
        assert served.node.forgotten == 2


@pytest.mark.parametrize(
    ("method", "params", "code", "words"),
    [
        ("peer", {"peer": "two"}, ErrorCode.AMBIGUOUS, "two.a, two.b"),
        ("peer", {"peer": "nobody"}, ErrorCode.NOT_FOUND, "nobody"),
        ("peer", {}, ErrorCode.BAD_REQUEST, "'peer' must be a text"),
        ("peer", {"peer": "x" * 600}, ErrorCode.BAD_REQUEST, "up to 512"),
        ("peer", {"peer": 7}, ErrorCode.BAD_REQUEST, "a text"),
        ("log", {"level": "loud"}, ErrorCode.BAD_REQUEST, "one of debug, info"),
        ("log", {"lines": -1}, ErrorCode.BAD_REQUEST, "a whole number from 0"),
        ("log", {"lines": True}, ErrorCode.BAD_REQUEST, "a whole number"),
        ("history", {"series": "a"}, ErrorCode.BAD_REQUEST, "a list"),
        ("history", {"from_unix_s": float("nan")}, ErrorCode.BAD_REQUEST, "a number"),
        ("subscribe", {"topic": "x"}, ErrorCode.BAD_REQUEST, "one of stats"),
        ("subscribe", {"topic": "stats", "interval_s": -1}, ErrorCode.BAD_REQUEST, "at least 0"),
        ("unsubscribe", {"stream": 99}, ErrorCode.NOT_FOUND, "99"),
        ("submit", {"payloads": ["text"]}, ErrorCode.BAD_REQUEST, "binary"),
        ("token.add", {"name": "x", "role": "god"}, ErrorCode.BAD_REQUEST, "viewer, operator, admin"),
        ("nonsense", {}, ErrorCode.UNKNOWN_METHOD, "nonsense"),
        ("hello", {"versions": [1]}, ErrorCode.BAD_REQUEST, "is over"),
        ("peer", {"peer": "broken"}, ErrorCode.INTERNAL, "failed at this call"),
    ],
)
async def test_what_cannot_be_answered_says_why(
    tmp_path: Path, method: str, params: dict[str, object], code: ErrorCode, words: str
) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        with pytest.raises(RpcError) as caught:
            await client.call(method, **params)
        assert caught.value.code is code
        assert words in caught.value.message
        assert "secret" not in caught.value.message
        # The session goes on.
        await client.call("status")


async def test_a_call_that_waits_does_not_hold_up_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        waiting, data = client.session.call("submit", {"payloads": [b"wait"]})
        client.writer.write(data)
        assert (await client.call("status"))["role"] == "admin"
        served.node.submitted.set()
        assert await client.reply_to(waiting) == {"accepted": 1}


@pytest.mark.parametrize("transport", ["unix", "tcp"])
async def test_who_says_that_it_calls_no_more_still_gets_its_answers(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        await client.opened()
        waiting, data = client.session.call("submit", {"payloads": [b"wait"]})
        client.writer.write(data)
        client.writer.write_eof()
        await asyncio.sleep(0.05)
        served.node.submitted.set()
        assert await client.reply_to(waiting) == {"accepted": 1}
        assert await client.closed() == b""


async def test_only_so_many_calls_may_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        calls = [client.session.call("submit", {"payloads": [b"wait"]}) for _ in range(40)]
        client.writer.write(b"".join(data for _, data in calls))
        with pytest.raises(RpcError, match="too many calls are waiting"):
            await client.reply_to(calls[35][0])


async def test_calls_may_follow_hello_at_once_on_the_socket(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        client.writer.write(client.session.start())
        id_, data = client.session.call("status")
        client.writer.write(data)
        assert (await client.reply_to(id_))["role"] == "admin"


async def test_many_calls_at_once_are_answered_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        calls = [client.session.call("status") for _ in range(1000)]
        client.writer.write(b"".join(data for _, data in calls))
        for id_, _ in (calls[0], calls[-1]):
            assert (await client.reply_to(id_))["pid"] == 1


async def test_shutdown_says_who_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "tcp") as client:
        await client.opened()
        await client.call("shutdown")
        ((name, (by,)),) = served.node.calls
        assert (name, by) == ("shut_down", "tcp 127.0.0.1 with token cookie")
