"""The metrics of a node as a careful user of prometheus_client makes them: every child bound beforehand."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from qudag_node.overlay.frames import FRAME_NAMES

__all__ = ["PrometheusMetrics", "PrometheusPeer"]

_SIZE_BUCKETS = tuple(2.0**exponent for exponent in range(5, 18))
_LATENCY_BUCKETS_S = tuple(0.0005 * 2.0**exponent for exponent in range(15))


class PrometheusMetrics:
    """Messages and bytes by type and direction, sizes by type; the same and latencies by peer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        messages = Counter("messages", "…", ["type", "direction"], registry=self.registry)
        total_bytes = Counter("bytes", "…", ["type", "direction"], registry=self.registry)
        sizes = Histogram("size_bytes", "…", ["type"], buckets=_SIZE_BUCKETS, registry=self.registry)
        self.messages = tuple(messages.labels(name, "in") for name in FRAME_NAMES)
        self.bytes = tuple(total_bytes.labels(name, "in") for name in FRAME_NAMES)
        self.sizes = tuple(sizes.labels(name) for name in FRAME_NAMES)
        self.peer_messages = Counter("peer_messages", "…", ["peer", "direction"], registry=self.registry)
        self.peer_bytes = Counter("peer_bytes", "…", ["peer", "direction"], registry=self.registry)
        self.peer_latency = Histogram(
            "peer_latency_seconds", "…", ["peer"], buckets=_LATENCY_BUCKETS_S, registry=self.registry
        )


class PrometheusPeer:
    """The children of one peer, both directions."""

    __slots__ = ("latency", "received", "received_bytes", "sent", "sent_bytes")

    def __init__(self, metrics: PrometheusMetrics, peer_id: str) -> None:
        self.received = metrics.peer_messages.labels(peer_id, "in")
        self.received_bytes = metrics.peer_bytes.labels(peer_id, "in")
        self.sent = metrics.peer_messages.labels(peer_id, "out")
        self.sent_bytes = metrics.peer_bytes.labels(peer_id, "out")
        self.latency = metrics.peer_latency.labels(peer_id)
