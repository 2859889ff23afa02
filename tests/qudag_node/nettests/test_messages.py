from __future__ import annotations

from typing import cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.messages import (
    MalformedBodyError,
    Request,
    Response,
    Status,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)

ID = bytes(range(8))


def packed(value: object) -> bytes:
    return cast("bytes", msgpack.packb(value))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
maps = st.dictionaries(st.text(max_size=8), values, max_size=6)


@given(method=st.text(min_size=1, max_size=64), params=maps)
def test_a_request_survives_the_wire(method: str, params: dict[str, object]) -> None:
    assert decode_request(encode_request(Request(ID, method, params))) == Request(ID, method, params)


@given(result=maps)
def test_a_result_survives_the_wire(result: dict[str, object]) -> None:
    response = Response(ID, Status.OK, result, "")
    assert decode_response(encode_response(response)) == response


@pytest.mark.parametrize("status", set(Status) - {Status.OK})
def test_a_refusal_survives_the_wire_and_is_short(status: Status) -> None:
    response = decode_response(encode_response(Response(ID, status, {}, "no " * 1000)))
    assert (response.status, len(response.reason)) == (status, 300)


@given(garbage=st.binary(max_size=200))
def test_garbage_is_refused_or_is_what_it_says(garbage: bytes) -> None:
    for opcode, decode in ((b"\1", decode_request), (b"\2", decode_response)):
        try:
            decoded = decode(opcode + ID + garbage)
        except MalformedBodyError:
            continue
        assert decoded.identity == ID


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x91" * 5000,
        packed(["method"]),
        packed(["", {}]),
        packed(["m" * 65, {}]),
        packed([b"method", {}]),
        packed(["method", {1: 2}]),
        packed(["method", []]),
        packed(["method", {"a": [0] * 1025}]),
        packed(["method", {"a": "x" * 4097}]),
        packed(["method", {"a": msgpack.ExtType(1, b"x")}]),
        packed(["method", {}]) + b"\0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ],
    ids=[
        "empty",
        "deep",
        "no params",
        "no name",
        "long name",
        "binary name",
        "number as key",
        "list of params",
        "long list",
        "long text",
        "extension",
        "more behind it",
        "list of 4 G",
        "map of 4 G",
        "binary of 4 G",
    ],
)
def test_no_request_and_no_answer(content: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decode_request(b"\1" + ID + content)
    with pytest.raises(MalformedBodyError):
        decode_response(b"\2" + ID + content)


def test_a_status_of_a_later_version_counts_as_failed() -> None:
    body = b"\2" + ID + packed([77, "new"])
    assert decode_response(body) == Response(ID, Status.FAILED, {}, "new")
