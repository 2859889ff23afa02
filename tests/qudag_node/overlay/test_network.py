"""Several overlays over loopback: floods, relays, partitions, restarts, liars, leaves, discovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from qudag_node.errors import PeerError, PeerUnreachableError
from qudag_node.overlay.advert import sign_advert
from qudag_node.overlay.events import EventKind
from qudag_node.overlay.frames import FrameType, GoodbyeReason, encode_frame
from qudag_node.overlay.paths import MapLink
from qudag_node.overlay.signing import Signer
from qudag_node.overlay.vertices import sign_vertex
from tests.qudag_node.overlay.links import NETWORK, End, quiet, until
from tests.qudag_node.overlay.nodes import Node, assert_same_counts, line_of, linked, ring_of, running


def named(names: str) -> list[Node]:
    return [Node(name, ping_interval_s=0.05) for name in names]


def path(source: Node, destination: Node, nodes: Sequence[Node]) -> str:
    """The names of the nodes on the way, for instance "abc"."""
    name_by_key = {node.identity.public_key: node.name for node in nodes}
    return "".join(name_by_key[key] for key in source.overlay.path(destination.identity.peer_id))


def reaches(nodes: Sequence[Node]) -> bool:
    """Whether each of these nodes knows a way to each other."""
    return all(
        one is other or bool(one.overlay.path(other.identity.peer_id)) for one in nodes for other in nodes
    )


def cut(one: Node, other: Node) -> None:
    for link in one.overlay.links():
        if link.peer_id == other.id:
            link.leave(GoodbyeReason.REMOVED)


def subjects(node: Node, kind: EventKind) -> list[str]:
    return [event.subject for event in node.events.since(0) if event.kind is kind]


async def test_every_node_of_a_ring_accepts_every_vertex_once() -> None:
    nodes = named("abcde")
    seen: list[bytes] = []
    nodes[0].overlay.on_vertex = lambda vertex: seen.append(vertex.payload)
    async with running(*nodes):
        await linked(*ring_of(nodes))
        for turn in range(4):
            await asyncio.gather(
                *(
                    node.overlay.submit([f"{node.name} {turn} {number}".encode() for number in range(25)])
                    for node in nodes
                )
            )
        await until(lambda: all(node.collector.vertices_accepted >= 500 for node in nodes))
        # What is still on its way are second copies; time for them to show that they count for nothing.
        await asyncio.sleep(0.3)
        assert [node.collector.vertices_accepted for node in nodes] == [500] * 5
        assert sorted(seen) == sorted(
            f"{name} {turn} {number}".encode() for name in "bcde" for turn in range(4) for number in range(25)
        )
        for node in nodes:
            totals = node.collector.totals()
            assert (totals.failed_by_cause, totals.dropped_by_cause) == ({}, {})
            assert totals.duplicates > 0
    for one, other in ring_of(nodes):
        assert_same_counts(one, other)


async def test_a_partition_and_its_healing_are_told_and_messages_find_their_way_again() -> None:
    a, b, c, d = nodes = named("abcd")
    got: list[bytes] = []
    d.overlay.on_message = lambda _sender, body: got.append(body)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: reaches(nodes))
        cut(b, c)
        await until(lambda: bool(subjects(a, EventKind.PARTITION)) and bool(subjects(d, EventKind.PARTITION)))
        assert sorted(", ".join(subjects(a, EventKind.PARTITION)).split(", ")) == ["c", "d"]
        assert sorted(", ".join(subjects(d, EventKind.PARTITION)).split(", ")) == ["a", "b"]
        with pytest.raises(PeerUnreachableError, match="routed_no_route"):
            a.overlay.send_routed(d.identity.peer_id, b"lost")
        await b.overlay.dial(c.address)
        await until(lambda: reaches(nodes))
        await until(lambda: len(", ".join(subjects(a, EventKind.HEALED)).split(", ")) == 2)
        a.overlay.send_routed(d.identity.peer_id, b"found")
        await until(lambda: bool(got))
    assert got == [b"found"]


async def test_an_invented_link_attracts_nothing() -> None:
    a, _, _, d = nodes = named("abcd")
    got: list[bytes] = []
    d.overlay.on_message = lambda _sender, body: got.append(body)
    liar = End(quiet())
    liar_key = liar.identity.public_key
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: reaches(nodes))
        link = await liar.dial(int(a.overlay.listen_addresses[0].rpartition(":")[2]))
        lie = sign_advert(
            Signer(liar.identity.private_key, NETWORK),
            {node.identity.public_key: 1 for node in nodes},
            sequence=1,
            name="liar",
            lifetime_s=600,
        )
        link.send(FrameType.ADVERT, encode_frame(FrameType.ADVERT, lie.encoded), time.monotonic())

        def link_to_liar(node: Node, key: bytes) -> MapLink | None:
            ends = {liar_key, key}
            return next((link for link in node.overlay.topology()[1] if {link.a, link.b} == ends), None)

        def links_to(node: Node) -> list[bool]:
            """Which of the liar's links are up, by one node's map."""
            links = [link_to_liar(node, other.identity.public_key) for other in nodes]
            return [link is not None and link.is_up for link in links]

        await until(lambda: all(links_to(node) == [True, False, False, False] for node in nodes))
        # The map has been computed anew since: this is longer than the least pause between computations.
        await asyncio.sleep(0.1)
        assert path(a, d, nodes) == "abcd"
        for number in range(10):
            a.overlay.send_routed(d.identity.peer_id, bytes([number]))
        await until(lambda: len(got) == 10)
        assert FrameType.ROUTED not in {kind for kind, _ in liar.owner.frames}
        # Of its one true link it may say what it likes: what the other end measures counts.
        [true] = [link for link in [link_to_liar(d, a.identity.public_key)] if link is not None]
        assert true.cost_us > 1
        link.abort(PeerError("the test is over"))
        await until(lambda: link.is_closed)


async def test_a_leaf_is_reached_and_relays_nothing() -> None:
    a, c = named("ac")
    leaf = Node("leaf", ping_interval_s=0.05, share_links=False)
    nodes = [a, leaf, c]
    async with running(*nodes):
        await linked((a, leaf), (c, leaf))
        await until(lambda: reaches([a, leaf]) and reaches([c, leaf]))
        await a.overlay.submit([b"vertex"])
        await until(lambda: leaf.collector.vertices_accepted == 1)
        await c.overlay.submit([b"another"])
        await until(lambda: leaf.collector.vertices_accepted == 2)
        assert (a.collector.vertices_accepted, c.collector.vertices_accepted) == (1, 1)
        assert path(a, c, nodes) == ""
        with pytest.raises(PeerUnreachableError):
            a.overlay.send_routed(c.identity.peer_id, b"")


async def test_a_node_that_stops_has_left_and_is_no_partition() -> None:
    a, b, c = nodes = named("abc")
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: reaches(nodes))
        await c.overlay.stop()
        await until(lambda: subjects(a, EventKind.LEFT) == subjects(b, EventKind.LEFT) == ["c"])
        assert subjects(a, EventKind.PARTITION) == subjects(b, EventKind.PARTITION) == []


async def test_a_node_that_comes_back_with_its_key_is_believed_again(tmp_path: Path) -> None:
    a, b = named("ab")
    c = Node("c", ping_interval_s=0.05, directory=tmp_path)
    async with running(a, b):
        await linked((a, b))
        async with running(c):
            await linked((c, b))
            await until(lambda: reaches([a, b, c]))
        await until(lambda: not a.overlay.path(c.identity.peer_id))
        again = Node("c", ping_interval_s=0.05, directory=tmp_path, identity=c.identity)
        async with running(again):
            await linked((again, b))
            await until(lambda: reaches([a, b, again]))
            assert path(a, again, [a, b, again]) == "abc"
        await until(lambda: subjects(a, EventKind.LEFT) == ["c", "c"])
        assert subjects(a, EventKind.PARTITION) == []


async def test_a_vertex_that_nobody_signed_ends_the_link_and_goes_no_further() -> None:
    a, b, attacker = nodes = named("abX")
    async with running(*nodes):
        await linked((a, b), (attacker, a))
        vertex = sign_vertex(
            Signer(b.identity.private_key, NETWORK), b"payload", [], origin_unix_ns=time.time_ns()
        )
        forged = vertex.encoded[:-1] + bytes([vertex.encoded[-1] ^ 1])
        [link] = attacker.overlay.links()
        link.send(FrameType.DATA, encode_frame(FrameType.DATA, forged), time.monotonic())
        await until(lambda: attacker.id not in a.neighbours)
        assert a.collector.totals().failed_by_cause == {"vertex_signature": 1}
        assert (a.collector.vertices_accepted, b.collector.vertices_accepted) == (0, 0)
        assert b.id in a.neighbours


async def test_strangers_find_each_other_through_a_common_neighbour() -> None:
    hub, one, other = nodes = [
        Node(name, ping_interval_s=0.05, discovery=True, exchange_interval_s=0.2, target_links=2)
        for name in ("hub", "one", "other")
    ]
    async with running(*nodes):
        await linked((one, hub), (other, hub))
        await until(lambda: other.id in one.neighbours and one.id in other.neighbours)
        assert {len(node.neighbours) for node in nodes} == {2}


async def test_a_routed_probe_measures_the_whole_way() -> None:
    nodes = named("abc")
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: reaches(nodes))
        result = await nodes[0].overlay.probe_routed(nodes[2].identity.peer_id)
        assert (result.hops, result.return_hops) == (2, 2)
        assert result.rtt_s > 0
        assert nodes[1].traffic(nodes[2])["routed"][0] == 1
