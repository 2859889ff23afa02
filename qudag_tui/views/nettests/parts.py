"""What the summaries are built from: the verdict, tables of delays, lines of facts. Pure."""

from __future__ import annotations

from typing import NamedTuple

from qudag_tui.views.nettests.documents import Document, at, duration_text, number, short, target_name, text
from qudag_tui.views.table import GAP, Column, flow, paint, render_table
from qudag_tui.views.text import UNKNOWN, cell_width, fit, format_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qudag_tui.views.table import Cell

__all__ = [
    "LABEL_CELLS",
    "Style",
    "ascii_text",
    "counted",
    "delays",
    "exact",
    "fact_lines",
    "head_lines",
    "note_lines",
    "outcome",
    "per_s",
    "seconds",
    "wrapped",
]

#: Labels stand in a column of this width, so that the figures of all blocks begin together.
LABEL_CELLS = 10

_SUMMARY = ("min", "avg", "p50", "p90", "p95", "p99", "p999", "max", "stddev")
_TITLES = {"p999": "p99.9"}
# What goes first where there is little room.
_RANKS = {"avg": 3, "p90": 4, "stddev": 5, "p999": 2, "min": 1}


class Style(NamedTuple):
    """How to print.

    Attributes:
        width: Cells of a line; None is as many as it takes.
        colour: Whether styles are painted.
        ascii_only: Whether the terminal has no other letters.
    """

    width: int | None = None
    colour: bool = False
    ascii_only: bool = False

    def paint(self, words: str, style: str) -> str:
        """The text in a style."""
        return paint(words, style, colour=self.colour)


_PLAIN = str.maketrans({"…": "~", "µ": "u", "±": "+-", "█": "#", "→": ">", "–": "-", "−": "-", "≤": "<="})


def ascii_text(line: str) -> str:
    """The line for a terminal of few letters; what has no likeness becomes a question mark there."""
    return line.translate(_PLAIN)


def counted(count: float | None, one: str, many: str = "") -> str:
    """``1 hop``, ``3 hops``; exact, never rounded."""
    if count is None:
        return f"{UNKNOWN} {many or one + 's'}"
    return f"{exact(count)} {one if count == 1 else many or one + 's'}"


def exact(count: float | None) -> str:
    """A count to the last digit: what was lost is not rounded."""
    return UNKNOWN if count is None else f"{count:.0f}"


