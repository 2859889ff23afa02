"""Real node processes for tests: started as a user starts them, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import REPO

START_TIMEOUT_S = 30.0


class NodeProcess:
    """One ``python -m qudag_node start``.

    Attributes:
        ready_line: What it printed when it was ready.
    """

    def __init__(
        self, directory: Path, *flags: str, environ: Mapping[str, str] | None = None, **popen: object
    ) -> None:
        self.directory = directory
        self.ready_line = ""
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command("start", "--data-dir", str(directory), "--listen", "127.0.0.1:0", *flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(environ),
            cwd=REPO,
            **popen,  # type: ignore[call-overload]  # keywords of Popen
        )

    @property
    def socket(self) -> Path:
        return self.directory / "rpc.sock"

    def wait_ready(self) -> str:
        """Return the ready line; fail with what it said instead."""
        assert self.process.stderr is not None
        said: list[str] = []
        for line in self.process.stderr:
            said.append(line)
            if " is ready: " in line:
                break
        else:
            self.process.wait(START_TIMEOUT_S)
            raise AssertionError(f"exit {self.process.returncode}: {''.join(said)}")
        self.ready_line = said[-1]
        return self.ready_line

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal, wait, return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(START_TIMEOUT_S)
        return self.process.returncode

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return exit code and stderr."""
        _, stderr = self.process.communicate(timeout=START_TIMEOUT_S)
        return self.process.returncode, stderr

    def end(self) -> None:
        """End it whatever state it is in: in order if it can, so that what it ran is seen to be covered."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate(timeout=START_TIMEOUT_S)


@contextmanager
def running(directory: Path, *flags: str, environ: Mapping[str, str] | None = None) -> Generator[NodeProcess]:
    """A node that is ready, ended afterwards."""
    node = NodeProcess(directory, *flags, environ=environ)
    try:
        node.wait_ready()
        yield node
    finally:
        node.end()


def run(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command of ``python -m qudag_node`` to its end."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        env=environment(environ),
        cwd=REPO,
    )


def command(*words: str) -> Sequence[str]:
    return [sys.executable, "-m", "qudag_node", *words]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPO), **(more or {})}


def wait_until(condition: object, timeout_s: float = 15.0) -> None:
    """Wait for a condition of another process, which nothing here can await."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
