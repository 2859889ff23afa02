"""``--demo``: a lab of real nodes as a child of the monitor, which ends with it, however that ends.

The child holds the read end of a pipe whose only writer is this process: when we are gone, by whatever
means, it reads the end of the file and takes its nodes down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from qudag_tui.errors import QudagError, UnreachableError

__all__ = ["Demo"]

#: Nodes need a second or two; a machine that needs longer than this is not going to make it.
START_TIMEOUT_S = 90.0
END_TIMEOUT_S = 20.0
_POLL_S = 0.1

WATCHED = "peer1"


class Demo:
    """A lab that is ours. Use as a context manager: leaving it waits until every process has ended."""

    def __init__(self) -> None:
        read_end, self._write_end = os.pipe()
        self._said: deque[str] = deque(maxlen=20)
        self._announced: list[str] = []
        command = [sys.executable, "-m", "qudag_node.lab", "up", "--demo", "--parent-fd", str(read_end)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[read_end],
                # Ctrl-C and a hang-up are for the monitor, which takes the lab down in order.
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        self._readers = [
            threading.Thread(target=_read, args=(stream, keep), daemon=True)
            for stream, keep in (
                (self._process.stdout, self._announced.append),
                (self._process.stderr, self._said.append),
            )
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def wait(self, progress: Callable[[float], None]) -> str:
        """Wait until the nodes run; return the address of the one to watch.

        Args:
            progress: Called several times a second with the seconds that have passed.

        Raises:
            QudagError: The lab did not come up; the message is what it said last.
        """
        started_mono_s = time.monotonic()
        while not self._announced:
            passed_s = time.monotonic() - started_mono_s
            if self._process.poll() is not None:
                for reader in self._readers:
                    reader.join(1.0)
                if not self._announced:
                    raise QudagError(f"the demo did not start: {self._last_words()}")
                break
            if passed_s > START_TIMEOUT_S:
                raise UnreachableError(f"the demo did not start within {START_TIMEOUT_S:.0f} s")
            progress(passed_s)
            time.sleep(_POLL_S)
        return _address(self._announced[0])

    def end(self) -> None:
        """Let the lab go, and wait until it has taken everything down."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        said = [line.strip() for line in self._said if line.strip()]
        last = said[-1] if said else f"it ended with code {self._process.returncode}"
        return last.removeprefix("qudag lab up: ").removeprefix("qudag lab: ")


def _read(stream: IO[str], keep: Callable[[str], None]) -> None:
    for line in stream:
        keep(line)


def _address(announcement: str) -> str:
    try:
        nodes = json.loads(announcement)["nodes"]
        return next(str(node["rpc"]) for node in nodes if node["name"] == WATCHED)
    except (ValueError, KeyError, TypeError, StopIteration) as exc:
        raise QudagError(
            f"the demo said something else than where its nodes are: {announcement[:120]!r}"
        ) from exc
