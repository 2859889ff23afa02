"""What the network tests see of the overlay, over real links: one, two and three hops."""

from __future__ import annotations

import os
import time

import pytest

from qudag_node.errors import AmbiguousError, NotFoundError, PeerUnreachableError
from qudag_node.overlay.frames import FrameType, GoodbyeReason, encode_frame
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.routed import MAX_BODY_BYTES, RoutedKind, sign_routed
from qudag_node.overlay.signing import Signer
from qudag_node.overlay.testframes import Subtype, encode_test
from qudag_node.overlay.testport import TestMessage, TraceReply, Way
from qudag_node.overlay.trace import TraceReason
from qudag_node.peerid import PeerId
from tests.qudag_node.overlay.links import NETWORK, until
from tests.qudag_node.overlay.nodes import Node, line_of, linked, running

NOBODY = PeerId("12D3KooWGjMCSHyTBQUVhEDfxPfq4cbGmqVjVrVKDKQrYsF5DMrd")


def named(names: str) -> list[Node]:
    return [Node(name, ping_interval_s=0.05) for name in names]


def roomy(names: str) -> list[Node]:
    """Nodes whose queues hold what a test sends at once."""
    return [
        Node(name, ping_interval_s=0.05, send_queue_messages=4096, receive_queue_messages=4096)
        for name in names
    ]


def knows(node: Node, *others: Node) -> bool:
    """Whether a node has a way to each of the others, and its peer table their names."""
    return all(
        node.overlay.tests.path(other.identity.peer_id)
        and node.overlay.tests.facts(other.identity.peer_id).name == other.name
        for other in others
    )


def messages_of(node: Node) -> list[TestMessage]:
    got: list[TestMessage] = []
    node.overlay.tests.on_message = got.append
    return got


def raw(sender: Node, receiver: Node, payload: bytes, kind: FrameType = FrameType.TEST) -> None:
    """Send a frame that no correct node sends."""
    [link] = [link for link in sender.overlay.links() if link.peer_id == receiver.id]
    assert link.send(kind, encode_frame(kind, payload), time.monotonic())


async def test_a_message_goes_over_the_link_to_a_neighbour_and_routed_to_others() -> None:
    a, b, c = nodes = named("abc")
    at_b, at_c = messages_of(b), messages_of(c)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a))
        before_ns = time.time_ns()
        assert a.overlay.tests.send(b.identity.peer_id, b"direct") is Way.LINK
        assert a.overlay.tests.send(b.identity.peer_id, b"routed", way=Way.OVERLAY) is Way.OVERLAY
        assert a.overlay.tests.send(c.identity.peer_id, b"far") is Way.OVERLAY
        await until(lambda: len(at_b) == 2 and len(at_c) == 1)
        assert [(m.source, m.body, m.way, m.hops) for m in at_b] == [
            (a.id, b"direct", Way.LINK, 1),
            (a.id, b"routed", Way.OVERLAY, 1),
        ]
        [far] = at_c
        assert (far.source, far.body, far.way, far.hops) == (a.id, b"far", Way.OVERLAY, 2)
        for message in (*at_b, far):
            assert message.received_mono_s <= time.monotonic()
            assert before_ns - 1_000_000 <= message.received_unix_ns <= time.time_ns()
        with pytest.raises(PeerUnreachableError, match="no neighbour"):
            a.overlay.tests.send(c.identity.peer_id, b"", way=Way.LINK)
        with pytest.raises(PeerUnreachableError, match="routed_no_route"):
            a.overlay.tests.send(NOBODY, b"")
        with pytest.raises(ValueError, match="at most 16384"):
            a.overlay.tests.send(b.identity.peer_id, bytes(MAX_BODY_BYTES + 1))
        # All of it is test traffic, at every hop, and nothing else.
        assert [node.collector.test_traffic().received for node in nodes] == [0, 3, 1]
        assert b.collector.test_traffic().sent == 1
        assert a.traffic(b)["routed"] == (0, 0, 0, 0)


