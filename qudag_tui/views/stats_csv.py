"""The statistics as CSV (RFC 4180, lines end in LF). Pure.

One row of the scalar figures per snapshot, under one head that never changes; or, where the peers
section is chosen, one row per peer, each with the time of its snapshot. An empty cell is "not known".
Figures by cause, by type and by kind are maps of any size: they are in the JSON document only.
"""

from __future__ import annotations

from qudag_tui.views.csv import csv_line
from qudag_tui.views.selection import SECTIONS
from qudag_tui.views.stats_json import peers_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qudag_tui.views.selection import Figures

__all__ = ["PEER_COLUMNS", "SCALARS", "csv_head", "csv_rows"]

_SUMMARY = ("samples", "min", "avg", "p50", "p95", "p99", "max")
_WINDOWS = ("1s", "10s", "60s")
_PEAK = ("per_s", "at_unix_s")


def _of(name: str, keys: Sequence[str]) -> list[str]:
    return [f"{name}.{key}" for key in keys]


#: Dotted paths in the document, in their order.
SCALARS: tuple[str, ...] = (
    *_of("node", ("sampled_unix_s", "name", "id", "uptime_s", "tick")),
    *_of("connections", ("active", "in", "out", "pending", "total", "closed", "banned", "limit")),
    *_of("connections.duration_s", _SUMMARY),
    *_of("messages", ("sent", "received", "processed", "failed", "dropped_in", "dropped_out")),
    *_of("messages", ("queued_in", "queued_out", "duplicates")),
    *_of("messages.sent_rate", _WINDOWS),
    *_of("messages.received_rate", _WINDOWS),
    *_of("messages.sent_peak", _PEAK),
    *_of("messages.received_peak", _PEAK),
    *_of("bandwidth", ("sent_bytes", "received_bytes", "wire_sent_bytes", "wire_received_bytes")),
    *_of("bandwidth.sent_rate", _WINDOWS),
    *_of("bandwidth.received_rate", _WINDOWS),
    *_of("bandwidth.sent_peak", _PEAK),
    *_of("bandwidth.received_peak", _PEAK),
    *_of("bandwidth", ("capacity_bits_per_s", "utilization_ratio")),
    *_of("latency.links", _SUMMARY),
    *_of("latency.routing", _SUMMARY),
    *_of("performance.tps", _WINDOWS),
    *_of("performance.mps", _WINDOWS),
    *_of("performance.tps_peak", _PEAK),
    *_of("performance.mps_peak", _PEAK),
    *_of("performance", ("vertices_accepted", "queue_depth", "queue_bytes")),
    *_of("performance.processing_time_s", _SUMMARY),
    *_of("performance.propagation_time_s", (*_SUMMARY, "error_bound_s")),
    *_of("test_traffic", ("sent", "received", "sent_bytes", "received_bytes")),
    *_of("resources", ("cpu_s", "cpu_ratio", "rss_bytes", "open_files", "open_files_limit", "threads")),
    *_of("resources.loop_lag_s", _SUMMARY),
    *_of("resources", ("collector_cpu_s", "collector_cpu_ratio", "collector_memory_bytes")),
)

#: What each row of a peer carries besides its own columns.
PEER_COLUMNS = ("sampled_unix_s", "node")


def csv_head(figures: Figures) -> str:
    """The names of the columns that ``csv_rows`` fills."""
    if _is_by_peer(figures):
        return csv_line([*PEER_COLUMNS, *figures.peers.names])
    return csv_line(_paths(figures))


def csv_rows(figures: Figures) -> list[str]:
    """The rows of one snapshot."""
    if not _is_by_peer(figures):
        return [csv_line([_at(figures.document, path) for path in _paths(figures)])]
    node = figures.document.get("node", {})
    shared = [node.get("sampled_unix_s"), node.get("name")]
    return [csv_line([*shared, *peer.values()]) for peer in peers_json(figures)]


def _is_by_peer(figures: Figures) -> bool:
    selection = figures.selection
    return bool(selection.peers) or selection.sections == ("peers",)


def _paths(figures: Figures) -> list[str]:
    chosen = {"node", *(figures.selection.sections or SECTIONS)}
    return [path for path in SCALARS if path.partition(".")[0] in chosen]


def _at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for key in path.split("."):
        if found is None:
            return None
        found = found.get(key)
    return found
