"""What a node knows of itself and its network at one instant: a frozen tree of sections.

Pure data. Units are in the names: ``_s`` seconds, ``_unix_s`` wall time, ``_bytes``, ``_per_s``,
``_ratio`` 0 to 1. ``None`` means "not known" and is never replaced by zero.
The words sent, received, processed, failed and dropped mean what docs/stats-schema.md says:
sent is handed to the kernel, received is decoded, and at every instant
``received = processed + failed + dropped_in + queued_in``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = [
    "BandwidthStatistics",
    "ConnectionStatistics",
    "LatencyStatistics",
    "MessageStatistics",
    "MessageTypeStatistics",
    "NetworkStatistics",
    "NodeStatistics",
    "Peak",
    "PeerDistribution",
    "PeerTable",
    "PerformanceStatistics",
    "Rates",
    "ResourceStatistics",
    "Summary",
    "TestTraffic",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One quantity per second, over the last 1, 10 and 60 seconds; None until a full window is known."""

    per_s_1: float | None = None
    per_s_10: float | None = None
    per_s_60: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The largest one-second rate since the node started, and when."""

    per_s: float
    at_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A distribution in seconds (or bytes). Percentiles are nearest-rank.

    Attributes:
        method: How the figure was obtained, for instance ``link-ping``.
        error_bound_s: The true median lies within ``p50`` ± this, where that is known.
    """

    samples: int
    min: float | None = None
    avg: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    method: str | None = None
    error_bound_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatistics:
    """Who speaks, and when these figures were taken."""

    id: str
    name: str
    version: str
    network: str
    listen: tuple[str, ...] = ()
    advertise: tuple[str, ...] = ()
    started_unix_s: float = 0.0
    uptime_s: float = 0.0
    sampled_unix_s: float = 0.0
    tick: int = 0
    interval_s: float = 1.0
    python: str = ""
    openssl: str = ""
    platform: str = ""
    lab: bool = False
    tcp_info: str = "path"
    """``path``: TCP_INFO describes the path; ``not-of-path``: a relay ends TCP; ``unavailable``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatistics:
    """Links to neighbours. ``active = incoming + outgoing``."""

    active: int = 0
    incoming: int = 0
    outgoing: int = 0
    pending: int = 0
    total: int = 0
    closed: int = 0
    banned: int = 0
    limit: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    duration_s: Summary = Summary(samples=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTypeStatistics:
    """The counts of one message type since the node started."""

    sent: int = 0
    received: int = 0
    processed: int = 0
    failed: int = 0
    dropped_in: int = 0
    dropped_out: int = 0
    queued_in: int = 0
    queued_out: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    size_bytes: Summary = Summary(samples=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatistics:
    """Framed messages since the node started; the totals are the sums over ``by_type``."""

    sent: int = 0
    received: int = 0
    processed: int = 0
    failed: int = 0
    dropped_in: int = 0
    dropped_out: int = 0
    queued_in: int = 0
    queued_out: int = 0
    duplicates: int = 0
    sent_rate: Rates = Rates()
    received_rate: Rates = Rates()
    sent_peak: Peak | None = None
    received_peak: Peak | None = None
    failed_by_cause: Mapping[str, int] = field(default_factory=dict)
    dropped_by_cause: Mapping[str, int] = field(default_factory=dict)
    by_type: Mapping[str, MessageTypeStatistics] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthStatistics:
    """Frame bytes above TLS; ``wire_*`` are TCP payload bytes from TCP_INFO, None where unavailable.

    Attributes:
        capacity_bits_per_s: Configured or last measured capacity of one direction, else None.
        utilization_ratio: The busier direction's 1 s rate over the capacity, None without one.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    wire_sent_bytes: int | None = None
    wire_received_bytes: int | None = None
    sent_rate: Rates = Rates()
    received_rate: Rates = Rates()
    sent_peak: Peak | None = None
    received_peak: Peak | None = None
    capacity_bits_per_s: float | None = None
    utilization_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStatistics:
    """Round-trip times of the links, latency by message type, and RTT of routed probes, in seconds.

    ``by_type`` is request to reply for types that are answered and queue to kernel for one-way
    types; each says which in its ``method``.
    """

    links: Summary = Summary(samples=0)
    by_type: Mapping[str, Summary] = field(default_factory=dict)
    routing: Summary = Summary(samples=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceStatistics:
    """What the node gets done.

    ``tps`` is vertices newly accepted per second (first copy, signature valid); ``mps`` is framed
    messages in plus out per second; ``propagation_time_s`` is the receiver's clock minus the origin
    time minus the estimated offset, of all samples, None when the error bound exceeds the median.
    """

    tps: Rates = Rates()
    mps: Rates = Rates()
    tps_peak: Peak | None = None
    mps_peak: Peak | None = None
    vertices_accepted: int = 0
    queue_depth: int = 0
    queue_bytes: int = 0
    processing_time_s: Summary = Summary(samples=0)
    propagation_time_s: Summary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDistribution:
    """Neighbours counted by kind; ``hop_distance`` counts every known node, by its hops from here."""

    direction: Mapping[str, int] = field(default_factory=dict)
    agent: Mapping[str, int] = field(default_factory=dict)
    address_family: Mapping[str, int] = field(default_factory=dict)
    latency_band: Mapping[str, int] = field(default_factory=dict)
    hop_distance: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTraffic:
    """Messages and bytes of network tests; never part of the other sections' counts."""

    sent: int = 0
    received: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatistics:
    """What the node costs its host; ``collector_*`` is the part spent on metrics, ours included."""

    cpu_s: float = 0.0
    cpu_ratio: float | None = None
    rss_bytes: int | None = None
    open_files: int | None = None
    open_files_limit: int | None = None
    threads: int | None = None
    loop_lag_s: Summary = Summary(samples=0)
    collector_cpu_s: float = 0.0
    collector_cpu_ratio: float | None = None
    collector_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTable:
    """One row per known peer, as columns.

    ``slots`` numbers the rows: a peer keeps its slot while it is known, so that changes can be told
    by slot. ``text`` and ``numbers`` map column names (docs/stats-schema.md) to one value per row;
    a missing float is NaN.
    """

    slots: npt.NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatistics:
    """Everything at one instant; ``qudag network stats --format json`` is this tree."""

    node: NodeStatistics
    connections: ConnectionStatistics
    messages: MessageStatistics
    bandwidth: BandwidthStatistics
    latency: LatencyStatistics
    performance: PerformanceStatistics
    peers: PeerTable
    protocol_versions: Mapping[str, int]
    peer_distribution: PeerDistribution
    test_traffic: TestTraffic
    resources: ResourceStatistics
