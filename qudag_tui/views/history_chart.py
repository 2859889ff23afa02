"""Series of figures over time as charts for a terminal, drawn by plotext. Imported only where one is wanted.

plotext ends the whole process when it is given NaN, so a curve is cut where a value is not known, and
only finite numbers are handed over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import plotext

from qudag_tui.views.history_text import History, figure_of
from qudag_tui.views.table import paint
from qudag_tui.views.text import cell_width

__all__ = ["history_chart", "runs"]

TICKS_Y = 4
# A label has five to eleven cells; this keeps two of them apart.
CELLS_PER_TICK_X = 18
DAY_S = 86400.0


def history_chart(
    history: History,
    *,
    width: int,
    rows: int,
    colour: bool = False,
    ascii_only: bool = False,
    utc: bool = False,
) -> list[str]:
    """A chart for each series, one under the other; times are local unless ``utc``."""
    lines: list[str] = []
    for name, values in history.series.items():
        lines += [*([""] if lines else []), paint(name, "head", colour=colour)]
        known = runs(values)
        if known:
            lines += _chart(history, name, known, width, rows, "*" if ascii_only else "braille", utc=utc)
        else:
            lines.append("  nothing was recorded in this span")
    return lines


def runs(values: Sequence[float]) -> list[tuple[int, list[float]]]:
    """The stretches of known values: (index of the first, the values)."""
    found: list[tuple[int, list[float]]] = []
    for index, value in enumerate(values):
        if value - value != 0:  # NaN and the infinities
            continue
        if found and found[-1][0] + len(found[-1][1]) == index:
            found[-1][1].append(value)
        else:
            found.append((index, [value]))
    return found


def _chart(
    history: History,
    name: str,
    known: list[tuple[int, list[float]]],
    width: int,
    rows: int,
    marker: str,
    *,
    utc: bool,
) -> list[str]:
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(width, rows)
    for first, values in known:
        signal = figure.signal(list(range(first, first + len(values))), values, marker=marker)
        figure.draw(signal.lines() if len(values) > 1 else signal)
    lower = min(0.0, *(min(values) for _, values in known))
    upper = max(max(values) for _, values in known)
    upper = upper if upper > lower else lower + 1.0
    y, x = figure.ruler("y", 0), figure.ruler("x", 0)
    y.lim(lower, upper)
    at_y = [lower + (upper - lower) * step / TICKS_Y for step in range(TICKS_Y + 1)]
    y.ticks(at_y, [figure_of(name, value) for value in at_y])
    last = max(history.length - 1, 1)
    x.lim(0, last)
    count = max(min(width // CELLS_PER_TICK_X, last), 1)
    at_x = [last * step / count for step in range(count + 1)]
    x.ticks(at_x, [_moment(history, index, utc=utc) for index in at_x])
    text = str(plotext.uncolorize(str(figure.build())))
    return [line.rstrip() for line in text.splitlines() if cell_width(line.rstrip())]


def _moment(history: History, index: float, *, utc: bool) -> str:
    at_unix_s = history.from_unix_s + index * history.step_s
    span_s = history.length * history.step_s
    pattern = "%m-%d %H:%M" if span_s > DAY_S else "%H:%M" if span_s > 600 else "%H:%M:%S"
    return time.strftime(pattern, time.gmtime(at_unix_s) if utc else time.localtime(at_unix_s))
