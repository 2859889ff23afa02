from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.routed import (
    MAX_BODY_BYTES,
    MAX_TTL,
    PLAIN_KINDS,
    TEST_KINDS,
    Deliver,
    Drop,
    DropCause,
    Forward,
    LostProbe,
    ProbeResult,
    RoutedKind,
    Router,
    decode_routed,
    sign_routed,
)
from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of
from tests.qudag_node.overlay.network import SimulatedNetwork

ME, YOU, OTHER = signer_of(1), signer_of(2), signer_of(3)
ID = bytes(range(16))


def router_of(
    number: int,
    next_hop: Callable[[bytes], bytes | None] = lambda destination: destination,
    *,
    relays: bool = True,
    max_relays: int = 16,
    max_pending: int = 8,
) -> Router:
    return Router(
        signer_of(number),
        Verifier(NETWORK),
        next_hop,
        relays=relays,
        max_relays=max_relays,
        max_pending=max_pending,
    )


def payload_of(decision: object) -> bytes:
    assert isinstance(decision, Forward)
    return decision.payload


@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(RoutedKind),
    identity=st.binary(min_size=16, max_size=16),
    ttl=st.integers(1, MAX_TTL),
)
def test_a_routed_message_survives_the_wire(body: bytes, kind: RoutedKind, identity: bytes, ttl: int) -> None:
    message = decode_routed(sign_routed(ME, YOU.public_key, body, kind=kind, identity=identity, ttl=ttl))
    assert (message.source, message.destination) == (ME.public_key, YOU.public_key)
    assert (message.body, message.kind, message.identity) == (body, kind, identity)
    assert (message.first_ttl, message.ttl, message.hops) == (ttl, ttl, 1)


@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused_or_not_believed(garbage: bytes) -> None:
    router = router_of(1)
    for encoded in (garbage, b"\1\1\x10" + bytes(48) + ME.public_key + garbage):
        try:
            decision = router.receive(encoded, YOU.public_key, 0.0)
        except RemoteFault as fault:
            assert fault.cause in {"routed_malformed", "routed_version"}
        else:
            assert isinstance(decision, Drop | Forward)


def malformed(position: int, replacement: bytes) -> bytes:
    encoded = bytearray(sign_routed(ME, YOU.public_key, b"", kind=RoutedKind.MESSAGE, identity=ID, ttl=5))
    encoded[position : position + len(replacement)] = replacement
    return bytes(encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        malformed(147, b"\0"),
        malformed(147, b"\6"),
        malformed(19, YOU.public_key),
        malformed(0, b"")[:147],
        malformed(0, b"") + bytes(MAX_BODY_BYTES + 1),
    ],
    ids=["ttl 0", "ttl above the first", "to its source", "short", "long"],
)
def test_a_malformed_message_is_the_senders_fault(encoded: bytes) -> None:
    with pytest.raises(RemoteFault) as caught:
        decode_routed(encoded)
    assert caught.value.cause == "routed_malformed"


@pytest.mark.parametrize("kind", [0, 4, 5, 6, 7, 255])
def test_a_kind_that_is_unknown_or_in_the_wrong_frame_is_dropped(kind: int) -> None:
    encoded = malformed(1, bytes((kind,)))
    assert router_of(2).receive(encoded, ME.public_key, 0.0) == Drop(DropCause.KIND)
    assert router_of(3).receive(encoded, ME.public_key, 0.0) == Drop(DropCause.KIND)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_what_is_no_test_does_not_travel_as_one(kind: RoutedKind) -> None:
    encoded = sign_routed(ME, YOU.public_key, b"", kind=kind, identity=ID, ttl=5)
    for number in (2, 3):
        decision = router_of(number).receive(encoded, ME.public_key, 0.0, kinds=TEST_KINDS)
        assert decision == Drop(DropCause.KIND)


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(RemoteFault) as caught:
        decode_routed(malformed(0, b"\2"))
    assert caught.value.cause == "routed_version"


