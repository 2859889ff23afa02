from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.stamp.authentication import has_digest, write_digest
from qudag_node.nettests.stamp.error_estimate import ErrorEstimate, decode_error
from qudag_node.nettests.stamp.packets import Request, pack_request, parse_reply
from qudag_node.nettests.stamp.reflector import (
    Reflection,
    Session,
    SessionTable,
    Token,
    answer,
    check,
    is_reflectors_port,
)
from qudag_node.nettests.stamp.timestamps import TimeFormat, decode_time, encode_time
from qudag_node.nettests.stamp.tlvs import are_intact, find_follow_up, make_extensions, sign_extensions

KEY = b"k" * 32
NOW_NS = 1_790_000_000_123_456_789
CLOCK = ErrorEstimate(is_synchronised=True, error_s=0.001)


def request(sequence: int, *, key: bytes | None, extra: int = 0, error: int = 0x0A10) -> bytes:
    fields = Request(sequence, encode_time(NOW_NS, TimeFormat.PTP), error, 0x1234)
    packet = pack_request(fields, authenticated=key is not None)
    if key is None:
        return bytes(packet + bytes(extra))
    if extra:
        packet += make_extensions(extra)
        sign_extensions(packet, 112, key)
    write_digest(packet, key)
    return bytes(packet)


def reflect(session: Session, data: bytes, *, ttl: int = 63) -> bytes:
    found = check(data, session.key)
    assert isinstance(found, Request)
    session.count(found.sequence)
    return answer(session, Reflection(data, found, NOW_NS + 5, ttl), CLOCK, NOW_NS + 9)


@pytest.mark.parametrize("form", TimeFormat)
@pytest.mark.parametrize("key", [None, KEY], ids=["unauthenticated", "authenticated"])
def test_a_reply_carries_four_fields_of_the_request_and_two_times(
    key: bytes | None, form: TimeFormat
) -> None:
    session = Session(key=key, time_format=form)
    first = reflect(session, request(40, key=key))
    reply = parse_reply(reflect(session, request(42, key=key)), authenticated=key is not None)
    assert reply is not None
    assert (reply.sequence, reply.sender_sequence, reply.ssid, reply.sender_ttl) == (1, 42, 0x1234, 63)
    assert reply.sender_timestamp == encode_time(NOW_NS, TimeFormat.PTP)
    assert reply.sender_error_estimate == 0x0A10
    assert decode_time(reply.received, form, NOW_NS) == NOW_NS + 5
    assert decode_time(reply.timestamp, form, NOW_NS) == NOW_NS + 9
    clock = decode_error(reply.error_estimate)
    assert clock is not None
    assert (clock.is_synchronised, clock.time_format) == (True, form)
    assert parse_reply(first, authenticated=key is not None) is not None
    assert session.transmitted == 2
    if key is not None:
        assert has_digest(first, key)


@given(st.integers(14, 400))
def test_no_reply_is_longer_than_its_request_beyond_the_base_packet(length: int) -> None:
    data = request(1, key=None, extra=400)[:length]
    assert len(reflect(Session(), data)) == max(length, 44)


def test_what_follows_the_base_packet_comes_back() -> None:
    data = request(1, key=None)[:44] + b"what a TWAMP-Light peer pads with"
    assert reflect(Session(), data)[44:] == data[44:]


@pytest.mark.parametrize("extra", [40, 100])
def test_extensions_are_answered_and_signed(extra: int) -> None:
    session = Session(key=KEY)
    session.follow_up = 6, NOW_NS - 1000
    data = request(3, key=KEY, extra=extra)
    reply = reflect(session, data)
    assert len(reply) == len(data)
    assert has_digest(reply, KEY)
    assert are_intact(reply, 112, KEY)
    follow_up = find_follow_up(reply, 112)
    assert follow_up is not None
    assert follow_up.sequence == 6
    assert decode_time(follow_up.timestamp, TimeFormat.NTP, NOW_NS) == NOW_NS - 1000


