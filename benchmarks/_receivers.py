"""The receive path of a link, five times: with no metrics, with ours, and with prometheus_client's.

All cut frames with the node's own decoder, look at each frame's size, and take a latency from a list. What
they do besides is the only difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from random import Random

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
        self.messages = 0


class Plain(asyncio.Protocol):
    """Records nothing."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        line = self.line
        latencies, frames = line.latencies, line.decoder.feed(data)
        for _kind, payload in frames:
            _size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
        line.messages += len(frames)


class Ours(Plain):
    """Records messages as a link does."""

    def __init__(self, line: Line, collector: MetricsCollector, peer: PeerHandle) -> None:
        super().__init__(line)
        self.collector, self.key = collector, peer.key

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        line, collector = self.line, self.collector
        latencies, frames = line.latencies, line.decoder.feed(data)
        key, received_keys, log = self.key, collector.received_keys, collector.log
        for kind, payload in frames:
            size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
            log(key + received_keys[kind] + size)
        line.messages += len(frames)
        collector.fold_if_due()


class OursWithLatency(Ours):
    """Records a latency of each message too."""

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        line, collector = self.line, self.collector
        latencies, frames = line.latencies, line.decoder.feed(data)
        key, received_keys, log = self.key, collector.received_keys, collector.log
        log_series, log_value = collector.log_series, collector.log_value
        for kind, payload in frames:
            size, seconds = len(payload) + HEADER_BYTES, next(latencies)
            log(key + received_keys[kind] + size)
            log_series(key)
            log_value(seconds)
        line.messages += len(frames)
        collector.fold_if_due()


class Prometheus(Plain):
    """Counts by type and by peer, and observes the size, with prometheus_client."""

    def __init__(self, line: Line, metrics: PrometheusMetrics, peer: PrometheusPeer) -> None:
        super().__init__(line)
        self.metrics, self.peer = metrics, peer

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        line, metrics, peer = self.line, self.metrics, self.peer
        latencies, frames = line.latencies, line.decoder.feed(data)
        for kind, payload in frames:
            size, _seconds = len(payload) + HEADER_BYTES, next(latencies)
            metrics.messages[kind].inc()
            metrics.bytes[kind].inc(size)
            metrics.sizes[kind].observe(size)
            peer.received.inc()
            peer.received_bytes.inc(size)
        line.messages += len(frames)


class PrometheusWithLatency(Prometheus):
    """Observes a latency of each message too, by peer."""

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
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
        line.messages += len(frames)
