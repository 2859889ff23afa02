from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from qudag_node.host.interpreter import child_environment, python_module
from qudag_node.lab.processes import started_at
from qudag_node.nettests.workers import WorkerError, Workers
from tests.conftest import REPO
from tests.qudag_node.nettests import jobs

PATIENCE_S = 60.0
NAMES = ("count", "fail", "crash", "refuse", "die", "chatter", "wait", "linger", "nonsense", "hoard")
JOBS = {name: f"{jobs.MODULE}:{name}" for name in NAMES}


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers(limit=3, jobs=JOBS)
    yield workers
    await workers.close()
    assert workers.running == 0


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_job_emits_events_and_a_result(workers: Workers) -> None:
    async with await workers.start("count", {"to": 3, "blob": 3_000_000}) as worker:
        ready = await worker.wait_for("ready", PATIENCE_S)
        assert ready["pid"] == worker.pid != os.getpid()
        result = await worker.result(PATIENCE_S)
        assert result["counted"] == 3
        assert len(result["blob"]) == 3_000_000
        events = [await worker.event() for _ in range(4)]
        assert [event and event["number"] for event in events] == [0, 1, 2, None]
        assert not is_alive(ready["pid"])
        assert workers.running == 0


async def test_waiting_for_an_event_leaves_those_before_it(workers: Workers) -> None:
    async with await workers.start("count", {"to": 2}) as worker:
        assert (await worker.wait_for("counted", PATIENCE_S))["number"] == 0
        first, second = await worker.event(), await worker.event()
        assert first is not None
        assert second is not None
        assert (first["event"], second["number"]) == ("ready", 1)


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ("fail", "the port is taken"),
        ("crash", "TypeError: a mistake of ours"),
        ("refuse", "/nonexistent/file: No such file or directory"),
        ("die", r"die: the worker died \(signal 9\): famous last words"),
    ],
)
async def test_a_job_that_fails_says_so_in_one_line(workers: Workers, job: str, text: str) -> None:
    async with await workers.start(job, {"text": "the port is taken"}) as worker:
        with pytest.raises(WorkerError, match=text):
            await worker.result(PATIENCE_S)
        with pytest.raises(WorkerError, match=text):
            await worker.wait_for("never", PATIENCE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound a process's memory")
async def test_a_job_takes_so_much_memory_at_most(workers: Workers) -> None:
    async with await workers.start("hoard", {"bytes": 100 << 20}) as worker:
        assert (await worker.result(PATIENCE_S))["hoarded"] == 100 << 20
    async with await workers.start("hoard", {"bytes": 4 << 30}) as worker:
        with pytest.raises(WorkerError, match="MemoryError"):
            await worker.result(PATIENCE_S)


async def test_who_waits_for_what_never_comes_is_told(workers: Workers) -> None:
    async with await workers.start("count", {"to": 1}) as worker:
        with pytest.raises(WorkerError, match="count: ended without being readier"):
            await worker.wait_for("readier", PATIENCE_S)
    async with await workers.start("wait", {}) as worker:
        with pytest.raises(WorkerError, match=r"wait: not done after 0\.01 s"):
            await worker.result(0.01)
        with pytest.raises(WorkerError, match=r"wait: not done yet after 0\.01 s"):
            await worker.wait_for("done yet", 0.01)


async def test_a_worker_killed_from_outside_is_told_of(workers: Workers) -> None:
    async with await workers.start("wait", {}) as worker:
        await worker.wait_for("ready", PATIENCE_S)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"died \(signal 9\)"):
            await worker.result(PATIENCE_S)
        assert await worker.event() is None
        worker.tell("stop")  # nobody is there: nothing happens


async def test_orders_reach_the_job_and_stop_ends_it_early(workers: Workers) -> None:
    async with await workers.start("wait", {}) as worker:
        await worker.wait_for("ready", PATIENCE_S)
        worker.tell("report")
        worker.tell("stop")
        assert await worker.result(PATIENCE_S) == {"stopped": True, "orders": ["report"]}


