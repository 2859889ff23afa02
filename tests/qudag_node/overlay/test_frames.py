from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import (
    FRAME_NAMES,
    HEADER_BYTES,
    Frame,
    FrameDecoder,
    FrameType,
    Goodbye,
    GoodbyeReason,
    Ping,
    Pong,
    RemoteFault,
    decode_goodbye,
    decode_ping,
    decode_pong,
    decode_seed,
    encode_frame,
    encode_goodbye,
    encode_ping,
    encode_pong,
    encode_seed,
)

frame_lists = st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=300)), max_size=12)
u64 = st.integers(0, 2**64 - 1)


def payload_of(frame: bytes, kind: FrameType) -> bytes:
    [(decoded_kind, payload)] = FrameDecoder().feed(frame)
    assert decoded_kind is kind
    return payload


@given(frames=frame_lists, cuts=st.lists(st.integers(0, 4000), max_size=20), as_view=st.booleans())
def test_frames_survive_any_chunking(frames: list[Frame], cuts: list[int], as_view: bool) -> None:
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = FrameDecoder()
    decoded: list[Frame] = []
    for start, stop in pairwise(bounds):
        chunk = stream[start:stop]
        decoded += decoder.feed(memoryview(chunk) if as_view else chunk)
    assert decoded == frames
    assert decoder.pending_bytes == 0


@given(frames=frame_lists, popped=st.integers(0, 12), rest=st.integers(0, 4000))
def test_popping_one_frame_at_a_time_gives_the_same_frames_as_feeding(
    frames: list[Frame], popped: int, rest: int
) -> None:
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    decoder = FrameDecoder()
    decoder.push(stream[:rest])
    decoded: list[Frame] = []
    while len(decoded) < popped and (frame := decoder.pop()) is not None:
        decoded.append(frame)
    decoded += decoder.feed(stream[rest:])
    assert decoded == frames


@given(garbage=st.binary(max_size=2000), cut=st.integers(1, 50))
def test_garbage_is_refused_or_kept_within_one_frame(garbage: bytes, cut: int) -> None:
    decoder = FrameDecoder(max_payload_bytes=100)
    try:
        for start in range(0, len(garbage), cut):
            decoder.feed(garbage[start : start + cut])
            assert decoder.pending_bytes <= HEADER_BYTES + 100
    except RemoteFault as fault:
        assert fault.cause in {"frame_type", "frame_oversize"}


@pytest.mark.parametrize("read_one", [False, True], ids=["feed", "push and pop"])
def test_an_oversize_length_is_refused_from_the_header_alone(read_one: bool) -> None:
    decoder = FrameDecoder()
    header = bytes([FrameType.DATA]) + (2 * 10**9).to_bytes(4, "big")
    with pytest.raises(RemoteFault, match="data frame claims 2000000000 bytes") as caught:
        if read_one:
            decoder.push(header)
            decoder.pop()
        else:
            decoder.feed(header)
    assert caught.value.cause == "frame_oversize"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(RemoteFault, match="no frame has type 10") as caught:
        FrameDecoder().feed(bytes([10, 0, 0, 0, 0]))
    assert caught.value.cause == "frame_type"


def test_the_largest_frame_is_accepted_and_one_byte_more_is_not() -> None:
    decoder = FrameDecoder(max_payload_bytes=8)
    assert decoder.feed(encode_frame(FrameType.TEST, bytes(8))) == [(FrameType.TEST, bytes(8))]
    with pytest.raises(RemoteFault):
        decoder.feed(encode_frame(FrameType.TEST, bytes(9)))


def test_a_peer_that_sends_byte_by_byte_makes_the_decoder_hold_one_frame() -> None:
    decoder = FrameDecoder()
    frame = encode_frame(FrameType.DATA, bytes(64 * 1024))
    tracemalloc.start()
    try:
        for _ in range(2):
            frames = [frame_ for byte in frame for frame_ in decoder.feed(bytes([byte]))]
            assert len(frames) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(frame)


def test_the_decoder_keeps_nothing_of_the_callers_buffer() -> None:
    buffer = bytearray(encode_frame(FrameType.DATA, b"first") + b"\x03")
    decoder = FrameDecoder()
    frames = decoder.feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert frames == [(FrameType.DATA, b"first")]
    assert decoder.feed(b"\0\0\0\0") == [(FrameType.DATA, b"")]


def test_names_stand_in_the_order_of_the_codes() -> None:
    assert " ".join(FRAME_NAMES) == "hello ping pong data advert peers routed seed goodbye test"
    assert [FRAME_NAMES[kind] for kind in FrameType] == [kind.name.lower() for kind in FrameType]


@given(ping=st.builds(Ping, u64, u64))
def test_a_ping_survives_the_wire(ping: Ping) -> None:
    assert decode_ping(payload_of(encode_ping(ping), FrameType.PING)) == ping


@given(
    pong=st.builds(
        Pong, nonce=u64, sender_mono_ns=u64, wall_unix_ns=u64, received_messages=u64, received_bytes=u64
    )
)
def test_a_pong_survives_the_wire(pong: Pong) -> None:
    assert decode_pong(payload_of(encode_pong(pong), FrameType.PONG)) == pong


@given(seed=st.binary(min_size=32, max_size=32))
def test_a_seed_survives_the_wire(seed: bytes) -> None:
    assert decode_seed(payload_of(encode_seed(seed), FrameType.SEED)) == seed


@given(reason=st.sampled_from(GoodbyeReason), text=st.text(max_size=50))
def test_a_goodbye_survives_the_wire(reason: GoodbyeReason, text: str) -> None:
    goodbye = Goodbye(reason, text)
    assert decode_goodbye(payload_of(encode_goodbye(goodbye), FrameType.GOODBYE)) == goodbye


def test_a_long_goodbye_is_cut_at_a_characters_end() -> None:
    [(_, payload)] = FrameDecoder().feed(encode_goodbye(Goodbye(GoodbyeReason.OTHER, "é" * 101 + "ü")))
    assert decode_goodbye(payload).text == "é" * 100


def test_a_goodbye_reason_of_a_later_version_is_other() -> None:
    assert decode_goodbye(b"\xffso long") == Goodbye(GoodbyeReason.OTHER, "so long")


def test_a_goodbye_text_that_is_not_utf_8_is_still_read() -> None:
    assert decode_goodbye(b"\x01\xff").text == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("length", [0, 15, 17, 1000])
def test_payloads_of_a_wrong_length_are_refused(length: int) -> None:
    for decode in (decode_ping, decode_pong, decode_seed):
        with pytest.raises(RemoteFault) as caught:
            decode(bytes(length))
        assert caught.value.cause == "frame_malformed"


@pytest.mark.parametrize("payload", [b"", bytes(202)], ids=["empty", "too long"])
def test_a_goodbye_of_a_wrong_length_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteFault):
        decode_goodbye(payload)


def test_our_own_seed_must_have_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        encode_seed(b"short")
