"""Whole overlays over loopback: vertices, routes, partitions, what both ends count, starting and stopping."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from functools import partial

import pytest

from qudag_node.config import ProcessConfig
from qudag_node.errors import PeerUnreachableError, PortInUseError
from qudag_node.monitors import LatencyTracker
from qudag_node.overlay.advert import sign_advert
from qudag_node.overlay.events import EventKind
from qudag_node.overlay.frames import FrameType, encode_frame
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.routed import RoutedKind, sign_routed
from qudag_node.overlay.signing import Signer
from tests.clocks import LeapingClock
from tests.needs import has_ipv6, need
from tests.qudag_node.overlay.links import NETWORK, until
from tests.qudag_node.overlay.nodes import Node, assert_same_counts, line_of, linked, ring_of, running


def everybody_reaches_everybody(nodes: Sequence[Node]) -> bool:
    return all(
        node is other or node.overlay.path(other.identity.peer_id) for node in nodes for other in nodes
    )


def everybody_has_met_everybody(nodes: Sequence[Node]) -> bool:
    """Whether every node would miss every other one."""
    return all(len(node.overlay._link_state._reachability.present) == len(nodes) - 1 for node in nodes)


async def test_two_overlays_link_and_pass_a_vertex() -> None:
    one, other = Node("one"), Node("other")
    async with running(one, other):
        await linked((one, other))
        assert await one.overlay.submit([b"payload"]) == 1
        await until(lambda: other.collector.vertices_accepted == 1)
        assert one.collector.vertices_accepted == 1


async def test_a_message_reaches_a_node_three_hops_away() -> None:
    nodes = [Node(f"peer{number}", ping_interval_s=0.05) for number in range(1, 5)]
    got: list[tuple[str, bytes]] = []
    nodes[3].overlay.on_message = lambda sender, body: got.append((sender, body))
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: everybody_reaches_everybody(nodes))
        nodes[0].overlay.send_routed(nodes[3].identity.peer_id, b"hello")
        await until(lambda: bool(got))
        assert got == [(nodes[0].id, b"hello")]
        result = await nodes[0].overlay.probe_routed(nodes[3].identity.peer_id)
        assert result.hops == result.return_hops == 3
        nodes[0].collector.fold()
        assert nodes[0].collector.latencies.recorded > 0
        await until(lambda: ("peer4", 3) in {(peer.name, peer.hops) for peer in nodes[0].overlay.peers()})
        assert nodes[0].overlay.resolve("peer4") == nodes[3].id
        [peer] = [peer for peer in nodes[0].overlay.peers() if peer.name == "peer4"]
        assert peer.state == "known"
        _, links = nodes[0].overlay.topology()
        assert len([link for link in links if link.is_up]) == 3


async def test_distant_nodes_are_probed_in_the_background() -> None:
    nodes = [Node(f"peer{number}", routing_probe_interval_s=0.05) for number in range(1, 4)]
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: everybody_reaches_everybody(nodes))
        handle = nodes[0].collector.open_peer(nodes[2].id)
        await until(lambda: handle.rtt_method == "routed-probe")
        assert nodes[0].collector.open_peer(nodes[1].id).rtt_method in {"", "link-ping"}


@pytest.mark.parametrize(("background_bytes_per_s", "probes"), [(0.0, 0), (0.001, 1)])
async def test_what_nobody_has_asked_for_has_a_budget(background_bytes_per_s: float, probes: int) -> None:
    first = Node("first", routing_probe_interval_s=0.01, background_bytes_per_s=background_bytes_per_s)
    nodes = [first, *(Node(name, routing_probe_interval_s=0) for name in ("second", "third"))]
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: everybody_reaches_everybody(nodes))
        await until(lambda: first.traffic(nodes[1])["routed"][0] == probes)
        # Many intervals; the next probe may come in some days.
        await asyncio.sleep(0.2)
        assert first.traffic(nodes[1])["routed"][0] == probes
        # What somebody asks for is another matter.
        assert (await first.overlay.probe_routed(nodes[2].identity.peer_id)).hops == 2


async def test_a_node_that_shares_no_links_relays_for_nobody() -> None:
    one, leaf, other = Node("one"), Node("leaf", share_links=False), Node("other")
    message = sign_routed(
        Signer(one.identity.private_key, NETWORK),
        other.identity.public_key,
        b"x",
        kind=RoutedKind.MESSAGE,
        identity=bytes(16),
        ttl=8,
    )
    async with running(one, leaf, other):
        await linked((one, leaf), (leaf, other))
        [link] = one.overlay.links()
        link.send(FrameType.ROUTED, encode_frame(FrameType.ROUTED, message), time.monotonic())
        await until(lambda: leaf.collector.totals().dropped_by_cause.get("routed_not_relaying") == 1)
        assert not one.overlay.path(other.identity.peer_id)
        with pytest.raises(PeerUnreachableError):
            one.overlay.send_routed(other.identity.peer_id, b"x")


async def test_nodes_that_are_told_of_and_nobody_can_reach_are_no_peers() -> None:
    one, other = Node("one"), Node("other")
    told = [Identity.generate() for _ in range(5)]
    adverts = [
        sign_advert(
            Signer(identity.private_key, NETWORK),
            {},
            sequence=1,
            name="invented",
            lifetime_s=3600,
            is_leaf=False,
            is_leaving=False,
        )
        for identity in told
    ]
    async with running(one, other):
        await linked((one, other))
        [link] = other.overlay.links()
        for advert in adverts:
            frame = encode_frame(FrameType.ADVERT, advert.encoded)
            assert link.send(FrameType.ADVERT, frame, time.monotonic())
        await until(lambda: len(one.overlay.topology()[0]) == 2 + len(told))
        # The map was followed once more when the name of a real node has come.
        await until(lambda: [peer.name for peer in one.overlay.peers()] == ["other"])
        one.overlay._routing._follow_map(time.monotonic() + 3600.0)
        assert [peer.name for peer in one.overlay.peers()] == ["other"]


async def test_a_node_that_cannot_be_reached_is_an_error() -> None:
    one, other = Node("one"), Node("other")
    async with running(one):
        with pytest.raises(PeerUnreachableError, match="routed_no_route"):
            one.overlay.send_routed(other.identity.peer_id, b"hello")
        with pytest.raises(PeerUnreachableError):
            await one.overlay.probe_routed(other.identity.peer_id)


async def test_what_one_sent_the_other_received_by_type_after_load_on_a_ring() -> None:
    nodes = [Node(f"peer{number}", ping_interval_s=3600, dead_peer_timeout_s=7200) for number in range(5)]
    async with running(*nodes):
        await linked(*ring_of(nodes))
        for _ in range(20):
            for node in nodes:
                assert await node.overlay.submit([bytes(200)] * 4) == 4
            await asyncio.sleep(0)
        await until(lambda: all(node.collector.vertices_accepted == 400 for node in nodes))
        await until(lambda: everybody_reaches_everybody(nodes))
        await until(lambda: all(is_quiet(node) for node in nodes))
        for one, other in ring_of(nodes):
            await until(partial(agree, one, other))
            assert_same_counts(one, other)
        for node in nodes:
            totals = node.collector.totals()
            assert totals.queued_in.sum() == 0
            assert dict(totals.dropped_by_cause) == {}
            assert dict(totals.failed_by_cause) == {}


def is_quiet(node: Node) -> bool:
    return all(len(link.queue) == 0 for link in node.overlay.links())


def agree(one: Node, other: Node) -> bool:
    there, back = one.traffic(other), other.traffic(one)
    return all(back[kind] == (*counts[2:], *counts[:2]) for kind, counts in there.items())


async def test_stopping_is_told_and_is_no_partition() -> None:
    nodes = [Node(f"peer{number}") for number in range(1, 4)]
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: everybody_has_met_everybody(nodes))
        await nodes[2].overlay.stop()
        await until(lambda: bool(nodes[0].told(EventKind.LEFT)) and bool(nodes[1].told(EventKind.LEFT)))
        assert nodes[0].told(EventKind.PARTITION) == nodes[1].told(EventKind.PARTITION) == []
        assert nodes[1].told(EventKind.LINK_DOWN) == ["in order"]
        assert nodes[1].collector.connections.statistics(now_mono_s=0).errors == {}
        assert_same_counts(nodes[1], nodes[2])


async def test_a_partition_and_its_healing_are_noticed() -> None:
    nodes = [Node(f"peer{number}") for number in range(1, 5)]
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: everybody_has_met_everybody(nodes))
        for link in nodes[1].overlay.links():
            if link.peer_id == nodes[2].id:
                link.abort(PeerUnreachableError("the cable"))
        await until(
            lambda: bool(nodes[0].told(EventKind.PARTITION)) and bool(nodes[3].told(EventKind.PARTITION))
        )
        assert not nodes[0].overlay.path(nodes[3].identity.peer_id)
        await linked((nodes[1], nodes[2]))
        await until(lambda: bool(nodes[0].told(EventKind.HEALED)) and bool(nodes[3].told(EventKind.HEALED)))
        await until(lambda: everybody_reaches_everybody(nodes))


async def test_a_leaf_relays_nothing() -> None:
    one, leaf, other = Node("one"), Node("leaf", share_links=False), Node("other")
    async with running(one, leaf, other):
        await linked((one, leaf), (leaf, other))
        await until(lambda: bool(one.overlay.path(leaf.identity.peer_id)))
        assert await one.overlay.submit([b"x"]) == 1
        await until(lambda: leaf.collector.vertices_accepted == 1)
        await leaf.overlay.submit([b"y"])
        await until(lambda: other.collector.vertices_accepted == 1)
        assert not one.overlay.path(other.identity.peer_id)


async def test_a_vertex_that_is_not_signed_ends_the_link_and_goes_no_further() -> None:
    liar, one, other = Node("liar"), Node("one"), Node("other")
    async with running(liar, one, other):
        await linked((liar, one), (one, other))
        vertex = bytearray(200)
        vertex[:4] = b"\1\0\0\x64"  # version 1, no parents, 100 bytes
        vertex[4:12] = (10**9 * 1_700_000_000).to_bytes(8)
        [link] = liar.overlay.links()
        link.send(FrameType.DATA, encode_frame(FrameType.DATA, bytes(vertex)), 0.0)
        await until(lambda: liar.id not in one.neighbours)
        assert one.neighbours == {other.id}
        assert other.traffic(one)["data"] == (0, 0, 0, 0)
        errors = one.collector.connections.statistics(now_mono_s=0).errors
        assert sum(errors.values()) == 1


async def test_gauges_show_what_is_queued_and_unconfirmed() -> None:
    one, other = Node("one", ping_interval_s=0.05), Node("other", ping_interval_s=0.05)
    async with running(one, other):
        await linked((one, other))
        handle = one.collector.open_peer(other.id)
        one.overlay.update_gauges()
        assert handle.unconfirmed_messages > 0
        await until(lambda: one.overlay.links()[0].unconfirmed[0] <= 1)
        one.overlay.sample_tcp()
        assert one.collector.connections.gauges.limit == one.config.max_links


async def test_several_addresses_and_ipv6() -> None:
    need(has_ipv6(), "a loopback address of IPv6")
    one = Node("one", listen=("127.0.0.1:0", "[::1]:0"))
    by_4, by_6 = Node("four"), Node("six")
    async with running(one, by_4, by_6):
        four, six = one.overlay.listen_addresses
        assert six.startswith("[::1]:")
        await by_4.overlay.dial(four)
        await by_6.overlay.dial(six)
        await until(lambda: one.neighbours == {by_4.id, by_6.id})


async def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        node = Node(listen=("127.0.0.1:0", address))
        with pytest.raises(PortInUseError, match=f"^{address}: cannot listen there"):
            await node.overlay.start()
        await node.overlay.stop()


async def test_stopping_twice_or_before_starting_does_nothing() -> None:
    node = Node()
    await node.overlay.stop()
    await node.overlay.start()
    await node.overlay.stop()
    await node.overlay.stop()


async def test_a_failing_task_ends_the_wait_with_its_error() -> None:
    one, other = Node("one"), Node("other")

    def broken(_sender: str, _body: bytes) -> None:
        raise RuntimeError("our bug")

    other.overlay.on_message = broken
    async with running(one):
        await other.overlay.start()
        await linked((one, other))
        await until(lambda: bool(one.overlay.path(other.identity.peer_id)))
        one.overlay.send_routed(other.identity.peer_id, b"boom")
        with pytest.raises(ExceptionGroup) as caught:
            await other.overlay.wait()
        assert caught.group_contains(RuntimeError, match="our bug")
        with pytest.raises(ExceptionGroup):
            await other.overlay.stop()


async def test_peers_find_each_other_through_a_common_neighbour() -> None:
    hub = Node("hub", discovery=True, exchange_interval_s=0.1)
    await hub.overlay.start()
    ends = [
        Node(f"end{number}", peers=(hub.address,), discovery=True, exchange_interval_s=0.1)
        for number in range(3)
    ]
    try:
        async with running(*ends):
            await until(lambda: all(len(end.neighbours) == 3 for end in ends))
    finally:
        await hub.overlay.stop()


async def test_nodes_with_discovery_off_keep_to_their_links() -> None:
    hub = Node("hub")
    await hub.overlay.start()
    ends = [Node(f"end{number}", peers=(hub.address,)) for number in range(2)]
    try:
        async with running(*ends):
            await until(lambda: len(hub.neighbours) == 2)
            assert all(end.traffic(hub)["peers"][:2] == (0, 0) for end in ends)
    finally:
        await hub.overlay.stop()


async def test_a_link_is_told_by_the_peers_name() -> None:
    one, other = Node("one"), Node("other")
    async with running(one, other):
        await linked((one, other))
        await until(lambda: bool(one.told(EventKind.LINK_UP)) and bool(other.told(EventKind.LINK_UP)))
        [up] = [event for event in one.events.since(0) if event.kind is EventKind.LINK_UP]
        assert up.subject == "other"
        assert up.text.startswith("dialled, 127.0.0.1:")
        [link] = one.overlay.links()
        link.abort(PeerUnreachableError("the cable"))
        await until(lambda: bool(other.told(EventKind.LINK_DOWN)))
        [down] = [event for event in one.events.since(0) if event.kind is EventKind.LINK_DOWN]
        assert (down.subject, down.severity, down.text) == ("other", "warning", "the cable")


async def test_a_link_that_ends_before_its_name_came_is_told_all_the_same() -> None:
    one, other = Node("one"), Node("other")
    async with running(one, other):
        await linked((one, other))
        for link in one.overlay.links():
            link.abort(PeerUnreachableError("the cable"))
        assert len(one.told(EventKind.LINK_UP)) == len(one.told(EventKind.LINK_DOWN)) == 1


async def test_the_longest_name_that_the_configuration_allows_is_announced() -> None:
    longest = "n" * 63
    ProcessConfig(name=longest)
    one, other = Node(longest), Node("other")
    async with running(one, other):
        await linked((one, other))
        await until(lambda: [peer.name for peer in other.overlay.peers()] == [longest])


async def test_processing_is_measured_by_one_clock() -> None:
    clock = LeapingClock()
    clock.leap(1000)
    one, other = Node("one", clock=clock), Node("other")
    async with running(one, other):
        await linked((one, other))
        await other.overlay.submit([b"x"] * 20)
        await until(lambda: one.collector.vertices_accepted == 20)
        tracker = LatencyTracker(one.collector)
        tracker.tick(now_mono_s=clock.monotonic())
        found = tracker.processing_time()
        assert found.samples >= 20
        # By two clocks it would have taken less than nothing, which is counted as nothing at all.
        assert found.max is not None
        assert 0 < found.max < 100
