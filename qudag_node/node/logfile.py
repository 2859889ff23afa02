"""Reading DIR/node.log: the newest lines, of a level, followed across rotation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from qudag_node.node.logs import LEVELS
from qudag_node.node.reader import wait_while_read

__all__ = ["follow", "newest_lines"]

POLL_S = 0.2


class LevelFilter:
    """Lets lines of a level or above pass, and what follows such a line (a traceback) with it."""

    def __init__(self, level: str) -> None:
        self._names = {name.upper() for name, number in LEVELS.items() if number >= LEVELS[level]} | {
            "CRITICAL"
        }
        self._passing = True

    def passes(self, line: str) -> bool:
        """Tell whether the line is to be shown; lines are asked for in their order."""
        if not line.startswith((" ", "(")):
            words = line.split(" ", 2)
            self._passing = len(words) > 1 and words[1] in self._names
        return self._passing


def newest_lines(path: Path, count: int, *, level: str = "debug") -> list[str]:
    """Return up to ``count`` newest lines of the file and, where it is too short, of its predecessor.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with path.open("rb") as stream:
        return _newest(stream, path, count, level)


def follow(
    path: Path, count: int, *, level: str = "debug", wait: Callable[[float], None] = wait_while_read
) -> Iterator[str]:
    """Yield the newest lines, then new ones for ever; a renamed file is read to its end first.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenPipeError: Nobody reads stdout any more.
    """
    wanted = LevelFilter(level)
    stream = path.open("rb")
    rest = b""
    try:
        yield from _newest(stream, path, count, level)
        while True:
            # Ask first: what is read afterwards is then all that the renamed file will ever hold.
            replaced = _replaced(path, stream.fileno())
            *lines, rest = (rest + stream.read()).split(b"\n")
            yield from filter(wanted.passes, (line.decode("utf-8", "replace") for line in lines))
            if replaced:
                stream.close()
                stream = path.open("rb")
            else:
                wait(POLL_S)
    finally:
        stream.close()


def _newest(stream: BinaryIO, path: Path, count: int, level: str) -> list[str]:
    """Read the open file to its end; return its newest lines, and its predecessor's where it has few."""
    lines = _matching(stream, level)
    older = path.with_name(path.name + ".1")
    if len(lines) < count and older.exists():
        with older.open("rb") as predecessor:
            lines = _matching(predecessor, level) + lines
    return lines[max(0, len(lines) - count) :]


def _matching(stream: BinaryIO, level: str) -> list[str]:
    wanted = LevelFilter(level)
    return [line for line in stream.read().decode("utf-8", "replace").splitlines() if wanted.passes(line)]


def _replaced(path: Path, descriptor: int) -> bool:
    """Tell whether the name leads to another file than the open one; not while it leads nowhere."""
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