async def test_a_worker_ignores_the_terminals_interrupt(workers: Workers) -> None:
    async with await workers.start("wait", {}) as worker:
        await worker.wait_for("ready", PATIENCE_S)
        assert os.getpgid(worker.pid) != os.getpgid(0)
        os.kill(worker.pid, signal.SIGINT)
        worker.tell("stop")
        assert (await worker.result(PATIENCE_S))["stopped"]


async def test_leaving_kills_it(workers: Workers) -> None:
    async with await workers.start("wait", {}) as worker:
        pid = (await worker.wait_for("ready", PATIENCE_S))["pid"]
    assert not is_alive(pid)
    assert workers.running == 0
    with pytest.raises(WorkerError, match="wait: the worker was stopped"):
        await worker.result(PATIENCE_S)


async def test_there_is_a_limit_and_an_end(workers: Workers) -> None:
    started = [await workers.start("wait", {}) for _ in range(3)]
    with pytest.raises(WorkerError, match="no worker for wait: 3 run already"):
        await workers.start("wait", {})
    await started[0].close()
    started[0] = await workers.start("wait", {})
    await workers.close()
    assert not any(is_alive(worker.pid) for worker in started)
    with pytest.raises(WorkerError, match="no worker for wait: the node is stopping"):
        await workers.start("wait", {})


async def test_one_that_is_starting_while_all_are_closed_does_not_stay(workers: Workers) -> None:
    starting = asyncio.create_task(workers.start("wait", {}))
    await asyncio.sleep(0)
    await workers.close()
    with pytest.raises(WorkerError, match="the node is stopping"):
        await starting
    assert workers.running == 0


async def test_what_it_writes_to_the_log_is_bounded(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "qudag_node.nettests.workers"):
        async with await workers.start("chatter", {"lines": 1000, "width": 20}) as worker:
            await worker.result(PATIENCE_S)
        assert len(caplog.records) == 41
        assert caplog.messages[-1] == "worker chatter: 960 more lines"
        caplog.clear()
        async with await workers.start("chatter", {"lines": 3, "width": 100_000}) as worker:
            await worker.result(PATIENCE_S)
        assert max(map(len, caplog.messages)) < 1100


async def test_one_that_leaves_threads_behind_ends_all_the_same(workers: Workers) -> None:
    async with await workers.start("linger", {}) as worker:
        modules = set((await worker.result(PATIENCE_S))["modules"])
    assert not is_alive(worker.pid)
    heavy = {"asyncio", "numpy", "cryptography", "qudag_node.overlay", "qudag_node.wire", "ssl"}
    assert not modules & heavy


async def test_one_that_talks_nonsense_is_killed(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    async with await workers.start("nonsense", {}) as worker:
        with pytest.raises(WorkerError, match="died"):
            await worker.result(PATIENCE_S)
    assert "cannot be understood" in caplog.text


NODE = f"""
import asyncio, time
from qudag_node.lab.processes import started_at
from qudag_node.nettests.workers import Workers

async def main():
    workers = Workers(jobs={JOBS!r})
    worker = await workers.start("wait", {{}})
    print((await worker.wait_for("ready", 60))["pid"], flush=True)
    time.sleep(600)

asyncio.run(main())
"""


def test_when_the_node_is_killed_its_workers_end() -> None:
    environ = {**child_environment(os.environ), "PYTHONPATH": str(REPO)}
    with subprocess.Popen(
        [sys.executable, "-c", NODE], stdout=subprocess.PIPE, text=True, env=environ, cwd=REPO
    ) as node:
        assert node.stdout is not None
        pid = int(node.stdout.readline())
        assert is_alive(pid)
        node.kill()
        deadline_mono_s = time.monotonic() + PATIENCE_S
        # Its new parent may take its time to reap it: a zombie has ended.
        while started_at(pid) is not None:
            assert time.monotonic() < deadline_mono_s
            time.sleep(0.02)


def test_started_by_hand_it_says_what_it_is() -> None:
    run = subprocess.run(
        python_module("qudag_node.nettests.worker"),
        capture_output=True,
        text=True,
        env=child_environment(os.environ),
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "started by a node" in run.stderr
