"""`Conductor`: makes the run of a test, within its time, and puts the frame of a result round what it found.

The run is a task of its own: one that fails, hangs or will not end costs its own result and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, NodeError
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.context import Context, Run
from qudag_node.nettests.control import Control
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.environment import HostWatch, environment
from qudag_node.nettests.job import Job
from qudag_node.nettests.load import LoadService
from qudag_node.nettests.plan import limit_s
from qudag_node.nettests.requests import option_map
from qudag_node.nettests.results import Measured, TestResult, document_of
from qudag_node.nettests.runs import LoadRun, load_run
from qudag_node.nettests.targets import hopeless, target_now
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import TestPort

__all__ = ["Conductor", "KeepsResults", "Outcome", "TesterParts", "failed"]

_log = logging.getLogger(__name__)

#: How long a test that was told to end may take to do so.
_GRACE_S = 5.0
#: How often a run that does not even heed its cancellation is cancelled.
_CANCELLATIONS = 3


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
class Outcome:
    """How a run ended.

    Attributes:
        declined: Why the peer, or a limit of this node, said no.
        has_failed: The test could not be made.
    """

    measured: Measured
    declined: str | None = None
    has_failed: bool = False


class Conductor:
    """Makes the runs of tests."""

    def __init__(self, parts: TesterParts) -> None:
        self._parts = parts
        self._runs: set[asyncio.Task[Outcome]] = set()

    def cancel_all(self) -> None:
        """End every run at once, with what it has or without."""
        for run in self._runs:
            run.cancel()

    async def outcome(self, job: Job) -> Outcome:
        """Run a test within its time; end it early when it is told to."""
        run = asyncio.create_task(self._attempt(job), name=f"run[{job.test_id}]")
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
            return _cut_short(run.result(), limit) if is_late else run.result()
        why = f"ended after {limit:g} s, which is too long" if is_late else "it did not end in time"
        return failed(f"Nothing was kept: {why}.", has_failed=is_late)

    def document(self, job: Job, outcome: Outcome, duration_s: float, host: HostWatch) -> dict[str, object]:
        """Return the document of a test that has ended, not stored yet."""
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
            return self.document(job, failed(line), duration_s, host)

    async def _attempt(self, job: Job) -> Outcome:
        try:
            if job.target is not None:
                job.target = target_now(self._parts.port, job.target.id)
                refusal = hopeless(self._parts.port, job.test_type, job.target.id)
                if refusal is not None:
                    return failed(refusal)
            run: Run = self._parts.load_run(job.test_type)
            measured = await run(self._context(job), job.options)
        except DeclinedError as exc:
            who = "the peer" if job.target is None else job.target.name
            return Outcome(measured=failed(f"{who} declined: {exc.reason}").measured, declined=exc.reason)
        except NodeError as exc:
            return failed(str(exc))
        except Exception as exc:  # noqa: BLE001  # the boundary of one test: its mistake costs its own result
            _log.exception("test %s (%s) failed", job.test_id, job.test_type)
            return failed(f"The test failed here ({type(exc).__name__}); the node's log says why.")
        return Outcome(measured=measured, declined=measured.declined)

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


async def _wait(run: asyncio.Task[Outcome], stopping: asyncio.Event, timeout_s: float) -> None:
    """Wait until the run has ended, or is to, or the time is up."""
    told = asyncio.create_task(stopping.wait(), name="told to stop")
    try:
        await asyncio.wait({run, told}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()


def _cut_short(outcome: Outcome, limit: float) -> Outcome:
    line = f"it was ended after {limit:g} s, which is too long"
    measured = replace(outcome.measured, errors=(*outcome.measured.errors, line))
    return replace(outcome, measured=measured)


def failed(line: str, *, has_failed: bool = True) -> Outcome:
    """Return the outcome of a test that has measured nothing, and why."""
    measured = Measured(success=False, verdict=line, method="none", fields={}, errors=(line,))
    return Outcome(measured=measured, has_failed=has_failed)


def _noting(measured: Measured, loaded_by: set[str]) -> Measured:
    if not loaded_by:
        return measured
    note = f"{' and '.join(sorted(loaded_by))} loaded the network meanwhile"
    return replace(measured, notes=(*measured.notes, note), noisy=True)
