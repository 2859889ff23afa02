"""Which numbers of the statistics are series, what they are called, and how many make one.

A series is named by its dotted path in the stats document: ``messages.sent_rate.1s``,
``latency.links.p99``. When several values fall into one point, they become:

    last    counts that only grow, and how long the node has been up
    max     p95, p99, max, peaks: the worst must stay visible
    min     min
    mean    everything else: rates, medians, levels

Left out: what never changes (``limit``, ``interval_s``), times of day, error bounds, and agents,
whose names strangers choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from math import nan
from typing import Any, get_args, get_type_hints

from qudag_node.metrics.statistics import ConnectionStatistics, NetworkStatistics, Rates

__all__ = ["Fold", "fold_of", "numbers_of"]


class Fold(IntEnum):
    """How several values become one."""

    MEAN = 0
    LAST = 1
    MAX = 2
    MIN = 3


_LAST = {
    "bytes_received",
    "bytes_sent",
    "closed",
    "collector_cpu_s",
    "cpu_s",
    "dropped_in",
    "dropped_out",
    "duplicates",
    "failed",
    "processed",
    "received",
    "received_bytes",
    "samples",
    "sent",
    "sent_bytes",
    "total",
    "uptime_s",
    "vertices_accepted",
    "wire_received_bytes",
    "wire_sent_bytes",
}
_LAST_WITHIN = {"errors", "failed_by_cause", "dropped_by_cause"}
_MAX = {"p95", "p99", "max", "per_s", "rtt_p95_s"}
_LEFT_OUT = {
    "agent",
    "at_unix_s",
    "error_bound_s",
    "interval_s",
    "limit",
    "open_files_limit",
    "peers",
    "sampled_unix_s",
    "started_unix_s",
    "tick",
}
_SHORTER = {"incoming": "in", "outgoing": "out"}


def fold_of(name: str) -> Fold:
    """Return how values of the series of this name become one."""
    *_, parent, leaf = ("", *name.split("."))
    if leaf in _LAST or parent in _LAST_WITHIN:
        return Fold.LAST
    if leaf in _MAX:
        return Fold.MAX
    return Fold.MIN if leaf == "min" else Fold.MEAN


def numbers_of(statistics: NetworkStatistics) -> Iterator[tuple[str, float]]:
    """Yield the name and value of every series, peers aside; NaN for what is not known now."""
    return _walk(statistics, "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, (int, float)):
        if not isinstance(value, bool):
            yield path, float(value)
    elif isinstance(value, Rates):
        for window, rate in (("1s", value.per_s_1), ("10s", value.per_s_10), ("60s", value.per_s_60)):
            yield f"{path}.{window}", nan if rate is None else rate
    elif is_dataclass(value):
        shorter = _SHORTER if isinstance(value, ConnectionStatistics) else {}
        tree: Any = type(value)
        for name, kind in _fields(tree):
            inner, inner_path = getattr(value, name), _join(path, shorter.get(name, name))
            yield from _unknown(kind, inner_path) if inner is None else _walk(inner, inner_path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}")


def _unknown(kind: Any, path: str) -> Iterator[tuple[str, float]]:
    """Yield the series of a field that is None now, by its type: a chart may ask for them already."""
    for each in get_args(kind) or (kind,):
        if each in (int, float):
            yield path, nan
        elif is_dataclass(each):
            tree: Any = each
            for name, inner in _fields(tree):
                yield from _unknown(inner, _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names and types of a dataclass's fields that may be series."""
    types = get_type_hints(kind)
    return tuple((field.name, types[field.name]) for field in fields(kind) if field.name not in _LEFT_OUT)
