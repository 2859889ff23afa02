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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import cache, lru_cache
from math import nan
from operator import attrgetter
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

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
_RATES = (("1s", "per_s_1"), ("10s", "per_s_10"), ("60s", "per_s_60"))
# One for each kind of tree and place, a message type being a place.
_MOST_PLANS = 512
_SHORTER = {"incoming": "in", "outgoing": "out"}


def fold_of(name: str) -> Fold:
    """Return how values of the series of this name become one."""
    *_, parent, leaf = ("", *name.split("."))
    if leaf in _LAST or parent in _LAST_WITHIN:
        return Fold.LAST
    if leaf in _MAX:
        return Fold.MAX
    return Fold.MIN if leaf == "min" else Fold.MEAN


def numbers_of(statistics: NetworkStatistics) -> tuple[list[str], list[float]]:
    """Return the names and the values of all series, peers aside; NaN for what is not known now."""
    names: list[str] = []
    values: list[float | None] = []
    _add_tree(statistics, "", names, values)
    return names, [nan if value is None else float(value) for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How to read a kind of tree: which series it has in any case, and where there may be more.

    Attributes:
        names: Names of the numbers that are always there, if only as None.
        numbers: Gets them all at once.
        inner: Fields whose series depend on the value: their names, paths and types.
    """

    names: tuple[str, ...]
    numbers: Callable[[Any], tuple[float | None, ...]]
    inner: tuple[tuple[str, str, Any], ...]


def _add_tree(tree: Any, path: str, names: list[str], values: list[float | None]) -> None:
    kind: Any = type(tree)
    plan = _plan(kind, path)
    names += plan.names
    values += plan.numbers(tree)
    for name, inner_path, declared in plan.inner:
        inner = getattr(tree, name)
        if isinstance(inner, Mapping):
            _add_mapping(inner, inner_path, names, values)
        elif inner is None:
            unknown = _unknown(declared, inner_path)
            names += unknown
            values += [None] * len(unknown)
        else:
            _add_tree(inner, inner_path, names, values)


def _add_mapping(mapping: Mapping[str, Any], path: str, names: list[str], values: list[float | None]) -> None:
    for key, inner in mapping.items():
        if isinstance(inner, (int, float)):
            names.append(f"{path}.{key}")
            values.append(inner)
        else:
            _add_tree(inner, f"{path}.{key}", names, values)


@lru_cache(maxsize=_MOST_PLANS)
def _plan(tree: Any, path: str) -> _Plan:
    """Make the plan of a dataclass. What lies in it in any case is read with it."""
    names: list[str] = []
    attributes: list[str] = []
    inner: list[tuple[str, str, Any]] = []
    for name, kind in _fields(tree):
        inner_path = _join(path, _shorter(tree, name))
        if kind is Rates:
            names += [f"{inner_path}.{window}" for window, _ in _RATES]
            attributes += [f"{name}.{attribute}" for _, attribute in _RATES]
        elif _is_number(kind):
            names.append(inner_path)
            attributes.append(name)
        elif is_dataclass(kind) or _may_be_tree(kind):
            inner.append((name, inner_path, kind))
    return _Plan(names=tuple(names), numbers=_getter(attributes), inner=tuple(inner))


def _getter(attributes: list[str]) -> Callable[[Any], tuple[float | None, ...]]:
    match attributes:
        case []:
            return lambda _tree: ()
        case [only]:
            return lambda tree: (attrgetter(only)(tree),)
        case _:
            return attrgetter(*attributes)


@lru_cache(maxsize=_MOST_PLANS)
def _unknown(kind: Any, path: str) -> tuple[str, ...]:
    """Return the series of a tree that is None now, by its type: a chart may ask for them already."""
    tree: Any = next(each for each in get_args(kind) if is_dataclass(each))
    return tuple(_join(path, name) for name, inner in _fields(tree) if _is_number(inner))


def _is_number(kind: Any) -> bool:
    kinds = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    return any(each in (int, float) for each in kinds)


def _may_be_tree(kind: Any) -> bool:
    return get_origin(kind) is Mapping or any(is_dataclass(each) for each in get_args(kind))


def _shorter(tree: Any, name: str) -> str:
    return _SHORTER.get(name, name) if tree is ConnectionStatistics else name


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names and types of a dataclass's fields that may be series."""
    types = get_type_hints(kind)
    return tuple((field.name, types[field.name]) for field in fields(kind) if field.name not in _LEFT_OUT)