def test_a_relay_lowers_the_ttl_and_nothing_else() -> None:
    payload = payload_of(router_of(1).message(YOU.public_key, b"hello", identity=ID))
    decision = router_of(3).receive(payload, ME.public_key, 0.0)
    assert decision == Forward(YOU.public_key, payload[:-1] + bytes([payload[-1] - 1]))
    delivered = router_of(2).receive(payload_of(decision), OTHER.public_key, 0.0)
    assert isinstance(delivered, Deliver)
    assert (delivered.message.body, delivered.message.source) == (b"hello", ME.public_key)
    assert delivered.message.hops == 2


@pytest.mark.parametrize(
    ("relay", "came_from", "max_relays", "cause"),
    [
        (router_of(3), ME, 0, DropCause.TTL),
        (router_of(3, lambda _: None), ME, 16, DropCause.NO_ROUTE),
        (router_of(3, lambda _: ME.public_key), ME, 16, DropCause.LOOP),
        (router_of(1), YOU, 16, DropCause.LOOP),
        (router_of(3, relays=False), ME, 16, DropCause.NOT_RELAYING),
    ],
    ids=["ttl", "no route", "back to the sender", "back at the source", "leaf"],
)
def test_what_a_relay_drops_it_drops_with_the_cause(
    relay: Router, came_from: object, max_relays: int, cause: DropCause
) -> None:
    payload = payload_of(router_of(1, max_relays=max_relays).message(YOU.public_key, b"", identity=ID))
    assert isinstance(came_from, type(ME))
    assert relay.receive(payload, came_from.public_key, 0.0) == Drop(cause)


def test_a_message_is_delivered_once() -> None:
    payload = payload_of(router_of(1).message(YOU.public_key, b"", identity=ID))
    receiver = router_of(2)
    assert isinstance(receiver.receive(payload, ME.public_key, 0.0), Deliver)
    assert receiver.receive(payload, ME.public_key, 0.0) == Drop(DropCause.DUPLICATE)


def test_nobody_can_speak_in_anothers_name_or_change_what_was_said() -> None:
    payload = payload_of(router_of(1).message(YOU.public_key, b"hello", identity=ID))
    receiver = router_of(2)
    for position in range(2, len(payload) - 1):
        changed = bytearray(payload)
        changed[position] ^= 0x80
        try:
            decision = receiver.receive(bytes(changed), OTHER.public_key, 0.0)
        except RemoteFault:
            continue
        assert isinstance(decision, Forward) or decision == Drop(DropCause.SIGNATURE)
    assert isinstance(receiver.receive(payload, OTHER.public_key, 0.0), Deliver)


def test_a_probe_is_answered_and_timed() -> None:
    asker, answerer = router_of(1), router_of(2)
    probe = payload_of(asker.probe(YOU.public_key, identity=ID, now_mono_s=10.0))
    reply = payload_of(answerer.receive(probe, ME.public_key, 10.1))
    assert asker.pending_count == 1
    result = asker.receive(reply, YOU.public_key, 10.25)
    assert result == ProbeResult(destination=YOU.public_key, rtt_s=0.25, hops=1, return_hops=1)
    assert asker.pending_count == 0
    assert asker.receive(reply, YOU.public_key, 10.3) == Drop(DropCause.UNASKED)


def test_a_reply_in_anothers_name_is_not_believed() -> None:
    asker = router_of(1)
    asker.probe(YOU.public_key, identity=ID, now_mono_s=0.0)
    by_other = sign_routed(OTHER, ME.public_key, b"\1", kind=RoutedKind.PROBE_REPLY, identity=ID, ttl=3)
    assert asker.receive(by_other, OTHER.public_key, 0.1) == Drop(DropCause.UNASKED)
    in_your_name = by_other[:19] + YOU.public_key + by_other[51:]
    assert asker.receive(in_your_name, OTHER.public_key, 0.1) == Drop(DropCause.SIGNATURE)
    guessed = sign_routed(YOU, ME.public_key, b"\1", kind=RoutedKind.PROBE_REPLY, identity=bytes(16), ttl=3)
    assert asker.receive(guessed, YOU.public_key, 0.1) == Drop(DropCause.UNASKED)
    assert asker.pending_count == 1


