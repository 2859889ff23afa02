"""What network tests say against what the kernel counted on the wire: counts and identities, never speeds."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from qudag_node.lab.simulator import NetworkSimulator
from tests.integration.nodes import wait_until
from tests.integration.pairs import Node, pair_of, run_test
from tests.netns import Wire, wire_between
from tests.qudag_node.lab.engines import skip_unless_it_runs

pytestmark = pytest.mark.integration

COUNT = 200
PLACES = ("received", "late", "forward_lost", "backward_lost", "local_dropped", "unplaced_lost")
MARKED = ("meta l4proto udp", "meta l4proto udp ip dscp cs1")


@dataclass(frozen=True)
class Linked:
    """A wire with a node at each end."""

    wire: Wire
    near: Node


@pytest.fixture(scope="module")
def nodes() -> Generator[Linked]:
    with wire_between() as wire, pair_of(wire.a, wire.b) as (near, _):
        yield Linked(wire, near)


@pytest.fixture
def linked(nodes: Linked) -> Generator[Linked]:
    """The same for every test, without what the one before dropped or held back."""
    yield nodes
    nodes.wire.stop_counting()
    nodes.wire.unshape(nodes.wire.a)
    nodes.wire.unshape(nodes.wire.b)


def ping(asked: Node, target: str, **options: object) -> dict[str, Any]:
    chosen: dict[str, Any] = {"count": COUNT, "interval_s": 0.005, "via": "udp", "timeout_s": 2.0} | options
    return run_test(asked, "ping", target, **chosen)


def test_a_ping_loses_in_each_direction_what_the_wire_dropped_there(linked: Linked) -> None:
    """The last packet of all is among those dropped, which only the far end can tell."""
    wire, near = linked.wire, linked.near
    there = wire.count(wire.b, every=50)
    back = wire.count(wire.a, every=14)
    found = ping(near, "b")
    counted_there, counted_back = there.read(), back.read()
    assert found["sent"] == counted_there.arrived == COUNT
    assert (found["forward_lost"], found["backward_lost"]) == (counted_there.dropped, counted_back.dropped)
    assert counted_there.dropped == 4
    assert counted_back.dropped >= 10
    assert found["received"] + found["late"] == counted_back.passed == found["rtt"]["samples"]
    assert found["sent"] == sum(found[place] for place in PLACES)
    assert (found["duplicates"], found["reordered"]) == (0, 0)


def test_random_loss_is_told_to_the_packet(linked: Linked) -> None:
    wire, near = linked.wire, linked.near
    there, back = wire.count(wire.b, ratio=0.2), wire.count(wire.a, ratio=0.1)
    found = ping(near, "b", size_bytes=500)
    counted_there, counted_back = there.read(), back.read()
    assert counted_there.arrived == found["sent"] == COUNT
    assert (found["forward_lost"], found["backward_lost"]) == (counted_there.dropped, counted_back.dropped)
    assert counted_there.dropped > 0
    assert counted_back.dropped > 0


def test_a_round_trip_is_the_way_there_and_the_way_back(linked: Linked) -> None:
    found = ping(linked.near, "b")
    there, back = found["forward_delay"], found["backward_delay"]
    assert there["samples"] == back["samples"] == found["rtt"]["samples"] > 0
    assert found["rtt"]["avg_s"] == pytest.approx(there["avg_s"] + back["avg_s"], abs=1e-6)
    assert found["clock_relation"]["method"] == "same-clock"


def test_test_packets_are_marked_and_answered_at_their_own_size(linked: Linked) -> None:
    wire, near = linked.wire, linked.near
    counters = [wire.count(end, match) for end in (wire.b, wire.a) for match in MARKED]
    ping(near, "b", size_bytes=300)
    all_there, marked_there, all_back, marked_back = (counter.read() for counter in counters)
    assert marked_there == all_there
    assert marked_back == all_back
    assert all_there.arrived == COUNT
    size_bytes = all_there.arrived_bytes // COUNT
    assert all_there.arrived_bytes == COUNT * size_bytes >= COUNT * 300
    assert 0 < all_back.arrived_bytes == all_back.arrived * size_bytes


@pytest.mark.parametrize("side", ["near", "far"])
def test_what_waits_in_the_queue_of_either_host_is_part_of_the_round_trip(linked: Linked, side: str) -> None:
    wire, rate = linked.wire, 1e6
    wire.shape(wire.a if side == "near" else wire.b, rate, queue_bytes=100_000, burst_bytes=3_000)
    found = ping(linked.near, "b", count=40, interval_s=0.002, size_bytes=1400, timeout_s=5.0)
    assert found["rtt"]["samples"] == 40
    # Five times the rate is offered; even in bits and pieces some of it waits for what was before it.
    assert found["rtt"]["max_s"] >= 2 * 1442 * 8 / rate


def test_a_ping_over_a_link_of_the_lab_loses_what_the_link_dropped() -> None:
    skip_unless_it_runs("netns")
    impair = ["peer1-peer2:delay=25ms,loss=2%"]
    with NetworkSimulator(nodes=2, topology="line", impair=impair, engine="netns", seed=3) as lab:
        asked = Node("peer1", lab.nodes["peer1"].pid, lab.nodes["peer1"].rpc, lab.nodes["peer1"].listen)
        found = ping(asked, lab.nodes["peer2"].id, count=300)
        wait_until(lambda: not any(udp["in_flight"] for udp in udp_of(lab).values()))
        there, back = udp_of(lab)["peer1", "peer2"], udp_of(lab)["peer2", "peer1"]
    assert there["sent"] == found["sent"] == 300
    assert found["forward_lost"] == there["dropped_loss"]
    assert found["backward_lost"] == back["dropped_loss"]
    assert found["received"] + found["late"] == back["delivered"]
    # The link is never early.
    assert found["rtt"]["min_s"] >= 0.050


def udp_of(lab: NetworkSimulator) -> dict[tuple[str, str], dict[str, int]]:
    return {(link["from"], link["to"]): link["truth"]["udp"] for link in lab.status()["links"]}


def test_a_token_bucket_bounds_what_tcp_is_said_to_carry(linked: Linked) -> None:
    wire, rate, burst_bytes, seconds = linked.wire, 20e6, 15_000, 2.0
    wire.shape(wire.a, rate, queue_bytes=60_000, burst_bytes=burst_bytes)
    before = wire.shaped(wire.a)["bytes"]
    found = run_test(linked.near, "bandwidth", "b", duration_s=seconds, loaded_latency=False)
    carried = wire.shaped(wire.a)["bytes"] - before
    measured = [each for each in found["intervals"] if not each["omitted"]]
    told_bytes = sum(each["bits_per_s"] * (each["end_s"] - each["start_s"]) for each in measured) / 8
    assert 0 < told_bytes <= carried
    measured_s = sum(each["end_s"] - each["start_s"] for each in measured)
    # On top of the rate may come what is in the bucket at the beginning, and what waits before the receiver.
    most = rate * 1448 / 1514 + (burst_bytes + 60_000) * 8 / measured_s
    assert 0 < found["goodput_bits_per_s"] <= most
    assert (found["protocol"], found["direction"], found["streams"]) == ("tcp", "forward", 1)


def test_udp_bandwidth_tells_what_was_sent_and_what_was_lost(linked: Linked) -> None:
    linked.wire.with_real_packets()
    there = linked.wire.count(linked.wire.b, "udp length 1008", every=20)
    found = run_test(
        *(linked.near, "bandwidth", "b"),
        duration_s=1.0,
        protocol="udp",
        rate_bits_per_s=5e6,
        packet_bytes=1000,
        loaded_latency=False,
    )
    counted = there.read()
    assert found["sent"] == counted.arrived > 0
    assert found["lost"] == counted.dropped > 0
    assert found["received"] == counted.passed
    assert found["reordered"] == 0
