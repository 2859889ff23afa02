"""What stderr shows while tests run: on a terminal some lines that are drawn anew, elsewhere nothing.

A bar where the end is known, and a line for each interval where it is not; a traceroute shows its hops as
they come. A terminal that cannot go back to the beginning of a line (``TERM=dumb``) gets lines only.
"""

from __future__ import annotations

import os
import sys
import time

from qudag_tui.views.nettests.parts import Style, ascii_text
from qudag_tui.views.nettests.progress import progress_line
from qudag_tui.views.text import fit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TextIO

__all__ = ["Live", "is_ascii"]

# Faster than anybody reads, slower than a slow line minds.
REDRAW_S = 0.1

#: A line that stays is written no more often than this.
LINE_S = 1.0


def is_ascii(stream: TextIO | None) -> bool:
    """Whether a stream's encoding has no other letters."""
    return "utf" not in (getattr(stream, "encoding", None) or "").lower()


class Live:
    """Shows the progress of some tests; use ``end`` before anything else is printed."""

    def __init__(self) -> None:
        stream: TextIO | None = sys.stderr  # None where it was closed before we began
        self._stream = stream if stream is not None and stream.isatty() else None
        self._is_dumb = os.environ.get("TERM", "dumb") == "dumb"
        self._ascii = is_ascii(stream)
        self._drawn = 0
        self._drawn_mono_s = 0.0
        self._last = ""

    def show(self, title: str, progress: Mapping[str, Any], elapsed_s: float) -> None:
        """Show how far a test is."""
        if self._stream is None:
            return
        hops = [] if self._is_dumb else _hops(progress)
        stays = self._is_dumb or (progress.get("done") is None and not hops)
        now = time.monotonic()
        if now - self._drawn_mono_s < (LINE_S if stays else REDRAW_S):
            return
        self._drawn_mono_s = now
        width, height = self._size(self._stream)
        line = progress_line(title, progress, elapsed_s=elapsed_s, width=width, ascii_only=self._ascii)
        if not stays:
            self._draw([line, *hops], width, height)
        elif line != self._last:
            self.end()
            self._write(f"{self._letters(line)}\n")
        self._last = line

    def end(self) -> None:
        """Take away what was drawn."""
        if self._drawn:
            up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
            self._drawn = 0
            self._write(f"{up}\r\x1b[J")

    def _draw(self, lines: Sequence[str], width: int, height: int) -> None:
        # The last cell and the last line stay free, or the terminal would scroll.
        shown = [fit(line, width - 1).rstrip() for line in lines[: max(1, height - 1)]]
        self.end()
        self._drawn = len(shown)
        self._write("\n".join(map(self._letters, shown)))

    def _letters(self, line: str) -> str:
        return ascii_text(line) if self._ascii else line

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None  # the terminal went away; the test goes on

    @staticmethod
    def _size(stream: TextIO) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(stream.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24


def _hops(progress: Mapping[str, Any]) -> list[str]:
    """The hops of a traceroute so far."""
    if not progress.get("hops"):
        return []
    from qudag_tui.views.nettests.path import traceroute_lines

    return traceroute_lines({**progress, "underlay": None, "routes": []}, Style(80))
