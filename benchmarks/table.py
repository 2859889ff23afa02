"""The rows that `make bench` prints, and how they are laid out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure of ours beside a peer's from the same run.

    Attributes:
        what: What was measured.
        ours: Our figure, with its unit.
        peer: The peer and its figure, empty where there is none.
        ratio: Ours divided by the peer's, None without a peer.
        goal: What was to be reached.
        met: Whether it was; None where nothing was promised.
        method: How it was measured, in a few words; the benchmark's docstring has the rest.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    method: str = ""


_HEADINGS = ("what", "ours", "beside", "ratio", "goal", "")


def render(rows: list[Row], *, method: bool = False) -> str:
    """Lay out the rows in columns; with ``method`` each is followed by how it was measured."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [_HEADINGS, *cells]) for i in range(len(_HEADINGS))]
    lines = [_line(_HEADINGS, widths), "-" * (sum(widths) + 2 * len(widths))]
    for row, line in zip(rows, cells, strict=True):
        lines.append(_line(line, widths))
        if method and row.method:
            lines.append(f"    {row.method}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    return (row.what, row.ours, row.peer, ratio, row.goal, verdict)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