async def test_a_full_queue_is_told() -> None:
    a, b = Node("a", send_queue_messages=2), Node("b")
    async with running(a, b):
        await linked((a, b))
        with pytest.raises(PeerUnreachableError, match="queue of the link is full"):
            for _ in range(3):
                a.overlay.tests.send(b.identity.peer_id, b"")
        assert a.overlay.tests.drop_counts() == {"queue_full_tests": 1}


async def test_what_comes_by_a_link_that_is_ending_is_dropped() -> None:
    a, b = nodes = named("ab")
    got = messages_of(b)
    async with running(*nodes):
        await linked((a, b))
        a.overlay.tests.send(b.identity.peer_id, b"late")
        for link in b.overlay.links():
            link.leave(GoodbyeReason.REMOVED)
        await until(lambda: b.overlay.tests.drop_counts() == {"link_closed": 1})
        assert got == []


async def test_both_clocks_tell_the_moment_of_reading() -> None:
    a, b, c = nodes = named("abc")
    got = messages_of(c)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c))
        for number in range(50):
            a.overlay.tests.send(c.identity.peer_id, bytes([number]))
        await until(lambda: len(got) == 50)
        offset_ns = time.time_ns() - time.monotonic_ns()
        errors_ns = [abs(m.received_unix_ns - m.received_mono_s * 1e9 - offset_ns) for m in got]
        # Neither is the time of handling: verifying takes longer. The machine may stall in between.
        assert min(errors_ns) < 100_000


async def test_facts_of_a_neighbour_a_distant_node_and_a_stranger() -> None:
    a, b, c = nodes = named("abc")
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a, b))
        port = a.overlay.tests
        await until(
            lambda: (link := port.facts(b.identity.peer_id).link) is not None and link.keys is not None
        )
        await until(
            lambda: (link := port.facts(b.identity.peer_id).link) is not None and link.srtt_s is not None
        )
        near = port.facts(b.identity.peer_id)
        assert (near.name, near.state, near.hops, near.is_banned) == ("b", "connected", 1, False)
        assert near.address == b.overlay.listen_addresses[0]
        assert near.link is not None
        back = b.overlay.tests.facts(a.identity.peer_id).link
        assert back is not None
        assert near.link.role is Role.CLIENT
        assert (near.link.local, near.link.remote) == (back.remote, back.local)
        assert near.link.keys is not None
        await until(
            lambda: (
                (link := b.overlay.tests.facts(a.identity.peer_id).link) is not None and link.keys is not None
            )
        )
        back = b.overlay.tests.facts(a.identity.peer_id).link
        assert back is not None
        assert back.keys is not None
        assert near.link.keys.session(b"s") == back.keys.session(b"s")
        assert near.link.srtt_s is not None
        assert near.link.srtt_s > 0
        assert near.link.clock_offset is not None
        assert abs(near.link.clock_offset.offset_s) <= near.link.clock_offset.error_bound_s + 0.01
        assert near.link.socket is not None
        far = port.facts(c.identity.peer_id)
        assert (far.name, far.hops, far.link, far.is_banned) == ("c", 2, None, False)
        stranger = port.facts(NOBODY)
        assert (stranger.hops, stranger.link, stranger.address, stranger.state) == (0, None, "", "known")
        assert port.neighbours() == [b.id]
        assert port.peers() == [b.id, c.id]
        assert port.path(c.identity.peer_id) == [a.id, b.id, c.id]
        assert port.path(NOBODY) == []
        cost_s = port.path_cost_s(c.identity.peer_id)
        assert cost_s is not None
        assert cost_s > 0
        assert port.path_cost_s(NOBODY) is None
        assert {node.name for node in port.topology()[0]} == {"a", "b", "c"}


