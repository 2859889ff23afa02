"""What stderr shows while tests run: on a terminal one line that is drawn anew, elsewhere nothing.

A bar where the end is known, and a line for each interval where it is not. A terminal that cannot go back
to the beginning of a line (``TERM=dumb``) gets lines only.
"""

from __future__ import annotations

import os
import sys
import time

from qudag_tui.views.nettests.parts import ascii_text
from qudag_tui.views.nettests.progress import progress_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

__all__ = ["Live", "is_ascii"]

# Faster than anybody reads, slower than a slow line minds.
REDRAW_S = 0.1

#: Where the end is not known, a new line no more often than this.
LINE_S = 1.0

_ERASE = "\r\x1b[K"


def is_ascii(stream: TextIO | None) -> bool:
    """Whether a stream's encoding has no other letters."""
    return "utf" not in (getattr(stream, "encoding", None) or "").lower()


class Live:
    """Shows the progress of some tests; use ``end`` before anything else is printed."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        stream: TextIO | None = sys.stderr
        self._stream = stream if is_wanted and stream is not None and stream.isatty() else None
        self._is_dumb = os.environ.get("TERM", "dumb") == "dumb"
        self._ascii = is_ascii(stream)
        self._has_line = False
        self._drawn_mono_s = 0.0
        self._last = ""

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it."""
        return self._stream is not None

    def show(self, title: str, progress: dict[str, Any], elapsed_s: float) -> None:
        """Show how far a test is."""
        if self._stream is None:
            return
        now = time.monotonic()
        is_line = self._is_dumb or progress.get("done") is None
        if now - self._drawn_mono_s < (LINE_S if is_line else REDRAW_S):
            return
        self._drawn_mono_s = now
        if self._ascii:
            title, progress = (
                ascii_text(title),
                {**progress, "line": ascii_text(str(progress.get("line", "")))},
            )
        line = progress_line(
            title, progress, elapsed_s=elapsed_s, width=self._width(self._stream), ascii_only=self._ascii
        )
        if is_line:
            if line != self._last:
                self.end()
                self._write(f"{line}\n")
        else:
            self._write(f"{_ERASE}{line}")
            self._has_line = True
        self._last = line

    def say(self, sentence: str) -> None:
        """A sentence of its own, above the bar."""
        if self._stream is not None:
            self.end()
            self._write(f"{sentence}\n")

    def end(self) -> None:
        """Take the bar away."""
        if self._has_line:
            self._has_line = False
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None  # the terminal went away; the test goes on

    @staticmethod
    def _width(stream: TextIO) -> int:
        try:
            return os.get_terminal_size(stream.fileno()).columns or 80
        except OSError:
            return 80