def per_s(value: float | None) -> str:
    """A rate of messages: whole where it is large enough to be."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}/s" if value >= 99.95 or value == int(value) else f"{value:.1f}/s"


def seconds(value: float | None, style: Style) -> str:
    """A time in the letters of the terminal."""
    return format_seconds(value, ascii_only=style.ascii_only)


def outcome(document: Document) -> tuple[str, str]:
    """How the test ended in one word, and the style of the word."""
    if document.get("declined"):
        return "declined", "warn"
    if document.get("interrupted"):
        return "interrupted", "warn"
    return ("ok", "good") if document.get("success") else ("FAILED", "bad")


def head_lines(document: Document, style: Style, *, crossed: str = "") -> list[str]:
    """The verdict, what failed it, and which run this is."""
    word, colour = outcome(document)
    verdict = text(document, "verdict")
    lines: list[str] = []
    if crossed and word in {"ok", "interrupted"}:
        lines += _verdict("FAILED", "bad", f"by --fail-if: {crossed}", style)
        if verdict:
            lines += wrapped(verdict, style, indent="  ")
    else:
        if declined := text(document, "declined"):
            name = target_name(document)
            verdict = declined if not name or name in declined else f"{name}: {declined}"
        lines += _verdict(word, colour, verdict or f"a {text(document, 'test_type')} test", style)
        if crossed:
            lines += wrapped(f"by --fail-if: {crossed}", style, indent="  ")
    return [*lines, *_about(document, style)]


def _verdict(word: str, colour: str, sentence: str, style: Style) -> list[str]:
    first, *more = wrapped(f"{word}  {sentence}", style, indent="", hang=" " * (len(word) + 2))
    return [first.replace(word, style.paint(word, colour), 1), *more]


def _about(document: Document, style: Style) -> list[str]:
    """Which test, of whom, by which method, how long, and under which id it is kept."""
    target = at(document, "target")
    words = [text(document, "test_type")]
    if isinstance(target, dict):
        peer_id, name, hops = text(target, "id"), target_name(document), number(target, "hops")
        words[0] += f" {name}"
        words += [short(peer_id)] if peer_id and short(peer_id) != name else []
        words += [counted(hops, "hop")] if hops else []
    method = text(document, "method")
    stamps = text(document, "timestamps") or text(document, "environment", "timestamps")
    if method.startswith("stamp") and stamps and stamps != "none":
        method += f" ({stamps} timestamps)"
    words += [method] if method and method != "none" else []
    words.append(duration_text(number(document, "duration_s")))
    if test_id := text(document, "test_id"):
        words.append(f"id {test_id}" if document.get("stored", True) else f"id {test_id} (not kept)")
    return [style.paint(line, "dim") for line in flow(words, width=style.width)]


def delays(rows: Sequence[tuple[str, object, str]], style: Style) -> list[str]:
    """A table of delays, a row for each (label, summary, remark); rows without samples are left out."""
    known = [(label, summary, remark) for label, summary, remark in rows if _has_samples(summary)]
    if not known:
        return []
    names = [name for name in _SUMMARY if any(_figure(summary, name) is not None for _, summary, _ in known)]
    columns = [
        Column(" " * LABEL_CELLS),
        *(Column(_TITLES.get(name, name), right=True, rank=_RANKS.get(name, 0)) for name in names),
        Column("", rank=6),
    ]
    cells: list[list[Cell]] = [
        [
            fit(label, LABEL_CELLS),
            *(seconds(_figure(summary, name), style) for name in names),
            (remark, "dim"),
        ]
        for label, summary, remark in known
    ]
    if not any(remark for _, _, remark in known):
        columns.pop()
        cells = [row[:-1] for row in cells]
    return render_table(columns, cells, width=style.width, colour=style.colour)


def _has_samples(summary: object) -> bool:
    return any(_figure(summary, name) is not None for name in _SUMMARY)


def _figure(summary: object, name: str) -> float | None:
    return number(summary, f"{name}_s") if isinstance(summary, dict) else None


def fact_lines(rows: Iterable[tuple[str, Sequence[str]]], style: Style) -> list[str]:
    """``label  one  two``: facts behind their label, broken where the line is full."""
    lines: list[str] = []
    for label, items in rows:
        told = [item for item in items if item]
        if not told:
            continue
        room = None if style.width is None else max(20, style.width - LABEL_CELLS - len(GAP))
        first, *more = flow(told, width=room)
        lines.append(fit(label, LABEL_CELLS) + GAP + first)
        lines += [" " * LABEL_CELLS + GAP + line for line in more]
    return lines


def wrapped(sentence: str, style: Style, *, indent: str, hang: str | None = None) -> list[str]:
    """A sentence over as many lines as it takes."""
    width = style.width or 10_000
    lines: list[str] = []
    line = ""
    for word in sentence.split(" "):
        joined = f"{line} {word}" if line else (indent if not lines else hang or indent) + word
        if line and cell_width(joined) > width:
            lines.append(line)
            line = (indent if hang is None else hang) + word
        else:
            line = joined
    return [*lines, line]


def note_lines(document: Document, style: Style) -> list[str]:
    """What the reader must know before believing the figures: errors, noise, missing samples."""
    told = {text(document, "verdict"), text(document, "declined")}
    notes = [("error", "bad", item) for item in _texts(at(document, "errors")) if item not in told]
    environment = at(document, "environment")
    # Where nothing was measured, nothing disturbed it.
    if isinstance(environment, dict) and text(document, "method") != "none":
        remarks = _texts(environment.get("notes"))
        if environment.get("noisy") and not remarks:
            remarks = ["this host was noisy while it measured: read the high percentiles with care"]
        notes += [("note", "warn", item) for item in remarks]
    sufficiency = at(document, "sufficiency")
    if isinstance(sufficiency, dict) and sufficiency.get("enough") is False:
        notes.append(
            ("note", "warn", text(sufficiency, "text") or "too few samples for the high percentiles")
        )
    if document.get("stored") is False:
        notes.append(("note", "warn", "the result could not be kept; `qudag log` says why"))
    lines: list[str] = []
    for label, colour, item in notes:
        first, *more = wrapped(
            fit(label, LABEL_CELLS) + GAP + item, style, indent="", hang=" " * (LABEL_CELLS + 2)
        )
        lines += [first.replace(label, style.paint(label, colour), 1), *more]
    return lines


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
