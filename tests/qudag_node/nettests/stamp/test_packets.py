from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.stamp import STAMPSessionReflectorTestUnauthenticated as ScapyReply
from scapy.contrib.stamp import STAMPSessionSenderTestUnauthenticated as ScapyRequest

from qudag_node.nettests.stamp.authentication import digest, has_digest, write_digest
from qudag_node.nettests.stamp.error_estimate import ErrorEstimate, decode_error, encode_error
from qudag_node.nettests.stamp.packets import (
    AUTHENTICATED_BYTES,
    BASE_BYTES,
    Reply,
    Request,
    pack_reply,
    pack_request,
    parse_reply,
    parse_request,
)
from qudag_node.nettests.stamp.timestamps import TimeFormat, decode_time, encode_time

REQUEST = Request(0x01020304, 0x1112131415161718, 0x2122, 0x3132)
REPLY = Reply(
    0x01020304,
    0x1112131415161718,
    0x2122,
    0x3132,
    0x4142434445464748,
    0x51525354,
    0x6162636465666768,
    0x7172,
    0x81,
)
KEY = bytes(range(32))
NOW_NS = 1_790_000_000_123_456_789

# The figures of RFC 8762 and RFC 8972, octet by octet.
UNAUTHENTICATED_REQUEST = "01020304 1112131415161718 2122 3132" + "00" * 28
UNAUTHENTICATED_REPLY = (
    "01020304 1112131415161718 2122 3132 4142434445464748 51525354 6162636465666768 7172 0000 81 000000"
)
AUTHENTICATED_REQUEST = "01020304" + "00" * 12 + "1112131415161718 2122 3132" + "00" * 68 + "00" * 16
AUTHENTICATED_REPLY = (
    "01020304" + "00" * 12 + "1112131415161718 2122 3132 00000000 4142434445464748" + "00" * 8
    + "51525354" + "00" * 12 + "6162636465666768 7172" + "00" * 6 + "81" + "00" * 15 + "00" * 16
)  # fmt: skip


@pytest.mark.parametrize(
    ("request_hex", "reply_hex", "authenticated", "size"),
    [
        (UNAUTHENTICATED_REQUEST, UNAUTHENTICATED_REPLY, False, BASE_BYTES),
        (AUTHENTICATED_REQUEST, AUTHENTICATED_REPLY, True, AUTHENTICATED_BYTES),
    ],
    ids=["unauthenticated", "authenticated"],
)
def test_layouts_are_those_of_the_rfc(
    request_hex: str, reply_hex: str, authenticated: bool, size: int
) -> None:
    request, reply = bytes.fromhex(request_hex), bytes.fromhex(reply_hex)
    assert len(request) == len(reply) == size
    assert bytes(pack_request(REQUEST, authenticated=authenticated)) == request
    assert bytes(pack_reply(REPLY, authenticated=authenticated)) == reply
    assert parse_request(request, authenticated=authenticated) == REQUEST
    assert parse_reply(reply, authenticated=authenticated) == REPLY
    assert parse_request(request + b"more", authenticated=authenticated) == REQUEST
    assert parse_reply(reply + b"more", authenticated=authenticated) == REPLY


def test_scapy_reads_what_we_write() -> None:
    read: Any = ScapyRequest(bytes(pack_request(REQUEST, authenticated=False)))
    assert (read.seq, read.ssid) == (REQUEST.sequence, REQUEST.ssid)
    reply = REPLY._replace(error_estimate=0x8A10, sender_error_estimate=0x0A10)
    answer: Any = ScapyReply(bytes(pack_reply(reply, authenticated=False)))
    assert (answer.seq, answer.ssid, answer.seq_sender) == (reply.sequence, reply.ssid, reply.sender_sequence)
    assert answer.ttl_sender == reply.sender_ttl
    assert (answer.err_estimate.S, answer.err_estimate.scale, answer.err_estimate.multiplier) == (1, 10, 16)


def test_we_read_what_scapy_writes() -> None:
    built: Any = ScapyReply(seq=7, ssid=9, seq_sender=5, ttl_sender=63, ts=100.5, ts_rx=99.25)
    reply = parse_reply(bytes(built), authenticated=False)
    assert reply is not None
    assert (reply.sequence, reply.ssid, reply.sender_sequence, reply.sender_ttl) == (7, 9, 5, 63)
    request = parse_request(bytes(ScapyRequest(seq=3, ssid=4)), authenticated=False)
    assert request is not None
    assert (request.sequence, request.ssid) == (3, 4)


@pytest.mark.parametrize(
    ("length", "authenticated", "is_read"),
    [(13, False, False), (14, False, True), (43, False, True), (44, False, True), (111, True, False)],
)
def test_requests_as_short_as_twamps_are_read(length: int, authenticated: bool, is_read: bool) -> None:
    data = bytes.fromhex(UNAUTHENTICATED_REQUEST).ljust(112, b"\0")[:length]
    found = parse_request(data, authenticated=authenticated)
    assert (found is not None) == is_read
    if found is not None:
        assert found == REQUEST._replace(ssid=REQUEST.ssid if length >= 44 else 0)


