"""Prints what metrics of 10,000 peers take: ``python -m benchmarks._memory ours|prometheus``.

A process of its own for each, since memory once taken is seldom given back. The figure is the growth of the
resident memory after everything has been imported. Ours holds a full history: messages of every type go both
ways and have latencies, data also fails, is dropped and waits, and then time runs on until the last slot of
every ring has been written.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from random import Random

from benchmarks._prometheus import PrometheusMetrics, PrometheusPeer
from qudag_node.history import History
from qudag_node.history.history import TIERS
from qudag_node.host import ProcessSampler
from qudag_node.metrics import MetricsCollector, PeerHandle, PeerLabels
from qudag_node.monitors import StatsAggregator
from qudag_node.overlay.frames import FRAME_NAMES

__all__: list[str] = []

PEERS = 10_000
SAMPLES = 128


def main() -> None:
    """Fill one kind of metrics and print the bytes."""
    sampler = ProcessSampler()
    gc.collect()
    before = sampler.sample().rss_bytes or 0
    kept = _ours() if sys.argv[1] == "ours" else _prometheus()
    gc.collect()
    print((sampler.sample().rss_bytes or 0) - before, len(kept))


def _ours() -> list[object]:
    rng = Random(1)
    collector = MetricsCollector(message_types=FRAME_NAMES, max_peers=PEERS)
    aggregator = StatsAggregator(collector, started_mono_s=0.0, started_unix_s=0.0)
    history = History()
    handles = [collector.open_peer(f"12D3KooW{number:044d}") for number in range(PEERS)]
    for number, handle in enumerate(handles):
        address = f"192.0.{number // 256}.{number % 256}:9000"
        handle.set_labels(PeerLabels(name=f"peer{number}", address=address, agent="qudag/0.1.0", hops=1))
        collector.connection_opened(handle, "in", now_mono_s=0.0, now_unix_s=0.0)
    last = aggregator.aggregate(now_mono_s=0.0, now_unix_s=0.0)
    for tick in range(SAMPLES):
        for handle in handles:
            collector.record_message_received(handle, "data", 300)
            collector.record_message_sent(handle, "data", 300)
            collector.record_latency(handle, rng.random(), method="link-ping")
        _record_everything(collector, handles[tick], rng)
        aggregator.tick(now_mono_s=tick, now_unix_s=tick)
        last = aggregator.aggregate(now_mono_s=tick, now_unix_s=tick)
        history.append(last)
    unix_s = float(SAMPLES)
    for step_s, slots in TIERS:
        for _ in range(slots):
            unix_s += step_s
            history.append(replace(last, node=replace(last.node, sampled_unix_s=unix_s)))
    return [collector, aggregator, history, handles, last]


def _record_everything(collector: MetricsCollector, peer: PeerHandle, rng: Random) -> None:
    """Let messages of every type go both ways, and whatever else happens; each time other numbers."""
    for name in FRAME_NAMES:
        for _ in range(rng.randrange(1, 4)):
            collector.record_message_sent(peer, name, rng.randrange(60, 9000))
            for _ in range(4):
                collector.record_message_received(peer, name, rng.randrange(60, 9000))
            collector.record_message_processed(name, rng.random())
            collector.record_type_latency(name, rng.random(), method="request-reply")
        collector.record_routing_latency(rng.random())
        collector.record_propagation(rng.random(), error_bound_s=0.001)
        collector.record_loop_lag(rng.random())
        collector.record_vertex_accepted(rng.randrange(9))
    for _ in range(rng.randrange(1, 4)):
        collector.record_message_failed(peer, "data", "malformed")
        collector.record_message_dropped(peer, "data", "in", "rate limit")
        collector.record_message_dropped(peer, "data", "out", "queue full")
        collector.record_duplicate("data")
        collector.change_queued_out("data", 1)
        collector.probe_sent(peer)


def _prometheus() -> list[object]:
    rng = Random(1)
    metrics = PrometheusMetrics()
    peers = [PrometheusPeer(metrics, f"12D3KooW{number:044d}") for number in range(PEERS)]
    for _ in range(4):
        for peer in peers:
            peer.received.inc()
            peer.sent.inc()
            peer.received_bytes.inc(300)
            peer.sent_bytes.inc(300)
            peer.latency.observe(rng.random())
    return [metrics, peers]


if __name__ == "__main__":
    main()
