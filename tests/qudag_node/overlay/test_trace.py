from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.routed import (
    TEST_KINDS,
    Decision,
    Drop,
    DropCause,
    Forward,
    RoutedKind,
    Router,
    TraceEnd,
    decode_routed,
    sign_routed,
)
from qudag_node.overlay.signing import Verifier
from qudag_node.overlay.trace import (
    TraceBody,
    TraceReason,
    TraceResult,
    Traces,
    decode_trace_body,
    encode_trace_body,
)
from tests.qudag_node.overlay.keys import NETWORK, signer_of

ME, YOU, RELAY, OTHER = (signer_of(number) for number in range(1, 5))
ID = bytes(range(16))


def router_of(
    number: int,
    next_hop: Callable[[bytes], bytes | None] = lambda destination: destination,
    *,
    relays: bool = True,
) -> Router:
    return Router(signer_of(number), Verifier(NETWORK), next_hop, relays=relays)


def take(router: Router, encoded: bytes, came_from: bytes = b"somebody", now_s: float = 0.0) -> Decision:
    return router.receive(encoded, came_from, now_s, kinds=TEST_KINDS)


def sent(router: Router, *, ttl: int, identity: bytes = ID, now_s: float = 0.0) -> bytes:
    decision = router.trace(YOU.public_key, ttl=ttl, identity=identity, now_mono_s=now_s)
    assert isinstance(decision, Forward)
    return decision.payload


def answered(router: Router, end: Decision) -> bytes:
    assert isinstance(end, TraceEnd)
    decision = router.answer(end, received_unix_ns=100, sent_unix_ns=300, processing_ns=200)
    assert isinstance(decision, Forward)
    return decision.payload


bodies = st.builds(
    TraceBody,
    st.sampled_from(TraceReason),
    st.integers(1, 255),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)


@given(body=bodies, more=st.binary(max_size=8))
def test_a_reply_survives_the_wire_and_may_have_grown(body: TraceBody, more: bytes) -> None:
    assert decode_trace_body(encode_trace_body(body) + more) == body


@given(garbage=st.binary(max_size=40))
def test_a_garbage_reply_says_nothing_or_something_valid(garbage: bytes) -> None:
    body = decode_trace_body(garbage)
    assert body is None or (body.hops >= 1 and body.reason in set(TraceReason))


def test_a_broken_clock_does_not_break_an_answer() -> None:
    body = TraceBody(TraceReason.TTL, 1, -5, 2**70, -1)
    assert decode_trace_body(encode_trace_body(body)) == TraceBody(TraceReason.TTL, 1, 0, 2**64 - 1, 0)


def test_the_node_where_the_ttl_ends_answers() -> None:
    me, relay = router_of(1), router_of(3)
    reply = answered(relay, take(relay, sent(me, ttl=1)))
    assert take(me, reply) == TraceResult(
        identity=ID,
        source=RELAY.public_key,
        destination=YOU.public_key,
        body=TraceBody(TraceReason.TTL, 1, 100, 300, 200),
        return_hops=1,
    )
    assert take(me, reply) == Drop(DropCause.UNASKED)


def test_the_destination_answers_whatever_ttl_is_left() -> None:
    me, relay, you = router_of(1), router_of(3), router_of(2)
    passed_on = take(relay, sent(me, ttl=9))
    assert isinstance(passed_on, Forward)
    result = take(me, answered(you, take(you, passed_on.payload)))
    assert isinstance(result, TraceResult)
    assert (result.source, result.body.reason, result.body.hops) == (
        YOU.public_key,
        TraceReason.REACHED,
        2,
    )


@pytest.mark.parametrize(
    ("relay", "came_from", "reason"),
    [
        (router_of(3, lambda _: None), OTHER, TraceReason.NO_ROUTE),
        (router_of(3, lambda _: OTHER.public_key), OTHER, TraceReason.LOOP),
        (router_of(3, relays=False), OTHER, TraceReason.NOT_RELAYING),
    ],
    ids=["no route", "loop", "leaf"],
)
def test_a_relay_that_cannot_pass_it_on_says_why(
    relay: Router, came_from: object, reason: TraceReason
) -> None:
    assert isinstance(came_from, type(ME))
    end = take(relay, sent(router_of(1), ttl=9), came_from.public_key)
    assert isinstance(end, TraceEnd)
    assert end.reason is reason


def test_our_own_trace_that_comes_back_is_not_answered() -> None:
    me = router_of(1)
    assert take(me, sent(me, ttl=5)) == Drop(DropCause.LOOP)


def test_a_trace_in_anothers_name_aims_no_answer_at_it() -> None:
    relay, payload = router_of(3), sent(router_of(1), ttl=1)
    victim = payload[:19] + OTHER.public_key + payload[51:]
    assert take(relay, victim) == Drop(DropCause.SIGNATURE)
    assert isinstance(take(relay, payload), TraceEnd)