async def test_names_mean_peers_and_this_node_itself() -> None:
    a, b, c = Node("a"), Node("b"), Node("c")
    twin = Node("a")
    async with running(a, b, c, twin):
        await linked((a, b), (b, c))
        await until(lambda: knows(a, b, c))
        port = a.overlay.tests
        assert port.resolve("a") == port.resolve(a.id) == port.own_id == a.id
        assert port.resolve("c") == port.resolve(c.id[:20]) == c.id
        with pytest.raises(NotFoundError, match="'nobody'"):
            port.resolve("nobody")
        await linked((twin, b))
        await until(lambda: knows(a, twin))
        with pytest.raises(AmbiguousError, match="this node"):
            port.resolve("a")
        a.overlay.alias(c.id, "a")
        assert port.resolve("a") == c.id


async def test_every_hop_answers_a_trace() -> None:
    a, b, c = nodes = named("abc")
    replies: list[TraceReply] = []
    a.overlay.tests.on_trace = replies.append
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a))
        identities = [os.urandom(16) for _ in range(3)]
        before_ns = time.time_ns()
        for ttl, identity in enumerate(identities, start=1):
            a.overlay.tests.trace(c.identity.peer_id, ttl=ttl, identity=identity)
        await until(lambda: len(replies) == 3)
        found = {reply.identity: reply for reply in replies}
        told = [(found[i].source, found[i].reason, found[i].hops, found[i].return_hops) for i in identities]
        assert told == [
            (b.id, TraceReason.TTL, 1, 1),
            (c.id, TraceReason.REACHED, 2, 2),
            (c.id, TraceReason.REACHED, 2, 2),
        ]
        for reply in replies:
            assert reply.destination == c.id
            assert before_ns - 1_000_000 <= reply.received_unix_ns <= reply.sent_unix_ns <= time.time_ns()
            assert reply.processing_s == pytest.approx(
                (reply.sent_unix_ns - reply.received_unix_ns) / 1e9, abs=1e-6
            )
        with pytest.raises(ValueError, match="ttl of 0"):
            a.overlay.tests.trace(c.identity.peer_id, ttl=0, identity=os.urandom(16))
        with pytest.raises(PeerUnreachableError):
            a.overlay.tests.trace(NOBODY, ttl=1, identity=os.urandom(16))
        assert {node.name: dict(node.overlay.tests.drop_counts()) for node in nodes} == {
            "a": {},
            "b": {},
            "c": {},
        }


async def test_what_is_no_test_message_is_dropped_counted_and_ends_no_link() -> None:
    a, b = nodes = named("ab")
    got = messages_of(b)
    signer = Signer(a.identity.private_key, NETWORK)
    key = b.identity.public_key

    def envelope(kind: RoutedKind) -> bytes:
        return sign_routed(signer, key, b"", kind=kind, identity=os.urandom(16), ttl=3)

    async with running(*nodes):
        await linked((a, b))
        raw(a, b, b"")
        raw(a, b, b"\x02later")
        raw(a, b, b"\x00" + bytes(MAX_BODY_BYTES + 1))
        raw(a, b, b"\x01" + envelope(RoutedKind.MESSAGE))
        raw(a, b, envelope(RoutedKind.TEST), FrameType.ROUTED)
        raw(a, b, envelope(RoutedKind.TRACE_REPLY), FrameType.ROUTED)
        raw(a, b, b"\x01" + envelope(RoutedKind.TRACE_REPLY))
        forged = bytearray(envelope(RoutedKind.TEST))
        forged[90] ^= 1
        raw(a, b, b"\x01" + forged)
        a.overlay.tests.send(b.identity.peer_id, b"well")
        expected = {"test_subtype": 3, "routed_kind": 1, "routed_unasked": 1, "routed_signature": 1}
        await until(lambda: b.overlay.tests.drop_counts() == expected)
        await until(lambda: b.collector.totals().dropped_by_cause == {"routed_kind": 2})
        await until(lambda: [message.body for message in got] == [b"well"])
        assert b.id in a.neighbours


async def test_a_malformed_envelope_ends_the_link() -> None:
    a, b = nodes = named("ab")
    async with running(*nodes):
        await linked((a, b))
        raw(a, b, b"\x01short")
        await until(lambda: b.overlay.tests.drop_counts() == {"routed_malformed": 1})
        await until(lambda: not b.neighbours)


