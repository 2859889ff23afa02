"""One stats document as the screens use it: frozen, typed, cleaned. ``reading`` makes these from the wire.

Units are in the names; ``None`` means "not known" and is never replaced by zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qudag_tui.model.peers import Peers

__all__ = [
    "Bandwidth",
    "Connections",
    "Latency",
    "MessageType",
    "Messages",
    "Node",
    "Peak",
    "Performance",
    "Rates",
    "Resources",
    "Sample",
    "Summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One quantity per second, over the last 1, 10 and 60 seconds."""

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
    """A distribution; ``method`` says how its figures were obtained."""

    samples: int = 0
    min: float | None = None
    avg: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    method: str = ""
    error_bound_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Who speaks, and when these figures were taken (on the node's own clock)."""

    id: str = ""
    name: str = ""
    version: str = ""
    network: str = ""
    listen: tuple[str, ...] = ()
    started_unix_s: float = 0.0
    uptime_s: float = 0.0
    sampled_unix_s: float = 0.0
    interval_s: float = 1.0
    tick: int = 0
    platform: str = ""
    is_lab: bool = False
    tcp_info: str = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Links to neighbours."""

    active: int = 0
    incoming: int = 0
    outgoing: int = 0
    pending: int = 0
    total: int = 0
    closed: int = 0
    banned: int = 0
    limit: int = 0
    errors: Mapping[str, int] = field(default_factory=dict[str, int])
    duration_s: Summary = Summary()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageType:
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

    @property
    def dropped(self) -> int:
        """Messages refused by a queue or a rate limit, in either direction."""
        return self.dropped_in + self.dropped_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Framed messages since the node started; ``total`` is the sum over ``by_type``."""

    total: MessageType = MessageType()
    duplicates: int = 0
    sent_rate: Rates = Rates()
    received_rate: Rates = Rates()
    failed_by_cause: Mapping[str, int] = field(default_factory=dict[str, int])
    dropped_by_cause: Mapping[str, int] = field(default_factory=dict[str, int])
    by_type: Mapping[str, MessageType] = field(default_factory=dict[str, MessageType])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Frame bytes above TLS."""

    sent_bytes: int = 0
    received_bytes: int = 0
    sent_rate: Rates = Rates()
    received_rate: Rates = Rates()
    sent_peak: Peak | None = None
    received_peak: Peak | None = None
    capacity_bits_per_s: float | None = None
    utilization_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds: of the links, by message type, and of routed probes."""

    links: Summary = Summary()
    by_type: Mapping[str, Summary] = field(default_factory=dict[str, Summary])
    routing: Summary = Summary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """What the node gets done."""

    tps: Rates = Rates()
    mps: Rates = Rates()
    queue_depth: int = 0
    queue_bytes: int = 0
    processing_time_s: Summary = Summary()
    propagation_time_s: Summary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the node costs its host."""

    cpu_ratio: float | None = None
    rss_bytes: int | None = None
    open_files: int | None = None
    open_files_limit: int | None = None
    threads: int | None = None
    loop_lag_s: Summary = Summary()
    collector_cpu_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Everything a node said of itself at one instant."""

    node: Node = Node()
    connections: Connections = Connections()
    messages: Messages = Messages()
    bandwidth: Bandwidth = Bandwidth()
    latency: Latency = Latency()
    performance: Performance = Performance()
    resources: Resources = Resources()
    peers: Peers = field(default_factory=Peers)
