"""Plain tables: columns aligned by cells, colour only where it is asked for. No Rich, no clock.

A cell is a text, or a text with the name of a style. Widths are taken before styling, so colour never
moves a column. A column of ``rank`` above 0 goes first when the width does not suffice, highest first.
"""

from __future__ import annotations

from qudag_tui.views.text import cell_width, fit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    #: A text, or (text, style).
    Cell = str | tuple[str, str]

__all__ = ["Column", "flow", "paint", "render_table"]

GAP = "  "

#: What each style is on a terminal. No meaning rests on colour: each stands on a word or a figure.
STYLES = {
    "head": "\x1b[1m",
    "dim": "\x1b[2m",
    "good": "\x1b[32m",
    "warn": "\x1b[33m",
    "bad": "\x1b[31m",
}
RESET = "\x1b[0m"


class Column:
    """The head of a column.

    Attributes:
        title: Its head.
        right: Figures stand to the right.
        rank: 0 stays whatever the width; the highest is left out first.
        least: Cells that a text column may be cut down to; 0 is never cut.
    """

    __slots__ = ("least", "rank", "right", "title")

    def __init__(self, title: str, *, right: bool = False, rank: int = 0, least: int = 0) -> None:
        self.title = title
        self.right = right
        self.rank = rank
        self.least = least


def paint(text: str, style: str, *, colour: bool) -> str:
    """The text in a style, or as it is where there is no colour."""
    return f"{STYLES[style]}{text}{RESET}" if colour and style else text


def render_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    width: int | None = None,
    colour: bool = False,
    indent: str = "",
    head: bool = True,
) -> list[str]:
    """Lay out the rows under their heads; lines carry no trailing blanks.

    Args:
        columns: One for each cell of a row.
        rows: Cleaned texts.
        width: Cells there are; None is as many as it takes, which is right for a pipe.
        colour: Whether styles are painted.
        indent: What each line begins with.
        head: Whether the heads are shown.
    """
    cells = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [
        max(cell_width(column.title) if head else 0, *(cell_width(row[i][0]) for row in cells), 0)
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if width is not None:
        shown, widths = _squeeze(columns, widths, width - len(indent))
    lines: list[str] = []
    if head:
        titles = [fit(columns[i].title, widths[i], right=columns[i].right) for i in shown]
        lines.append(indent + paint(GAP.join(titles).rstrip(), "head", colour=colour))
    for row in cells:
        fitted = [
            paint(fit(row[i][0], widths[i], right=columns[i].right), row[i][1], colour=colour) for i in shown
        ]
        lines.append((indent + GAP.join(fitted)).rstrip())
    return lines


def flow(items: Sequence[str], *, width: int | None = None, indent: str = "") -> list[str]:
    """Items one behind the other, each line as full as the width allows."""
    lines: list[str] = []
    for item in items:
        if lines and (width is None or cell_width(lines[-1]) + len(GAP) + cell_width(item) <= width):
            lines[-1] += GAP + item
        else:
            lines.append(indent + item)
    return lines


def _squeeze(columns: Sequence[Column], widths: list[int], room: int) -> tuple[list[int], list[int]]:
    """Leave columns out by rank until the rest fits with its texts cut; then cut no more than needed."""
    shown = list(range(len(columns)))
    least = [min(w, c.least) if c.least else w for w, c in zip(widths, columns, strict=True)]

    def excess(of: list[int]) -> int:
        return sum(of[i] for i in shown) + len(GAP) * (len(shown) - 1) - room

    for i in sorted(shown, key=lambda i: -columns[i].rank):
        if excess(least) <= 0 or columns[i].rank == 0:
            break
        shown.remove(i)
    widths = list(widths)
    for i in shown:
        widths[i] = max(least[i], widths[i] - max(excess(widths), 0))
    return shown, widths