@pytest.mark.parametrize(
    ("data", "key", "why"),
    [
        (b"", None, "malformed"),
        (request(1, key=None)[:13], None, "malformed"),
        (request(1, key=None, error=0x0A00), None, "malformed"),
        (request(1, key=KEY)[:111], KEY, "malformed"),
        (request(1, key=KEY, error=0x0A00), KEY, "malformed"),
        (request(1, key=b"another" * 4), KEY, "unauthentic"),
        (request(1, key=KEY) + bytes(8), KEY, "unauthentic"),
        (request(1, key=KEY, extra=40)[:-1] + b"\xff", KEY, "unauthentic"),
        (request(1, key=None, extra=200), KEY, "unauthentic"),
    ],
    ids=["nothing", "short", "multiplier 0", "short auth", "multiplier 0 auth", "other key", "unsigned tail",
         "broken tail", "not authenticated"],
)  # fmt: skip
def test_what_is_not_answered_and_why(data: bytes, key: bytes | None, why: str) -> None:
    assert check(data, key) == why


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_answered_in_its_length_or_dropped(data: bytes, authenticated: bool) -> None:
    session = Session(key=KEY if authenticated else None)
    if isinstance(check(data, session.key), Request):
        assert not authenticated
        assert len(reflect(session, data)) == max(len(data), 44)


@pytest.mark.parametrize("form", TimeFormat)
@pytest.mark.parametrize("extra", [0, 40, 200])
@pytest.mark.parametrize("key", [None, KEY], ids=["unauthenticated", "authenticated"])
def test_a_reply_is_never_answered(key: bytes | None, extra: int, form: TimeFormat) -> None:
    """Two reflectors would else answer each other for ever; and a reply may have been thrown back."""
    reply = reflect(Session(key=key, time_format=form), request(1, key=key, extra=extra))
    assert check(reply, key) == "replies"
    if key is None and not extra:
        assert check(reply[:41], None) == "replies"  # as TWAMP-Light's end


@given(st.binary(min_size=30, max_size=30))
def test_padding_of_any_content_does_not_make_a_request_a_reply(padding: bytes) -> None:
    data = request(1, key=None)[:14] + padding
    if padding[2:6] != data[4:8]:  # the time at which it is sent
        assert isinstance(check(data, None), Request)


def test_ports_of_reflectors_and_services_are_not_answered() -> None:
    assert all(is_reflectors_port(port, 40_000) for port in (0, 7, 53, 862, 1023, 40_000))
    assert not any(is_reflectors_port(port, 40_000) for port in (1024, 39_999, 65_535))


def test_each_packet_is_counted_once_and_in_its_order() -> None:
    session = Session()
    for sequence in (0, 1, 3, 2, 2, 7, 0, 5):
        session.count(sequence)
    assert (session.received, session.duplicates, session.reordered) == (6, 2, 2)
    session.count(0xFFFF_FFFF)  # beyond what is remembered: counted, and no memory taken
    session.count((1 << 24) - 1)
    assert session.received == 8


def test_sessions_are_told_apart_by_source_and_ssid_and_their_number_is_bounded() -> None:
    table = SessionTable(limit=3, idle_s=900)
    one = table.find(Token("10.0.0.1", 5), 0, 0.0)
    assert table.find(Token("10.0.0.1", 5), 0, 1.0) is one
    assert table.find(Token("10.0.0.1", 5), 1, 2.0) is not one
    assert table.find(Token("10.0.0.1", 6), 0, 3.0) is not one
    assert len(table) == 3
    assert table.find(Token("10.0.0.1", 5), 0, 4.0) is one
    table.find(Token("10.0.0.2", 5), 0, 5.0)
    assert len(table) == 3
    assert table.find(Token("10.0.0.1", 5), 0, 6.0) is one  # the one that was silent longest had to go
    assert table.find(Token("10.0.0.1", 5), 0, 1000.0) is not one  # silent for too long, it begins anew
    assert len(table) == 3
