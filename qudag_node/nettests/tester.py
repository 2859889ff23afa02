"""`ConnectivityTester`: starts tests in turn, tells who watches, ends them, and keeps what they found.

A test is conducted by a task of its own, and its run by a second one, so that a run that fails, hangs or will
not end costs its own result and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import ClassVar, Protocol, Self

from qudag_node.config import TestsConfig
from qudag_node.errors import (
    ConfigError,
    DeclinedError,
    NodeError,
    NotFoundError,
    PeerRefusedError,
    StoreError,
)
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.context import Context, Run
from qudag_node.nettests.control import Control
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.environment import HostWatch, environment
from qudag_node.nettests.job import Job, JobState, Watch
from qudag_node.nettests.load import LoadService
from qudag_node.nettests.plan import limit_s, plan_map, plan_of
from qudag_node.nettests.requests import ConnectivityOptions, Options, TestType, option_map, options_of
from qudag_node.nettests.results import Measured, Target, TestResult, document_of
from qudag_node.nettests.runs import LoadRun, load_run
from qudag_node.nettests.summaries import matches, summary_of_document, summary_of_job
from qudag_node.nettests.turns import Weight, next_turns, weight_of
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import PeerFacts, TestPort
from qudag_node.peerid import PeerId

__all__ = ["ConnectivityTester", "KeepsResults", "TesterParts"]

_log = logging.getLogger(__name__)

#: How long a test that was told to end may take to do so.
_GRACE_S = 5.0
#: The same when the node stops, which is to be quick.
_STOP_S = 2.5
#: How often a run that does not even heed its cancellation is cancelled.
_CANCELLATIONS = 3
#: Tests that have ended, kept for those who watch and for a store that cannot be written.
_MAX_ENDED = 64
#: Those of the store that somebody has begun to watch just now.
_MAX_RESTORED = 8
#: Tests without a target, or whose target may be absent or unreachable.
_WITHOUT_TARGET = frozenset({TestType.ROUTING, TestType.CONNECTIVITY})
_ID_BYTES, _ID_CHARS = 8, 12


class KeepsResults(Protocol):
    """The store, as far as tests need it."""

    async def put(self, document: Mapping[str, object], state: str) -> None:
        """Keep a result.

        Raises:
            StoreError: It cannot.
        """
        ...

    async def get(self, test_id: str) -> tuple[Mapping[str, object], str] | None:
        """Return a result and its state.

        Raises:
            StoreError: It cannot be read.
        """
        ...

    async def newest(
        self, limit: int, test_type: str | None, target: str | None
    ) -> Sequence[tuple[Mapping[str, object], str]]:
        """Return the summaries of results, newest first; ``target`` is an id, its beginning, or a name.

        Raises:
            StoreError: They cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TesterParts:
    """What the tester works with; see ``Context``.

    Attributes:
        consent: Learns of tests that load the network, so that no other begins one here meanwhile.
        node: ``id``, ``name`` and ``version`` for the results.
        load_run: Where the code of a test comes from.
    """

    #: pytest looks at the name.
    __test__: ClassVar[bool] = False

    port: TestPort
    control: Control
    consent: Consent
    workers: Workers
    config: TestsConfig
    clock: Clock
    collector: MetricsCollector
    store: KeepsResults
    node: Mapping[str, str]
    echoes: EchoService | None = None
    loads: LoadService | None = None
    load_run: LoadRun = load_run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a run ended."""

    measured: Measured
    declined: str | None = None
    has_failed: bool = False


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
        self._runs: set[asyncio.Task[_Outcome]] = set()
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
        for run in self._runs:
            run.cancel()
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
        found = self._target(test_type, target, checked)
        if self._tasks is None:
            raise PeerRefusedError("this node is stopping")
        clock = self._parts.clock
        job = Job(
            test_id=_new_id(),
            test_type=test_type,
            target=found,
            options=checked,
            weight=weight_of(test_type, checked),
            watch=Watch(clock.time, clock.monotonic),
            created_unix_s=clock.time(),
            owner=owner if cancel_with_owner else None,
        )
        self._queue.append(job)
        places = next_turns(*self._weights(), most=self._parts.config.max_running)
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
        found = self._target(test_type, target, checked)
        peers = len(self._parts.port.peers()) if found is None else 1
        hops = 1 if found is None or found.hops is None else found.hops
        ahead = len(self._queue) + len(self._running)
        weights = [*(job.weight for job in self._queue), weight_of(test_type, checked)]
        running = [job.weight for job in self._running.values()]
        starts = len(weights) - 1 in next_turns(weights, running, most=self._parts.config.max_running)
        return {
            "test_type": test_type.value,
            "target": None if found is None else {"id": found.id, "name": found.name, "hops": found.hops},
            "options": option_map(checked),
            "plan": plan_map(plan_of(checked, hops=hops, peers=peers)),
            "waits_for": 0 if starts else ahead,
            "refusal": None if found is None else self._hopeless(test_type, found.id),
        }

    # Targets

    def _target(self, test_type: TestType, text: str | None, options: Options) -> Target | None:
        if text is None or not text:
            needs_peer = test_type not in _WITHOUT_TARGET or (
                isinstance(options, ConnectivityOptions) and not (options.outside or options.address)
            )
            if needs_peer:
                raise ConfigError(test_type.value, "which peer? `qudag peer list` shows them")
            return None
        port = self._parts.port
        peer = port.resolve(text)
        if peer == port.own_id:
            raise ConfigError(test_type.value, f"{text[:64]} is this node itself; name a peer")
        return _target_of(port.facts(peer))

    def _hopeless(self, test_type: TestType, peer: PeerId) -> str | None:
        """Tell why a test cannot be made of a peer at all."""
        facts = self._parts.port.facts(peer)
        if facts.is_banned and test_type is not TestType.ROUTING:
            return f"{facts.name} is banned here; `qudag peer unban` ends that"
        if facts.hops == 0 and test_type not in _WITHOUT_TARGET:
            return f"{facts.name} cannot be reached: there is neither a link to it nor a way through others"
        return None

    # Turns

    def _weights(self) -> tuple[list[Weight], list[Weight]]:
        return [job.weight for job in self._queue], [job.weight for job in self._running.values()]

    def _give_turns(self) -> None:
        if self._tasks is None:
            return
        places = next_turns(*self._weights(), most=self._parts.config.max_running)
        chosen = [self._queue[place] for place in places]
        for job in chosen:
            self._queue.remove(job)
            self._running[job.test_id] = job
            conductor = self._tasks.create_task(self._conduct(job), name=f"test[{job.test_id}]")
            self._conductors.add(conductor)
            conductor.add_done_callback(self._conductors.discard)
        heavy = {job.test_type.value for job in self._running.values() if job.weight is Weight.HEAVY}
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
            self._finish(
                job, JobState.CANCELLED, self._result(job, _Outcome(measured=nothing), 0.0, HostWatch())
            )
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
            outcome = await self._measured(job)
            duration_s = clock.monotonic() - began_mono_s
            document = self._result(job, outcome, duration_s, host)
            state = JobState.FAILED if outcome.has_failed else JobState.DONE
            if job.is_interrupted:
                state = JobState.CANCELLED
            document = await self._kept(document, state)
        except Exception:  # noqa: BLE001  # the boundary of one test
            _log.exception("test %s (%s): the tester failed", job.test_id, job.test_type)
            outcome = _failed("The node failed at this test; its log says why.")
            state, document = JobState.FAILED, self._result(job, outcome, 0.0, host)
        try:
            self._finish(job, state, document)
        finally:
            if is_heavy:
                self._parts.consent.end_own()
            self._running.pop(job.test_id, None)
            self._give_turns()

    async def _measured(self, job: Job) -> _Outcome:
        """Run a test within its time; end it early when it is told to."""
        run = asyncio.create_task(self._outcome(job), name=f"run[{job.test_id}]")
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        limit = limit_s(job.options)
        try:
            await _wait(run, job.stopping, limit)
            is_late = not run.done() and not job.stopping.is_set()
            if not run.done():
                job.stopping.set()
                await asyncio.wait({run}, timeout=_GRACE_S)
            for _ in range(_CANCELLATIONS):
                if run.done():
                    break
                run.cancel()
                await asyncio.wait({run}, timeout=_GRACE_S)
        finally:
            run.cancel()
        if not run.done():
            _log.error("test %s: its run does not end; it is left to itself", job.test_id)
        elif not run.cancelled():
            return run.result()
        why = f"ended after {limit:g} s, which is too long" if is_late else "it did not end in time"
        return _failed(f"Nothing was kept: {why}.", has_failed=is_late)

    async def _outcome(self, job: Job) -> _Outcome:
        try:
            if job.target is not None:
                job.target = _target_of(self._parts.port.facts(job.target.id))
                refusal = self._hopeless(job.test_type, job.target.id)
                if refusal is not None:
                    return _failed(refusal)
            run: Run = self._parts.load_run(job.test_type)
            measured = await run(self._context(job), job.options)
        except DeclinedError as exc:
            who = "the peer" if job.target is None else job.target.name
            return _Outcome(measured=_failed(f"{who} declined: {exc.reason}").measured, declined=exc.reason)
        except NodeError as exc:
            return _failed(str(exc))
        except Exception as exc:  # noqa: BLE001  # the boundary of one test: its mistake costs its own result
            _log.exception("test %s (%s) failed", job.test_id, job.test_type)
            return _failed(f"The test failed here ({type(exc).__name__}); the node's log says why.")
        return _Outcome(measured=measured)

    def _context(self, job: Job) -> Context:
        parts = self._parts
        return Context(
            test_id=job.test_id,
            target=None if job.target is None else job.target.id,
            port=parts.port,
            control=parts.control,
            workers=parts.workers,
            config=parts.config,
            clock=parts.clock,
            collector=parts.collector,
            stopping=job.stopping,
            tell=job.watch.progress,
            echoes=parts.echoes,
            loads=parts.loads,
        )

    def _result(self, job: Job, outcome: _Outcome, duration_s: float, host: HostWatch) -> dict[str, object]:
        parts = self._parts
        measured = _noting(outcome.measured, job.loaded_by)
        found = environment(parts.node, measured, host, dscp=parts.config.dscp)
        result = TestResult(
            test_id=job.test_id,
            test_type=job.test_type,
            target=job.target,
            started_unix_s=job.created_unix_s if job.started_unix_s is None else job.started_unix_s,
            duration_s=duration_s,
            measured=measured,
            options=option_map(job.options),
            environment=found,
            interrupted=job.is_interrupted,
            declined=outcome.declined,
            stored=False,
        )
        try:
            return document_of(result)
        except (TypeError, ValueError) as exc:
            _log.exception("test %s (%s): its result cannot be written down", job.test_id, job.test_type)
            line = f"The test failed here ({type(exc).__name__}); the node's log says why."
            return self._result(job, _failed(line), duration_s, host)

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


async def _wait(run: asyncio.Task[_Outcome], stopping: asyncio.Event, timeout_s: float) -> None:
    """Wait until the run has ended, or is to, or the time is up."""
    told = asyncio.create_task(stopping.wait(), name="told to stop")
    try:
        await asyncio.wait({run, told}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()


def _failed(line: str, *, has_failed: bool = True) -> _Outcome:
    measured = Measured(success=False, verdict=line, method="none", fields={}, errors=(line,))
    return _Outcome(measured=measured, has_failed=has_failed)


def _noting(measured: Measured, loaded_by: set[str]) -> Measured:
    if not loaded_by:
        return measured
    note = f"a {' and a '.join(sorted(loaded_by))} test of this node loaded the network meanwhile"
    return replace(measured, notes=(*measured.notes, note), noisy=True)


def _target_of(facts: PeerFacts) -> Target:
    return Target(id=facts.id, name=facts.name, hops=facts.hops or None)


def _new_id() -> str:
    return base64.b32encode(os.urandom(_ID_BYTES)).decode().lower()[:_ID_CHARS]


def _began(summary: Mapping[str, object]) -> float:
    began = summary["started_unix_s"]
    assert isinstance(began, int | float)  # noqa: S101  # every summary has it
    return began
