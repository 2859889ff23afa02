"""Lines as data: what a panel function returns. A widget gives roles their style, ``--once`` prints text.

A line is a tuple of spans, a span a text and its role. Roles say what a text means, never how it looks;
and since a meaning must survive a screen without colour, every state has a glyph or a word as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from qudag_tui.views.text import cell_width, fit

__all__ = [
    "Box",
    "Line",
    "Role",
    "Span",
    "beside",
    "blank",
    "cut_lines",
    "difference",
    "fit_line",
    "fitted",
    "line_width",
    "plain",
    "spread",
    "stacked",
    "words",
]


class Role(Enum):
    """What a text means."""

    #: Ordinary text and figures.
    TEXT = "text"
    #: Labels, units, what can be overlooked.
    DIM = "dim"
    #: The figure or name that the eye should find first.
    STRONG = "strong"
    #: The title of a panel.
    TITLE = "title"
    #: The rule beside a title.
    RULE = "rule"
    #: The head of a column.
    HEAD = "head"
    #: The head of the column that sorts.
    HEAD_SORTED = "head-sorted"
    #: As it should be.
    GOOD = "good"
    #: Worse than it should be.
    WARN = "warn"
    #: Someone must act.
    BAD = "bad"
    #: Traffic towards this node.
    INCOMING = "incoming"
    #: Traffic from this node.
    OUTGOING = "outgoing"
    #: The inline histories of latency.
    TREND = "trend"
    #: A key that can be pressed.
    KEY = "key"
    #: The screen that is shown, among the tabs.
    CURRENT = "current"
    #: A condition of the whole display: paused, filter in force.
    BANNER = "banner"
    #: A condition of the whole display that is not as it should be: the node is lost.
    ALARM = "alarm"


class Span(NamedTuple):
    """A text and what it means."""

    text: str
    role: Role = Role.TEXT


Line = tuple[Span, ...]


class Box(NamedTuple):
    """The cells a panel may fill."""

    width: int
    height: int


def words(*parts: str | Span) -> Line:
    """Make a line of texts and spans."""
    return tuple([part if isinstance(part, Span) else Span(part) for part in parts])


def plain(line: Line) -> str:
    """The text of a line, without what it means."""
    return "".join([span.text for span in line])


def line_width(line: Line) -> int:
    """How many cells a line takes."""
    return sum([cell_width(span.text) for span in line])


def difference(before: Line, after: Line, width: int) -> tuple[int, int]:
    """From which column to which two lines of ``width`` cells differ; (0, 0) when they do not."""
    if before == after:
        return 0, 0
    same_left = same_right = 0
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same_left += cell_width(new.text)
        count += 1
    if line_width(before) == line_width(after):
        for old, new in zip(reversed(before[count:]), reversed(after[count:]), strict=False):
            if old != new:
                break
            same_right += cell_width(new.text)
    return min(same_left, width), max(width - same_right, min(same_left, width))


def blank(width: int) -> Line:
    """An empty line of ``width`` cells."""
    return (Span(" " * max(0, width)),)


def fitted(text: str, width: int, role: Role = Role.TEXT, *, right: bool = False) -> Span:
    """A span of exactly ``width`` cells."""
    return Span(fit(text, width, right=right), role)


def fit_line(line: Line, width: int) -> Line:
    """Pad or cut a line to exactly ``width`` cells."""
    spans: list[Span] = []
    room = width
    for span in line:
        cells = cell_width(span.text)
        if cells > room:
            spans.append(Span(fit(span.text, room), span.role))
            return tuple(spans)
        spans.append(span)
        room -= cells
    if room > 0:
        spans.append(Span(" " * room))
    return tuple(spans)


def spread(left: Line, right: Line, width: int) -> Line:
    """Put one line at the left edge and one at the right; the left one yields."""
    room = width - line_width(right)
    if room <= 0:
        return fit_line(right, width)
    return (*fit_line(left, room), *right)


def beside(left: Sequence[Line], right: Sequence[Line], widths: tuple[int, int], gap: int) -> list[Line]:
    """Put two blocks side by side."""
    height = max(len(left), len(right))
    left_width, right_width = widths
    rows: list[Line] = []
    for y in range(height):
        a = fit_line(left[y] if y < len(left) else (), left_width)
        b = fit_line(right[y] if y < len(right) else (), right_width)
        rows.append((*a, Span(" " * gap), *b))
    return rows


def stacked(blocks: Iterable[Sequence[Line]]) -> list[Line]:
    """Put blocks under each other, an empty line between."""
    lines: list[Line] = []
    for block in blocks:
        if lines and block:
            lines.append(())
        lines.extend(block)
    return lines


def cut_lines(lines: Sequence[Line], box: Box) -> list[Line]:
    """Exactly as many lines, exactly as wide, as the box holds."""
    kept = [fit_line(line, box.width) for line in lines[: box.height]]
    return kept + [blank(box.width)] * (box.height - len(kept))
