from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qudag_node.metrics import MetricsCollector
from qudag_node.metrics.recorder import LatencyRecorder
from qudag_node.metrics.rings import RING_SAMPLES, LatencyRings

SECONDS = st.floats(0, 10, width=32)


def jitter_of(samples: list[float]) -> float:
    """RFC 3550, section 6.4.1, one sample after the other."""
    jitter = 0.0
    for before, after in itertools.pairwise(samples):
        jitter += (abs(after - before) - jitter) / 16
    return jitter


def check(rings: LatencyRings, slot: int, samples: list[float]) -> None:
    newest = samples[-RING_SAMPLES:]
    ordered = sorted(newest)
    found = {name: float(rings.figure(name)[slot]) for name in ("last", "min", "max", "p50", "p95", "p99")}
    ranks = {
        name: math.ceil(percent * len(newest) / 100) - 1
        for name, percent in (("p50", 50), ("p95", 95), ("p99", 99))
    }
    assert found == {
        "last": newest[-1],
        "min": ordered[0],
        "max": ordered[-1],
        **{name: ordered[rank] for name, rank in ranks.items()},
    }
    assert rings.figure("avg")[slot] == pytest.approx(sum(newest) / len(newest), rel=1e-6)
    assert rings.figure("jitter")[slot] == pytest.approx(jitter_of(newest), rel=1e-4, abs=1e-6)
    assert rings.count[slot] == len(samples)


@given(st.lists(st.tuples(st.integers(0, 4), SECONDS), min_size=1, max_size=400), st.integers(1, 50))
@settings(deadline=None)
def test_figures_of_every_peer_are_those_of_its_newest_samples(
    events: list[tuple[int, float]], batch: int
) -> None:
    collector = MetricsCollector(message_types=["ping"])
    peers = [collector.open_peer(str(number)) for number in range(5)]
    samples: dict[int, list[float]] = {}
    for first in range(0, len(events), batch):
        for peer, seconds in events[first : first + batch]:
            collector.log_series(peers[peer].key)
            collector.log_value(seconds)
            samples.setdefault(peers[peer].slot, []).append(seconds)
        collector.fold()
    rings = collector.latencies.rings
    rings.refresh()
    for slot, of_peer in samples.items():
        check(rings, slot, of_peer)


@pytest.mark.parametrize("count", [1, 2, 99, 100, 127, 128, 129, 500, 9000])
def test_one_peer_with_many_samples_in_one_fold(count: int) -> None:
    collector = MetricsCollector(message_types=["ping"])
    peer = collector.open_peer("a")
    samples = [float(np.float32(math.sin(number) ** 2)) for number in range(count)]
    for seconds in samples:
        collector.log_series(peer.key)
        collector.log_value(seconds)
    collector.fold()
    collector.latencies.rings.refresh()
    check(collector.latencies.rings, peer.slot, samples)


def test_jitter_differs_little_from_that_of_the_whole_session() -> None:
    collector = MetricsCollector(message_types=["ping"])
    peer = collector.open_peer("a")
    samples = [0.02 + 0.01 * math.sin(number) for number in range(1000)]
    for seconds in samples:
        collector.record_latency(peer, seconds, method="link-ping")
    collector.fold()
    collector.latencies.rings.refresh()
    assert collector.latencies.rings.figure("jitter")[peer.slot] == pytest.approx(
        jitter_of(samples), rel=1e-3
    )


def test_a_slot_without_samples_has_no_figures() -> None:
    rings = LatencyRings(4)
    rings.refresh()
    assert np.isnan(rings.figure("p50")).all()


def test_more_than_65536_series_are_kept_apart_too() -> None:
    recorder = LatencyRecorder(series=10, capacity=70_000, slot_key=2.0**24)
    slots = [0, 1, 65_535, 65_536, 69_999]
    for slot in slots:
        recorder.log_series(slot * 2.0**24)
        recorder.log_value(slot / 1000)
    recorder.fold()
    recorder.rings.refresh()
    assert recorder.rings.figure("last")[slots] == pytest.approx([slot / 1000 for slot in slots])
    assert recorder.rings.count.sum() == len(slots)
