"""What two linked nodes say to each other: typed, length-prefixed frames. No I/O, no clock.

    0      1               5                        5 + length
    +------+---------------+------------------------+
    | type | length u32 BE | payload (length bytes) |
    +------+---------------+------------------------+

    PING     nonce u64 | sender's monotonic ns u64
    PONG     nonce u64 | sender's monotonic ns u64 (both echoed) | answerer's wall clock unix ns u64
             | messages received u64 | bytes received u64
    SEED     32 random bytes
    GOODBYE  reason u8 | text (UTF-8, at most 200 bytes)

HELLO is described in ``handshake``, DATA in ``vertices``, ADVERT in ``advert``, PEERS in ``discovery``,
ROUTED in ``routed``, TEST in ``testport``. Every integer is big-endian; "bytes" counts header and payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from qudag_node.errors import PeerProtocolError

__all__ = [
    "CONTROL_TYPES",
    "FRAME_NAMES",
    "HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "Goodbye",
    "GoodbyeReason",
    "Ping",
    "Pong",
    "RemoteFault",
    "decode_goodbye",
    "decode_ping",
    "decode_pong",
    "decode_seed",
    "encode_frame",
    "encode_goodbye",
    "encode_ping",
    "encode_pong",
    "encode_seed",
]


class RemoteFault(PeerProtocolError):  # noqa: N818  # whose fault it is says enough
    """The other end of a link sent what no correct node sends; close the link.

    Attributes:
        cause: A short name for counters, for instance ``frame_oversize``.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


class FrameType(IntEnum):
    """The first byte of a frame."""

    #: Who a node is, and the proof of it; the only frames before a link stands.
    HELLO = 0
    #: A question whose answer measures the link.
    PING = 1
    #: The answer, with what the answerer has received on this link.
    PONG = 2
    #: One vertex of the DAG, flooded.
    DATA = 3
    #: One node's signed list of its links, flooded.
    ADVERT = 4
    #: Addresses of nodes: asked for, or told.
    PEERS = 5
    #: A message to a node that may be several hops away.
    ROUTED = 6
    #: This side's half of the link's measurement keys.
    SEED = 7
    #: Why the link is about to be closed.
    GOODBYE = 8
    #: Traffic of a network test; counted apart.
    TEST = 9


Frame: TypeAlias = tuple[FrameType, bytes]

#: The message types of the metrics, in the order of their codes.
FRAME_NAMES: tuple[str, ...] = tuple(kind.name.lower() for kind in FrameType)
#: What keeps a link and the map alive; it is sent before anything else and limited apart.
CONTROL_TYPES = frozenset(FrameType) - {FrameType.DATA, FrameType.ROUTED, FrameType.TEST}

_HEADER = Struct("!BI")
_PING = Struct("!QQ")
_PONG = Struct("!QQQQQ")
_TYPE_BY_CODE = tuple(FrameType)
_SEED_BYTES = 32
_MAX_REASON_BYTES = 200

HEADER_BYTES = _HEADER.size
# A vertex has at most 17 KiB and an advert of 256 links at most 10 KiB; 64 KiB leaves headroom
# and bounds what one peer can make us hold.
MAX_PAYLOAD_BYTES = 64 * 1024


def encode_frame(kind: FrameType, payload: bytes) -> bytes:
    """Return the payload behind its header."""
    return _HEADER.pack(kind, len(payload)) + payload


