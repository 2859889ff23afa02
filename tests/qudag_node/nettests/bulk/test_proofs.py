from __future__ import annotations

import hashlib
import hmac

import pytest

from qudag_node.nettests.bulk.proofs import (
    HELLO_BYTES,
    answer,
    hello,
    packet_tag,
    read_answer,
    read_hello,
)

KEY = bytes(range(32))


def test_a_hello_is_a_head_and_its_hmac() -> None:
    head = b"qudagBW1" + b"\x00\x05" + b"\x00\x01" + bytes(4)
    proof = hmac.new(KEY, head + b"connects", hashlib.sha256).digest()[:16]
    assert hello(KEY, 5, 1) == head + proof
    assert len(hello(KEY, 5, 1)) == HELLO_BYTES


def test_who_knows_the_key_is_told_from_who_does_not() -> None:
    assert read_hello(KEY, hello(KEY, 5, 1), 1) == 5
    assert read_answer(KEY, answer(KEY, 5, 1), 5, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[:HELLO_BYTES],
        bytes(HELLO_BYTES),
        hello(bytes(32), 5, 1),
        hello(KEY, 5, 0),
        answer(KEY, 5, 1),
        hello(KEY, 5, 1)[:-1],
        hello(KEY, 5, 1) + b"x",
        hello(KEY, 5, 1)[:-1] + bytes([hello(KEY, 5, 1)[-1] ^ 1]),
        hello(KEY, 4, 1)[:16] + hello(KEY, 5, 1)[16:],
    ],
)
def test_a_stranger_opens_no_stream(data: bytes) -> None:
    assert read_hello(KEY, data, 1) is None


def test_an_answer_is_for_one_stream_and_one_purpose_and_no_hello() -> None:
    assert not read_answer(KEY, answer(KEY, 5, 1), 6, 1)
    assert not read_answer(KEY, answer(KEY, 5, 1), 5, 0)
    assert not read_answer(KEY, hello(KEY, 5, 1), 5, 1)


def test_tags_differ_between_streams_and_directions() -> None:
    assert len({packet_tag(KEY, stream, purpose) for stream in range(4) for purpose in range(2)}) == 8
