from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.stamp.authentication import digest
from qudag_node.nettests.stamp.tlvs import (
    EXTENSION_BYTES,
    FollowUp,
    Tlv,
    TlvType,
    answer_extensions,
    are_intact,
    find_follow_up,
    make_extensions,
    sign_extensions,
    walk,
)

KEY = b"k" * 32
BASE = 112
FOLLOW_UP = FollowUp(0x01020304, 0x1112131415161718)


def request(size: int = EXTENSION_BYTES) -> bytearray:
    packet = bytearray(b"\0\0\0\x07" + bytes(BASE - 4)) + make_extensions(size)
    sign_extensions(packet, BASE, KEY)
    return packet


def test_the_extensions_of_a_request() -> None:
    packet = request()
    assert len(packet) == BASE + 40
    assert packet[BASE:].hex().startswith("80070010" + "00" * 16 + "80080010")
    covered = packet[:4] + packet[BASE : BASE + 20]
    assert packet[-16:] == hmac.new(KEY, covered, hashlib.sha256).digest()[:16]
    assert are_intact(packet, BASE, KEY)


@pytest.mark.parametrize(("size", "made"), [(0, 40), (40, 40), (41, 44), (43, 44), (44, 44), (100, 100)])
def test_padding_fills_a_request_to_its_size(size: int, made: int) -> None:
    packet = request(size)
    assert len(packet) == BASE + made
    kinds = [tlv.type for tlv in walk(packet, BASE)]
    assert kinds == ([1] if made > 40 else []) + [7, 8]
    assert are_intact(packet, BASE, KEY)


def test_a_reply_follows_up_and_is_as_long_as_the_request() -> None:
    packet = request(60)
    length = len(packet)
    answer_extensions(packet, BASE, FOLLOW_UP, KEY)
    assert len(packet) == length
    assert {tlv.flags for tlv in walk(packet, BASE)} == {0}
    assert find_follow_up(bytes(packet), BASE) == FOLLOW_UP
    assert packet[-40:-20].hex() == "00070010" + "01020304" + "1112131415161718" + "02000000"
    assert are_intact(packet, BASE, KEY)


def test_a_reflector_that_knows_nothing_yet_leaves_zeros() -> None:
    packet = request()
    answer_extensions(packet, BASE, FollowUp(0, 0), KEY)
    assert find_follow_up(bytes(packet), BASE) is None
    assert packet[BASE + 4 : BASE + 20] == bytes(16)


def test_an_unanswered_follow_up_tells_nothing() -> None:
    assert find_follow_up(bytes(request()), BASE) is None


def test_an_unknown_extension_comes_back_with_its_flag() -> None:
    packet = bytearray(BASE) + b"\x80\xc8\0\x02ab" + b"\x80\x07\0\x10" + bytes(16)
    answer_extensions(packet, BASE, FOLLOW_UP, None)
    assert packet[BASE : BASE + 6] == b"\x80\xc8\0\x02ab"
    assert find_follow_up(bytes(packet), BASE) == FOLLOW_UP


@pytest.mark.parametrize(
    ("extensions", "answered"),
    [
        (b"\x80\x01\0\x05abc", b"\xc0\x01\0\x05abc"),
        (b"\x80\x07\0\x04abcd\x80\x01\0\0", b"\xc0\x07\0\x04abcd\x80\x01\0\0"),
        (b"\0\x07\0\x10" + bytes(16), b"\0\x07\0\x10" + bytes(16)),  # as TWAMP's padding: no flag
        (b"\x80\x01", b"\x80\x01"),
        (bytes(30), bytes(30)),
    ],
    ids=["too long", "wrong length", "no flag", "no header", "zeros"],
)
def test_what_is_malformed_is_marked_and_padding_is_left(extensions: bytes, answered: bytes) -> None:
    packet = bytearray(BASE) + extensions
    answer_extensions(packet, BASE, FOLLOW_UP, None)
    assert packet[BASE:] == answered


@given(st.integers(0, 3) | st.integers(BASE, BASE + 59), st.integers(1, 255))
def test_one_changed_octet_of_the_extensions_is_noticed(position: int, change: int) -> None:
    packet = request(60)
    packet[position] ^= change
    # The flags of the HMAC itself are covered by nothing.
    assert are_intact(packet, BASE, KEY) == (position == BASE + 40)


def test_a_packet_may_have_no_extensions_but_not_unsigned_ones() -> None:
    assert are_intact(bytes(BASE), BASE, KEY)
    assert not are_intact(bytes(BASE + 8), BASE, KEY)
    assert not are_intact(bytes(BASE + 40), BASE, KEY)


def test_an_hmac_that_begins_within_the_base_packet_is_none() -> None:
    packet = bytearray(BASE + 8)
    packet[100:104] = b"\x80\x08\x00\x10"
    packet[104:] = digest(KEY, packet[:4])
    assert not are_intact(packet, BASE, KEY)


def test_without_a_key_an_hmac_is_an_extension_like_any_that_is_not_understood() -> None:
    packet = request()
    before = bytes(packet[-20:])
    answer_extensions(packet, BASE, FOLLOW_UP, None)
    assert packet[-20:] == before
    assert find_follow_up(bytes(packet), BASE) == FOLLOW_UP


@given(st.binary(max_size=120), st.booleans())
def test_garbage_keeps_its_length_and_its_base_packet(garbage: bytes, authenticated: bool) -> None:
    packet = bytearray(b"b" * BASE) + garbage
    answer_extensions(packet, BASE, FOLLOW_UP, KEY if authenticated else None)
    assert len(packet) == BASE + len(garbage)
    assert packet[:BASE] == b"b" * BASE
    find_follow_up(bytes(packet), BASE)


def test_walking_names_where_each_begins_and_ends() -> None:
    assert list(walk(bytes(4) + b"\x80\x01\0\x01a\x40\x02\0\0", 4)) == [
        Tlv(4, 9, 0x80, TlvType.EXTRA_PADDING),
        Tlv(9, 13, 0x40, 2),
    ]
