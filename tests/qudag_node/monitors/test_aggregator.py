from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qudag_node.host import TcpInfo
from qudag_node.metrics import MetricsCollector, NetworkStatistics, PeerLabels
from qudag_node.metrics.labels import Direction
from qudag_node.metrics.statistics import NodeStatistics
from qudag_node.monitors import StatsAggregator

UNIX_S = 1_700_000_000.0
TYPES = ("hello", "ping", "data", "test")
COLUMNS = {
    "protocol_version": "u1",
    "hops": "u1",
    "connected_unix_s": "f8",
    **{f"rtt_{name}_s": "f4" for name in ("last", "min", "avg", "p50", "p95", "p99", "max", "jitter")},
    "rtt_samples": "u4",
    **{f"messages_{name}": "u8" for name in ("sent", "received", "dropped_in", "dropped_out", "failed")},
    **{f"bytes_{name}": "u8" for name in ("sent", "received")},
    **{f"{way}_{what}_per_s": "f4" for way in ("sent", "received") for what in ("messages", "bytes")},
    "queue_messages": "u4",
    "queue_bytes": "u4",
    "probes_sent": "u4",
    "probes_lost": "u4",
    "loss_ratio": "f4",
    "loss_session_ratio": "f4",
    "unconfirmed_messages": "u8",
    "unconfirmed_bytes": "u8",
    "tcp_rtt_s": "f4",
    "tcp_rttvar_s": "f4",
    "tcp_min_rtt_s": "f4",
    "tcp_retransmits": "u4",
    "tcp_retransmit_ratio": "f4",
    "tcp_cwnd_segments": "u4",
    "tcp_delivery_bytes_per_s": "f4",
    "tcp_sent_bytes": "u8",
    "tcp_received_bytes": "u8",
    "reconnects": "u4",
    "utilization_ratio": "f4",
}