@pytest.mark.parametrize(("length", "is_read"), [(40, False), (41, True), (43, True)])
def test_replies_as_short_as_twamps_are_read(length: int, is_read: bool) -> None:
    found = parse_reply(bytes.fromhex(UNAUTHENTICATED_REPLY)[:length], authenticated=False)
    assert found == (REPLY if is_read else None)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_read_or_refused_and_nothing_else(data: bytes, authenticated: bool) -> None:
    parse_request(data, authenticated=authenticated)
    parse_reply(data, authenticated=authenticated)


def test_the_hmac_is_that_of_openssl() -> None:
    packet = pack_request(REQUEST, authenticated=True)
    write_digest(packet, KEY)
    run = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-binary"],
        input=bytes(packet[:96]),
        capture_output=True,
        check=True,
    )
    assert bytes(packet[96:]) == run.stdout[:16]
    assert has_digest(bytes(packet), KEY)


def test_the_hmac_is_that_of_rfc_4231() -> None:
    key, data = b"\x0b" * 20, b"Hi There"
    assert digest(key, data).hex() == "b0344c61d8db38535ca8afceaf0bf12b"


@given(st.integers(0, 111), st.integers(1, 255))
def test_one_changed_octet_is_noticed(position: int, change: int) -> None:
    packet = pack_reply(REPLY, authenticated=True)
    write_digest(packet, KEY)
    packet[position] ^= change
    assert not has_digest(bytes(packet), KEY)


@pytest.mark.parametrize(
    ("unix_ns", "ntp", "ptp"),
    [
        (0, 0x83AA7E80_00000000, 0),
        (500_000_000, 0x83AA7E80_80000000, 500_000_000),
        (1_000_000_001, 0x83AA7E81_00000004, 1 << 32 | 1),
        # 2036-02-07 06:28:16 UTC: NTP's second era.
        (2_085_978_496_000_000_000, 0, 2_085_978_496 << 32),
        (2_085_978_495_999_999_999, 0xFFFFFFFF_FFFFFFFB, 2_085_978_495 << 32 | 999_999_999),
    ],
)
def test_times_are_written_as_the_formats_say(unix_ns: int, ntp: int, ptp: int) -> None:
    assert encode_time(unix_ns, TimeFormat.NTP) == ntp
    assert encode_time(unix_ns, TimeFormat.PTP) == ptp


@given(
    st.integers(0, 1 << 62),
    st.integers(-60 * 365 * 86400 * 10**9, 60 * 365 * 86400 * 10**9),
    st.sampled_from(TimeFormat),
)
def test_every_nanosecond_comes_back_in_its_era(unix_ns: int, away_ns: int, form: TimeFormat) -> None:
    assert decode_time(encode_time(unix_ns, form), form, unix_ns + away_ns) == unix_ns


@given(st.integers(0, (1 << 64) - 1), st.sampled_from(TimeFormat))
def test_any_64_bits_are_a_time(value: int, form: TimeFormat) -> None:
    era_ns = (1 << 32) * 10**9
    assert abs(decode_time(value, form, NOW_NS) - NOW_NS) <= era_ns // 2 + 4 * 10**9


@pytest.mark.parametrize(
    ("error_s", "field"), [(0.001, 15 << 8 | 132), (50e-6, 10 << 8 | 210), (0.0, 1), (2.0**-32, 1)]
)
def test_errors_are_written_as_small_as_they_can_be(error_s: float, field: int) -> None:
    estimate = ErrorEstimate(is_synchronised=False, error_s=error_s)
    assert encode_error(estimate) == field
    assert encode_error(estimate._replace(is_synchronised=True)) == 0x8000 | field
    assert encode_error(estimate._replace(time_format=TimeFormat.PTP)) == 0x4000 | field


@given(st.floats(0, 2.0**38), st.booleans(), st.sampled_from(TimeFormat))
def test_an_error_is_rounded_up_by_less_than_a_hundredth(
    error_s: float, synchronised: bool, form: TimeFormat
) -> None:
    found = decode_error(encode_error(ErrorEstimate(synchronised, error_s, form)))
    assert found is not None
    assert (found.is_synchronised, found.time_format) == (synchronised, form)
    assert error_s <= found.error_s <= error_s * (1 + 1 / 127) + 2.0**-32


def test_the_largest_error_there_is() -> None:
    assert encode_error(ErrorEstimate(True, float("inf"))) == 0xBFFF


@given(st.integers(0, 0xFFFF))
def test_an_error_estimate_with_a_multiplier_of_0_is_none(field: int) -> None:
    found = decode_error(field)
    assert (found is None) == (field & 0xFF == 0)
    if found is not None:
        assert decode_error(encode_error(found)) == found
