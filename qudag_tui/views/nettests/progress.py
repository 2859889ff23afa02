"""One line that says how far a test is: a bar where the end is known, else what it has so far. Pure."""

from __future__ import annotations

from qudag_tui.views.nettests.documents import Document, duration_text, number, text
from qudag_tui.views.text import cell_width, fit

__all__ = ["bar", "progress_line"]

_LEAST_BAR = 10
_MOST_BAR = 24


def bar(ratio: float, cells: int, *, ascii_only: bool) -> str:
    """A bar of so many cells between its ends."""
    full = round(max(0.0, min(1.0, ratio)) * cells)
    if ascii_only:
        return f"[{'#' * full}{'-' * (cells - full)}]"
    return f"▕{'█' * full}{'·' * (cells - full)}▏"


def progress_line(
    title: str, progress: Document, *, elapsed_s: float, width: int, ascii_only: bool = False
) -> str:
    """Exactly one line, never wider than the terminal.

    Args:
        title: Which test of whom.
        progress: The last event's fields: ``done`` (0 to 1, or None) and ``line``.
        elapsed_s: Since the test began.
        width: Cells of the terminal.
        ascii_only: Whether it has no other letters.
    """
    done = number(progress, "done")
    line = text(progress, "line")
    if done is None:
        return _cut(f"{title}  {duration_text(elapsed_s)}  {line}".rstrip(), width, ascii_only)
    per_cent = f"{max(0.0, min(1.0, done)) * 100:3.0f} %"
    room = width - cell_width(title) - len(per_cent) - 8
    cells = max(0, min(_MOST_BAR, room // 3 if line else room))
    drawn = f"  {bar(done, cells, ascii_only=ascii_only)}" if cells >= _LEAST_BAR else ""
    return _cut(f"{title}{drawn} {per_cent}  {line}".rstrip(), width, ascii_only)


def _cut(line: str, width: int, ascii_only: bool) -> str:
    # The last cell stays free: a terminal that wraps there would scroll.
    if cell_width(line) < width:
        return line
    return fit(line, max(0, width - 1), ellipsis="~" if ascii_only else "…")
