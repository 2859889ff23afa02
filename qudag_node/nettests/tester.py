"""`ConnectivityTester`: starts tests in turn, tells who watches, ends them, and keeps what they found.

Each test has a task that takes it from its turn to its result; the run itself is a second one, `Conductor`'s.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from qudag_node.errors import NotFoundError, PeerRefusedError, StoreError
from qudag_node.nettests.conductor import Conductor, Outcome, TesterParts, failed
from qudag_node.nettests.environment import HostWatch
from qudag_node.nettests.job import Job, JobState, Watch
from qudag_node.nettests.plan import plan_map, plan_of
from qudag_node.nettests.requests import TestType, option_map, options_of
from qudag_node.nettests.results import Measured
from qudag_node.nettests.summaries import matches, summary_of_document, summary_of_job
from qudag_node.nettests.targets import refusal_of, target_of
from qudag_node.nettests.turns import Turn, Weight, next_turns

__all__ = ["ConnectivityTester"]

_log = logging.getLogger(__name__)

#: How long tests may take to end when the node stops, which is to be quick.
_STOP_S = 2.5
#: Tests that have ended, kept for those who watch and for a store that cannot be written.
_MAX_ENDED = 64
#: Those of the store that somebody has begun to watch just now.
_MAX_RESTORED = 8
_ID_BYTES, _ID_CHARS = 8, 12


class ConnectivityTester:
    """All tests of this node. An async context manager: on leaving they are ended and their results kept.

    Attributes:
        on_change: Called with a test's id when its state has changed or its result is there.
    """

    def __init__(self, parts: TesterParts) -> None:
        self._parts = parts
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._restored: OrderedDict[str, Watch] = OrderedDict()
        self._queue: list[Job] = []
        self._running: dict[str, Job] = {}
        self._conductor = Conductor(parts)
        self._conductors: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self.on_change: Callable[[str], None] = lambda _: None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        for job in [*self._queue, *self._running.values()]:
            self._end_early(job)
        if self._conductors:
            await asyncio.wait(self._conductors, timeout=_STOP_S)
        self._conductor.cancel_all()
        if tasks is not None:
            # Not told of an error of the body, which is to come out as it is, not in a group.
            await tasks.__aexit__(None, None, None)

    # What is asked of it

    def start(
        self,
        test_type: TestType,
        target: str | None,
        options: Mapping[str, object],
        *,
        owner: object,
        cancel_with_owner: bool = False,
        asked_by: str = "",
    ) -> str:
        """Start a test, or queue it; return its id. ``asked_by`` is for the log.

        Raises:
            ConfigError: The options are wrong, or the target is missing or this node itself.
            NotFoundError, AmbiguousError: The target fits no peer, or several.
            PeerRefusedError: Too many tests wait already, or the node is stopping.
        """
        checked = options_of(test_type, options)
        found = target_of(self._parts.port, test_type, target, checked)
        if self._tasks is None:
            raise PeerRefusedError("this node is stopping")
        clock = self._parts.clock
        job = Job(
            test_id=_new_id(),
            test_type=test_type,
            target=found,
            options=checked,
            turn=Turn.of(test_type, checked, None if found is None else found.id),
            watch=Watch(clock.time, clock.monotonic),
            created_unix_s=clock.time(),
            owner=owner if cancel_with_owner else None,
        )
        self._queue.append(job)
        places = next_turns(*self._turns(), most=self._parts.config.max_running)
        if len(self._queue) - len(places) > self._parts.config.max_queued:
            self._queue.remove(job)
            raise PeerRefusedError(
                f"{len(self._queue)} tests wait for their turn already; `qudag network test list` shows them"
            )
        self._remember(job)
        job.go_to(JobState.QUEUED)
        whose = "the network" if found is None else found.name
        _log.info("test %s: %s of %s, asked for by %s", job.test_id, test_type, whose, asked_by or "somebody")
        self._give_turns()
        return job.test_id

    def cancel(self, test_id: str) -> JobState:
        """End a test early and return its state; one that has ended stays as it is.

        Raises:
            NotFoundError: No test of this id runs, waits, or has ended lately.
        """
        job = self._jobs.get(test_id)
        if job is None:
            raise NotFoundError(f"no test {test_id[:32]!r} runs here")
        self._end_early(job)
        return job.state

    def owner_gone(self, owner: object) -> None:
        """End the tests that were to end with who asked for them."""
        for job in [*self._queue, *self._running.values()]:
            if job.owner is owner:
                self._end_early(job)

    async def find(self, test_id: str) -> None:
        """Make sure that a test can be watched, also one that has ended long ago.

        Raises:
            NotFoundError: There is none.
            StoreError: It can no longer be read.
        """
        if test_id in self._jobs:
            return
        document, state = await self._stored(test_id)
        watch = Watch(self._parts.clock.time, self._parts.clock.monotonic)
        watch.state(JobState(state))
        watch.result(document)
        self._restored[test_id] = watch
        while len(self._restored) > _MAX_RESTORED:
            self._restored.popitem(last=False)

    def watch(self, test_id: str) -> Watch:
        """Return what happens to a test; of one that ended long ago, how it ended, once it was found.

        Raises:
            NotFoundError: There is none.
        """
        job = self._jobs.get(test_id)
        watch = self._restored.get(test_id) if job is None else job.watch
        if watch is None:
            raise NotFoundError(f"no test {test_id[:32]!r} runs here")
        return watch

    async def show(self, test_id: str) -> dict[str, object]:
        """Return the ``result`` of a test, None while there is none, and its ``state``.

        Raises:
            NotFoundError: There is no such test.
            StoreError: It can no longer be read.
        """
        job = self._jobs.get(test_id)
        if job is not None:
            return {"state": job.state.value, "result": job.document}
        document, state = await self._stored(test_id)
        return {"state": state, "result": document}

    async def listed(
        self, limit: int, test_type: TestType | None = None, target: str | None = None
    ) -> list[dict[str, object]]:
        """Return summaries of tests, newest first.

        Raises:
            StoreError: The store cannot be read.
        """
        wanted = self._wanted(target)
        kind = None if test_type is None else test_type.value
        rows = await self._parts.store.newest(limit, kind, wanted)
        found = {str(summary["test_id"]): summary_of_document(summary, state) for summary, state in rows}
        for job in self._jobs.values():
            if test_type in {None, job.test_type}:
                found[job.test_id] = summary_of_job(job, self._parts.clock.time())
        chosen = [summary for summary in found.values() if wanted is None or matches(summary, wanted)]
        chosen.sort(key=_began, reverse=True)
        return chosen[:limit]

    def plan(
        self, test_type: TestType, target: str | None, options: Mapping[str, object]
    ) -> dict[str, object]:
        """Return what a test would do; raises as ``start`` does, but for the queue."""
        checked = options_of(test_type, options)
        found = target_of(self._parts.port, test_type, target, checked)
        peers = len(self._parts.port.peers()) if found is None else 1
        hops = 1 if found is None or found.hops is None else found.hops
        ahead = len(self._queue) + len(self._running)
        waiting, running = self._turns()
        waiting.append(Turn.of(test_type, checked, None if found is None else found.id))
        starts = len(waiting) - 1 in next_turns(waiting, running, most=self._parts.config.max_running)
        return {
            "test_type": test_type.value,
            "target": None if found is None else {"id": found.id, "name": found.name, "hops": found.hops},
            "options": option_map(checked),
            "plan": plan_map(plan_of(checked, hops=hops, peers=peers)),
            "waits_for": 0 if starts else ahead,
            "refusal": None if found is None else refusal_of(self._parts.port, test_type, found.id, checked),
        }

    # Turns

    def _turns(self) -> tuple[list[Turn], list[Turn]]:
        return [job.turn for job in self._queue], [job.turn for job in self._running.values()]

    def _give_turns(self) -> None:
        if self._tasks is None:
            return
        places = next_turns(*self._turns(), most=self._parts.config.max_running)
        chosen = [self._queue[place] for place in places]
        for job in chosen:
            self._queue.remove(job)
            self._running[job.test_id] = job
            conductor = self._tasks.create_task(self._conduct(job), name=f"test[{job.test_id}]")
            self._conductors.add(conductor)
            conductor.add_done_callback(self._conductors.discard)
        heavy = {
            f"a {job.test_type} test of this node"
            for job in self._running.values()
            if job.weight is Weight.HEAVY
        }
        for job in self._running.values():
            if job.weight is not Weight.HEAVY:
                job.loaded_by |= heavy

    def _remember(self, job: Job) -> None:
        self._jobs[job.test_id] = job
        self._jobs.move_to_end(job.test_id)
        ended = [known for known in self._jobs.values() if known.state.is_final]
        for old in ended[: max(0, len(ended) - _MAX_ENDED)]:
            del self._jobs[old.test_id]

    def _end_early(self, job: Job) -> None:
        if job.state.is_final:
            return
        job.is_interrupted = True
        job.stopping.set()
        if job in self._queue:
            self._queue.remove(job)
            nothing = Measured(
                success=False, verdict="It was cancelled before its turn came.", method="none", fields={}
            )
            # What has measured nothing is not worth a place in the store.
            document = self._conductor.document(job, Outcome(measured=nothing), 0.0, HostWatch())
            self._finish(job, JobState.CANCELLED, document)
            self._give_turns()

    # One test

    async def _conduct(self, job: Job) -> None:
        clock, host = self._parts.clock, HostWatch()
        began_mono_s = clock.monotonic()
        is_heavy = job.weight is Weight.HEAVY
        if is_heavy:
            self._parts.consent.begin_own()
        try:
            job.started_unix_s = clock.time()
            job.go_to(JobState.RUNNING)
            self.on_change(job.test_id)
            self._note_load_of_others(job)
            outcome = await self._conductor.outcome(job)
            self._note_load_of_others(job)
            duration_s = clock.monotonic() - began_mono_s
            document = self._conductor.document(job, outcome, duration_s, host)
            state = JobState.FAILED if outcome.has_failed else JobState.DONE
            if job.is_interrupted:
                state = JobState.CANCELLED
            document = await self._kept(document, state)
        except Exception:  # noqa: BLE001  # the boundary of one test
            _log.exception("test %s (%s): the tester failed", job.test_id, job.test_type)
            outcome = failed("The node failed at this test; its log says why.")
            state, document = JobState.FAILED, self._conductor.document(job, outcome, 0.0, host)
        try:
            self._finish(job, state, document)
        finally:
            if is_heavy:
                self._parts.consent.end_own()
            self._running.pop(job.test_id, None)
            self._give_turns()

    def _note_load_of_others(self, job: Job) -> None:
        """What others test here was granted, and is not ours to queue; that it may show is told."""
        if self._parts.consent.heavy:
            job.loaded_by.add("a test of another node")

    async def _kept(self, document: dict[str, object], state: JobState) -> dict[str, object]:
        stored = {**document, "stored": True}
        try:
            await self._parts.store.put(stored, state.value)
        except StoreError as exc:
            _log.debug("the result of test %s is not stored: %s", document["test_id"], exc)
            return document
        return stored

    def _finish(self, job: Job, state: JobState, document: Mapping[str, object]) -> None:
        job.document = document
        job.owner = None
        job.go_to(state)
        job.watch.result(document)
        _log.info("test %s: %s: %s", job.test_id, state, document["verdict"])
        self._remember(job)
        self.on_change(job.test_id)

    async def _stored(self, test_id: str) -> tuple[Mapping[str, object], str]:
        found = await self._parts.store.get(test_id)
        if found is None:
            raise NotFoundError(f"no test {test_id[:32]!r}; `qudag network test list` shows them")
        return found

    def _wanted(self, target: str | None) -> str | None:
        """Return the id that is meant, or the text itself where its peer is no longer known."""
        if target is None:
            return None
        try:
            return self._parts.port.resolve(target)
        except NotFoundError:
            return target


def _new_id() -> str:
    return base64.b32encode(os.urandom(_ID_BYTES)).decode().lower()[:_ID_CHARS]


def _began(summary: Mapping[str, object]) -> float:
    began = summary["started_unix_s"]
    assert isinstance(began, int | float)  # noqa: S101  # every summary has it
    return began
