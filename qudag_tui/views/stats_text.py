"""The statistics as text: an overview with its peers, everything in detail, and one line per sample. Pure."""

from __future__ import annotations

from qudag_tui.views.peers_text import peers_detailed, peers_table, short_id
from qudag_tui.views.table import Column, flow, paint, render_table
from qudag_tui.views.text import (
    UNKNOWN,
    fit,
    format_age,
    format_bits_per_s,
    format_bytes,
    format_count,
    format_rate,
    format_ratio,
    format_seconds,
    format_timestamp,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from qudag_tui.views.selection import Figures
    from qudag_tui.views.table import Cell

    Tree = Mapping[str, Any]
    Number = float | None

__all__ = ["line_head", "sample_line", "stats_detailed", "stats_table"]

INDENT = "  "

RATE_COLUMNS = [
    Column(""),
    Column("total", right=True),
    Column("1 s", right=True),
    Column("10 s", right=True),
    Column("60 s", right=True, rank=1),
    Column("peak", right=True, rank=2),
    Column("peak at", right=True, rank=3),
]

SUMMARY_COLUMNS = [
    Column(""),
    Column("samples", right=True),
    Column("min", right=True, rank=1),
    Column("avg", right=True, rank=2),
    Column("p50", right=True),
    Column("p95", right=True),
    Column("p99", right=True),
    Column("max", right=True, rank=3),
    Column("method", rank=4),
]

TYPE_COLUMNS = [
    Column(""),
    *(
        Column(title, right=True, rank=rank)
        for title, rank in (
            ("sent", 0),
            ("received", 0),
            ("processed", 1),
            ("failed", 0),
            ("dropped", 0),
            ("queued", 1),
            ("out", 2),
            ("in", 2),
        )
    ),
]


def stats_table(figures: Figures, *, width: int | None = None, colour: bool = False) -> list[str]:
    """An overview of one snapshot, then a line for each peer."""
    selection = figures.selection
    lines = [_title(figures.document, colour=colour)]
    if selection.peers and not selection.sections and not selection.types:
        return [*lines, "", *peers_table(figures, width=width, colour=colour)]
    only_types = bool(selection.types) and not selection.sections
    for name, show in _OVERVIEW.items():
        section = figures.document.get(name)
        if section is None or (only_types and name not in {"messages", "latency"}):
            continue
        lines += ["", *show(section, width, colour)]
        if selection.types and name == "messages":
            lines += _types(section, width, colour)
        if selection.types and name == "latency":
            lines += _type_latencies(section, width, colour)
    if figures.has_peers and not only_types:
        lines += ["", *peers_table(figures, width=width, colour=colour)]
    return lines


def stats_detailed(figures: Figures, *, width: int | None = None, colour: bool = False) -> list[str]:
    """Every figure of one snapshot."""
    document = figures.document
    lines = [_title(document, colour=colour), *_node(document.get("node", {}))]
    for name, show in _DETAILED.items():
        section = document.get(name)
        if section is not None:
            lines += ["", *show(section, width, colour)]
    if figures.has_peers:
        lines += ["", *peers_detailed(figures, colour=colour)]
    return lines


# --- one line per sample --------------------------------------------------------------------------

_LINE: tuple[tuple[str, int, Callable[[Tree], str]], ...] = (
    ("time", 8, lambda d: format_timestamp(_at(d, "node", "sampled_unix_s"))[11:19] or UNKNOWN),
    ("links", 5, lambda d: format_count(_at(d, "connections", "active"))),
    ("out msg/s", 9, lambda d: format_rate(_at(d, "messages", "sent_rate", "1s"))),
    ("in msg/s", 8, lambda d: format_rate(_at(d, "messages", "received_rate", "1s"))),
    ("out", 9, lambda d: _bits(_at(d, "bandwidth", "sent_rate", "1s"))),
    ("in", 9, lambda d: _bits(_at(d, "bandwidth", "received_rate", "1s"))),
    ("rtt p50", 7, lambda d: format_seconds(_at(d, "latency", "links", "p50"))),
    ("rtt p99", 7, lambda d: format_seconds(_at(d, "latency", "links", "p99"))),
    ("tps", 5, lambda d: format_rate(_at(d, "performance", "tps", "1s"))),
    ("queue", 5, lambda d: format_count(_at(d, "performance", "queue_depth"))),
    ("dropped", 7, lambda d: format_count(_dropped(d.get("messages", {})))),
    ("cpu", 6, lambda d: format_ratio(_at(d, "resources", "cpu_ratio"))),
)


def line_head(*, colour: bool = False) -> str:
    """The head over ``sample_line``; times are UTC."""
    return paint("  ".join(fit(title, width, right=True) for title, width, _ in _LINE), "head", colour=colour)


def sample_line(document: Tree) -> str:
    """One snapshot in one line of fixed columns."""
    return "  ".join(fit(show(document), width, right=True) for _, width, show in _LINE)


def _at(tree: Tree, *path: str) -> Any:
    """The value at a path, None where a step of it is missing."""
    found: Any = tree
    for key in path:
        if found is None:
            return None
        found = found.get(key)
    return found


def _bits(bytes_per_s: Number) -> str:
    return format_bits_per_s(None if bytes_per_s is None else bytes_per_s * 8)


def _dropped(messages: Tree) -> int | None:
    if "dropped_in" not in messages:
        return None
    dropped: int = messages["dropped_in"] + messages["dropped_out"]
    return dropped


# --- sections -------------------------------------------------------------------------------------


def _title(document: Tree, *, colour: bool) -> str:
    node = document.get("node", {})
    parts = [
        paint(node.get("name") or "unnamed", "head", colour=colour),
        short_id(node.get("id", "")),
        f"network {node.get('network', UNKNOWN)}",
        f"up {format_age(node.get('uptime_s'))}",
        format_timestamp(node.get("sampled_unix_s")),
    ]
    return "  ".join([*parts, "lab"] if node.get("lab") else parts)


def _node(node: Tree) -> list[str]:
    rows = [
        ("id", node.get("id", UNKNOWN)),
        ("version", node.get("version", UNKNOWN)),
        ("listen", ", ".join(node.get("listen", ())) or UNKNOWN),
        ("advertise", ", ".join(node.get("advertise", ())) or UNKNOWN),
        ("started", format_timestamp(node.get("started_unix_s"))),
        ("python", node.get("python") or UNKNOWN),
        ("openssl", node.get("openssl") or UNKNOWN),
        ("platform", node.get("platform") or UNKNOWN),
        ("tcp_info", node.get("tcp_info") or UNKNOWN),
        ("sample", f"{node.get('tick', UNKNOWN)}, every {node.get('interval_s', UNKNOWN)} s"),
    ]
    return render_table([Column(""), Column("")], rows, indent=INDENT, head=False)


def _counts(title: str, counts: Tree, width: int | None) -> list[str]:
    """``errors:  refused 3  timeout 1``, or nothing when there is nothing."""
    if not counts:
        return []
    listed = [f"{name} {format_count(count)}" for name, count in sorted(counts.items())]
    return flow([title, *listed], width=width, indent=INDENT)


def _connections(section: Tree, width: int | None, colour: bool) -> list[str]:
    keys = ("active", "in", "out", "pending", "total", "closed", "banned", "limit")
    figures = [f"{key} {format_count(section.get(key))}" for key in keys]
    return [
        paint("connections", "head", colour=colour),
        *flow(figures, width=width, indent=INDENT),
        *_counts("errors:", section.get("errors", {}), width),
    ]


def _connections_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    duration = [_summary_row("duration", section.get("duration_s"), format_age)]
    table = render_table(SUMMARY_COLUMNS, duration, width=width, indent=INDENT, colour=colour)
    return [*_connections(section, width, colour), *table]


def _rate_row(
    label: str, total: str, rate: Tree | None, peak: Tree | None, unit: Callable[[Number], str]
) -> tuple[Cell, ...]:
    rate, peak = rate or {}, peak or {}
    return (
        label,
        total,
        *(unit(rate.get(window)) for window in ("1s", "10s", "60s")),
        unit(peak.get("per_s")),
        format_timestamp(peak.get("at_unix_s"))[11:19] or UNKNOWN,
    )


def _messages(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [
        _rate_row(
            name,
            format_count(section.get(name)),
            section.get(f"{name}_rate"),
            section.get(f"{name}_peak"),
            format_rate,
        )
        for name in ("sent", "received")
    ]
    keys = ("processed", "failed", "dropped_in", "dropped_out", "queued_in", "queued_out", "duplicates")
    others = [f"{key.replace('_', ' ')} {format_count(section.get(key))}" for key in keys]
    return [
        *_headed("messages/s", RATE_COLUMNS, rows, width, colour),
        *flow(others, width=width, indent=INDENT),
        *_counts("failed:", section.get("failed_by_cause", {}), width),
        *_counts("dropped:", section.get("dropped_by_cause", {}), width),
    ]


def _headed(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None, colour: bool
) -> list[str]:
    """A table whose first head is the section's title."""
    headed = [Column(title), *columns[1:]]
    return render_table(headed, [(f"{INDENT}{row[0]}", *row[1:]) for row in rows], width=width, colour=colour)


def _types(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [
        (
            name,
            *(format_count(of.get(key)) for key in ("sent", "received", "processed", "failed")),
            format_count(_dropped(of)),
            format_count(of.get("queued_in", 0) + of.get("queued_out", 0)),
            format_bytes(of.get("sent_bytes")),
            format_bytes(of.get("received_bytes")),
        )
        for name, of in section.get("by_type", {}).items()
    ]
    return _headed("by type", TYPE_COLUMNS, rows, width, colour)


def _messages_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    sizes = [
        _summary_row(name, of.get("size_bytes"), format_bytes)
        for name, of in section.get("by_type", {}).items()
        if _at(of, "size_bytes", "samples")
    ]
    return [
        *_messages(section, width, colour),
        *_types(section, width, colour),
        *(_headed("sizes", SUMMARY_COLUMNS, sizes, width, colour) if sizes else []),
    ]


def _bandwidth(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [
        _rate_row(
            label,
            format_bytes(section.get(f"{label}_bytes")),
            section.get(f"{label}_rate"),
            section.get(f"{label}_peak"),
            _bits,
        )
        for label in ("sent", "received")
    ]
    return _headed("bandwidth", RATE_COLUMNS, rows, width, colour)


def _bandwidth_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    return [
        *_bandwidth(section, width, colour),
        f"{INDENT}on the wire  sent {format_bytes(section.get('wire_sent_bytes'))}"
        f"  received {format_bytes(section.get('wire_received_bytes'))}",
        f"{INDENT}capacity {format_bits_per_s(section.get('capacity_bits_per_s'))}"
        f"  utilization {format_ratio(section.get('utilization_ratio'))}",
    ]


def _summary_row(
    label: str, summary: Tree | None, unit: Callable[[Number], str] = format_seconds
) -> tuple[Cell, ...]:
    of = summary or {}
    bound = of.get("error_bound_s")
    method = of.get("method") or ""
    return (
        label,
        format_count(of.get("samples", 0)),
        *(unit(of.get(key)) for key in ("min", "avg", "p50", "p95", "p99", "max")),
        f"{method}, p50 ±{format_seconds(bound)}" if bound is not None else method,
    )


def _latency(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [_summary_row("links", section.get("links")), _summary_row("routing", section.get("routing"))]
    return _headed("latency", SUMMARY_COLUMNS, rows, width, colour)


def _type_latencies(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [_summary_row(name, of) for name, of in section.get("by_type", {}).items()]
    return _headed("latency by type", SUMMARY_COLUMNS, rows, width, colour)


def _latency_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    return [*_latency(section, width, colour), *_type_latencies(section, width, colour)]


def _performance(section: Tree, width: int | None, colour: bool) -> list[str]:
    rates = [
        _rate_row(label, total, section.get(key), section.get(f"{key}_peak"), format_rate)
        for label, key, total in (
            ("vertices", "tps", format_count(section.get("vertices_accepted"))),
            ("messages", "mps", ""),
        )
    ]
    return [
        *_headed("performance/s", RATE_COLUMNS, rates, width, colour),
        f"{INDENT}queue {format_count(section.get('queue_depth'))} messages,"
        f" {format_bytes(section.get('queue_bytes'))}",
    ]


def _performance_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    rows = [
        _summary_row("processing", section.get("processing_time_s")),
        _summary_row("propagation", section.get("propagation_time_s")),
    ]
    return [*_performance(section, width, colour), *_headed("times", SUMMARY_COLUMNS, rows, width, colour)]


def _resources(section: Tree, width: int | None, colour: bool) -> list[str]:
    limit = section.get("open_files_limit")
    figures = [
        f"cpu {format_ratio(section.get('cpu_ratio'))}",
        f"memory {format_bytes(section.get('rss_bytes'))}",
        f"files {format_count(section.get('open_files'))}{f' of {format_count(limit)}' if limit else ''}",
        f"threads {format_count(section.get('threads'))}",
        f"loop lag p99 {format_seconds(_at(section, 'loop_lag_s', 'p99'))}",
        f"metrics cpu {format_ratio(section.get('collector_cpu_ratio'))}",
    ]
    return [paint("resources", "head", colour=colour), *flow(figures, width=width, indent=INDENT)]


def _resources_detailed(section: Tree, width: int | None, colour: bool) -> list[str]:
    return [
        *_resources(section, width, colour),
        f"{INDENT}cpu time {format_seconds(section.get('cpu_s'))}"
        f"  of metrics {format_seconds(section.get('collector_cpu_s'))}"
        f"  metrics memory {format_bytes(section.get('collector_memory_bytes'))}",
        *_headed("loop", SUMMARY_COLUMNS, [_summary_row("lag", section.get("loop_lag_s"))], width, colour),
    ]


def _versions(section: Tree, width: int | None, colour: bool) -> list[str]:
    del width
    counts = "  ".join(f"v{version} {count}" for version, count in sorted(section.items()))
    return [paint("protocol versions", "head", colour=colour), INDENT + (counts or UNKNOWN)]


def _distribution(section: Tree, width: int | None, colour: bool) -> list[str]:
    del width
    rows = [
        (kind.replace("_", " "), "  ".join(f"{name} {count}" for name, count in counts.items()) or UNKNOWN)
        for kind, counts in section.items()
    ]
    table = render_table([Column(""), Column("")], rows, indent=INDENT, head=False)
    return [paint("peer distribution", "head", colour=colour), *table]


def _test_traffic(section: Tree, width: int | None, colour: bool) -> list[str]:
    del width
    return [
        paint("test traffic", "head", colour=colour),
        f"{INDENT}sent {format_count(section.get('sent'))} ({format_bytes(section.get('sent_bytes'))})"
        f"  received {format_count(section.get('received'))} ({format_bytes(section.get('received_bytes'))})",
    ]


_OVERVIEW: dict[str, Callable[[Tree, int | None, bool], list[str]]] = {
    "connections": _connections,
    "messages": _messages,
    "bandwidth": _bandwidth,
    "latency": _latency,
    "performance": _performance,
    "resources": _resources,
}

_DETAILED: dict[str, Callable[[Tree, int | None, bool], list[str]]] = {
    "connections": _connections_detailed,
    "messages": _messages_detailed,
    "bandwidth": _bandwidth_detailed,
    "latency": _latency_detailed,
    "performance": _performance_detailed,
    "protocol_versions": _versions,
    "peer_distribution": _distribution,
    "test_traffic": _test_traffic,
    "resources": _resources_detailed,
}