def test_an_unanswered_probe_is_lost_at_its_deadline() -> None:
    asker = router_of(1)
    asker.probe(YOU.public_key, identity=ID, now_mono_s=0.0, timeout_s=2.0)
    assert asker.expire(1.9) == []
    assert asker.expire(2.0) == [LostProbe(YOU.public_key, ID)]
    assert asker.expire(2.0) == []


def test_probes_are_answered_in_measure() -> None:
    asker, answerer = router_of(1, max_pending=1000), router_of(2)
    probes = [
        payload_of(asker.probe(YOU.public_key, identity=n.to_bytes(16, "big"), now_mono_s=5.0))
        for n in range(402)
    ]
    decisions = [answerer.receive(probe, ME.public_key, 5.0) for probe in probes[:401]]
    assert all(isinstance(decision, Forward) for decision in decisions[:400])
    assert decisions[400] == Drop(DropCause.PROBE_RATE)
    assert isinstance(answerer.receive(probes[401], ME.public_key, 5.1), Forward)


def test_pending_probes_are_bounded() -> None:
    asker = router_of(1, max_pending=1)
    asker.probe(YOU.public_key, identity=ID, now_mono_s=0.0)
    assert asker.probe(YOU.public_key, identity=bytes(16), now_mono_s=0.0) == Drop(DropCause.PENDING_FULL)


def test_without_a_route_nothing_is_sent_and_nothing_pends() -> None:
    lost = router_of(1, lambda _: None)
    assert lost.message(YOU.public_key, b"", identity=ID) == Drop(DropCause.NO_ROUTE)
    assert lost.probe(YOU.public_key, identity=ID, now_mono_s=0.0) == Drop(DropCause.NO_ROUTE)
    assert lost.pending_count == 0


def test_our_own_mistakes_are_loud() -> None:
    with pytest.raises(ValueError, match="oneself"):
        router_of(1).message(ME.public_key, b"", identity=ID)
    with pytest.raises(ValueError, match="body"):
        router_of(1).message(YOU.public_key, bytes(MAX_BODY_BYTES + 1), identity=ID)
    with pytest.raises(ValueError, match="relays"):
        router_of(1, max_relays=-1)


def test_a_message_reaches_a_node_three_hops_away() -> None:
    network = SimulatedNetwork("abcd")
    for a, b in ("ab", "bc", "cd"):
        network.up(a, b, 0.020)
    network.run(15.0)
    network.nodes["a"].tell("d", b"hello")
    network.nodes["a"].probe("d")
    network.run(1.0)
    assert network.nodes["d"].delivered == [b"hello"]
    [result] = network.nodes["a"].answered
    assert (result.hops, result.return_hops) == (3, 3)
    assert result.rtt_s == pytest.approx(0.060)
    assert {node.name: node.drops for node in network.nodes.values() if node.drops} == {}


def test_maps_that_differ_make_no_loops() -> None:
    network = SimulatedNetwork("abc")
    for a, b in ("ab", "bc", "ca"):
        network.up(a, b, 0.020)
    network.run(15.0)
    # Each believes that the next one knows the way; a message goes round once and ends at its source.
    ring = dict(zip("abc", "bca", strict=True))

    def router_in_the_ring(name: str) -> Router:
        return router_of(network.number_of(name), lambda _: network.key(ring[name]))

    routers = {name: router_in_the_ring(name) for name in ring}
    elsewhere = signer_of(99).public_key
    decision: object = routers["a"].message(elsewhere, b"", identity=ID)
    at, hops = "a", 0
    while isinstance(decision, Forward):
        came_from, at = at, ring[at]
        decision = routers[at].receive(decision.payload, network.key(came_from), 0.0)
        hops += 1
    assert (decision, at, hops) == (Drop(DropCause.LOOP), "a", 3)
