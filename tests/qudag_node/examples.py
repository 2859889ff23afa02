"""Trees of statistics for tests: one in which everything is known, one in which nothing is, and any."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from qudag_node.metrics.statistics import (
    BandwidthStatistics,
    ConnectionStatistics,
    LatencyStatistics,
    MessageStatistics,
    MessageTypeStatistics,
    NetworkStatistics,
    NodeStatistics,
    Peak,
    PeerDistribution,
    PeerTable,
    PerformanceStatistics,
    Rates,
    ResourceStatistics,
    Summary,
    TestTraffic,
)
from qudag_node.peerid import peer_id_of
from qudag_node.wire import PEER_NUMBERS, PEER_TEXTS, WHOLE_OR_UNKNOWN

NOW_UNIX_S = 1_750_000_000.0

RATES = Rates(per_s_1=12.0, per_s_10=11.5, per_s_60=11.25)
PEAK = Peak(per_s=20.0, at_unix_s=NOW_UNIX_S - 30)
SUMMARY = Summary(
    samples=128,
    min=0.01,
    avg=0.02,
    p50=0.019,
    p95=0.03,
    p99=0.04,
    max=0.05,
    method="link-ping",
    error_bound_s=0.001,
)
DATA = MessageTypeStatistics(
    sent=10,
    received=9,
    processed=6,
    failed=1,
    dropped_in=1,
    dropped_out=2,
    queued_in=1,
    queued_out=3,
    sent_bytes=1000,
    received_bytes=900,
    size_bytes=SUMMARY,
)

_KNOWN = NetworkStatistics(
    node=NodeStatistics(
        id=peer_id_of(bytes(range(32))),
        name="peer1",
        version="0.1.0",
        network="lab",
        listen=("127.0.0.1:4001",),
        advertise=("node.example:4001",),
        started_unix_s=NOW_UNIX_S - 3600,
        uptime_s=3600.0,
        sampled_unix_s=NOW_UNIX_S,
        tick=3600,
        python="3.11.7",
        openssl="OpenSSL 3.5.0",
        platform="Linux 6.1",
        lab=True,
    ),
    connections=ConnectionStatistics(
        active=2,
        incoming=1,
        outgoing=1,
        pending=1,
        total=5,
        closed=3,
        banned=1,
        limit=64,
        errors={"timeout": 2},
        duration_s=SUMMARY,
    ),
    messages=MessageStatistics(
        sent=10,
        received=9,
        processed=6,
        failed=1,
        dropped_in=1,
        dropped_out=2,
        queued_in=1,
        queued_out=3,
        duplicates=4,
        sent_rate=RATES,
        received_rate=RATES,
        sent_peak=PEAK,
        received_peak=PEAK,
        failed_by_cause={"signature": 1},
        dropped_by_cause={"queue-full": 3},
        by_type={"data": DATA, "ping": MessageTypeStatistics()},
    ),
    bandwidth=BandwidthStatistics(
        sent_bytes=1000,
        received_bytes=900,
        wire_sent_bytes=1100,
        wire_received_bytes=1000,
        sent_rate=RATES,
        received_rate=RATES,
        sent_peak=PEAK,
        received_peak=PEAK,
        capacity_bits_per_s=1e9,
        utilization_ratio=0.25,
    ),
    latency=LatencyStatistics(links=SUMMARY, by_type={"data": SUMMARY}, routing=SUMMARY),
    performance=PerformanceStatistics(
        tps=RATES,
        mps=RATES,
        tps_peak=PEAK,
        mps_peak=PEAK,
        vertices_accepted=7,
        queue_depth=4,
        queue_bytes=400,
        processing_time_s=SUMMARY,
        propagation_time_s=SUMMARY,
    ),
    peers=PeerTable(),
    protocol_versions={"1": 2},
    peer_distribution=PeerDistribution(
        direction={"in": 1, "out": 1},
        agent={"qudag/0.1.0": 2},
        address_family={"ipv4": 2},
        latency_band={"10-50ms": 2},
        hop_distance={"1": 2},
    ),
    test_traffic=TestTraffic(sent=1, received=2, sent_bytes=100, received_bytes=200),
    resources=ResourceStatistics(
        cpu_s=12.5,
        cpu_ratio=0.05,
        rss_bytes=50_000_000,
        open_files=20,
        open_files_limit=1024,
        threads=3,
        loop_lag_s=SUMMARY,
        collector_cpu_s=0.5,
        collector_cpu_ratio=0.01,
        collector_memory_bytes=4_000_000,
    ),
)

_UNKNOWN = NetworkStatistics(
    node=NodeStatistics(id=peer_id_of(bytes(32)), name="peer1", version="0.1.0", network="lab"),
    connections=ConnectionStatistics(),
    messages=MessageStatistics(),
    bandwidth=BandwidthStatistics(),
    latency=LatencyStatistics(),
    performance=PerformanceStatistics(),
    peers=PeerTable(),
    protocol_versions={},
    peer_distribution=PeerDistribution(),
    test_traffic=TestTraffic(),
    resources=ResourceStatistics(),
)


def peer_text(slot: int, column: str, salt: int = 0) -> str:
    """What a peer says in a column of text; another salt, another text."""
    if column == "id":
        return peer_id_of(slot.to_bytes(32, "big"))
    if column == "direction":
        return "out"
    if column == "state":
        return ("connected", "backoff")[salt % 2]
    return f"{column} {slot} {salt}" if column != "alias" else ""


def peer_number(slot: int, column: str, salt: int = 0) -> float:
    """A figure of a peer, different for each slot, column and salt; some are not known."""
    kind = np.dtype(PEER_NUMBERS[column])
    value = (slot * 7919 + len(column) * 104_729 + salt * 31) % 251
    if kind.kind == "f" and value % 5 == 0:
        return float("nan")
    return float(value) if column in WHOLE_OR_UNKNOWN or kind.kind == "u" else value / 256


def peer_table(salt_by_slot: Mapping[int, int]) -> PeerTable:
    """A table of these slots, with the figures and texts that their salts give."""
    slots = sorted(salt_by_slot)
    numbers: dict[str, npt.NDArray[np.generic]] = {
        name: np.array([peer_number(slot, name, salt_by_slot[slot]) for slot in slots]).astype(type_)
        for name, type_ in PEER_NUMBERS.items()
    }
    return PeerTable(
        slots=np.array(slots, np.uint32),
        text={
            name: tuple(peer_text(slot, name, salt_by_slot[slot]) for slot in slots) for name in PEER_TEXTS
        },
        numbers=numbers,
    )


EVERYTHING_KNOWN = replace(_KNOWN, peers=peer_table({1: 0, 2: 1, 5: 2}))
NOTHING_KNOWN = replace(_UNKNOWN, peers=peer_table({}))


def statistics_strategy() -> st.SearchStrategy[NetworkStatistics]:
    """Any tree, as far as its types allow."""
    counts = st.integers(0, 2**63)
    floats = st.none() | st.floats(0, 1e12) | st.just(float("nan"))
    rates = st.builds(Rates, per_s_1=floats, per_s_10=floats, per_s_60=floats)
    peaks = st.none() | st.builds(Peak, per_s=st.floats(0, 1e9), at_unix_s=st.floats(0, 1e10))
    names = st.text(max_size=5)
    by_name = st.dictionaries(names, counts, max_size=3)
    summaries = st.builds(Summary, samples=counts, p50=floats, p99=floats, method=st.none() | names)
    types = st.builds(MessageTypeStatistics, sent=counts, received_bytes=counts, size_bytes=summaries)
    return st.builds(
        NetworkStatistics,
        node=st.builds(
            NodeStatistics,
            id=st.just(_UNKNOWN.node.id),
            name=names,
            version=names,
            network=names,
            listen=st.lists(names, max_size=2).map(tuple),
            uptime_s=st.floats(0, 1e9),
        ),
        connections=st.builds(
            ConnectionStatistics, active=counts, incoming=counts, errors=by_name, duration_s=summaries
        ),
        messages=st.builds(
            MessageStatistics,
            sent=counts,
            sent_rate=rates,
            sent_peak=peaks,
            failed_by_cause=by_name,
            by_type=st.dictionaries(names, types, max_size=3),
        ),
        bandwidth=st.builds(
            BandwidthStatistics,
            sent_bytes=counts,
            wire_sent_bytes=st.none() | counts,
            received_rate=rates,
            capacity_bits_per_s=floats,
        ),
        latency=st.builds(
            LatencyStatistics, links=summaries, by_type=st.dictionaries(names, summaries, max_size=3)
        ),
        performance=st.builds(
            PerformanceStatistics, tps=rates, mps_peak=peaks, propagation_time_s=st.none() | summaries
        ),
        peers=st.dictionaries(st.integers(0, 40), st.integers(0, 3), max_size=12).map(peer_table),
        protocol_versions=by_name,
        peer_distribution=st.builds(PeerDistribution, direction=by_name, hop_distance=by_name),
        test_traffic=st.builds(TestTraffic, sent=counts),
        resources=st.builds(ResourceStatistics, cpu_ratio=floats, rss_bytes=st.none() | counts),
    )