class FrameDecoder:
    """Cuts a byte stream into frames; holds at most one unfinished frame between calls.

    ``feed`` returns every frame that is complete. Where the meaning of a frame decides whether the
    next one may be read at all (the handshake), ``push`` the bytes and ``pop`` one frame at a time.

    Attributes:
        max_payload_bytes: A longer frame is refused from its header alone; may be changed between calls.
    """

    __slots__ = ("_needed_bytes", "_pending", "max_payload_bytes")

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._pending = bytearray()
        self._needed_bytes = HEADER_BYTES

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished frame is held."""
        return len(self._pending)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes from the stream and return the frames they complete. Payloads are copies.

        Raises:
            RemoteFault: An unknown type or a length over the limit; the stream cannot be read further.
        """
        pending = self._pending
        if pending:
            # Joining only once a frame is complete keeps a peer that sends byte by byte cheap.
            pending += data
            if len(pending) < self._needed_bytes:
                return []
            chunk = bytes(pending)
            pending.clear()
        else:
            chunk = bytes(data)
        frames: list[Frame] = []
        unpack, limit = _HEADER.unpack_from, self.max_payload_bytes
        start, end = 0, len(chunk)
        needed = HEADER_BYTES
        while end - start >= HEADER_BYTES:
            code, length = unpack(chunk, start)
            if length > limit or code >= len(_TYPE_BY_CODE):
                raise _header_fault(code, length, limit)
            stop = start + HEADER_BYTES + length
            if stop > end:
                needed = HEADER_BYTES + length
                break
            frames.append((_TYPE_BY_CODE[code], chunk[start + HEADER_BYTES : stop]))
            start = stop
        if start < end:
            pending += chunk[start:] if start else chunk
        self._needed_bytes = needed
        return frames

    def push(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the stream without looking at them."""
        self._pending += data

    def pop(self) -> Frame | None:
        """Return the next complete frame, None when there is none.

        Raises:
            RemoteFault: An unknown type or a length over the limit.
        """
        pending = self._pending
        if len(pending) < HEADER_BYTES:
            return None
        code, length = _HEADER.unpack_from(pending)
        if length > self.max_payload_bytes or code >= len(_TYPE_BY_CODE):
            raise _header_fault(code, length, self.max_payload_bytes)
        stop = HEADER_BYTES + length
        self._needed_bytes = stop
        if len(pending) < stop:
            return None
        payload = bytes(pending[HEADER_BYTES:stop])
        del pending[:stop]
        self._needed_bytes = HEADER_BYTES
        return _TYPE_BY_CODE[code], payload


def _header_fault(code: int, length: int, limit: int) -> RemoteFault:
    if code >= len(_TYPE_BY_CODE):
        return RemoteFault("frame_type", f"no frame has type {code}")
    name = FRAME_NAMES[code]
    return RemoteFault("frame_oversize", f"a {name} frame claims {length} bytes, the limit is {limit}")


@dataclass(frozen=True, slots=True)
class Ping:
    """A question on one link. ``sender_mono_ns`` means something only to its sender."""

    nonce: int
    sender_mono_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The answer to a ``Ping``.

    Attributes:
        nonce: As asked.
        sender_mono_ns: As asked, so that the asker need not remember it.
        wall_unix_ns: The answerer's wall clock, for an estimate of the clocks' offset.
        received_messages: Frames the answerer has decoded since the link stands: this PING, but not HELLO.
        received_bytes: The bytes of those frames.
    """

    nonce: int
    sender_mono_ns: int
    wall_unix_ns: int
    received_messages: int
    received_bytes: int


class GoodbyeReason(IntEnum):
    """Why a link is closed by its other end."""

    #: None of the below; the text says more.
    OTHER = 0
    #: The node is stopping.
    STOPPING = 1
    #: Another link between the same two nodes was kept.
    DUPLICATE = 2
    #: The node has as many links as it wants.
    FULL = 3
    #: The peer, or its address, is banned.
    BANNED = 4
    #: The peer was removed by an operator.
    REMOVED = 5
    #: No answer within the dead-peer time.
    SILENT = 6
    #: The peer broke the protocol.
    PROTOCOL = 7
    #: The peer is in another network.
    NETWORK = 8
    #: No protocol version in common.
    VERSION = 9
    #: The peer is not who it should be, or could not prove it.
    IDENTITY = 10


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last frame of a link. ``text`` is the peer's and untrusted: clean it before it is shown."""

    reason: GoodbyeReason
    text: str = ""


def encode_ping(ping: Ping) -> bytes:
    """Return a whole PING frame."""
    return encode_frame(FrameType.PING, _PING.pack(ping.nonce, ping.sender_mono_ns))


def decode_ping(payload: bytes) -> Ping:
    """Read a PING's payload; raises RemoteFault when its length is wrong."""
    _require_length("ping", payload, _PING.size)
    return Ping(*_PING.unpack(payload))


def encode_pong(pong: Pong) -> bytes:
    """Return a whole PONG frame."""
    payload = _PONG.pack(
        pong.nonce, pong.sender_mono_ns, pong.wall_unix_ns, pong.received_messages, pong.received_bytes
    )
    return encode_frame(FrameType.PONG, payload)


def decode_pong(payload: bytes) -> Pong:
    """Read a PONG's payload; raises RemoteFault when its length is wrong."""
    _require_length("pong", payload, _PONG.size)
    nonce, sender_mono_ns, wall_unix_ns, received_messages, received_bytes = _PONG.unpack(payload)
    return Pong(
        nonce=nonce,
        sender_mono_ns=sender_mono_ns,
        wall_unix_ns=wall_unix_ns,
        received_messages=received_messages,
        received_bytes=received_bytes,
    )


def encode_seed(seed: bytes) -> bytes:
    """Return a whole SEED frame of 32 random bytes."""
    if len(seed) != _SEED_BYTES:
        raise ValueError(f"a seed has {_SEED_BYTES} bytes, not {len(seed)}")
    return encode_frame(FrameType.SEED, seed)


def decode_seed(payload: bytes) -> bytes:
    """Read a SEED's payload; raises RemoteFault when its length is wrong."""
    _require_length("seed", payload, _SEED_BYTES)
    return payload


def encode_goodbye(goodbye: Goodbye) -> bytes:
    """Return a whole GOODBYE frame; a longer text is cut at a character's end."""
    text = goodbye.text.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return encode_frame(FrameType.GOODBYE, bytes([goodbye.reason]) + text)


def decode_goodbye(payload: bytes) -> Goodbye:
    """Read a GOODBYE's payload; a reason this version does not know becomes OTHER."""
    if not 1 <= len(payload) <= 1 + _MAX_REASON_BYTES:
        raise RemoteFault("frame_malformed", f"a goodbye of {len(payload)} bytes")
    code = payload[0]
    reason = GoodbyeReason(code) if code < len(GoodbyeReason) else GoodbyeReason.OTHER
    return Goodbye(reason, payload[1:].decode(errors="replace"))


def _require_length(name: str, payload: bytes, length: int) -> None:
    if len(payload) != length:
        raise RemoteFault("frame_malformed", f"a {name} of {len(payload)} bytes, not {length}")