async def test_who_is_banned_takes_part_in_no_test_from_afar() -> None:
    a, b, c = nodes = named("abc")
    got = messages_of(c)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a))
        c.overlay.ban(a.id)
        a.overlay.tests.send(c.identity.peer_id, b"hello")
        await until(lambda: c.overlay.tests.drop_counts() == {"test_banned": 1})
        assert got == []
        assert c.overlay.tests.facts(a.identity.peer_id).is_banned
        assert c.overlay.tests.facts(a.identity.peer_id).state == "banned"


async def test_a_node_that_runs_no_tests_drops_their_messages() -> None:
    a, b = nodes = named("ab")
    async with running(*nodes):
        await linked((a, b))
        a.overlay.tests.send(b.identity.peer_id, b"hello")
        await until(lambda: b.overlay.tests.drop_counts() == {"test_unhandled": 1})


async def test_a_handler_may_drop_a_message_and_say_why() -> None:
    a, b = nodes = named("ab")
    b.overlay.tests.on_message = lambda _: "not_today"
    async with running(*nodes):
        await linked((a, b))
        a.overlay.tests.send(b.identity.peer_id, b"hello")
        await until(lambda: b.overlay.tests.drop_counts() == {"not_today": 1})


async def test_a_reply_that_nobody_asked_for_reaches_no_test() -> None:
    a, b, c = nodes = named("abc")
    replies: list[TraceReply] = []
    a.overlay.tests.on_trace = replies.append
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(c, a))
        signer = Signer(c.identity.private_key, NETWORK)
        for number in range(20):
            reply = sign_routed(
                signer,
                a.identity.public_key,
                bytes([1, 2]) + bytes(24),
                kind=RoutedKind.TRACE_REPLY,
                identity=number.to_bytes(16),
                ttl=5,
            )
            raw(c, b, encode_test(Subtype.ENVELOPE, reply)[5:])
        await until(lambda: a.overlay.tests.drop_counts() == {"routed_unasked": 20})
        assert replies == []


async def test_a_flood_of_test_messages_is_dropped_by_the_links_limit() -> None:
    a, b = Node("a"), Node("b", peer_messages_per_s=10)
    got = messages_of(b)
    async with running(a, b):
        await linked((a, b))
        for number in range(100):
            a.overlay.tests.send(b.identity.peer_id, bytes([number]))
        await until(lambda: len(got) + b.overlay.tests.drop_counts().get("rate_limit_messages", 0) == 100)
        assert len(got) < 50


async def test_a_flood_through_relays_is_not_even_verified() -> None:
    # It would have to take 11 s to be let in whole.
    a, b, c = nodes = roomy("abc")
    got = messages_of(c)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a))
        for number in range(1500):
            a.overlay.tests.send(c.identity.peer_id, number.to_bytes(2))
        await until(lambda: len(got) + c.overlay.tests.drop_counts().get("routed_test_rate", 0) == 1500, 60.0)
        assert 400 <= len(got) < 1500


async def test_what_was_agreed_comes_through_relays() -> None:
    a, b, c = nodes = roomy("abc")
    got = messages_of(c)
    async with running(*nodes):
        await linked(*line_of(nodes))
        await until(lambda: knows(a, b, c) and knows(c, a))
        with c.overlay.tests.expecting(a.identity.peer_id, 2000.0):
            for number in range(1500):
                a.overlay.tests.send(c.identity.peer_id, number.to_bytes(2))
            await until(lambda: len(got) == 1500, 60.0)
        assert c.overlay.tests.drop_counts() == {}


async def test_who_fails_on_a_reply_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    a, b = nodes = named("ab")

    def fail(reply: TraceReply) -> None:
        raise IndexError(reply.hops)

    a.overlay.tests.on_trace = fail
    async with running(*nodes):
        await linked((a, b))
        await until(lambda: knows(a, b))
        a.overlay.tests.trace(b.identity.peer_id, ttl=1, identity=os.urandom(16))
        await until(lambda: "was not understood" in caplog.text)
        assert a.neighbours == {b.id}
