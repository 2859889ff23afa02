from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import MAX_PAYLOAD_BYTES as MAX_FRAME_PAYLOAD_BYTES
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.signing import Verifier
from qudag_node.overlay.vertices import (
    MAX_PARENTS,
    MAX_PAYLOAD_BYTES,
    Tips,
    decode_vertex,
    is_signed_by_its_origin,
    sign_vertex,
    vertex_id,
)
from tests.qudag_node.overlay.keys import NETWORK, signer_of

parent_lists = st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PARENTS, unique=True)


def identity(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


@given(payload=st.binary(max_size=200), parents=parent_lists, time_ns=st.integers(0, 2**64 - 1))
def test_a_vertex_survives_the_wire_and_is_verified(
    payload: bytes, parents: list[bytes], time_ns: int
) -> None:
    vertex = sign_vertex(signer_of(1), payload, parents, origin_unix_ns=time_ns)
    decoded = decode_vertex(vertex.encoded)
    assert decoded == vertex
    assert (decoded.payload, list(decoded.parents), decoded.origin_unix_ns) == (payload, parents, time_ns)
    assert decoded.id == vertex_id(vertex.encoded)
    assert is_signed_by_its_origin(decoded, Verifier(NETWORK))


def test_no_byte_of_a_vertex_can_be_changed() -> None:
    encoded = sign_vertex(signer_of(1), b"payload", [identity(1), identity(2)], origin_unix_ns=7).encoded
    verifier = Verifier(NETWORK)
    for position in range(len(encoded)):
        changed = bytearray(encoded)
        changed[position] ^= 0x01
        try:
            vertex = decode_vertex(bytes(changed))
        except RemoteFault:
            continue
        assert not is_signed_by_its_origin(vertex, verifier)


def test_a_vertex_of_another_network_does_not_verify() -> None:
    vertex = sign_vertex(signer_of(1, "elsewhere"), b"", [], origin_unix_ns=0)
    assert not is_signed_by_its_origin(vertex, Verifier(NETWORK))


def test_the_largest_vertex_fits_a_frame() -> None:
    parents = [identity(n) for n in range(MAX_PARENTS)]
    vertex = sign_vertex(signer_of(1), bytes(MAX_PAYLOAD_BYTES), parents, origin_unix_ns=0)
    assert decode_vertex(vertex.encoded) == vertex
    assert len(vertex.encoded) <= MAX_FRAME_PAYLOAD_BYTES


@given(garbage=st.binary(max_size=600))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(RemoteFault):
        decode_vertex(b"\x02" + garbage)


@given(cut=st.integers(0, 200))
def test_a_truncated_vertex_is_refused(cut: int) -> None:
    encoded = sign_vertex(signer_of(1), b"payload", [identity(1)], origin_unix_ns=7).encoded
    with pytest.raises(RemoteFault) as caught:
        decode_vertex(encoded[: min(cut, len(encoded) - 1)])
    assert caught.value.cause == "vertex_malformed"


def test_another_version_is_refused_by_name() -> None:
    encoded = bytearray(sign_vertex(signer_of(1), b"", [], origin_unix_ns=0).encoded)
    encoded[0] = 2
    with pytest.raises(RemoteFault) as caught:
        decode_vertex(bytes(encoded))
    assert caught.value.cause == "vertex_version"


def test_nine_parents_are_refused_even_when_they_are_there() -> None:
    encoded = bytearray(sign_vertex(signer_of(1), b"", [], origin_unix_ns=0).encoded)
    encoded[1] = 9
    encoded[44:44] = b"".join(identity(n) for n in range(9))
    with pytest.raises(RemoteFault, match="9 parents"):
        decode_vertex(bytes(encoded))


def test_a_parent_named_twice_is_refused() -> None:
    encoded = bytearray(sign_vertex(signer_of(1), b"", [identity(1), identity(2)], origin_unix_ns=0).encoded)
    encoded[44:76] = encoded[76:108]
    with pytest.raises(RemoteFault, match="twice"):
        decode_vertex(bytes(encoded))


def test_our_own_mistakes_are_loud() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        sign_vertex(signer_of(1), bytes(MAX_PAYLOAD_BYTES + 1), [], origin_unix_ns=0)
    with pytest.raises(ValueError, match="parents"):
        sign_vertex(signer_of(1), b"", [identity(n) for n in range(9)], origin_unix_ns=0)
    with pytest.raises(ValueError, match="parents"):
        sign_vertex(signer_of(1), b"", [identity(1)] * 2, origin_unix_ns=0)


def test_a_vertex_tells_its_signature() -> None:
    vertex = sign_vertex(signer_of(1), b"x", [], origin_unix_ns=0)
    assert vertex.signature == vertex.encoded[-64:]
    assert replace(vertex, payload=b"y").signature == vertex.signature


def test_tips_are_what_nothing_stands_on() -> None:
    tips = Tips()
    tips.add(identity(1), [])
    tips.add(identity(2), [])
    assert tips.parents() == (identity(1), identity(2))
    tips.add(identity(3), [identity(1)])
    assert tips.parents() == (identity(2), identity(3))
    tips.add(identity(4), [identity(99)])
    assert tips.parents(8) == (identity(2), identity(3), identity(4))


def test_tips_are_bounded_and_the_oldest_go_first() -> None:
    tips = Tips(capacity=3)
    for number in range(10):
        tips.add(identity(number), [])
    assert len(tips) == 3
    assert tips.parents(8) == (identity(7), identity(8), identity(9))


def test_tips_refuse_impossible_demands() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Tips(capacity=0)
    with pytest.raises(ValueError, match="9 parents"):
        Tips().parents(9)
