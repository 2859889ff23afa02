"""The tester between two real overlays; what it runs are small runs of this file's own."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from qudag_node.config import TestsConfig
from qudag_node.errors import (
    ConfigError,
    DeclinedError,
    NodeError,
    NotFoundError,
    PeerRefusedError,
    PeerUnreachableError,
)
from qudag_node.history.store import ResultStore, StoreLimits
from qudag_node.nettests import conductor as conductor_module
from qudag_node.nettests import tester as tester_module
from qudag_node.nettests.conductor import TesterParts
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.context import Context, Run
from qudag_node.nettests.job import JobState
from qudag_node.nettests.requests import Options, TestType
from qudag_node.nettests.results import Measured
from qudag_node.nettests.summaries import SUMMARY_FIELDS
from qudag_node.nettests.tester import ConnectivityTester
from qudag_node.nettests.workers import Workers
from tests.qudag_node.nettests.nodes import Tested, chain
from tests.qudag_node.overlay.links import until

GOOD = Measured(success=True, verdict="All is well.", method="steps", fields={"sent": 1})
_PATIENCE_S = 60.0
NODE = {"id": "12D3KooWnode", "name": "a", "version": "0"}


@dataclass
class Runs:
    """What the tests of each type do, and who has begun."""

    by_type: dict[TestType, Run] = field(default_factory=dict[TestType, Run])
    begun: list[Context] = field(default_factory=list[Context])
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def load(self, test_type: TestType) -> Run:
        async def run(context: Context, options: Options) -> Measured:
            self.begun.append(context)
            return await self.by_type.get(test_type, self.until_told)(context, options)

        return run

    async def until_told(self, context: Context, _: Options) -> Measured:
        """End when the test says so, or when it is cancelled, with what there is."""
        async with asyncio.TaskGroup() as tasks:
            waiting = {tasks.create_task(self.go_on.wait()), tasks.create_task(context.stopping.wait())}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return GOOD


@dataclass(kw_only=True)
class Bench:
    """A tester on node a, with b for a neighbour."""

    tester: ConnectivityTester
    store: ResultStore
    consent: Consent
    runs: Runs
    nodes: list[Tested]

    def start(self, test_type: TestType = TestType.PING, target: str | None = "b", **options: object) -> str:
        return self.tester.start(test_type, target, options, owner=self)

    async def ended(self, test_id: str) -> dict[str, Any]:
        """Wait for a test's result."""
        await until(
            lambda: any(event["event"] == "result" for event in self.tester.watch(test_id).so_far()),
            _PATIENCE_S,
        )
        return cast("dict[str, Any]", (await self.tester.show(test_id))["result"])

    async def state(self, test_id: str) -> object:
        return (await self.tester.show(test_id))["state"]

    async def has_begun(self, *test_ids: str) -> None:
        await until(lambda: [context.test_id for context in self.runs.begun] == list(test_ids), _PATIENCE_S)


@asynccontextmanager
async def a_bench(directory: Path, names: str = "ab", **settings: Any) -> AsyncGenerator[Bench]:
    config = TestsConfig(**settings)
    async with chain(names) as nodes:
        store = ResultStore(directory, StoreLimits(), unix_s=time.time, summary_fields=SUMMARY_FIELDS)
        runs, consent, one = Runs(), Consent(Caps.of(config)), nodes[0]
        tester = ConnectivityTester(
            TesterParts(
                port=one.port,
                control=one.control,
                consent=consent,
                workers=Workers(),
                config=config,
                clock=time,
                collector=one.node.collector,
                store=store,
                node=NODE,
                load_run=runs.load,
            )
        )
        try:
            async with tester:
                yield Bench(tester=tester, store=store, consent=consent, runs=runs, nodes=nodes)
        finally:
            await store.close()


