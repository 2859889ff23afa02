"""MessagePack-RPC messages, and a decoder that bounds everything before it is allocated.

    request       [0, id, method, params]     id: 0 to 2**32 - 1, chosen by the caller
    response      [1, id, error, result]      error: nil, or {code, message, hint}
    notification  [2, method, params]         params: [] or [{name: value, …}], named parameters

Messages follow each other with nothing between them. The decoder walks the MessagePack headers
itself and hands whole messages to msgpack: msgpack's own streaming looks at ``max_bin_len`` only
once the body has come, never bounds a whole message, and nests 1,024 deep
(docs/decisions/0003-headers-walked-before-msgpack.md).
"""

from __future__ import annotations

import msgpack

from qudag_node.wire._values import is_list, is_map, value
from qudag_node.wire.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = [
    "CLIENT_LIMITS",
    "HANDSHAKE_BYTES",
    "SERVER_LIMITS",
    "Decoder",
    "Limits",
    "Message",
    "Notification",
    "Packed",
    "Request",
    "Response",
    "encode",
    "encode_parts",
    "pack",
]


@value
class Request:
    """A call. ``params`` is empty or holds one map of named parameters."""

    id: int
    method: str
    params: Sequence[Mapping[str, object]]


@value
class Response:
    """The answer to the request with the same id; ``error`` is None when it succeeded."""

    id: int
    error: Mapping[str, object] | None
    result: object


@value
class Notification:
    """Something told without being asked for, on a subscribed stream."""

    method: str
    params: Sequence[Mapping[str, object]]


Message = Request | Response | Notification


@value
class Limits:
    """What one message may claim. Each is checked when its header is read, before anything is kept.

    Attributes:
        message_bytes: Size of a whole message.
        string_bytes: UTF-8 bytes of one text; 31 are always allowed.
        binary_bytes: Bytes of one binary value.
        items: Elements of one array.
        entries: Entries of one map.
        depth: Arrays and maps inside each other, the message's own array included.
    """

    message_bytes: int
    string_bytes: int
    binary_bytes: int
    items: int
    entries: int
    depth: int


# A batch of submitted payloads is the largest request: a dozen of 16 KiB or a few thousand small ones.
SERVER_LIMITS = Limits(
    message_bytes=256 << 10, string_bytes=16 << 10, binary_bytes=64 << 10, items=4096, entries=64, depth=8
)
# A full frame of 10,000 peers has about 4 MiB; a week of a hundred series about as much.
CLIENT_LIMITS = Limits(
    message_bytes=64 << 20,
    string_bytes=16 << 20,
    binary_bytes=16 << 20,
    items=1 << 20,
    entries=1 << 17,
    depth=16,
)
# `hello` and `authenticate` have under 300 bytes; who has proven nothing may claim no more than this.
HANDSHAKE_BYTES = 1024

_REQUEST, _RESPONSE, _NOTIFICATION = 0, 1, 2
_ID_LIMIT = 1 << 32
# The first byte of a message: an array of three or of four.
_OPENINGS = (0x93, 0x94)


def encode(message: Message) -> bytes:
    """Return the bytes of a message; ``bytes``, ``bytearray`` and ``memoryview`` become binary values."""
    match message:
        case Request():
            return _pack([_REQUEST, message.id, message.method, message.params])
        case Response():
            return _pack([_RESPONSE, message.id, message.error, message.result])
        case Notification():
            return _pack([_NOTIFICATION, message.method, message.params])


def encode_parts(response: Response) -> tuple[bytes, ...]:
    """Return the bytes of a response in parts, to be written in this order.

    A result that is ``Packed`` is a part of its own, so that many answers share its bytes uncopied.
    """
    if not isinstance(response.result, Packed):
        return (encode(response),)
    # An array of four, and its first three; error is nil where there is a result.
    head = b"\x94" + b"".join(map(_pack, (_RESPONSE, response.id, None)))
    return head, response.result.data


