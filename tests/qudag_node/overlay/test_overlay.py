"""Whole overlays over loopback: links, vertices, routes, bans, pins."""

from __future__ import annotations

from collections.abc import Sequence

from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, line_of, linked, running


def everybody_reaches_everybody(nodes: Sequence[Node]) -> bool:
    return all(
        node is other or node.overlay.path(other.identity.peer_id) for node in nodes for other in nodes
    )


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
        assert result.hops == 3
        await until(lambda: "peer4" in {peer.name for peer in nodes[0].overlay.peers()})
        assert nodes[0].overlay.resolve("peer4") == nodes[3].id
        [peer] = [peer for peer in nodes[0].overlay.peers() if peer.name == "peer4"]
        assert peer.hops == 3
