"""The receive path of a link, five times: with no metrics, with ours, and with prometheus_client's.

All cut frames with the node's own decoder, look at each frame's size, and take a latency from a list. What
they do besides is the only difference. All time themselves from the bytes to the last frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from random import Random
from time import perf_counter_ns

from benchmarks._prometheus import PrometheusMetrics, PrometheusPeer
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.frames import HEADER_BYTES, FrameDecoder

__all__ = ["Line", "Ours", "OursWithLatency", "Plain", "Prometheus", "PrometheusWithLatency"]

_LATENCIES_S = [Random(1).lognormvariate(-5, 1) for _ in range(1021)]


class Line:
    """One connection: what stays while the kinds of metrics take turns on it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.decoder = FrameDecoder()
        self.latencies: Iterator[float] = cycle(_LATENCIES_S)


class Plain(asyncio.Protocol):
    """Records nothing.

    Attributes:
        reads: For each read how long it took, in nanoseconds, and how many frames it completed; shared by all
            connections of a kind.
    """

    def __init__(self, line: Line, reads: list[tuple[int, int]]) -> None:
        self.line = line
        self.reads = reads

    def data_received(self, data: bytes) -> None:
        """Time a read."""
        began_ns = perf_counter_ns()
        frames = self.take(data)
        self.reads.append((perf_counter_ns() - began_ns, frames))

    def take(self, data: bytes) -> int:
        """Take what was read, and return how many frames it completed."""
        line = self.line
        latencies, frames = line.latencies, line.decoder.feed(data)
        for _kind, payload in frames:
            _size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
        return len(frames)


class Ours(Plain):
    """Records messages as a link does."""

    def __init__(
        self, line: Line, reads: list[tuple[int, int]], collector: MetricsCollector, peer: PeerHandle
    ) -> None:
        super().__init__(line, reads)
        self.collector, self.key = collector, peer.key

    def take(self, data: bytes) -> int:
        """Take what was read, and return how many frames it completed."""
        line, collector = self.line, self.collector
        latencies, frames = line.latencies, line.decoder.feed(data)
        key, received_keys, log = self.key, collector.received_keys, collector.log
        for kind, payload in frames:
            size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
            log(key + received_keys[kind] + size)
        collector.fold_if_due()
        return len(frames)


class OursWithLatency(Ours):
    """Records a latency of each message too."""

    def take(self, data: bytes) -> int:
        """Take what was read, and return how many frames it completed."""
        line, collector = self.line, self.collector
        latencies, frames = line.latencies, line.decoder.feed(data)
        key, received_keys, log = self.key, collector.received_keys, collector.log
        log_series, log_value = collector.log_series, collector.log_value
        for kind, payload in frames:
            size, seconds = len(payload) + HEADER_BYTES, next(latencies)
            log(key + received_keys[kind] + size)
            log_series(key)
            log_value(seconds)
        collector.fold_if_due()
        return len(frames)


class Prometheus(Plain):
    """Counts by type and by peer, and observes the size, with prometheus_client."""

    def __init__(
        self, line: Line, reads: list[tuple[int, int]], metrics: PrometheusMetrics, peer: PrometheusPeer
    ) -> None:
        super().__init__(line, reads)
        self.metrics, self.peer = metrics, peer

    def take(self, data: bytes) -> int:
        """Take what was read, and return how many frames it completed."""
        line, metrics, peer = self.line, self.metrics, self.peer
        latencies, frames = line.latencies, line.decoder.feed(data)
        for kind, payload in frames:
            size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
            metrics.messages[kind].inc()
            metrics.bytes[kind].inc(size)
            metrics.sizes[kind].observe(size)
            peer.received.inc()
            peer.received_bytes.inc(size)
        return len(frames)


class PrometheusWithLatency(Prometheus):
    """Observes a latency of each message too, by peer."""

    def take(self, data: bytes) -> int:
        """Take what was read, and return how many frames it completed."""
        line, metrics, peer = self.line, self.metrics, self.peer
        latencies, frames = line.latencies, line.decoder.feed(data)
        for kind, payload in frames:
            size, seconds = len(payload) + HEADER_BYTES, next(latencies)
            metrics.messages[kind].inc()
            metrics.bytes[kind].inc(size)
            metrics.sizes[kind].observe(size)
            peer.received.inc()
            peer.received_bytes.inc(size)
            peer.latency.observe(seconds)
        return len(frames)
