"""Whatever a peer sends, the link's parsers give a frame, a decision or a RemoteFault, and do not grow."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qudag_node.overlay.discovery import Exchange, PeerBook, decode_peers
from qudag_node.overlay.flood import Flood
from qudag_node.overlay.frames import (
    HEADER_BYTES,
    FrameDecoder,
    FrameType,
    RemoteFault,
    decode_goodbye,
    decode_ping,
    decode_pong,
    decode_seed,
    encode_frame,
)
from qudag_node.overlay.hello import decode_client_hello, decode_server_hello
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig
from qudag_node.overlay.lsdb import DatabaseLimits
from qudag_node.overlay.routed import TEST_KINDS, Router
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Verifier
from qudag_node.overlay.testframes import subtype_of
from tests.qudag_node.overlay.keys import NETWORK, signer_of
from tests.qudag_node.overlay.test_link_protocol import EXAMPLES

SENDER = signer_of(2).public_key
NOW_NS = 1_700_000_000 * 10**9


class Target:
    """Everything of a node that parses what links bring."""

    def __init__(self) -> None:
        me, verifier = signer_of(9), Verifier(NETWORK)
        flood = Flood(me, verifier, SeenCache(100))
        link_state = LinkState(
            me,
            verifier,
            LinkStateConfig(limits=DatabaseLimits(origins=4)),
            sequence=0,
            rng=Random(1),
            now_mono_s=0.0,
        )
        router = Router(me, verifier, lambda _: SENDER)
        book, exchange = PeerBook(me.public_key, capacity=16), Exchange(30.0, 0.0)
        self.pending_bytes = 0

        def peers(payload: bytes) -> None:
            frame = decode_peers(payload)
            exchange.ask()
            if exchange.judge(frame, 0.0) is None:
                book.learn(frame.addresses, source=SENDER, source_host="8.8.8.8")

        self.handlers: dict[FrameType, list[Callable[[bytes], object]]] = {
            FrameType.HELLO: [decode_server_hello, decode_client_hello],
            FrameType.PING: [decode_ping],
            FrameType.PONG: [decode_pong],
            FrameType.DATA: [lambda payload: flood.receive(payload, now_unix_ns=NOW_NS, now_mono_s=0.0)],
            FrameType.ADVERT: [lambda payload: link_state.receive(payload, SENDER, 0.0)],
            FrameType.PEERS: [peers],
            FrameType.ROUTED: [lambda payload: router.receive(payload, SENDER, 0.0)],
            FrameType.SEED: [decode_seed],
            FrameType.GOODBYE: [decode_goodbye],
            FrameType.TEST: [
                subtype_of,
                lambda payload: router.receive(payload[1:], SENDER, 0.0, kinds=TEST_KINDS),
            ],
        }

    def feed(self, stream: bytes, cut: int) -> None:
        """One connection: ends with the stream or its first fault."""
        decoder = FrameDecoder(1024)
        for start in range(0, len(stream), cut):
            try:
                frames = decoder.feed(stream[start : start + cut])
            except RemoteFault:
                return
            self.pending_bytes = max(self.pending_bytes, decoder.pending_bytes)
            for kind, payload in frames:
                for handle in self.handlers[kind]:
                    try:
                        handle(payload)
                    except RemoteFault as fault:
                        assert fault.cause


@settings(max_examples=300)
@given(
    frames=st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=300)), max_size=8),
    garbage=st.binary(max_size=64),
    cut=st.integers(1, 500),
)
def test_well_framed_nonsense_and_garbage_do_no_harm(
    frames: list[tuple[FrameType, bytes]], garbage: bytes, cut: int
) -> None:
    target = Target()
    target.feed(b"".join(encode_frame(kind, payload) for kind, payload in frames) + garbage, cut)
    assert target.pending_bytes <= HEADER_BYTES + 1024


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_correct_frame_that_was_damaged_does_no_harm(name: str) -> None:
    rng, frame, target = Random(name), EXAMPLES[name], Target()
    for _ in range(150):
        damaged = bytearray(frame)
        for _ in range(rng.randrange(1, 4)):
            match rng.randrange(3):
                case 0:
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
                case 1:
                    del damaged[rng.randrange(1, len(damaged)) :]
                case _:
                    damaged += rng.randbytes(rng.randrange(40))
            if len(damaged) >= HEADER_BYTES and rng.random() < 0.8:
                # Mend the length, so that the damage reaches the payload's parser.
                damaged[1:HEADER_BYTES] = (len(damaged) - HEADER_BYTES).to_bytes(4, "big")
            if len(damaged) < 2:
                break
        target.feed(bytes(damaged), rng.randrange(1, 200))


def test_a_hostile_peer_makes_nothing_grow() -> None:
    rng, target = Random(1), Target()

    def attack(rounds: int) -> None:
        for _ in range(rounds):
            kind = rng.choice(list(FrameType))
            payload = bytes((1, rng.randrange(3))) + rng.randbytes(rng.randrange(400))
            target.feed(encode_frame(kind, payload) + rng.randbytes(8), 100)

    attack(500)
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        attack(3000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 64 * 1024