async def test_a_test_runs_and_its_result_is_kept(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.runs.go_on.set()
        test_id = bench.start(count=3)
        document = await bench.ended(test_id)

        assert len(test_id) == 12
        assert test_id.isalnum()
        assert test_id == test_id.lower()
        assert document["schema"] == "qudag.test/1"
        assert document["test_id"] == test_id
        assert document["target"] == {"id": bench.nodes[1].id, "name": "b", "hops": 1}
        assert (document["success"], document["verdict"]) == (True, "All is well.")
        assert (document["interrupted"], document["declined"], document["stored"]) == (False, None, True)
        assert document["options"]["count"] == 3
        assert document["environment"]["node"] == NODE
        assert document["sent"] == 1
        assert await bench.store.get(test_id) == (document, "done")
        (context,) = bench.runs.begun
        assert (context.target, context.peer_name) == (bench.nodes[1].id, "b")


async def test_who_watches_learns_all_of_it(tmp_path: Path) -> None:
    async def talking(context: Context, _: Options) -> Measured:
        context.progress("half", 0.5, sent=5)
        context.progress("too much", 7.0)
        return GOOD

    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = talking
        changed: list[str] = []
        bench.tester.on_change = changed.append
        test_id = bench.start()
        document = await bench.ended(test_id)

        events = bench.tester.watch(test_id).events_after(0)
        assert [event["event"] for event in events] == [
            "state",
            "state",
            "progress",
            "progress",
            "state",
            "result",
        ]
        assert [event["state"] for event in events if "state" in event] == ["queued", "running", "done"]
        assert (events[2]["line"], events[2]["done"], events[2]["sent"]) == ("half", 0.5, 5)
        assert events[3]["done"] == 1.0
        assert events[-1]["result"] == document
        assert changed == [test_id, test_id]  # it runs; it has ended


@pytest.mark.parametrize(
    ("test_type", "target", "options", "error", "text"),
    [
        (TestType.PING, "nobody", {}, NotFoundError, "nobody"),
        (TestType.PING, "a", {}, ConfigError, "ping: a is this node itself; name a peer"),
        (TestType.STRESS, None, {}, ConfigError, "stress: which peer?"),
        (TestType.PING, "", {}, ConfigError, "ping: which peer?"),
        (TestType.CONNECTIVITY, None, {}, ConfigError, "connectivity: which peer?"),
        (TestType.PING, "b", {"cuont": 1}, ConfigError, "ping.cuont: no such option; count?"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(
    tmp_path: Path,
    test_type: TestType,
    target: str | None,
    options: dict[str, object],
    error: type[NodeError],
    text: str,
) -> None:
    async with a_bench(tmp_path) as bench:
        for ask in (bench.tester.plan, lambda *args: bench.tester.start(*args, owner=bench)):
            with pytest.raises(error, match=text):
                cast("Callable[..., object]", ask)(test_type, target, options)
        assert await bench.tester.listed(10) == []


async def test_tests_that_need_no_peer_start_without_one(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.runs.go_on.set()
        for test_id in (
            bench.start(TestType.ROUTING, None),
            bench.start(TestType.CONNECTIVITY, None, outside=True),
            bench.start(TestType.CONNECTIVITY, None, address="192.0.2.1:1"),
        ):
            assert (await bench.ended(test_id))["target"] is None


async def test_a_peer_that_declines_gives_its_reason(tmp_path: Path) -> None:
    async def refused(_context: Context, _options: Options) -> Measured:
        raise DeclinedError("busy with 1 test of others")

    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = refused
        test_id = bench.start()
        document = await bench.ended(test_id)

        assert document["success"] is False
        assert document["declined"] == "busy with 1 test of others"
        assert document["verdict"] == "b declined: busy with 1 test of others"
        assert await bench.state(test_id) == "done"


async def test_a_peer_that_declines_a_part_of_a_test_gives_its_reason_and_the_rest_is_kept(
    tmp_path: Path,
) -> None:
    async def partly(_context: Context, _options: Options) -> Measured:
        return Measured(
            success=False, verdict="b: 5 steps succeed", method="steps", fields={}, declined="no pings"
        )

    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = partly
        document = await bench.ended(bench.start())
    assert (document["declined"], document["verdict"]) == ("no pings", "b: 5 steps succeed")


async def test_a_failure_that_was_foreseen_is_its_line(tmp_path: Path) -> None:
    async def failing(_context: Context, _options: Options) -> Measured:
        raise PeerUnreachableError("the link broke")

    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = failing
        test_id = bench.start()
        document = await bench.ended(test_id)

        assert (document["success"], document["errors"]) == (False, ["the link broke"])
        assert document["method"] == "none"
        assert await bench.state(test_id) == "failed"


@pytest.mark.parametrize("fields", [None, {"sent": object()}, {"verdict": "mine"}])
async def test_a_mistake_of_ours_costs_one_result_and_its_trace_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fields: dict[str, object] | None
) -> None:
    async def broken(_context: Context, _options: Options) -> Measured:
        if fields is None:
            raise ZeroDivisionError("a secret of the inside")
        return Measured(success=True, verdict="", method="steps", fields=fields)

    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = broken
        bench.runs.go_on.set()
        with caplog.at_level(logging.ERROR):
            document = await bench.ended(bench.start())

        assert document["success"] is False
        (line,) = document["errors"]
        assert line.startswith("The test failed here (")
        assert "secret" not in str(document)
        assert [record.exc_info is not None for record in caplog.records] == [True]
        assert (await bench.ended(bench.start(TestType.TRACEROUTE)))["success"] is True


async def test_a_banned_peer_is_said_to_be_banned(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.nodes[0].node.overlay.ban("b", duration_s=None, reason="")
        document = await bench.ended(bench.start())

        assert document["success"] is False
        assert "banned" in document["verdict"]
        assert bench.runs.begun == []


@pytest.mark.parametrize(
    ("test_type", "target", "options", "refusal"),
    [
        (TestType.BANDWIDTH, "c", {}, "c is no neighbour but 2 hops away: bandwidth measures a link; b is"),
        (TestType.LATENCY, "c", {}, "c is no neighbour but 2 hops away: latency measures"),
        (TestType.PING, "c", {"via": "udp"}, "c is no neighbour but 2 hops away: ping --via udp measures"),
        (TestType.BANDWIDTH, "b", {"congestion_control": "nonsense"}, "no congestion control 'nonsense'"),
        (TestType.BANDWIDTH, "b", {"congestion_control": "reno"}, None),
        (TestType.PING, "c", {}, None),
        (TestType.STRESS, "c", {}, None),
    ],
)
async def test_what_would_fail_is_refused_by_the_plan(
    tmp_path: Path, test_type: TestType, target: str, options: dict[str, object], refusal: str | None
) -> None:
    async with a_bench(tmp_path, "abc") as bench:
        told = bench.tester.plan(test_type, target, options)["refusal"]
        assert told is None if refusal is None else str(told).startswith(refusal)


async def test_a_dead_peer_cannot_be_reached(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.nodes[1].node.overlay.stop()
        await until(lambda: bench.nodes[0].port.facts(bench.nodes[1].id).hops == 0, _PATIENCE_S)
        plan = bench.tester.plan(TestType.PING, "b", {})
        document = await bench.ended(bench.start())

        assert document["success"] is False
        assert "cannot be reached" in document["verdict"]
        assert "cannot be reached" in str(plan["refusal"])
        assert document["target"]["hops"] is None
        assert bench.runs.begun == []


async def test_a_test_that_is_cancelled_reports_what_it_has(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        test_id = bench.start()
        await bench.has_begun(test_id)
        bench.tester.cancel(test_id)
        document = await bench.ended(test_id)

        assert (document["interrupted"], document["sent"]) == (True, 1)
        assert await bench.state(test_id) == "cancelled"
        assert await bench.store.get(test_id) == (document, "cancelled")
        assert bench.tester.cancel(test_id) is JobState.CANCELLED
        with pytest.raises(NotFoundError, match="no test 'nonsense'"):
            bench.tester.cancel("nonsense")


async def test_a_run_that_will_not_stop_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def deaf(_context: Context, _options: Options) -> Measured:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()
        return GOOD

    monkeypatch.setattr(conductor_module, "_GRACE_S", 0.01)
    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = deaf
        test_id = bench.start()
        await bench.has_begun(test_id)
        bench.tester.cancel(test_id)
        document = await bench.ended(test_id)

        assert ended.is_set()
        assert (document["interrupted"], document["success"]) == (True, False)
        assert document["verdict"] == "Nothing was kept: it did not end in time."
        assert "does not end" not in caplog.text


async def test_a_run_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor_module, "limit_s", lambda _: 0.01)
    async with a_bench(tmp_path) as bench:
        document = await bench.ended(bench.start())
        assert document["sent"] == 1  # it was told to end early, and did
        assert document["interrupted"] is False
        assert document["errors"] == ["it was ended after 0.01 s, which is too long"]


async def test_a_run_that_heeds_not_even_its_cancellation_is_left_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_over = asyncio.Event()

    async def stubborn(_context: Context, _options: Options) -> Measured:
        while not is_over.is_set():
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                continue
        return GOOD

    monkeypatch.setattr(conductor_module, "_GRACE_S", 0.01)
    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = stubborn
        test_id = bench.start()
        await bench.has_begun(test_id)
        bench.tester.cancel(test_id)
        assert (await bench.ended(test_id))["success"] is False
        assert "does not end" in caplog.text
        is_over.set()


async def test_heavy_tests_run_alone_and_others_in_their_turn(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        ping = bench.start(TestType.PING)
        bandwidth = bench.start(TestType.BANDWIDTH)
        trace = bench.start(TestType.TRACEROUTE)
        steps = bench.start(TestType.CONNECTIVITY)
        await bench.has_begun(ping, steps)
        assert [await bench.state(test) for test in (ping, bandwidth, trace, steps)] == [
            "running",
            "queued",
            "queued",
            "running",
        ]
        bench.tester.cancel(ping)
        await bench.has_begun(ping, steps, bandwidth)
        assert await bench.state(trace) == "queued"
        plan = bench.tester.plan(TestType.PING, "b", {})
        assert plan["waits_for"] == 3
        bench.tester.cancel(bandwidth)
        await bench.has_begun(ping, steps, bandwidth, trace)
        bench.runs.go_on.set()
        assert (await bench.ended(steps))["environment"]["notes"][0] == (
            "a bandwidth test of this node loaded the network meanwhile"
        )
        assert not any("meanwhile" in note for note in (await bench.ended(trace))["environment"]["notes"])


async def test_while_this_node_loads_the_network_others_may_not(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        test_id = bench.start(TestType.BANDWIDTH)
        await bench.has_begun(test_id)

        def ask() -> None:
            grant = bench.consent.ask(
                bench.nodes[1].id, "tcp", duration_s=1, now_mono_s=time.monotonic(), rate_bits_per_s=1e6
            )
            bench.consent.end(grant, time.monotonic())

        with pytest.raises(DeclinedError):
            ask()
        bench.tester.cancel(test_id)
        await bench.ended(test_id)
        ask()


async def test_that_another_node_loaded_the_network_meanwhile_is_told(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        now_mono_s = time.monotonic()
        grant = bench.consent.ask(
            bench.nodes[1].id, "tcp", duration_s=60, now_mono_s=now_mono_s, rate_bits_per_s=1e6
        )
        test_id = bench.start()
        await bench.has_begun(test_id)
        bench.consent.end(grant, now_mono_s)
        bench.runs.go_on.set()
        environment = (await bench.ended(test_id))["environment"]

        assert environment["notes"][0] == "a test of another node loaded the network meanwhile"
        assert environment["noisy"] is True


async def test_only_so_many_run_and_wait(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_running=2, max_queued=3) as bench:
        started = [bench.start() for _ in range(5)]
        for _ in range(1000):
            with pytest.raises(PeerRefusedError, match="3 tests wait for their turn already"):
                bench.start()
        await bench.has_begun(*started[:2])
        listed = await bench.tester.listed(100)
        assert [summary["state"] for summary in listed].count("queued") == 3
        assert [summary["state"] for summary in listed].count("running") == 2
        bench.runs.go_on.set()
        for test_id in started:
            await bench.ended(test_id)
        await bench.has_begun(*started)


async def test_one_peer_is_asked_for_no_more_at_once_than_it_takes(tmp_path: Path) -> None:
    async with a_bench(tmp_path, "abc") as bench:
        of_b = [bench.start() for _ in range(6)]
        of_c = bench.start(target="c")
        await bench.has_begun(*of_b[:4], of_c)
        assert bench.tester.plan(TestType.PING, "b", {})["waits_for"] == 7
        assert bench.tester.plan(TestType.PING, "c", {})["waits_for"] == 0
        bench.runs.go_on.set()
        for test_id in of_b:
            await bench.ended(test_id)
        await bench.has_begun(*of_b[:4], of_c, *of_b[4:])


async def test_a_test_that_waits_and_is_cancelled_never_begins(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_running=1) as bench:
        first, second, third = (bench.start() for _ in range(3))
        await bench.has_begun(first)
        assert bench.tester.cancel(second) is JobState.CANCELLED
        document = await bench.ended(second)

        assert (document["interrupted"], document["stored"]) == (True, False)
        assert document["verdict"] == "It was cancelled before its turn came."
        bench.runs.go_on.set()
        await bench.ended(third)
        await bench.has_begun(first, third)
        assert await bench.store.get(second) is None
        assert await bench.state(second) == "cancelled"


async def test_who_waits_behind_a_test_that_is_cancelled_gets_its_turn(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        first = bench.start(TestType.PING)
        heavy = bench.start(TestType.BANDWIDTH)
        behind = bench.start(TestType.PING)
        await bench.has_begun(first)
        bench.tester.cancel(heavy)
        await bench.has_begun(first, behind)


async def test_who_has_started_a_test_is_forgotten_when_it_has_ended(tmp_path: Path) -> None:
    class Owner:
        pass

    async with a_bench(tmp_path) as bench:
        bench.runs.go_on.set()
        owner = Owner()
        is_gone = weakref.ref(owner)
        start = bench.tester.start
        test_id = start(TestType.PING, "b", {}, owner=owner, cancel_with_owner=True)
        await bench.ended(test_id)
        del owner
        assert is_gone() is None


async def test_few_of_the_stores_tests_are_kept_for_who_watches_them(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.runs.go_on.set()
        document = await bench.ended(bench.start())
        for number in range(20):
            await bench.store.put({**document, "test_id": f"stored{number}"}, "done")
            await bench.tester.find(f"stored{number}")
        with pytest.raises(NotFoundError):
            bench.tester.watch("stored0")
        assert bench.tester.watch("stored19").so_far()


async def test_the_tests_of_who_leaves_end_if_that_was_asked_for(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_running=2) as bench:
        one, other = object(), object()
        start = bench.tester.start
        staying = start(TestType.PING, "b", {}, owner=one)
        leaving = start(TestType.PING, "b", {}, owner=one, cancel_with_owner=True)
        waiting = start(TestType.PING, "b", {}, owner=one, cancel_with_owner=True)
        strange = start(TestType.PING, "b", {}, owner=other, cancel_with_owner=True)
        bench.tester.owner_gone(one)

        assert (await bench.ended(leaving))["interrupted"] is True
        assert (await bench.ended(waiting))["interrupted"] is True
        await bench.has_begun(staying, leaving, strange)
        assert await bench.state(staying) == "running"
        assert await bench.state(strange) == "running"


async def test_a_node_that_stops_keeps_what_was_measured(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_running=1) as bench:
        running, waiting = bench.start(), bench.start()
        await bench.has_begun(running)
    async with a_bench(tmp_path) as bench:
        document, state = cast("tuple[Mapping[str, object], str]", await bench.store.get(running))
        assert (state, document["interrupted"], document["sent"]) == ("cancelled", True, 1)
        assert await bench.store.get(waiting) is None


async def test_a_node_that_stops_waits_for_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(_context: Context, _options: Options) -> Measured:
        await asyncio.get_running_loop().create_future()
        return GOOD

    monkeypatch.setattr(tester_module, "_STOP_S", 0.01)
    monkeypatch.setattr(conductor_module, "_GRACE_S", 1000.0)
    async with a_bench(tmp_path) as bench:
        bench.runs.by_type[TestType.PING] = deaf
        test_id = bench.start()
        await bench.has_begun(test_id)
        tester = bench.tester
    assert (await tester.show(test_id))["state"] == "cancelled"
    with pytest.raises(PeerRefusedError, match="stopping"):
        tester.start(TestType.CONNECTIVITY, None, {"outside": True}, owner=None)


async def test_tests_that_ended_long_ago_can_be_shown_watched_and_listed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.runs.go_on.set()
        first = bench.start()
        document = await bench.ended(first)
        others: list[str] = []
        for _ in range(70):
            others.append(bench.start(TestType.CONNECTIVITY))
            await bench.ended(others[-1])
        with pytest.raises(NotFoundError):
            bench.tester.watch(first)
        await bench.tester.find(first)
        events = bench.tester.watch(first).so_far()

        assert [event["event"] for event in events] == ["state", "result"]
        assert events[1]["result"] == document
        assert await bench.tester.show(first) == {"state": "done", "result": document}
        listed = await bench.tester.listed(1000)
        assert len(listed) == 71
        assert (listed[0]["test_id"], listed[-1]["test_id"]) == (others[-1], first)
        assert len(await bench.tester.listed(3)) == 3
        (only,) = await bench.tester.listed(1000, TestType.PING)
        assert only["test_id"] == first
        assert set(only) == {*SUMMARY_FIELDS, "state"}
        for nonsense in ("nonsense", "", "%", "'"):
            with pytest.raises(NotFoundError):
                await bench.tester.find(nonsense)
            with pytest.raises(NotFoundError):
                await bench.tester.show(nonsense)


async def test_tests_of_one_peer_are_found_by_what_it_is_called(tmp_path: Path) -> None:
    async with a_bench(tmp_path, "abc") as bench:
        bench.runs.go_on.set()
        of_b, of_c = bench.start(target="b"), bench.start(target="c")
        await bench.ended(of_b)
        document = await bench.ended(of_c)
        b, c = bench.nodes[1].id, bench.nodes[2].id

        async def found(target: str) -> list[object]:
            return [summary["test_id"] for summary in await bench.tester.listed(10, None, target)]

        assert document["target"]["hops"] == 2
        assert await found("b") == [of_b]
        assert await found(b) == [of_b]
        assert await found(c[:20]) == [of_c]
        assert await found("z") == []


async def test_a_store_that_fails_costs_no_result(tmp_path: Path) -> None:
    async with a_bench(tmp_path / "gone") as bench:
        bench.runs.go_on.set()
        test_id = bench.start()
        document = await bench.ended(test_id)

        assert (document["success"], document["stored"]) == (True, False)
        second = bench.start()
        await bench.ended(second)
        listed = [(each["test_id"], each["stored"]) for each in await bench.tester.listed(10)]
        assert listed == [(second, False), (test_id, False)]


async def test_what_is_known_of_a_test_before_it_ends(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        test_id = bench.start()
        await bench.has_begun(test_id)
        (summary,) = await bench.tester.listed(10)

        assert set(summary) == {*SUMMARY_FIELDS, "state"}
        assert (summary["state"], summary["success"], summary["verdict"]) == ("running", None, None)
        assert cast("float", summary["duration_s"]) >= 0
