"""What every panel shares: its title line, label and value pairs, small tables with fixed columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.spans import Box, Line, Role, Span, fitted
from qudag_tui.views.text import cell_width

__all__ = ["LEAST", "Column", "Pair", "pairs", "table_head", "table_width", "title"]


#: Below this nothing can be read, and the screen says so.
LEAST = Box(60, 16)


def title(text: str, note: str, width: int, glyphs: Glyphs) -> Line:
    """The first line of a panel: its title, a rule, and at the right what its figures are in."""
    rest = width - cell_width(text) - 2
    note_cells = cell_width(note) + 1 if note else 0
    if note_cells + 2 > rest:
        note, note_cells = "", 0
    spans = [Span(f"{text} ", Role.TITLE), Span(glyphs.rule * max(0, rest + 1 - note_cells), Role.RULE)]
    if note:
        spans.append(Span(f" {note}", Role.DIM))
    return tuple(spans)


class Pair(NamedTuple):
    """A label, its figure, and a remark in dim."""

    label: str
    value: str
    remark: str = ""
    role: Role = Role.TEXT


def pairs(items: Sequence[Pair], width: int, label_width: int, columns: int) -> list[Line]:
    """Lay out pairs in columns of equal width, row by row."""
    cell = width // columns
    lines: list[Line] = []
    for start in range(0, len(items), columns):
        spans: list[Span] = []
        for item in items[start : start + columns]:
            spans += _pair(item, cell, label_width)
        lines.append(tuple(spans))
    return lines


def _pair(item: Pair, width: int, label_width: int) -> list[Span]:
    room = width - label_width - 2
    spans = [fitted(item.label, label_width, Role.DIM), Span(" ")]
    value_cells = cell_width(item.value)
    if not item.remark or value_cells + 1 + cell_width(item.remark) > room:
        # Half a remark says less than none.
        return [*spans, fitted(item.value, room, item.role), Span(" ")]
    return [
        *spans,
        Span(f"{item.value} ", item.role),
        fitted(item.remark, room - value_cells - 1, Role.DIM),
        Span(" "),
    ]


class Column(NamedTuple):
    """A column of a small table."""

    head: str
    width: int
    right: bool = True


def table_head(columns: Sequence[Column], gap: int = 1) -> Line:
    """The heads of the columns."""
    spans: list[Span] = []
    for column in columns:
        if spans:
            spans.append(Span(" " * gap))
        spans.append(fitted(column.head, column.width, Role.HEAD, right=column.right))
    return tuple(spans)


def table_width(columns: Sequence[Column], gap: int = 1) -> int:
    """The cells that the columns take together."""
    return sum(column.width for column in columns) + gap * max(0, len(columns) - 1)