def test_a_recorded_trace_is_answered_once() -> None:
    relay, payload = router_of(3), sent(router_of(1), ttl=1)
    assert isinstance(take(relay, payload), TraceEnd)
    assert take(relay, payload) == Drop(DropCause.DUPLICATE)


def test_answers_are_rationed_and_one_neighbour_has_a_part_of_them() -> None:
    relay, me = router_of(3), router_of(1)
    traces = [sent(me, ttl=1, identity=number.to_bytes(16)) for number in range(500)]
    decisions = [take(relay, trace, b"greedy") for trace in traces[:101]]
    assert all(isinstance(decision, TraceEnd) for decision in decisions[:100])
    assert decisions[100] == Drop(DropCause.TRACE_RATE)
    assert isinstance(take(relay, traces[101], b"modest"), TraceEnd)
    for number, trace in enumerate(traces[102:402]):
        take(relay, trace, b"greedy %d" % (number % 4))
    assert take(relay, traces[402], b"late") == Drop(DropCause.TRACE_RATE)
    assert isinstance(take(relay, traces[403], b"late", 1.0), TraceEnd)


def reply_of(
    body: bytes, *, signer: object = RELAY, identity: bytes = ID, kind: RoutedKind = RoutedKind.TRACE_REPLY
) -> bytes:
    assert isinstance(signer, type(ME))
    return sign_routed(signer, ME.public_key, body, kind=kind, identity=identity, ttl=5)


def body_of(reason: TraceReason, hops: int) -> bytes:
    return encode_trace_body(TraceBody(reason, hops, 1, 2, 1))


@pytest.mark.parametrize(
    "reply",
    [
        reply_of(body_of(TraceReason.TTL, 3), identity=bytes(16)),
        reply_of(body_of(TraceReason.TTL, 2)),
        reply_of(body_of(TraceReason.TTL, 3), signer=YOU),
        reply_of(body_of(TraceReason.REACHED, 2)),
        reply_of(body_of(TraceReason.NO_ROUTE, 4)),
        reply_of(body_of(TraceReason.NO_ROUTE, 0)),
        reply_of(b""),
        reply_of(b"\x09" + body_of(TraceReason.TTL, 3)[1:]),
    ],
    ids=[
        "guessed id",
        "other hops than asked",
        "the destination says it is not reached",
        "a relay says it is the destination",
        "more hops than allowed",
        "no hops",
        "empty",
        "unknown reason",
    ],
)
def test_a_reply_that_does_not_fit_is_not_believed(reply: bytes) -> None:
    me = router_of(1)
    sent(me, ttl=3)
    assert take(me, reply) == Drop(DropCause.UNASKED)
    assert isinstance(take(me, reply_of(body_of(TraceReason.TTL, 3))), TraceResult)


def test_an_unsigned_reply_is_not_believed_and_costs_the_true_one_nothing() -> None:
    me = router_of(1)
    sent(me, ttl=3)
    true = reply_of(body_of(TraceReason.TTL, 3))
    for position in (60, 90, len(true) - 10):
        forged = bytearray(true)
        forged[position] ^= 1
        if decode_routed(bytes(forged)).destination == ME.public_key:
            assert take(me, bytes(forged)) in (Drop(DropCause.SIGNATURE), Drop(DropCause.UNASKED))
    in_anothers_name = true[:19] + OTHER.public_key + true[51:]
    assert take(me, in_anothers_name) == Drop(DropCause.SIGNATURE)
    assert isinstance(take(me, true), TraceResult)


def test_traces_that_nobody_answers_are_given_up() -> None:
    traces = Traces(max_pending=2)
    assert traces.has_room(0.0)
    traces.sent(b"a", YOU.public_key, 1, 0.0)
    traces.sent(b"b", YOU.public_key, 1, 5.0)
    assert not traces.has_room(29.9)
    assert traces.has_room(30.0)
    assert len(traces) == 1
    assert traces.body_that_fits(b"a", RELAY.public_key, body_of(TraceReason.TTL, 1)) is None
    assert traces.body_that_fits(b"b", RELAY.public_key, body_of(TraceReason.TTL, 1)) is not None


def test_without_room_or_route_no_trace_is_sent() -> None:
    lost = router_of(1, lambda _: None)
    assert lost.trace(YOU.public_key, ttl=1, identity=ID, now_mono_s=0.0) == Drop(DropCause.NO_ROUTE)
    me = router_of(1)
    for number in range(4096):
        sent(me, ttl=1, identity=number.to_bytes(16))
    assert me.trace(YOU.public_key, ttl=1, identity=ID, now_mono_s=0.0) == Drop(DropCause.PENDING_FULL)
