"""What a command prints with: lines, JSON, CSV; colour and width only where stdout is a terminal."""

from __future__ import annotations

import os
import sys

from qudag_tui.errors import ProtocolError, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import TracebackType
    from typing import Any, TextIO

__all__ = ["READING", "Paper", "check_format", "print_json", "print_lines"]


class Paper:
    """What is printed on.

    Attributes:
        width: Cells of a line, None where there is no terminal.
        colour: Whether styles are painted.
    """

    __slots__ = ("colour", "width")

    def __init__(self, *, no_color: bool = False) -> None:
        stdout: TextIO | None = sys.stdout  # None where it was closed before we began
        is_terminal = stdout is not None and stdout.isatty()
        plain = no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self.colour = is_terminal and not plain
        self.width: int | None = None
        if stdout is not None and is_terminal:
            try:
                # A terminal that does not know its size says 0.
                self.width = os.get_terminal_size(stdout.fileno()).columns or None
            except OSError:
                self.width = None


class _Reading:
    """``with READING:`` round what reads an answer: one of another shape is the node's fault, not a crash.

    Views take the documented shape for granted; what they stumble over here came from outside.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, AttributeError | IndexError | KeyError | OverflowError | TypeError | ValueError):
            raise ProtocolError(
                f"the node's answer cannot be read: {type(error).__name__}: {error}",
                "is it much newer or older than this program?",
            ) from error


READING = _Reading()


def print_lines(lines: Iterable[str]) -> None:
    """Print and flush: whoever reads a pipe gets each answer when it is there."""
    text = "\n".join(lines)
    if text:
        print(text, flush=True)


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document; not ASCII only, because what strangers wrote is cleaned already."""
    import json

    print(json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False), flush=True)


def check_format(given: str | None, known: Collection[str], default: str = "table") -> str:
    """The format to print in.

    Raises:
        UsageError: This command has no such format.
    """
    if given is None:
        return default
    if given not in known:
        raise UsageError(f"--format {given}: this command has none such", did_you_mean(given, known))
    return given
