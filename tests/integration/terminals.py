"""Programs on a terminal of their own: a pty whose other end is read into a screen, as a person would."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import pyte

from tests.conftest import REPO

# The child takes the pty as its controlling terminal, as a login shell would; then it becomes the program.
_TAKE = (
    "import fcntl, os, sys, termios; "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class TerminalProgram:
    """A program, its pty, and what the pty shows.

    Attributes:
        raw: Every byte the program wrote.
    """

    def __init__(self, *words: str, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self.raw = b""
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._set_size(size)
        self.modes_before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, sys.executable, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=dict(environ),
            cwd=REPO,
        )
        # Ours stays open, so that the modes can be read after the program has ended.
        self._slave = slave

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def modes(self) -> list[object]:
        """The modes of the terminal: echo, line editing."""
        return list(termios.tcgetattr(self._slave))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self._set_size((columns, rows))
        os.killpg(os.tcgetpgrp(self._master), signal.SIGWINCH)

    def _set_size(self, size: tuple[int, int]) -> None:
        columns, rows = size
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, wait_s: float = 0.05) -> None:
        """Take in what has been written, waiting a little for it."""
        ready, _, _ = select.select([self._master], [], [], wait_s)
        if ready:
            with contextlib.suppress(OSError):
                data = os.read(self._master, 1 << 16)
                self.raw += data
                self._stream.feed(data)

    def wait_for(self, condition: Callable[[str], bool] | str, timeout_s: float = 30.0) -> str:
        """Read until the screen shows a text, or a condition of its text holds; return the text."""
        deadline = time.monotonic() + timeout_s
        while True:
            shown = self.text
            if condition in shown if isinstance(condition, str) else condition(shown):
                return shown
            assert time.monotonic() < deadline, f"never seen: {condition!r}\n{shown}\n{self.process.poll()}"
            self.read()

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the end, reading on; return the exit code."""
        deadline = time.monotonic() + timeout_s
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"it does not end\n{self.text}"
            self.read()
        for _ in range(3):
            self.read(0.02)
        return code

    def hang_up(self) -> None:
        """Close the terminal from the other side, as a closed window does."""
        for descriptor in (self._slave, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._slave = self._master = -1

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.hang_up()


@contextmanager
def on_terminal(
    *words: str, size: tuple[int, int] = (120, 40), environ: Mapping[str, str] | None = None
) -> Generator[TerminalProgram]:
    """Run ``python WORDS`` on a terminal; ended afterwards whatever happens."""
    base = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LC_", "QUDAG_")) and name not in {"LANG", "LINES", "COLUMNS", "NO_COLOR"}
    }
    base |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(REPO)}
    program = TerminalProgram(*words, size=size, environ={**base, **(environ or {})})
    try:
        yield program
    finally:
        program.end()
