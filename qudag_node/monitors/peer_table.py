"""One row for each known peer, as columns: a copy of what the collector and the windows hold now."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from qudag_node.metrics import MetricsCollector
from qudag_node.metrics.collector import TEST_TYPE
from qudag_node.metrics.peers import TEXT_COLUMNS
from qudag_node.metrics.rings import FIGURES
from qudag_node.metrics.statistics import PeerTable
from qudag_node.metrics.tallies import TCP_COUNTS, TCP_TIMES

__all__ = ["TRAFFIC", "PeerWindows", "latency_bands", "peer_table", "slot_traffic"]

#: The columns of `slot_traffic`.
TRAFFIC = ("sent_messages", "received_messages", "sent_bytes", "received_bytes")

#: Attributes of the handles, and the types of their columns.
_GAUGES = (
    ("queue_messages", np.uint32),
    ("queue_bytes", np.uint32),
    ("unconfirmed_messages", np.uint64),
    ("unconfirmed_bytes", np.uint64),
)
#: Types of the `TCP_COUNTS` columns. They hold 0 where the kernel tells nothing; there ``tcp_rtt_s`` is NaN.
_TCP_COUNT_TYPES = (np.uint32, np.uint32, np.uint64, np.uint64)
_BANDS_S = np.array([0.001, 0.005, 0.020, 0.100, 0.500])
_BAND_NAMES = ("<1ms", "1-5ms", "5-20ms", "20-100ms", "100-500ms", ">500ms", "unknown")

Columns = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerWindows:
    """Figures of every slot that the collector does not have.

    Attributes:
        traffic_per_s: Rates of `TRAFFIC` over the last second, NaN until known.
        loss_ratio: Within the rolling window.
        loss_session_ratio: Since the peer is known.
        retransmit_ratio: Bytes that TCP sent again, of all it sent within the rolling window.
    """

    traffic_per_s: npt.NDArray[np.float32]
    loss_ratio: npt.NDArray[np.float32]
    loss_session_ratio: npt.NDArray[np.float32]
    retransmit_ratio: npt.NDArray[np.float32]


def slot_traffic(collector: MetricsCollector) -> npt.NDArray[np.int64]:
    """Return `TRAFFIC` of every slot since its peer is known; test traffic is left out. Fold first."""
    messages, size_bytes = collector.traffic.by_slot()
    traffic = np.empty((len(messages), len(TRAFFIC)), np.int64)
    np.einsum("ijk->ij", messages, out=traffic[:, :2])
    np.einsum("ijk->ij", size_bytes, out=traffic[:, 2:])
    if TEST_TYPE in collector.message_types:
        test = collector.message_types.index(TEST_TYPE)
        traffic[:, :2] -= messages[:, :, test]
        traffic[:, 2:] -= size_bytes[:, :, test]
    return traffic


def peer_table(
    collector: MetricsCollector, windows: PeerWindows, *, capacity_bits_per_s: float | None = None
) -> PeerTable:
    """Return the table of all known peers. Fold first."""
    slots = collector.registry.slots()
    rows = _rows(slots)
    numbers = {
        **_label_columns(collector, rows),
        **_latency_columns(collector, rows),
        **_count_columns(collector, rows),
        **_gauge_columns(collector),
        **_tcp_columns(collector, rows),
        **_window_columns(windows, rows, capacity_bits_per_s),
    }
    text = {column: collector.registry.text(column) for column in TEXT_COLUMNS}
    return PeerTable(slots=slots, text=text, numbers=numbers)


def latency_bands(table: PeerTable) -> dict[str, int]:
    """Count the connected peers by their median round-trip time."""
    connected = ~np.isnan(table.numbers["connected_unix_s"].astype(np.float64))
    median_s = table.numbers["rtt_p50_s"].astype(np.float64)[connected]
    known = median_s[~np.isnan(median_s)]
    counts = np.bincount(np.searchsorted(_BANDS_S, known, side="right"), minlength=len(_BANDS_S) + 1)
    by_band = (*counts.tolist(), len(median_s) - len(known))
    return {name: count for name, count in zip(_BAND_NAMES, by_band, strict=True) if count}


def _rows(slots: npt.NDArray[np.uint32]) -> slice | npt.NDArray[np.uint32]:
    """Return what picks the slots out of an array; a slice, which is cheaper, where none is missing."""
    if len(slots) and int(slots[-1]) - int(slots[0]) == len(slots) - 1:
        return slice(int(slots[0]), int(slots[-1]) + 1)
    return slots


Rows = slice | npt.NDArray[np.uint32]


def _label_columns(collector: MetricsCollector, rows: Rows) -> Columns:
    registry, connections = collector.registry, collector.connections
    return {
        "protocol_version": registry.protocol_version[rows].copy(),
        "hops": registry.hops[rows].copy(),
        "connected_unix_s": connections.connected_unix_s[rows].copy(),
        "reconnects": connections.reconnects[rows].copy(),
    }


def _latency_columns(collector: MetricsCollector, rows: Rows) -> Columns:
    rings = collector.latencies.rings
    rings.refresh()
    columns: Columns = {f"rtt_{name}_s": rings.figure(name)[rows].copy() for name in FIGURES}
    columns["rtt_samples"] = rings.count[rows].astype(np.uint32)
    return columns


def _count_columns(collector: MetricsCollector, rows: Rows) -> Columns:
    tallies, traffic = collector.tallies, slot_traffic(collector)[rows]
    return {
        "messages_sent": traffic[:, 0].astype(np.uint64),
        "messages_received": traffic[:, 1].astype(np.uint64),
        "bytes_sent": traffic[:, 2].astype(np.uint64),
        "bytes_received": traffic[:, 3].astype(np.uint64),
        "messages_dropped_in": tallies.dropped_in[rows].astype(np.uint64),
        "messages_dropped_out": tallies.dropped_out[rows].astype(np.uint64),
        "messages_failed": tallies.failed[rows].astype(np.uint64),
        "probes_sent": tallies.probes_sent[rows].copy(),
        "probes_lost": tallies.probes_lost[rows].copy(),
    }


def _gauge_columns(collector: MetricsCollector) -> Columns:
    handles = collector.registry.handles()
    return {name: np.fromiter(map(attrgetter(name), handles), dtype, len(handles)) for name, dtype in _GAUGES}


def _tcp_columns(collector: MetricsCollector, rows: Rows) -> Columns:
    times, counts = collector.tallies.tcp_times[rows], collector.tallies.tcp_counts[rows]
    columns: Columns = {f"tcp_{name}": times[:, number].copy() for number, name in enumerate(TCP_TIMES)}
    for number, (name, dtype) in enumerate(zip(TCP_COUNTS, _TCP_COUNT_TYPES, strict=True)):
        columns[f"tcp_{name}"] = counts[:, number].astype(dtype)
    return columns


def _window_columns(windows: PeerWindows, rows: Rows, capacity_bits_per_s: float | None) -> Columns:
    per_s = windows.traffic_per_s[rows]
    columns: Columns = {f"{name}_per_s": per_s[:, number].copy() for number, name in enumerate(TRAFFIC)}
    columns["loss_ratio"] = windows.loss_ratio[rows].copy()
    columns["loss_session_ratio"] = windows.loss_session_ratio[rows].copy()
    columns["tcp_retransmit_ratio"] = windows.retransmit_ratio[rows].copy()
    busier = per_s[:, 2:].max(axis=1) * 8
    columns["utilization_ratio"] = busier / np.float32(capacity_bits_per_s or np.nan)
    return columns
