"""A result as an engineer reads it: the verdict, the figures, what to know before believing them. Pure."""

from __future__ import annotations

from importlib import import_module

from qudag_tui.views.nettests.documents import Document, number, target_name, text
from qudag_tui.views.nettests.metrics import KEY_METRICS, METRICS, Metric, show_value
from qudag_tui.views.nettests.parts import Style, head_lines, note_lines, outcome, wrapped
from qudag_tui.views.nettests.thresholds import crossed_text, thresholds_table
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import UNKNOWN, format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from qudag_tui.views.nettests.thresholds import Verdict
    from qudag_tui.views.table import Cell

__all__ = ["listing", "many_table", "summary_lines", "worst_first"]

if TYPE_CHECKING:
    #: (peer, its result or None, why there is none, what the thresholds say)
    Row = tuple[str, Document | None, str, Sequence[Verdict]]

# The view of each type; imported when a result is shown, for a command shows one.
_VIEWS = {
    "ping": "ping:ping_lines",
    "latency": "ping:latency_lines",
    "bandwidth": "bandwidth:bandwidth_lines",
    "stress": "bandwidth:stress_lines",
    "traceroute": "path:traceroute_lines",
    "routing": "path:routing_lines",
    "connectivity": "path:connectivity_lines",
}


def summary_lines(document: Document, style: Style, verdicts: Sequence[Verdict] = ()) -> list[str]:
    """One result. The verdict comes first, and with it whatever failed."""
    lines = head_lines(document, style, crossed=crossed_text(verdicts))
    kind = text(document, "test_type")
    if kind in _VIEWS:
        module, _, function = _VIEWS[kind].partition(":")
        view: Callable[[Document, Style], list[str]] = getattr(
            import_module(f"qudag_tui.views.nettests.{module}"), function
        )
        body = view(document, style)
        lines += ["", *body] if body else []
    notes = note_lines(document, style)
    if notes:
        lines += ["", *notes]
    table = thresholds_table(verdicts, colour=style.colour)
    return [*lines, "", *table] if table else lines


def many_table(results: Sequence[Row], test_type: str, style: Style) -> list[str]:
    """A line for each peer, and below it a line for whatever is not as it should be.

    Args:
        results: (peer, its result or None, why there is none, what the thresholds say).
        test_type: What was tested.
        style: How to print.
    """
    chosen = KEY_METRICS[test_type]
    known = {metric.name: metric for metric in METRICS[test_type]}
    metrics = [known[name] for name in chosen if name in known]
    measured = [m for m in metrics if any(d is not None and m.of(d) is not None for _, d, _, _ in results)]
    columns = [
        Column("peer", least=8),
        Column("result"),
        *(Column(_title(metric), right=True, rank=chosen[metric.name]) for metric in measured),
    ]
    rows: list[list[Cell]] = []
    remarks: list[str] = []
    for peer, document, error, verdicts in results:
        crossed = crossed_text(verdicts)
        name = peer if document is None else target_name(document) or peer
        word, colour = ("not run", "bad") if document is None else outcome(document)
        if crossed and word == "ok":
            word, colour = "FAILED", "bad"
        rows.append(
            [
                name,
                (word, colour),
                *(UNKNOWN if document is None else show_value(m, m.of(document)) for m in measured),
            ]
        )
        has_lost = document is not None and bool(number(document, "loss_ratio"))
        if word != "ok" or has_lost:
            why = error if document is None else text(document, "declined") or text(document, "verdict")
            # Verdicts mostly begin with the name.
            why = (why or word).removeprefix(f"{name}: ")
            why = f"by --fail-if: {crossed}; {why}" if crossed else why
            remarks += wrapped(f"{name}: {why}", style, indent="", hang="  ")
    table = render_table(columns, rows, width=style.width, colour=style.colour)
    return [*table, "", *remarks] if remarks else table


#: What the order of many peers goes by, after whether the test succeeded.
_ORDER = {"ping": "loss", "bandwidth": "goodput", "routing": "reachable", "connectivity": "failed"}


def worst_first(results: Sequence[Row], test_type: str) -> list[Row]:
    """Failures first, then the worst figure first."""
    known = {metric.name: metric for metric in METRICS[test_type]}
    metrics = [known[name] for name in (_ORDER.get(test_type, "loss"), "p99") if name in known]

    def order(row: Row) -> tuple[bool, list[float]]:
        document = row[1]
        is_well = bool(document and document.get("success")) and not crossed_text(row[3])
        values = [metric.of(document) if document is not None else None for metric in metrics]
        signs = [-1.0 if metric.better == "less" else 1.0 for metric in metrics]
        return is_well, [sign * (value or 0.0) for sign, value in zip(signs, values, strict=True)]

    return sorted(results, key=order)


def _title(metric: Metric) -> str:
    return metric.name.replace("_", " ")


def listing(tests: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """A line for each test, newest first as the node lists them."""
    rows = [
        (
            text(row, "test_id"),
            format_timestamp(row.get("started_unix_s")),
            text(row, "test_type"),
            target_name(row) or UNKNOWN,
            _state(row),
            text(row, "verdict") or UNKNOWN,
        )
        for row in tests
    ]
    columns = [
        Column("id"),
        Column("started", rank=1),
        Column("test"),
        Column("peer", least=8),
        Column("result"),
        Column("verdict", least=16),
    ]
    return render_table(columns, rows, width=style.width, colour=style.colour)


def _state(row: Mapping[str, Any]) -> tuple[str, str]:
    state = text(row, "state")
    if state in {"queued", "running", "cancelled"}:
        return state, "dim"
    return outcome(row)
