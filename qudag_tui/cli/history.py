"""``qudag network history``: what the figures were, as a table, CSV, JSON or a chart."""

from __future__ import annotations

import sys
import time

from qudag_node.wire import unpack_column
from qudag_tui.cli.output import READING, Paper, print_json, print_lines
from qudag_tui.cli.session import open_node
from qudag_tui.cli.times import parse_time
from qudag_tui.errors import UsageError, did_you_mean
from qudag_tui.views.history_text import History, history_csv, history_json, history_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qudag_tui.cli.options import Options

__all__ = ["run"]

# What a node gives in one answer.
MAX_SERIES = 256

CHART_ROWS = 18
LEAST_CHART_CELLS = 20


def run(options: Options) -> int:
    """Print some series, or the names of all."""
    start, end = _span(options)
    with open_node(options) as connection:
        answer = connection.call("history")
        with READING:
            names = [str(name) for name in answer.get("names", ())]
        if not options.series:
            if options.format == "json":
                print_json({"schema": "qudag.history/1", "names": names})
            else:
                print_lines(names)
            return 0
        series = _chosen(options.series, names)
        params: dict[str, object] = {"series": series, "from_unix_s": start, "to_unix_s": end}
        if options.step_s is not None:
            params["step_s"] = options.step_s
        answer = connection.call("history", params)
    with READING:
        _print(_history(answer), options)
    return 0


def _chosen(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """The series that are named, or that fit a pattern such as ``latency.links.*``, each once."""
    from fnmatch import fnmatchcase

    found: dict[str, None] = {}
    for word in words:
        fitting = [name for name in names if name == word or fnmatchcase(name, word)]
        if not fitting:
            near = did_you_mean(word, names)
            raise UsageError(f"no series is called {word!r}", near or "`qudag network history` lists them")
        found |= dict.fromkeys(fitting)
    if len(found) > MAX_SERIES:
        raise UsageError(f"{len(found)} series are too many at once", f"choose {MAX_SERIES} or fewer")
    return list(found)


def _span(options: Options) -> tuple[float, float]:
    now = time.time()
    try:
        start, end = parse_time(options.start, now), parse_time(options.end, now)
    except ValueError as exc:
        raise UsageError(str(exc)) from None
    if start >= end:
        raise UsageError(f"--from {options.start} is not before --to {options.end}")
    return start, end


def _history(answer: Mapping[str, Any]) -> History:
    series = {name: list(unpack_column(column)) for name, column in answer.get("series", {}).items()}
    return History(float(answer.get("from_unix_s", 0.0)), float(answer.get("step_s", 1.0)), series)


def _print(history: History, options: Options) -> None:
    paper = Paper(no_color=options.no_color)
    # A person at a terminal wants the shape, a pipe the figures.
    wanted = options.format or ("chart" if paper.width is not None else "table")
    if wanted == "json":
        print_json(history_json(history))
    elif wanted == "csv":
        print_lines(history_csv(history))
    elif wanted == "table" or not history.has_points:
        print_lines(history_table(history, colour=paper.colour))
        if not history.has_points:
            print("nothing was recorded in this span", file=sys.stderr)
    else:
        from qudag_tui.views.history_chart import history_chart

        width = max((paper.width or 80) - 1, LEAST_CHART_CELLS)
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        print_lines(
            history_chart(history, width=width, rows=CHART_ROWS, colour=paper.colour, ascii_only=ascii_only)
        )
