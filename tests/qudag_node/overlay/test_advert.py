from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.advert import (
    MAX_COST_US,
    MAX_LINKS,
    MAX_SEQUENCE,
    Advert,
    decode_advert,
    is_signed_by_its_origin,
    next_sequence,
    sign_advert,
)
from qudag_node.overlay.frames import MAX_PAYLOAD_BYTES, RemoteFault
from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of

links = st.dictionaries(st.binary(min_size=32, max_size=32), st.integers(1, MAX_COST_US), max_size=12)


def advert_of(**changes: Any) -> Advert:
    fields: dict[str, Any] = {"sequence": 7, "name": "peer1", "lifetime_s": 120}
    costs = changes.pop("costs", {signer_of(2).public_key: 20_000, signer_of(3).public_key: 30_000})
    return sign_advert(signer_of(1), costs, **(fields | changes))


@given(
    costs=links,
    sequence=st.integers(0, MAX_SEQUENCE - 1),
    name=st.from_regex(r"[A-Za-z0-9_.-]{0,63}", fullmatch=True),
    lifetime_s=st.integers(1, 65535),
    is_leaf=st.booleans(),
    is_leaving=st.booleans(),
)
def test_an_advert_survives_the_wire_and_is_verified(costs: dict[bytes, int], **fields: Any) -> None:
    advert = sign_advert(signer_of(1), costs, **fields)
    decoded = decode_advert(advert.encoded)
    assert decoded == advert
    assert decoded.cost_us_by_neighbour == costs
    assert is_signed_by_its_origin(decoded, Verifier(NETWORK))


def test_no_byte_of_an_advert_can_be_changed() -> None:
    encoded = advert_of().encoded
    verifier = Verifier(NETWORK)
    for position in range(len(encoded)):
        changed = bytearray(encoded)
        changed[position] ^= 0x01
        try:
            advert = decode_advert(bytes(changed))
        except RemoteFault:
            continue
        assert not is_signed_by_its_origin(advert, verifier)


@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused(garbage: bytes) -> None:
    for encoded in (garbage, b"\1\0\0" + garbage):
        try:
            advert = decode_advert(encoded)
        except RemoteFault:
            continue
        assert not is_signed_by_its_origin(advert, Verifier(NETWORK))


def test_the_largest_advert_fits_a_frame() -> None:
    costs = {number.to_bytes(32, "big"): 1 for number in range(MAX_LINKS)}
    advert = advert_of(costs=costs, name="n" * 63)
    assert decode_advert(advert.encoded) == advert
    assert len(advert.encoded) <= MAX_PAYLOAD_BYTES


def patched(position: int, replacement: bytes) -> bytes:
    encoded = bytearray(advert_of().encoded)
    encoded[position : position + len(replacement)] = replacement
    return bytes(encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        patched(1, b"\4"),
        patched(2, b"\0\1"),
        patched(4, b"\0\0"),
        patched(6, b"\xff" * 8),
        patched(46, b"\6"),
        patched(47, b"peer!"),
        patched(52, signer_of(1).public_key),
        patched(52, b"\xff" * 32),
        patched(84, bytes(4)),
        advert_of().encoded[:-1],
        advert_of().encoded + b"\0",
        b"\1",
    ],
    ids=[
        "flag",
        "count",
        "lifetime",
        "sequence",
        "name-length",
        "name",
        "self",
        "order",
        "cost",
        "short",
        "long",
        "tiny",
    ],
)
def test_a_malformed_advert_is_refused(encoded: bytes) -> None:
    with pytest.raises(RemoteFault) as caught:
        decode_advert(encoded)
    assert caught.value.cause == "advert_malformed"


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(RemoteFault) as caught:
        decode_advert(patched(0, b"\2"))
    assert caught.value.cause == "advert_version"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "with space"},
        {"name": "n" * 64},
        {"sequence": MAX_SEQUENCE},
        {"lifetime_s": 0},
        {"costs": {signer_of(1).public_key: 1}},
        {"costs": {signer_of(2).public_key: 0}},
        {"costs": {n.to_bytes(32, "big"): 1 for n in range(MAX_LINKS + 1)}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_our_own_mistakes_are_loud(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|links|cost|sequence"):
        advert_of(**changes)


@given(first=st.integers(0, 5), second=st.integers(0, 5), cost=st.integers(1, 3))
def test_of_two_adverts_one_is_newer_whatever_order_they_come_in(first: int, second: int, cost: int) -> None:
    one = advert_of(sequence=first)
    other = advert_of(sequence=second, costs={signer_of(2).public_key: cost})
    assert one.is_newer_than(other) != other.is_newer_than(one)
    assert first == second or one.is_newer_than(other) == (first > second)
    assert not one.is_newer_than(one)


def test_sequences_follow_the_clock_and_never_fall_behind() -> None:
    assert next_sequence(0, 1_700_000_000_000) == 1_700_000_000_000
    assert next_sequence(1_800_000_000_000, 1_700_000_000_000) == 1_800_000_000_001
    assert next_sequence(MAX_SEQUENCE - 1, 0) == MAX_SEQUENCE - 1


def test_a_renewal_says_the_same() -> None:
    assert advert_of(sequence=8).says_the_same_as(advert_of())
    assert not advert_of(is_leaf=True).says_the_same_as(advert_of())
    assert not advert_of(costs={}).says_the_same_as(advert_of())
