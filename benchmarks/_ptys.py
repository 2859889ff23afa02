"""A program on a pty, measured from outside: bytes, CPU time, the moment a text appears."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["OnPty"]

REPO = Path(__file__).resolve().parents[1]
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KEPT_BYTES = 1 << 19


class OnPty:
    """A program on a pty of its own; killed on the way out.

    Attributes:
        written_bytes: What it has written.
    """

    def __init__(self, words: Sequence[str], *, columns: int = 120, rows: int = 40) -> None:
        self.written_bytes = 0
        self._seen = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {
            name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "LINES", "COLUMNS"}
        }
        environ |= {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPO),
        }
        self._started_mono_s = time.perf_counter()
        self._process = subprocess.Popen(
            list(words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environ,
            cwd=REPO,
        )
        os.close(slave)

    def __enter__(self) -> OnPty:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        fields = (
            Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="utf-8").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def press(self, keys: str) -> None:
        """Type."""
        self._seen = b""
        os.write(self._master, keys.encode())

    def read(self, seconds: float) -> None:
        """Take in what it writes for so long."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self._take(left)

    def seconds_until(self, text: str, since_mono_s: float | None = None, timeout_s: float = 60.0) -> float:
        """Wait until it has written a text; return the seconds since then (or since it was started)."""
        start = self._started_mono_s if since_mono_s is None else since_mono_s
        wanted = text.encode()
        while wanted not in self._seen:
            if time.perf_counter() - start > timeout_s:
                raise TimeoutError(f"{text!r} was never written: {self._seen[-400:]!r}")
            self._take(1.0)
        return time.perf_counter() - start

    def _take(self, wait_s: float) -> None:
        ready, _, _ = select.select([self._master], [], [], wait_s)
        if ready:
            with contextlib.suppress(OSError):
                data = os.read(self._master, 1 << 16)
                self.written_bytes += len(data)
                self._seen = (self._seen + data)[-_KEPT_BYTES:]
