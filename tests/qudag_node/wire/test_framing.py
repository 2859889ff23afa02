"""Messages survive any chunking, and claims are refused before anything is allocated for them."""

import tracemalloc

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.wire import (
    CLIENT_LIMITS,
    HANDSHAKE_BYTES,
    SERVER_LIMITS,
    Decoder,
    Limits,
    Message,
    Notification,
    RemoteProtocolError,
    Request,
    Response,
    encode,
)
from qudag_node.wire.framing import encode_parts, pack

scalars: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)


def anything() -> st.SearchStrategy[object]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner, max_size=20),
        max_leaves=30,
    )


values = anything()
named = st.dictionaries(st.text(max_size=8), values, max_size=5)
params: st.SearchStrategy[list[dict[str, object]]] = st.just([]) | named.map(lambda one: [one])
ids = st.integers(0, 2**32 - 1)
messages: st.SearchStrategy[Message] = (
    st.builds(Request, ids, st.text(max_size=20), params)
    | st.builds(Response, ids, st.none(), values)
    | st.builds(Response, ids, named, st.none())
    | st.builds(Notification, st.text(max_size=20), params)
)


@given(sent=st.lists(messages, max_size=6), data=st.data())
def test_messages_survive_any_chunking(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    received: list[Message] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert sent == received
    assert decoder.pending_bytes == 0


@given(message=messages)
def test_the_bytes_are_standard_messagepack_rpc(message: Message) -> None:
    fields = msgpack.unpackb(encode(message))
    match message:
        case Request():
            assert fields == [0, message.id, message.method, message.params]
        case Response():
            assert fields == [1, message.id, message.error, message.result]
        case Notification():
            assert fields == [2, message.method, message.params]


@pytest.mark.parametrize("length", [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_every_width_of_a_length_is_understood(length: int) -> None:
    for content in ("x" * length, b"x" * length, [None] * length, {str(n): n for n in range(length)}):
        message = Response(7, None, content)
        assert Decoder().feed(encode(message)) == [message]


@given(anything(), st.integers(0, 2**32 - 1))
def test_a_result_packed_before_makes_the_same_bytes_and_is_not_copied(result: object, id_: int) -> None:
    packed = pack(result)
    parts = encode_parts(Response(id_, None, packed))
    assert parts[-1] is packed.data
    assert b"".join(parts) == encode(Response(id_, None, result))
    assert encode_parts(Response(id_, None, result)) == (encode(Response(id_, None, result)),)


def test_buffers_are_sent_as_binary_values_and_read_from_any_buffer() -> None:
    stream = encode(Response(1, None, {"bin": memoryview(b"abc")}))
    assert Decoder().feed(memoryview(stream)) == [Response(1, None, {"bin": b"abc"})]
    assert Decoder().feed(bytearray(stream)) == [Response(1, None, {"bin": b"abc"})]


CLAIMS = {
    "2 GB of binary": b"\xc6\x7f\xff\xff\xff",
    "2 GB of text": b"\xdb\x7f\xff\xff\xff",
    "2 billion elements": b"\xdd\x7f\xff\xff\xff",
    "2 billion entries": b"\xdf\x7f\xff\xff\xff",
    "4 GB extension": b"\xc9\xff\xff\xff\xff\x01",
    "a timestamp": b"\xd6\xff\0\0\0\0",
    "the byte that is never used": b"\xc1",
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
@pytest.mark.parametrize("limits", [SERVER_LIMITS, CLIENT_LIMITS], ids=["server", "client"])
def test_a_claim_is_refused_at_its_header(claim: bytes, limits: Limits) -> None:
    decoder = Decoder(limits)
    decoder.feed(b"\x94\x00\x01")
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match=r"allowed|stands for nothing"):
            decoder.feed(claim)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
    assert decoder.pending_bytes == 0


def test_a_broken_decoder_stays_broken() -> None:
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError):
        decoder.feed(b"GET / HTTP/1.1\r\n")
    for _ in range(3):
        with pytest.raises(RemoteProtocolError, match="0x47"):
            decoder.feed(encode(Request(1, "stats", [])))


TIGHT = Limits(message_bytes=80, string_bytes=40, binary_bytes=8, items=4, entries=2, depth=4)


@pytest.mark.parametrize(
    "result",
    ["x" * 41, b"x" * 9, [0] * 5, {"a": 1, "b": 2, "c": 3}, [[[[]]]], [["x" * 9] * 4, ["x" * 9] * 4]],
    ids=["text", "binary", "elements", "entries", "depth", "message"],
)
def test_each_limit_is_held(result: object) -> None:
    stream = encode(Response(1, None, result))
    with pytest.raises(RemoteProtocolError, match="allowed"):
        Decoder(TIGHT).feed(stream)
    with pytest.raises(RemoteProtocolError, match="allowed"):
        decoder = Decoder(TIGHT)
        for byte in stream:
            decoder.feed(bytes([byte]))


@pytest.mark.parametrize(
    "result", ["x" * 40, b"x" * 8, [0] * 4, {"a": 1, "b": 2}, [[[0]]], [["x" * 9] * 3, ["x" * 9] * 3]]
)
def test_each_limit_can_be_reached(result: object) -> None:
    message = Response(1, None, result)
    assert Decoder(TIGHT).feed(encode(message)) == [message]


def test_a_message_may_be_allowed_to_grow_between_two_messages() -> None:
    decoder = Decoder(SERVER_LIMITS)
    decoder.message_bytes = HANDSHAKE_BYTES
    large = Request(2, "submit", [{"payloads": [b"x" * 2000]}])
    seen: list[Message] = []
    for message in decoder.messages(encode(Request(1, "hello", [])) + encode(large)):
        decoder.message_bytes = SERVER_LIMITS.message_bytes
        seen.append(message)
    assert seen == [Request(1, "hello", []), large]
    decoder.message_bytes = HANDSHAKE_BYTES
    with pytest.raises(RemoteProtocolError, match="bytes in a message"):
        decoder.feed(encode(large))


@pytest.mark.parametrize(
    "fields",
    [
        [0, 1, "stats"],
        [0, 1, "stats", {}],
        [0, 1, "stats", [1]],
        [0, 1, "stats", [{}, {}]],
        [0, -1, "stats", []],
        [0, 2**32, "stats", []],
        [0, True, "stats", []],
        [False, 1, "stats", []],
        [0.0, 1, "stats", []],
        [0, 1, b"stats", []],
        [1, 1, "an error that is text", None],
        [1, 1, {"code": "internal"}, 5],
        [2, "events", None],
        [2, "events", [], []],
        [3, 1, 2],
    ],
    ids=repr,
)
def test_other_arrays_are_refused(fields: list[object]) -> None:
    with pytest.raises(RemoteProtocolError, match=r"neither|params"):
        Decoder().feed(msgpack.packb(fields) or b"")


def test_text_that_is_not_utf8_and_keys_that_are_not_text_are_refused() -> None:
    for body in (b"\xa1\xff", b"\x81\x01\x02", b"\x81\x90\x02"):
        with pytest.raises(RemoteProtocolError, match="not MessagePack"):
            Decoder().feed(b"\x94\x01\x01\xc0" + body)


@given(garbage=st.binary(max_size=300), cut=st.integers(1, 50))
def test_garbage_is_refused_or_awaited_and_never_kept_beyond_the_limit(garbage: bytes, cut: int) -> None:
    decoder = Decoder(TIGHT)
    try:
        for start in range(0, len(garbage), cut):
            decoder.feed(garbage[start : start + cut])
            assert decoder.pending_bytes <= TIGHT.message_bytes
    except RemoteProtocolError:
        assert decoder.pending_bytes == 0


@given(message=messages, data=st.data())
def test_damaged_messages_are_refused_or_understood_as_others(message: Message, data: st.DataObject) -> None:
    stream = bytearray(encode(message))
    stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        received = Decoder(SERVER_LIMITS).feed(stream)
    except RemoteProtocolError:
        return
    assert len(b"".join(map(encode, received))) <= len(stream) + 8 * len(stream)


def test_nested_headers_do_not_make_the_decoder_grow() -> None:
    decoder = Decoder(SERVER_LIMITS)
    decoder.message_bytes = HANDSHAKE_BYTES
    with pytest.raises(RemoteProtocolError, match="allowed"):
        decoder.feed(b"\x94\x00" + b"\xdc\x01\x00" * 300)
    decoder = Decoder(SERVER_LIMITS)
    with pytest.raises(RemoteProtocolError, match="inside each other"):
        decoder.feed(b"\x94\x00" + b"\x91" * 300)
