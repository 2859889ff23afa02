"""Results as CSV: a head that depends on the test alone, and rows in the document's own units. Pure.

A row is a test, but of traceroute a hop, of routing a peer, of connectivity a step.
"""

from __future__ import annotations

from qudag_tui.views.csv import csv_line
from qudag_tui.views.nettests.documents import Document, at, maps, target_name, text
from qudag_tui.views.nettests.metrics import METRICS

__all__ = ["csv_head", "csv_rows"]

_SUMMARY = ("samples", "min_s", "avg_s", "p50_s", "p90_s", "p95_s", "p99_s", "max_s", "stddev_s")

_ALWAYS = (
    "test_id",
    "test_type",
    "started_unix_s",
    "duration_s",
    "node",
    "peer",
    "peer_id",
    "success",
    "verdict",
)

#: Types whose result is a list: its name, and the columns of a row by their dotted names.
_ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "traceroute": (
        "hops",
        (
            "ttl",
            "name",
            "peer",
            "sent",
            "received",
            "loss_ratio",
            *(f"rtt.{n}" for n in _SUMMARY),
            "added_s",
            "verdict",
        ),
    ),
    "routing": (
        "peers",
        (
            "name",
            "peer",
            "reachable",
            "hops",
            "best_hops",
            "rtt.p50_s",
            "rtt.p99_s",
            "best_known_s",
            "stretch",
            "verdict",
        ),
    ),
    "connectivity": ("steps", ("step", "ok", "duration_s", "detail", "reason")),
}

#: Columns of a list that would be called as one that stands before them.
_RENAMED = {"name": "hop_name", "peer": "hop_peer", "verdict": "hop_verdict", "duration_s": "step_duration_s"}


def csv_head(test_type: str) -> str:
    """The names of the columns; the unit is in the name."""
    if test_type in _ROWS:
        rows = _ROWS[test_type][1]
        return csv_line([*_ALWAYS, *(_RENAMED.get(name, name).replace(".", "_") for name in rows)])
    units = {
        "time": "_s",
        "share": "_ratio",
        "bit rate": "_bits_per_s",
        "rate": "_per_s",
        "count": "",
        "factor": "",
    }
    names = [m.name + units[m.kind.name] for m in METRICS[test_type] if m.name != "duration"]
    return csv_line([*_ALWAYS, *names, "declined"])


def csv_rows(document: Document) -> list[str]:
    """The rows of one result."""
    kind = text(document, "test_type")
    common = [
        text(document, "test_id"),
        kind,
        document.get("started_unix_s"),
        document.get("duration_s"),
        text(document, "environment", "node", "name"),
        target_name(document),
        text(document, "target", "id"),
        _word(document.get("success")),
        text(document, "verdict"),
    ]
    if kind in _ROWS:
        name, columns = _ROWS[kind]
        return [
            csv_line([*common, *(_word(at(row, *column.split("."))) for column in columns)])
            for row in maps(document, name)
        ]
    figures = [metric.of(document) for metric in METRICS[kind] if metric.name != "duration"]
    return [csv_line([*common, *figures, text(document, "declined") or None])]


def _word(value: object) -> object:
    return ("true" if value else "false") if isinstance(value, bool) else value