class Station:
    """A collector and its aggregator, with a clock that is moved by hand."""

    def __init__(self, *, interval_s: float = 1.0, capacity_bits_per_s: float | None = None) -> None:
        self.collector = MetricsCollector(message_types=TYPES)
        self.now_s = 0.0
        node = NodeStatistics(id="12D3KooW", name="peer1", version="1", network="test")
        self.aggregator = StatsAggregator(
            self.collector,
            started_mono_s=0.0,
            started_unix_s=UNIX_S,
            node=node,
            interval_s=interval_s,
            capacity_bits_per_s=capacity_bits_per_s,
        )

    def tick(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.aggregator.tick(now_mono_s=self.now_s, now_unix_s=UNIX_S + self.now_s)

    def aggregate(self) -> NetworkStatistics:
        return self.aggregator.aggregate(now_mono_s=self.now_s, now_unix_s=UNIX_S + self.now_s)


def test_the_table_has_every_column_with_its_type() -> None:
    station = Station()
    for peers in range(3):
        numbers = station.aggregate().peers.numbers
        assert {name: column.dtype.str[1:] for name, column in numbers.items()} == COLUMNS
        assert {len(column) for column in numbers.values()} == {peers}
        station.collector.open_peer(f"peer{peers}")
        station.tick()


def test_a_peer_is_one_row_with_its_own_figures() -> None:
    station = Station(capacity_bits_per_s=8000.0)
    collector = station.collector
    a, b = collector.open_peer("a"), collector.open_peer("b")
    b.set_labels(
        PeerLabels(
            name="peer2", alias="cellar", address="192.0.2.2:1", agent="x/1", protocol_version=1, hops=1
        )
    )
    collector.connection_opened(b, "out", now_mono_s=0, now_unix_s=UNIX_S)
    station.tick()
    for _ in range(5):
        collector.record_message_sent(b, "data", 100)
        collector.record_message_sent(b, "test", 9999)
    collector.record_message_received(b, "ping", 20)
    collector.record_message_failed(b, "ping", "late")
    collector.record_message_dropped(b, "data", "out", "queue-full", 4)
    collector.record_latency(b, 0.03, method="link-ping")
    collector.probe_sent(b)
    b.queue_messages, b.queue_bytes, b.unconfirmed_messages, b.unconfirmed_bytes = 1, 2, 3, 4
    collector.set_tcp_info(
        b,
        TcpInfo(
            rtt_s=0.02,
            rttvar_s=0.001,
            cwnd_segments=10,
            retransmits=7,
            sent_bytes=1520,
            received_bytes=60,
            retransmitted_bytes=80,
        ),
    )
    station.tick()
    statistics = station.aggregate()
    peers = statistics.peers
    assert len(peers) == 2
    assert peers.slots.tolist() == [a.slot, b.slot]
    assert {name: column[1] for name, column in peers.text.items()} == {
        "id": "b",
        "name": "peer2",
        "alias": "cellar",
        "address": "192.0.2.2:1",
        "direction": "out",
        "state": "connected",
        "agent": "x/1",
        "rtt_method": "link-ping",
    }
    row = {name: column[1].item() for name, column in peers.numbers.items()}
    assert row == pytest.approx(
        {
            "protocol_version": 1,
            "hops": 1,
            "connected_unix_s": UNIX_S,
            **{f"rtt_{name}_s": 0.03 for name in ("last", "min", "avg", "p50", "p95", "p99", "max")},
            "rtt_jitter_s": 0.0,
            "rtt_samples": 1,
            "messages_sent": 5,
            "messages_received": 1,
            "messages_dropped_in": 0,
            "messages_dropped_out": 4,
            "messages_failed": 1,
            "bytes_sent": 500,
            "bytes_received": 20,
            "sent_messages_per_s": 5.0,
            "received_messages_per_s": 1.0,
            "sent_bytes_per_s": 500.0,
            "received_bytes_per_s": 20.0,
            "queue_messages": 1,
            "queue_bytes": 2,
            "unconfirmed_messages": 3,
            "unconfirmed_bytes": 4,
            "probes_sent": 1,
            "probes_lost": 0,
            "loss_ratio": 0.0,
            "loss_session_ratio": 0.0,
            "tcp_rtt_s": 0.02,
            "tcp_rttvar_s": 0.001,
            "tcp_min_rtt_s": np.nan,
            "tcp_retransmits": 7,
            "tcp_retransmit_ratio": 0.05,
            "tcp_cwnd_segments": 10,
            "tcp_delivery_bytes_per_s": np.nan,
            "tcp_sent_bytes": 1520,
            "tcp_received_bytes": 60,
            "reconnects": 0,
            "utilization_ratio": 0.5,
        },
        nan_ok=True,
    )
    idle = {name: column[0].item() for name, column in peers.numbers.items()}
    assert np.isnan(
        [idle["connected_unix_s"], idle["rtt_p50_s"], idle["tcp_rtt_s"], idle["loss_ratio"]]
    ).all()
    assert idle["messages_sent"] == 0
    assert statistics.performance.queue_depth == 1
    assert statistics.bandwidth.wire_sent_bytes == 1520
    assert statistics.test_traffic.sent == 5
    assert statistics.test_traffic.sent_bytes == 5 * 9999
    assert "test" not in statistics.messages.by_type
    assert statistics.messages.by_type["data"].size_bytes.p50 == 100
    assert statistics.connections.active == 1


def test_counts_are_exact_between_ticks_and_rates_those_of_the_tick() -> None:
    station = Station()
    peer = station.collector.open_peer("a")
    station.tick()
    station.tick()
    before = station.aggregate()
    station.collector.record_message_sent(peer, "data", 10)
    after = station.aggregate()
    assert (before.messages.sent, after.messages.sent) == (0, 1)
    assert (before.bandwidth.sent_bytes, after.bandwidth.sent_bytes) == (0, 10)
    assert after.messages.sent_rate.per_s_1 == 0.0
    assert after.peers.numbers["messages_sent"].tolist() == [1]


def test_statistics_do_not_change_afterwards() -> None:
    station = Station()
    peer = station.collector.open_peer("a")
    station.tick()
    before = station.aggregate()
    frozen = {name: column.copy() for name, column in before.peers.numbers.items()}
    station.collector.record_message_sent(peer, "data", 10)
    station.collector.record_message_failed(peer, "data", "x")
    station.collector.record_latency(peer, 0.1, method="link-ping")
    station.collector.probe_sent(peer)
    station.collector.open_peer("b")
    peer.set_labels(PeerLabels(name="changed", hops=3))
    station.tick()
    station.aggregate()
    for name, column in before.peers.numbers.items():
        np.testing.assert_array_equal(column, frozen[name], err_msg=name)
    assert before.peers.text["name"] == ("",)
    assert before.messages.failed_by_cause == {}


def test_peers_that_come_between_ticks_have_no_rates_yet() -> None:
    station = Station()
    station.tick()
    for number in range(200):
        station.collector.open_peer(str(number))
    peers = station.aggregate().peers
    assert len(peers) == 200
    assert np.isnan(peers.numbers["sent_bytes_per_s"].astype(np.float32)).all()


def test_a_peer_in_a_reused_slot_has_rates_of_its_own() -> None:
    station = Station()
    collector = station.collector
    old = collector.open_peer("old")
    station.tick()
    for _ in range(100):
        collector.record_message_sent(old, "data", 1000)
    station.tick()
    assert station.aggregate().peers.numbers["sent_messages_per_s"].tolist() == [100]
    collector.forget_peer(old, now_mono_s=station.now_s)
    new = collector.open_peer("new")
    collector.record_message_sent(new, "data", 7)
    numbers = station.aggregate().peers.numbers
    assert np.isnan(numbers["sent_bytes_per_s"]).all()
    assert np.isnan(numbers["utilization_ratio"]).all()
    station.tick()
    peers = station.aggregate().peers
    assert peers.slots.tolist() == [1]
    assert peers.numbers["sent_bytes_per_s"].tolist() == [7.0]
    assert peers.numbers["bytes_sent"].tolist() == [7]


def test_rows_skip_slots_that_are_free() -> None:
    station = Station()
    handles = [station.collector.open_peer(name) for name in "abc"]
    for number, handle in enumerate(handles):
        station.collector.record_message_sent(handle, "data", number)
    station.collector.forget_peer(handles[1], now_mono_s=0)
    station.tick()
    peers = station.aggregate().peers
    assert peers.text["id"] == ("a", "c")
    assert peers.numbers["bytes_sent"].tolist() == [0, 2]


def test_peers_are_distributed_by_kind() -> None:
    station = Station()
    links: list[tuple[Direction, float | None]] = [("in", 0.0005), ("out", 0.03), ("in", 3.0), ("in", None)]
    for number, (direction, rtt_s) in enumerate(links):
        peer = station.collector.open_peer(str(number))
        peer.set_labels(PeerLabels(address="[::1]:1", agent="x/1", protocol_version=1, hops=1))
        station.collector.connection_opened(peer, direction, now_mono_s=0, now_unix_s=UNIX_S)
        if rtt_s is not None:
            station.collector.record_latency(peer, rtt_s, method="link-ping")
    station.collector.open_peer("far").set_labels(PeerLabels(hops=3))
    station.tick()
    found = station.aggregate()
    assert found.peer_distribution.direction == {"in": 3, "out": 1}
    assert found.peer_distribution.latency_band == {"<1ms": 1, "20-100ms": 1, ">500ms": 1, "unknown": 1}
    assert found.peer_distribution.hop_distance == {"1": 4, "3": 1}
    assert found.peer_distribution.address_family == {"ipv6": 4}
    assert found.peer_distribution.agent == {"x/1": 4}
    assert found.protocol_versions == {"1": 4}


def test_a_share_of_the_processor_that_cannot_be_is_not_told() -> None:
    station = Station()
    station.tick()
    station.tick(1e-7)  # the look itself took longer than that
    assert station.aggregate().resources.cpu_ratio is None
    station.tick()
    assert station.aggregate().resources.cpu_ratio is not None


def test_the_node_and_its_resources_are_told() -> None:
    station = Station(interval_s=2.0)
    station.tick(2.0)
    assert station.aggregate().resources.cpu_ratio is None
    station.tick(2.0)
    station.collector.record_loop_lag(0.004)
    found = station.aggregate()
    assert found.node.name == "peer1"
    assert (found.node.tick, found.node.interval_s, found.node.uptime_s) == (2, 2.0, 4.0)
    assert (found.node.started_unix_s, found.node.sampled_unix_s) == (UNIX_S, UNIX_S + 4)
    assert found.resources.cpu_ratio is not None
    assert found.resources.collector_cpu_ratio is not None
    assert found.resources.collector_cpu_s > 0
    assert found.resources.collector_memory_bytes > 100_000
    assert found.resources.loop_lag_s.samples == 1
    station.aggregator.node = replace(station.aggregator.node, listen=("127.0.0.1:1",))
    assert station.aggregate().node.listen == ("127.0.0.1:1",)


def test_the_figures_of_one_instant_agree_with_one_another() -> None:
    station = Station()
    for section in fields(station.aggregate()):
        assert section.name in {
            "node",
            "connections",
            "messages",
            "bandwidth",
            "latency",
            "performance",
            "peers",
            "protocol_versions",
            "peer_distribution",
            "test_traffic",
            "resources",
        }


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "received", "processed", "failed", "dropped", "tick"]),
        st.integers(0, 3),
        st.sampled_from(TYPES),
        st.integers(0, 5000),
    ),
    max_size=80,
)


