"""What the metrics cost, beside prometheus_client in the same run.

- *recording one message* and *all collection*: a live receiver with 50 or 1,000 connections on which the
  kinds of metrics take turns every tenth of a second; see ``benchmarks/_soak.py``. At 10,000 messages/s each
  read holds one frame, at 50,000/s five. With 1,000 connections nothing of a connection is in the processor's
  cache when its turn comes, and the first touch of its counters costs more than the counting. "All
  collection" is what our records and folds add per message, times the rate, plus one tick a second: a latency
  of each peer, TCP_INFO of 128 links, windows, `aggregate()`, history. prometheus_client is charged for its
  records alone, not for being scraped.
- *memory*: resident memory of a fresh process that fills one kind of metrics; see ``benchmarks/_memory.py``.
- *record_message_sent() alone*: a tight loop over 1,000 peers, folds included, the best of 9 rounds in which
  ours and prometheus_client's five pre-bound children take turns.
- *aggregate() alone*: 1,000 peers, every one with a new latency and a new message since the last call, the
  median of 40 rounds; prometheus_client's `generate_latest` of the same peers takes turns with it.

On a shared machine a ratio says more than a time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random

from prometheus_client import generate_latest

from benchmarks._prometheus import PrometheusMetrics, PrometheusPeer
from benchmarks._receivers import Ours, OursWithLatency, Prometheus, PrometheusWithLatency
from benchmarks._soak import Cost, Soak, soak
from benchmarks.table import Row
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.monitors import StatsAggregator
from qudag_node.overlay.frames import FRAME_NAMES

__all__ = ["rows"]

_PEERS = 1000
_SLOW, _FAST = 10_000, 50_000
_SOAK_METHOD = "kinds take turns every 0.1 s, time of a read less the plain receiver's, plus folds"


def rows() -> list[Row]:
    """Measure everything; takes about two minutes."""
    few = soak([Ours, Prometheus], connections=50, rate=_FAST, batch=5, rounds=60)
    slow = soak([Ours], connections=_PEERS, rate=_SLOW, batch=1, rounds=100)
    fast = soak(
        [Ours, OursWithLatency, Prometheus, PrometheusWithLatency],
        connections=_PEERS,
        rate=_FAST,
        batch=5,
        rounds=60,
    )
    return [
        _recording_row("recording one message, live, 50 links", few),
        _recording_row("the same, 1,000 links", fast),
        _collection_row(slow),
        *_collection_with_latency_rows(fast),
        _memory_row(),
        _record_row(),
        _aggregate_row(),
    ]


def _recording_row(what: str, run: Soak) -> Row:
    ours, peer = run.added[Ours], run.added[Prometheus]
    ratio = ours.all_s / peer.all_s
    return Row(
        what=what,
        ours=_ns(ours),
        peer=f"prometheus_client {_ns(peer)}",
        ratio=ratio,
        goal="under 1/20",
        met=ratio < 1 / 20,
        method=f"{_SOAK_METHOD}; {ours.fold_s * 1e9:.0f} ns of ours are folds; "
        f"a message without metrics takes {run.plain_s * 1e6:.1f} µs",
    )


def _collection_row(slow: Soak) -> Row:
    percent = _percent_of_a_core(slow, Ours, _SLOW)
    return Row(
        what="all collection, 10,000 messages/s, 1,000 peers",
        ours=f"{percent:.2f} % of a core",
        goal="under 1 %",
        met=percent < 1,
        method=f"{_SOAK_METHOD}; of it the tick {slow.tick_s * 100:.2f} %",
    )


def _collection_with_latency_rows(fast: Soak) -> list[Row]:
    ours = _percent_of_a_core(fast, OursWithLatency, _FAST)
    peer = fast.added[PrometheusWithLatency].all_s * _FAST * 100
    row = Row(
        what="the same at 50,000/s with a latency each",
        ours=f"{ours:.2f} % of a core",
        peer=f"prometheus_client {peer:.1f} %",
        ratio=ours / peer,
        goal="under 1/12",
        met=ours / peer < 1 / 12,
        method=f"{_SOAK_METHOD}; of it the tick {fast.tick_s * 100:.2f} %",
    )
    far_goal = Row(
        what="  the far goal for that", ours=row.ours, goal="under 1 %", met=ours < 1, method=row.method
    )
    return [row, far_goal]


def _percent_of_a_core(run: Soak, kind: type[Ours], rate: int) -> float:
    return (run.added[kind].all_s * rate + run.tick_s) * 100


def _ns(cost: Cost) -> str:
    return f"{cost.all_s * 1e9:.0f} ns"


def _memory_row() -> Row:
    ours, peer = _memory_bytes("ours"), _memory_bytes("prometheus")
    return Row(
        what="memory for metrics, 10,000 peers, full history",
        ours=f"{ours / 1e6:.1f} MB",
        peer=f"prometheus_client without history {peer / 1e6:.1f} MB",
        ratio=ours / peer,
        goal="under 50 MB",
        met=ours < 50e6,
        method="growth of the resident memory of a fresh process",
    )


def _memory_bytes(kind: str) -> int:
    command = [sys.executable, "-m", "benchmarks._memory", kind]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


class _Subjects:
    """A thousand peers of each kind."""

    def __init__(self) -> None:
        self.collector = MetricsCollector(message_types=FRAME_NAMES)
        self.handles = [self.collector.open_peer(f"peer{number}") for number in range(_PEERS)]
        self.metrics = PrometheusMetrics()
        self.peers = [PrometheusPeer(self.metrics, f"peer{number}") for number in range(_PEERS)]


def _record_row() -> Row:
    subjects = _Subjects()
    handles, peers = subjects.handles * 20, subjects.peers * 20
    collector, metrics = subjects.collector, subjects.metrics

    def ours() -> None:
        record: Callable[[PeerHandle, str, int], None] = collector.record_message_sent
        for handle in handles:
            record(handle, "data", 300)
        collector.fold()

    def theirs() -> None:
        messages, total_bytes, sizes = metrics.messages[3], metrics.bytes[3], metrics.sizes[3]
        for peer in peers:
            messages.inc()
            total_bytes.inc(300)
            sizes.observe(300)
            peer.sent.inc()
            peer.sent_bytes.inc(300)

    our_s, their_s = _best_s(ours, theirs)
    return Row(
        what="record_message_sent() alone",
        ours=f"{our_s / len(handles) * 1e9:.0f} ns",
        peer=f"prometheus_client {their_s / len(handles) * 1e9:.0f} ns",
        ratio=our_s / their_s,
        method="tight loop over 1,000 peers, folds included, best of 9",
    )


def _aggregate_row() -> Row:
    subjects, rng = _Subjects(), Random(1)
    collector = subjects.collector
    aggregator = StatsAggregator(collector, started_mono_s=0.0, started_unix_s=0.0)
    ours_s: list[float] = []
    theirs_s: list[float] = []
    for second in range(40):
        for handle, peer in zip(subjects.handles, subjects.peers, strict=True):
            collector.record_message_sent(handle, "data", 300)
            collector.record_latency(handle, rng.random(), method="link-ping")
            peer.sent.inc()
        aggregator.tick(now_mono_s=second, now_unix_s=second)
        ours_s.append(_spent_s(partial(aggregator.aggregate, now_mono_s=second, now_unix_s=second)))
        theirs_s.append(_spent_s(lambda: generate_latest(subjects.metrics.registry)))
    our_s, their_s = statistics.median(ours_s), statistics.median(theirs_s)
    return Row(
        what="aggregate() alone, 1,000 peers",
        ours=f"{our_s * 1e3:.2f} ms",
        peer=f"prometheus_client's generate_latest {their_s * 1e3:.0f} ms",
        ratio=our_s / their_s,
        method="after a tick, every peer changed, median of 40",
    )


def _spent_s(work: Callable[[], object]) -> float:
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s


def _best_s(*works: Callable[[], object]) -> list[float]:
    best_s = [float("inf")] * len(works)
    for _ in range(9):
        for number, work in enumerate(works):
            best_s[number] = min(best_s[number], _spent_s(work))
    return best_s
