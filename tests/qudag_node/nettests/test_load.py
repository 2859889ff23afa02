"""The messages of a stress test, and what a node takes of them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import DeclinedError
from qudag_node.nettests.load import (
    HEAD_BYTES,
    Load,
    LoadAck,
    decode_ack,
    decode_load,
    encode_ack,
    encode_load,
)
from qudag_node.nettests.messages import Opcode
from qudag_node.overlay.testport import Way
from tests.qudag_node.nettests.test_stress import loading
from tests.qudag_node.overlay.links import until

SESSION = bytes(range(16))


@given(
    session=st.binary(min_size=16, max_size=16),
    step=st.integers(0, 0xFFFF),
    sequence=st.integers(0, 0xFFFF_FFFF),
    wants_ack=st.booleans(),
    size=st.integers(0, 2000),
)
def test_a_message_is_read_as_it_was_written(
    session: bytes, step: int, sequence: int, wants_ack: bool, size: int
) -> None:
    load = Load(session, step, sequence, wants_ack)
    body = encode_load(load, size)
    assert decode_load(body) == load
    assert (body[0], len(body)) == (Opcode.LOAD, max(size, HEAD_BYTES))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0))
def test_an_acknowledgement_is_read_as_it_was_written(
    session: bytes, step: int, sequence: int, received: int
) -> None:
    body = encode_ack(LoadAck(session, step, sequence, received))
    assert body[0] == Opcode.LOAD_ACK
    assert decode_ack(body) == LoadAck(session, step, sequence, min(received, 2**32 - 1))


def test_the_bytes_of_both_are_frozen() -> None:
    load = encode_load(Load(SESSION, 0x0102, 0x03040506, wants_ack=True), 26)
    assert load.hex() == "0501010203040506" + SESSION.hex() + "0000"
    ack = encode_ack(LoadAck(SESSION, 0x0102, 0x03040506, 0x0A0B0C0D))
    assert ack.hex() == "0600010203040506" + SESSION.hex() + "0a0b0c0d"


@given(st.binary(max_size=23))
def test_what_is_too_short_is_neither(body: bytes) -> None:
    assert (decode_load(body), decode_ack(body)) == (None, None)


async def test_load_of_no_session_is_dropped_and_counted() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        a.port.send(b.id, encode_load(Load(SESSION, 0, 0, wants_ack=True), 32), way=Way.OVERLAY)
        await until(lambda: b.drops.get("stress_session") == 1)
        a.port.send(b.id, bytes((Opcode.LOAD,)), way=Way.OVERLAY)
        a.port.send(b.id, bytes((Opcode.LOAD_ACK,)), way=Way.OVERLAY)
        await until(lambda: b.drops.get("test_malformed") == 2)
        b.port.send(a.id, encode_ack(LoadAck(SESSION, 0, 0, 1)), way=Way.OVERLAY)
        await until(lambda: a.drops.get("test_unasked") == 1)


async def test_no_more_is_taken_than_was_granted() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        session = os.urandom(16)
        asked: dict[str, object] = {"session": session}
        opening = {**asked, "kind": "stress", "duration_s": 30.0, "packets_per_s": 1.0}
        await a.control.ask(b.id, "session.open", {**opening, "rate_bits_per_s": 1e6})
        for number in range(100):
            a.port.send(b.id, encode_load(Load(session, 0, number, wants_ack=False), 32), way=Way.OVERLAY)
        await until(lambda: b.drops.get("stress_rate", 0) > 0)
        counts = await a.control.ask(b.id, "stress.counts", {**asked, "step": 0})
        unknown = await a.control.ask(b.id, "stress.counts", {**asked, "step": 7})
        with pytest.raises(DeclinedError, match="no session of this name"):
            await a.control.ask(b.id, "stress.counts", {"session": bytes(16), "step": 0})
        ended = await a.control.ask(b.id, "session.end", asked)
    assert 64 <= counts["received"] < 100
    assert counts["bytes"] == counts["received"] * 32
    assert unknown == {"received": 0, "bytes": 0, "reordered": 0, "span_s": 0.0}
    [step] = ended["steps"]
    assert step[0] == 0
    assert step[1] >= counts["received"]


async def test_a_session_says_how_much_it_will_send() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        opening: dict[str, object] = {"kind": "stress", "session": os.urandom(16), "duration_s": 30.0}
        with pytest.raises(DeclinedError, match="how many packets/s"):
            await a.control.ask(b.id, "session.open", opening)


async def test_what_comes_out_of_order_is_counted() -> None:
    async with loading("ab") as nodes:
        a, b = nodes.nodes
        session = os.urandom(16)
        opening: dict[str, object] = {"kind": "stress", "session": session, "duration_s": 30.0}
        await a.control.ask(b.id, "session.open", {**opening, "packets_per_s": 100.0})
        for number in (0, 2, 1, 3, 5, 4):
            a.port.send(b.id, encode_load(Load(session, 3, number, wants_ack=False), 32), way=Way.OVERLAY)
        asked: dict[str, object] = {"session": session, "step": 3}
        counts: dict[str, object] = {"received": 0}
        while counts["received"] != 6:
            counts = await a.control.ask(b.id, "stress.counts", asked)
        await a.control.ask(b.id, "session.abort", {"session": session})
    assert counts["reordered"] == 2
    span_s = counts["span_s"]
    assert isinstance(span_s, float)
    assert 0 <= span_s < 60
