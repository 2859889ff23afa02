"""`test.start` to `test.subscribe` over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from qudag_node.nettests.job import JobState, Watch
from qudag_node.rpc.server import CAPABILITIES
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.methods import Role
from tests.qudag_node.overlay.links import until
from tests.qudag_node.rpc.support import Client, config_with, connected, serving


def a_watch() -> tuple[Watch, Callable[[float], None]]:
    """A watch, and what lets its time pass."""
    now = [0.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    return Watch(lambda: 1000.0 + now[0], lambda: now[0]), passes


async def events(client: Client) -> list[dict[str, Any]]:
    notified = await client.notification()
    assert notified.method == "test"
    return cast("list[dict[str, Any]]", notified.params["events"])


def kinds(told: list[dict[str, Any]]) -> list[tuple[str, object]]:
    return [(event["event"], event.get("state", event.get("line", event.get("result")))) for event in told]


async def test_parameters_reach_the_node_and_its_owner_is_the_session(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        answer = await client.call("test.start", type="ping", target="peer2", options={"count": 3})
        await client.call("test.start", type="routing", cancel_on_disconnect=True)
        await client.call("test.cancel", test_id="abc")
        await client.call("test.list")
        await client.call("test.list", limit=5, type="ping", target="peer2")
        await client.call("test.show", test_id="abc")
        await client.call("test.plan", type="ping", target="peer2", options={"count": 3})

        assert answer == {"test_id": "abcdefghijkl"}
        assert served.node.calls == [
            ("start_test", ("ping", "peer2", {"count": 3}, False)),
            ("start_test", ("routing", None, {}, True)),
            ("cancel_test", ("abc",)),
            ("list_tests", (20, None, None)),
            ("list_tests", (5, "ping", "peer2")),
            ("show_test", ("abc",)),
            ("plan_test", ("ping", "peer2", {"count": 3})),
        ]
        assert len(set(map(id, served.node.owners))) == 1
        assert served.node.gone == []


async def test_the_node_learns_when_a_client_is_gone(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with connected(served, "unix") as client:
            await client.opened()
            await client.call("test.start", type="ping", target="peer2", cancel_on_disconnect=True)
        await until(lambda: served.node.gone == served.node.owners)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("test.start", {}),
        ("test.start", {"type": 1}),
        ("test.start", {"type": "ping", "target": 7}),
        ("test.start", {"type": "ping", "options": ["count"]}),
        ("test.start", {"type": "ping", "cancel_on_disconnect": "yes"}),
        ("test.list", {"limit": 0}),
        ("test.list", {"limit": 1001}),
        ("test.subscribe", {"test_id": "x" * 513}),
    ],
)
async def test_wrong_parameters_are_named(tmp_path: Path, method: str, params: dict[str, Any]) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        with pytest.raises(RpcError) as caught:
            await client.call(method, **params)

        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert served.node.calls == []


async def test_who_watches_gets_the_state_the_progress_and_the_result(tmp_path: Path) -> None:
    watch, passes = a_watch()
    watch.state(JobState.QUEUED)
    watch.state(JobState.RUNNING)
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        served.node.watches["abc"] = watch
        await client.opened()
        stream = (await client.call("test.subscribe", test_id="abc"))["stream"]

        assert kinds(await events(client)) == [("state", "running")]
        passes(1)
        watch.progress({"line": "half", "done": 0.5})
        assert kinds(await events(client)) == [("progress", "half")]
        watch.progress({"line": "all", "done": 1.0})
        watch.state(JobState.DONE)
        watch.result({"verdict": "good"})
        served.server.subscriptions.hurry("test:abc")
        told = await events(client)
        assert kinds(told) == [("progress", "all"), ("state", "done"), ("result", {"verdict": "good"})]
        assert [event["seq"] for event in told] == [4, 5, 6]
        await client.call("unsubscribe", stream=stream)


async def test_who_comes_late_gets_what_matters_and_others_miss_nothing(tmp_path: Path) -> None:
    watch, passes = a_watch()
    watch.state(JobState.RUNNING)
    async with (
        serving(tmp_path) as served,
        connected(served, "unix") as early,
        connected(served, "unix") as late,
    ):
        served.node.watches["abc"] = watch
        await early.opened()
        await late.opened()
        await early.call("test.subscribe", test_id="abc")
        assert kinds(await events(early)) == [("state", "running")]
        for number in range(3):
            passes(1)
            watch.progress({"line": str(number), "done": None})
        assert kinds(await events(early)) == [("progress", "0"), ("progress", "1"), ("progress", "2")]

        await late.call("test.subscribe", test_id="abc")

        assert kinds(await events(late)) == [("state", "running"), ("progress", "2")]
        watch.result({})
        assert kinds(await events(early)) == [("result", {})]
        assert kinds(await events(late)) == [("result", {})]


async def test_a_test_that_has_ended_is_told_to_who_asks(tmp_path: Path) -> None:
    watch, _ = a_watch()
    watch.state(JobState.DONE)
    watch.result({"verdict": "good"})
    async with serving(tmp_path) as served, connected(served, "tcp") as client:
        served.node.watches["abc"] = watch
        await client.opened()
        await client.call("test.subscribe", test_id="abc")
        assert kinds(await events(client)) == [("state", "done"), ("result", {"verdict": "good"})]


async def test_nonsense_is_not_watched(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        with pytest.raises(RpcError) as caught:
            await client.call("test.subscribe", test_id="nonsense")
        assert caught.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(RpcError) as caught:
            await client.call("subscribe", topic="test:nonsense")
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert len(served.server.subscriptions) == 0


async def test_watching_many_tests_keeps_nobody_from_the_figures(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, config_with(max_subscriptions=100)) as served,
        connected(served, "unix") as greedy,
        connected(served, "unix") as other,
    ):
        await greedy.opened()
        await other.opened()
        refused = 0
        for number in range(80):
            served.node.watches[str(number)] = a_watch()[0]
            try:
                await greedy.call("test.subscribe", test_id=str(number))
            except RpcError as exc:
                assert exc.code is ErrorCode.BUSY
                refused += 1

        assert refused == 16
        assert await other.call("subscribe", topic="stats")


async def test_viewers_watch_and_operators_start(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        token = served.tokens.add("eyes", Role.VIEWER, 0.0).secret
        served.node.watches["abc"] = a_watch()[0]
        async with connected(served, "tcp", token=token) as client:
            await client.opened()
            await client.call("test.subscribe", test_id="abc")
            for method in ("test.start", "test.cancel"):
                with pytest.raises(RpcError) as caught:
                    await client.call(method, type="ping", target="peer2", test_id="abc")
                assert caught.value.code is ErrorCode.FORBIDDEN


def test_the_server_says_that_it_tests() -> None:
    assert "tests" in CAPABILITIES
