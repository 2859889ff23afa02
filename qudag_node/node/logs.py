"""Where log records go: a size-bounded DIR/node.log or the journal, and a ring that clients read.

A full disk never stops the node: lines that cannot be written are counted, and the count is written
once there is room. Control characters in a message are escaped, so that one record is one line.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from qudag_node.config import LogConfig

__all__ = ["LOG_FILE", "BoundedFileHandler", "LogRing", "configure_logging", "stderr_is_the_journal"]

LOG_FILE = "node.log"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# What clients can see of the past; with _MAX_TEXT this is at most a few MB, usually a few hundred kB.
RING_LINES = 2_000
_MAX_TEXT = 2_048

# Journal levels, sd-daemon(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

# C0, DEL and C1 controls, zero-width and direction marks, line separators, isolates.
_ESCAPED_RANGES = ((0x00, 0x20), (0x7F, 0xA0), (0x200B, 0x2010), (0x2028, 0x202F), (0x2066, 0x206A))
_ESCAPES = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for first, end in _ESCAPED_RANGES
    for code in range(first, end)
}


def _one_line(record: logging.LogRecord) -> str:
    name = record.name.removeprefix("qudag_node.")
    return f"{name}: {record.getMessage()[:_MAX_TEXT].translate(_ESCAPES)}"


class LineFormatter(logging.Formatter):
    """``2026-01-02T03:04:05.678Z INFO overlay.links: text``; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, with its traceback if it has one."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"{seconds}.{int(record.msecs):03d}Z {record.levelname} {_one_line(record)}"
        if record.exc_info:
            line += "".join(f"\n    {part}" for part in self.formatException(record.exc_info).splitlines())
        return line


class JournalFormatter(logging.Formatter):
    """``<6>overlay.links: text``: the journal keeps the time and reads the level, sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, each of its lines marked with its level."""
        lines = [_one_line(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in lines)


class BoundedFileHandler(logging.Handler):
    """Appends lines to a file, which is renamed to ``.1`` … ``.N`` before it outgrows its limit.

    Attributes:
        lost: Lines that could not be written since the last one that could.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        super().__init__()
        self.lost = 0
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor = -1
        self._size = 0
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; a line that the disk has no room for is counted instead."""
        data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._size + len(data) > self._max_bytes:
                self._rotate()
            if self.lost:
                self._write(f"({self.lost} lines were lost: they could not be written)\n".encode())
                self.lost = 0
            self._write(data)
        except OSError:
            self.lost += 1

    def fileno(self) -> int:
        """Return the open file's descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _write(self, data: bytes) -> None:
        start = self._size
        written = os.write(self._descriptor, data)
        if written < len(data):
            # Half a line is worse than none: take back what a filling disk let through.
            os.ftruncate(self._descriptor, start)
            raise OSError(f"only {written} of {len(data)} bytes were written")
        self._size = start + written

    def _rotate(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        names = [
            self._path,
            *(self._path.with_name(f"{self._path.name}.{n + 1}") for n in range(self._backups)),
        ]
        for newer, older in zip(reversed(names[:-1]), reversed(names[1:]), strict=True):
            if newer.exists():
                newer.replace(older)
        self._open()


class LogRing(logging.Handler):
    """Keeps the newest lines in memory, numbered from 1, for clients that read or follow the log."""

    def __init__(self, capacity: int = RING_LINES) -> None:
        super().__init__()
        self._lines: deque[tuple[int, str]] = deque(maxlen=capacity)
        self._written = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line, and those of its traceback, as they stand in the file."""
        for line in self.format(record).split("\n"):
            self._lines.append((record.levelno, line))
            self._written += 1

    def newest(self, count: int, *, level: str = "debug") -> list[str]:
        """Return up to ``count`` newest lines of ``level`` or above, oldest first."""
        least = LEVELS[level]
        found = islice((line for number, line in reversed(self._lines) if number >= least), count)
        return list(found)[::-1]

    def after(self, sequence: int) -> tuple[int, list[str]]:
        """Return the newest line's number, and the kept lines after the given one."""
        missing = min(self._written - sequence, len(self._lines))
        return self._written, [line for _, line in islice(self._lines, len(self._lines) - missing, None)]


def stderr_is_the_journal(environ: Mapping[str, str]) -> bool:
    """Tell whether systemd connected stderr to the journal: JOURNAL_STREAM names its device and inode."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    if not inode or "INVOCATION_ID" not in environ:
        return False
    status = os.fstat(sys.stderr.fileno())
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def configure_logging(config: LogConfig, directory: Path, environ: Mapping[str, str]) -> LogRing:
    """Direct every record of the process; return the ring that holds the newest.

    Raises:
        OSError: The file cannot be opened.
    """
    ring = LogRing()
    ring.setFormatter(LineFormatter())
    journal = stderr_is_the_journal(environ)
    handler: logging.Handler
    if config.target == "stderr" or (config.target == "auto" and journal):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JournalFormatter() if journal else LineFormatter())
    else:
        handler = BoundedFileHandler(
            directory / LOG_FILE, max_bytes=config.file_bytes, backups=config.backups
        )
        handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler, ring]
    root.setLevel(LEVELS[config.level])
    # Its debug lines tell of every selector and every slow callback.
    logging.getLogger("asyncio").setLevel(max(LEVELS[config.level], logging.WARNING))
    # A broken handler must not print tracebacks over a terminal.
    logging.raiseExceptions = False
    return ring
