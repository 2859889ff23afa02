"""Worker processes, seen from the node: starting them, reading their events, ending them.

A worker is gone when its job is done, when it is killed, or when this process is, however that ends: it reads
end-of-file then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from qudag_node.errors import NodeError
from qudag_node.host.interpreter import child_environment, python_module
from qudag_node.nettests.worker.channel import LENGTH, MAX_FRAME_BYTES, pack_frame, unpack_payload
from qudag_node.nettests.worker.jobs import JOBS

__all__ = ["Worker", "WorkerError", "Workers"]

_log = logging.getLogger(__name__)

_MODULE = "qudag_node.nettests.worker"
#: Events that nobody has taken yet; of more the oldest go.
_MAX_EVENTS = 10_000
#: What a worker may write to the log.
_MAX_LOG_LINES = 40
_MAX_LOG_LINE_BYTES = 1000
#: A worker that was told to do too much and listens to nobody must not fill the memory.
_MAX_UNSENT_BYTES = 1 << 20
_READ_AHEAD_BYTES = 1 << 20
#: A worker leaves at once after its last event; one that does not is killed.
_LEAVE_S = 5.0
_LEAVE_POLL_S = 0.002


class WorkerError(NodeError):
    """A worker cannot be started, has failed, or is gone; the text is one line."""


class Workers:
    """All worker processes of a node.

    Args:
        limit: How many may run at once.
        jobs: Name of a job to ``module:function``.
    """

    def __init__(self, *, limit: int = 16, jobs: Mapping[str, str] = JOBS) -> None:
        self.limit = limit
        self._jobs = jobs
        self._starting = 0
        self._running: set[Worker] = set()
        self._closed = asyncio.Event()

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._running) + self._starting

    async def start(self, job: str, params: Mapping[str, object]) -> Worker:
        """Start a process for one job. 30 ms of its own time pass before the job's first line runs.

        Raises:
            WorkerError: Too many run already, or no process can be started.
        """
        if self._closed.is_set() or self.running >= self.limit:
            raise WorkerError(f"no worker for {job}: " + self._why_not())
        frame = pack_frame({"job": self._jobs[job], "params": dict(params)})
        self._starting += 1
        try:
            worker = await _spawn(job, frame)
        finally:
            self._starting -= 1
        self._running.add(worker)
        worker.call_at_end(self._running.discard)
        if self._closed.is_set():
            await worker.close()
            raise WorkerError(f"no worker for {job}: " + self._why_not())
        return worker

    async def close(self) -> None:
        """Kill all of them, and start no more."""
        self._closed.set()
        while self._running:
            await asyncio.gather(*(worker.close() for worker in list(self._running)))

    def _why_not(self) -> str:
        return "the node is stopping" if self._closed.is_set() else f"{self.limit} run already"


class Worker:
    """One process doing one job. As a context manager it is killed on leaving.

    One task at a time may wait for its events.
    """

    def __init__(
        self,
        job: str,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log: asyncio.StreamReader,
    ) -> None:
        self.job = job
        self._process = process
        self._writer = writer
        self._events: deque[dict[str, Any]] = deque(maxlen=_MAX_EVENTS)
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._outcome: dict[str, Any] | None = None
        self._is_closing = False
        self._last_words = ""
        self._call_at_end: list[Callable[[Worker], None]] = []
        self._log_task = asyncio.create_task(self._read_log(log), name=f"worker-log[{job}]")
        self._task = asyncio.create_task(self._read(reader), name=f"worker[{job}]")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it may still send events."""
        return not self._ended.is_set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def event(self) -> dict[str, Any] | None:
        """Return the next event (``event`` is its name), None when no more will come."""
        while not self._events:
            if self._ended.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    async def wait_for(self, kind: str, timeout_s: float) -> dict[str, Any]:
        """Return the next event of one kind; what came before it is left for ``event``.

        Raises:
            WorkerError: It did not come in time, or the job ended without it.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for event in self._events:
                        if event["event"] == kind:
                            self._events.remove(event)
                            return event
                    if self._ended.is_set():
                        raise self._failure() or WorkerError(f"{self.job}: ended without being {kind}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise WorkerError(f"{self.job}: not {kind} after {timeout_s:g} s") from None

    def tell(self, op: str, **params: object) -> None:
        """Send an order: ``stop`` (finish early and report), or what the job understands."""
        if self._ended.is_set() or self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            raise WorkerError(f"{self.job}: takes no orders")
        self._writer.write(pack_frame({**params, "op": op}))

    async def result(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the job's result.

        Raises:
            WorkerError: It failed (the text is the job's own), died, or was not done in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            raise WorkerError(f"{self.job}: not done after {timeout_s:g} s") from None
        if (failure := self._failure()) is not None:
            raise failure
        outcome = self._outcome or {}
        return dict(outcome["result"])

    def call_at_end(self, ended: Callable[[Worker], None]) -> None:
        """Call ``ended`` once the process is gone, before who waits for its result is told."""
        self._call_at_end.append(ended)

    async def close(self) -> None:
        """Kill the process if it still runs, and wait until it is gone."""
        self._is_closing = True
        self._kill()
        await asyncio.wait([self._task])

    def _kill(self) -> None:
        self._process.kill()  # nothing once it has been reaped, and only this thread reaps it

    def _failure(self) -> WorkerError | None:
        outcome = self._outcome
        if outcome is None:
            code = self._process.returncode
            how = "was stopped" if self._is_closing else f"died ({_exit_text(code)})"
            return WorkerError(
                f"{self.job}: the worker {how}" + (self._last_words and f": {self._last_words}")
            )
        if outcome["event"] == "failed":
            return WorkerError(str(outcome.get("error")))
        return None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Take events until the process is gone; the last of the tasks that end."""
        try:
            while (event := await _read_event(reader)) is not None:
                if event["event"] in {"done", "failed"}:
                    self._outcome = event
                    break
                self._events.append(event)
                self._news.set()
        except (OSError, ValueError) as exc:
            _log.warning("worker %s: cannot be understood: %s", self.job, exc)
            self._kill()
        finally:
            self._writer.close()
            if self._outcome is None:
                self._kill()  # it has closed its end without a word, and might linger
            await self._gone()
            for ended in self._call_at_end:
                ended(self)
            self._ended.set()
            self._news.set()

    async def _gone(self) -> None:
        # asyncio's own subprocesses reap in two places at once and then do not know how the process ended
        # (Python 3.11); this waits for milliseconds, as the process has closed its end or is killed.
        deadline_mono_s = time.monotonic() + _LEAVE_S
        while self._process.poll() is None:
            await asyncio.sleep(_LEAVE_POLL_S)
            if time.monotonic() > deadline_mono_s:
                self._kill()
        await self._log_task

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        rest, told = b"", 0
        while chunk := await stream.read(8192):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                told = self._tell_log(line, told)
            if len(rest) > _MAX_LOG_LINE_BYTES:
                told, rest = self._tell_log(rest, told), b""
        if rest:
            told = self._tell_log(rest, told)
        if told > _MAX_LOG_LINES:
            _log.warning("worker %s: %d more lines", self.job, told - _MAX_LOG_LINES)

    def _tell_log(self, line: bytes, told: int) -> int:
        text = line[:_MAX_LOG_LINE_BYTES].decode(errors="replace").rstrip()
        if not text:
            return told
        self._last_words = text
        if told < _MAX_LOG_LINES:
            _log.warning("worker %s: %s", self.job, text)
        return told + 1


async def _spawn(job: str, frame: bytes) -> Worker:
    ours, theirs = socket.socketpair()
    process: subprocess.Popen[bytes] | None = None
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220  # it forks and runs; asyncio's does it here as well
                python_module(_MODULE, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(theirs.fileno(),),
                env=child_environment(os.environ),
                start_new_session=True,  # Ctrl-C on a terminal is the node's to hear
            )
        log = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(log), process.stderr
        )
        reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_AHEAD_BYTES)
    except BaseException as exc:
        ours.close()
        if process is not None:
            process.kill()
            process.wait()
        if isinstance(exc, OSError):
            raise WorkerError(f"no worker for {job}: {exc.strerror or exc}") from exc
        raise
    writer.write(frame)
    return Worker(job, process, reader, writer, log)


async def _read_event(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        event = unpack_payload(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    if not isinstance(event.get("event"), str):
        raise ValueError("a frame without an event")  # noqa: TRY004
    return event


def _exit_text(code: int | None) -> str:
    if code is None:
        return "unknown"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