class Packed:
    """A result that is packed already: one whole MessagePack value."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def pack(value: object) -> Packed:
    """Pack a value that will be the result of many responses."""
    return Packed(_pack(value))


_pack: Callable[[object], bytes] = msgpack.Packer().pack


class Decoder:
    """Turns bytes, cut anywhere, into messages. After an error it refuses all further bytes."""

    def __init__(self, limits: Limits = CLIENT_LIMITS) -> None:
        self._limits = limits
        self.message_bytes = limits.message_bytes
        """Size that one message may have; lower than the limits' until the other side has proven itself."""
        self._buffer = bytearray()
        self._start = 0  # where the message being walked begins
        self._at = 0  # where its next header stands; behind the buffer's end while a body is awaited
        self._open: list[int] = []  # values still to come in each open array or map, outermost first
        self._broken = ""  # the text only: the error itself would hold its frames, and they this decoder

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished message that are being kept."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take bytes and return the messages they complete, in order.

        Raises:
            RemoteProtocolError: they are not MessagePack-RPC, or claim more than the limits allow.
                Messages completed by the same bytes before the fault are lost with it.
        """
        return list(self.messages(data))

    def messages(self, data: bytes | bytearray | memoryview) -> Iterator[Message]:
        """Yield what ``feed`` returns, one by one, so that ``message_bytes`` may change in between."""
        if self._broken:
            raise RemoteProtocolError(self._broken)
        self._buffer += data
        try:
            while self._walk():
                yield self._take()
        except RemoteProtocolError as error:
            self._broken = str(error)
            self._buffer.clear()
            raise
        del self._buffer[: self._start]
        self._at -= self._start
        self._start = 0

    def _walk(self) -> bool:
        """Follow the headers to the end of the message; False when more bytes are needed."""
        buffer, open_, start, at = self._buffer, self._open, self._start, self._at
        end, most = len(buffer), self.message_bytes
        if start == at < end and buffer[at] not in _OPENINGS:
            raise RemoteProtocolError(f"not MessagePack-RPC: a message cannot begin with 0x{buffer[at]:02x}")
        while open_ or at == start:
            if at >= end:
                break
            size, values = _SIZE_OF[buffer[at]], 0
            if not size:
                claim = self._claim(at, end)
                if claim is None:
                    break
                size, values = claim
            at += size
            if at + values > start + most:
                raise _too_much(at + values - start, most, "bytes in a message")
            if values:
                open_.append(values)
                continue
            while open_:
                open_[-1] -= 1
                if open_[-1]:
                    break
                open_.pop()
        self._at = at
        return at > start and not open_ and at <= end

    def _claim(self, at: int, end: int) -> tuple[int, int] | None:
        """Check what the header at an offset claims.

        Returns:
            The bytes to step over and the number of values inside; None while the header is incomplete.
        """
        head = self._buffer[at]
        kind, width = _KIND_OF[head]
        body = at + 1 + width
        if body > end:
            return None
        count = int.from_bytes(self._buffer[at + 1 : body], "big") if width else head & 0x0F
        limits = self._limits
        match kind:
            case "text":
                _allow(count, limits.string_bytes, "bytes of text")
                return 1 + width + count, 0
            case "binary":
                _allow(count, limits.binary_bytes, "bytes of binary")
                return 1 + width + count, 0
            case "array":
                _allow(count, limits.items, "elements in an array")
                values = count
            case "map":
                _allow(count, limits.entries, "entries in a map")
                values = 2 * count
            case _:
                raise RemoteProtocolError(f"0x{head:02x} stands for nothing this protocol uses")
        _allow(len(self._open) + 1, limits.depth, "values inside each other")
        return 1 + width, values

    def _take(self) -> Message:
        """Decode the message that has been walked and step behind it."""
        with memoryview(self._buffer) as view, view[self._start : self._at] as whole:
            try:
                fields = msgpack.unpackb(whole)
            except ValueError as error:  # the walk leaves text that is not UTF-8 and keys that are not text
                raise RemoteProtocolError(f"not MessagePack: {error}") from error
        self._start = self._at
        return _message(fields)


def _allow(claim: int, limit: int, what: str) -> None:
    if claim > limit:
        raise _too_much(claim, limit, what)


def _too_much(claim: int, limit: int, what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{claim} {what}, where {limit} are allowed")


def _message(fields: list[object]) -> Message:
    # type() and not isinstance: True is no id and no message type. The walk allows three fields or four.
    if len(fields) == 3:
        kind, method, params = fields
        if type(kind) is int and kind == _NOTIFICATION and type(method) is str:
            return Notification(method, _named(params))
    else:
        kind, id_, third, fourth = fields
        if type(kind) is int and type(id_) is int and 0 <= id_ < _ID_LIMIT:
            if kind == _REQUEST and type(third) is str:
                return Request(id_, third, _named(fourth))
            if kind == _RESPONSE and third is None:
                return Response(id_, None, fourth)
            if kind == _RESPONSE and is_map(third) and fourth is None:
                return Response(id_, third, None)
    raise RemoteProtocolError("neither a request, a response nor a notification")


def _named(params: object) -> list[dict[str, object]]:
    if is_list(params):
        if not params:
            return []
        named = params[0]
        if len(params) == 1 and is_map(named):
            return [named]
    raise RemoteProtocolError("params must be [] or [{name: value, …}]")


# MessagePack's first bytes. Either they say how large the value is: nil, booleans, integers, floats and
# texts of up to 31 bytes, which no limit is below …
_SIZES = {
    **dict.fromkeys([*range(0x80), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)], 1),
    **{0xA0 + length: 1 + length for length in range(32)},
    # float 32, float 64; unsigned and signed integers of 8, 16, 32 and 64 bits
    **dict(zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)),
}
# … or of what kind it is, and how many bytes of length or count follow.
_KINDS = {
    **dict.fromkeys(range(0x80, 0x90), ("map", 0)),
    **dict.fromkeys(range(0x90, 0xA0), ("array", 0)),
    **{0xC4: ("binary", 1), 0xC5: ("binary", 2), 0xC6: ("binary", 4)},  # noqa: PIE800 - a line per kind
    **{0xD9: ("text", 1), 0xDA: ("text", 2), 0xDB: ("text", 4)},  # noqa: PIE800
    **{0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4)},  # noqa: PIE800
}
_SIZE_OF = tuple(_SIZES.get(head, 0) for head in range(256))
_KIND_OF = tuple(_KINDS.get(head, ("extension", 0)) for head in range(256))