@given(CALLS)
@settings(deadline=None, max_examples=50)
def test_totals_are_the_sums_over_types_and_over_peers(calls: list[tuple[str, int, str, int]]) -> None:
    station = Station()
    collector = station.collector
    handles = [collector.open_peer(str(number)) for number in range(4)]
    for what, peer, kind, size in calls:
        if what == "sent":
            collector.record_message_sent(handles[peer], kind, size)
        elif what == "received":
            collector.record_message_received(handles[peer], kind, size)
        elif what == "processed":
            collector.record_message_received(handles[peer], kind, size)
            collector.record_message_processed(kind, size / 1e6)
        elif what == "failed":
            collector.record_message_received(handles[peer], kind, size)
            collector.record_message_failed(handles[peer], kind, "x")
        elif what == "dropped":
            collector.record_message_received(handles[peer], kind, size)
            collector.record_message_dropped(handles[peer], kind, "in", "y")
        else:
            station.tick()
    found = station.aggregate()
    messages, by_type = found.messages, found.messages.by_type.values()
    for name in ("sent", "received", "processed", "failed", "dropped_in", "dropped_out", "queued_in"):
        assert getattr(messages, name) == sum(getattr(counts, name) for counts in by_type)
    assert (
        messages.received == messages.processed + messages.failed + messages.dropped_in + messages.queued_in
    )
    assert found.bandwidth.sent_bytes == sum(counts.sent_bytes for counts in by_type)
    numbers = found.peers.numbers
    assert numbers["messages_sent"].sum() == messages.sent
    assert numbers["bytes_received"].sum() == found.bandwidth.received_bytes
    assert numbers["messages_failed"].sum() == messages.failed
    assert numbers["messages_dropped_in"].sum() == messages.dropped_in
    for counts in by_type:
        assert counts.size_bytes.samples == counts.sent + counts.received


def test_retransmissions_of_a_connection_that_ends_before_the_peer_are_not_shown() -> None:
    station = Station()
    peer = station.collector.open_peer("a")
    look = TcpInfo(
        rtt_s=0.02, rttvar_s=0.0, cwnd_segments=10, retransmits=7, sent_bytes=900, retransmitted_bytes=100
    )
    station.collector.set_tcp_info(peer, look)
    station.tick()
    (ratio,) = station.aggregate().peers.numbers["tcp_retransmit_ratio"].tolist()
    assert ratio == pytest.approx(0.1, rel=0.05)
    station.aggregator.node = replace(station.aggregator.node, tcp_info="not-of-path")
    (ratio,) = station.aggregate().peers.numbers["tcp_retransmit_ratio"].tolist()
    assert ratio != ratio


def test_messages_per_second_are_those_sent_and_those_received() -> None:
    station = Station()
    peer = station.collector.open_peer("a")
    station.tick()
    for _ in range(5):
        station.collector.record_message_sent(peer, "data", 100)
    for _ in range(3):
        station.collector.record_message_received(peer, "data", 100)
    station.tick()
    assert station.aggregate().performance.mps.per_s_1 == 8.0
