"""Echoes: the ping over a link or through relays. Their packet, and who sends them back.

    0            1              17             21                29               37
    +------------+--------------+--------------+-----------------+----------------+- - - - - -+
    | opcode u8  | session, 16  | sequence u32 | received u64 ns | replied u64 ns | padding   |
    +------------+--------------+--------------+-----------------+----------------+- - - - - -+

An echo (opcode 3) has zeros for both times; the reply (4) is as long and has them filled in, by the wall
clock of who replied. Echoes are answered only within a session, which the peer has granted, at the rate that
it has granted, and on the way on which they came.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from qudag_node.errors import DeclinedError, PeerUnreachableError
from qudag_node.nettests.consent import Grant
from qudag_node.nettests.control import Asker, Control, ControlDropCause
from qudag_node.nettests.messages import Opcode
from qudag_node.nettests.params import Params
from qudag_node.nettests.responder import SESSION_BYTES
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.testport import TestMessage, TestPort
from qudag_node.peerid import PeerId

__all__ = ["SMALLEST_ECHO_BYTES", "Echo", "EchoService", "TakeReply", "decode_echo", "encode_echo"]

_HEAD = struct.Struct("!B16sIQQ")
SMALLEST_ECHO_BYTES = _HEAD.size
_BURST_S = 1.0
_LEAST_BURST = 16.0
_LARGEST_BYTES = 16_384
_MAX_COUNT = 1_000_000
#: Echoes that caught up on the way arrive faster than they were sent.
_MARGIN = 1.1


class Echo(NamedTuple):
    """One echo, or the reply to it."""

    session: bytes
    sequence: int
    received_unix_ns: int = 0
    replied_unix_ns: int = 0


TakeReply = Callable[[Echo, TestMessage], bool]


def encode_echo(opcode: Opcode, echo: Echo, size: int) -> bytes:
    """Return a body of ``size`` bytes, or of as many as it takes."""
    return _HEAD.pack(opcode, *echo).ljust(size, b"\0")


def decode_echo(body: bytes) -> Echo | None:
    """Read a body; None when it is too short. Its opcode is the reader's to know."""
    return None if len(body) < _HEAD.size else Echo(*_HEAD.unpack_from(body)[1:])


@dataclass(slots=True)
class _Answering:
    """A session whose echoes are answered here."""

    packets: TokenBucket
    bytes: TokenBucket
    seen: bytearray
    received: int = 0
    limited: int = 0
    unsent: int = 0
    answered: int = 0


class _AnsweringSession:
    """The responder's hold on a session of echoes."""

    def __init__(self, service: EchoService, key: tuple[PeerId, bytes], state: _Answering) -> None:
        self._service = service
        self._key = key
        self._state = state

    async def describe(self) -> dict[str, Any]:
        return {}

    async def finish(self) -> dict[str, Any]:
        await self.abort()
        state = self._state
        return {"received": state.received, "dropped": state.limited, "unsent": state.unsent}

    async def abort(self) -> None:
        self._service.close(self._key)


class EchoService:
    """Answers the echoes of peers, and hands the replies to our own to whom they are for.

    Args:
        port: The overlay.
        control: Where bodies come from.
        clock: The node's.
    """

    def __init__(self, port: TestPort, control: Control, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._answering: dict[tuple[PeerId, bytes], _Answering] = {}
        self._takers: dict[tuple[PeerId, bytes], TakeReply] = {}
        control.on_body(Opcode.ECHO, self._take_echo)
        control.on_body(Opcode.ECHO_REPLY, self._take_reply)

    async def open(self, asker: Asker, params: dict[str, object], grant: Grant) -> _AnsweringSession:
        """Answer a peer's echoes: an ``Opener``."""
        read = Params(params)
        session, count = read.binary("session", SESSION_BYTES), read.whole("count", least=1, most=_MAX_COUNT)
        if not grant.packets_per_s:
            raise DeclinedError("parameter 'packets_per_s' must be over 0")
        now_mono_s, bytes_per_s = self._clock.monotonic(), grant.rate_bits_per_s / 8
        burst = max(_LEAST_BURST, grant.packets_per_s * _BURST_S)
        burst_bytes = max(_LEAST_BURST * _LARGEST_BYTES, bytes_per_s * _BURST_S)
        state = self._answering[asker.peer, session] = _Answering(
            packets=TokenBucket(grant.packets_per_s * _MARGIN, burst, now_mono_s),
            bytes=TokenBucket(bytes_per_s * _MARGIN, burst_bytes, now_mono_s),
            seen=bytearray(-(-count // 8)),
        )
        return _AnsweringSession(self, (asker.peer, session), state)

    def close(self, key: tuple[PeerId, bytes]) -> None:
        """Answer no more of a session's echoes."""
        self._answering.pop(key, None)

    def begin(self, peer: PeerId, session: bytes, take: TakeReply) -> None:
        """Hand the replies of a session to ``take``, which tells whether it waits for them."""
        self._takers[peer, session] = take

    def end(self, peer: PeerId, session: bytes) -> None:
        """The reverse of ``begin``."""
        del self._takers[peer, session]

    def _take_echo(self, message: TestMessage) -> str | None:
        echo = decode_echo(message.body)
        if echo is None:
            return ControlDropCause.MALFORMED
        state = self._answering.get((message.source, echo.session))
        if state is None:
            return ControlDropCause.UNASKED
        position, bit = echo.sequence >> 3, 1 << (echo.sequence & 7)
        if position >= len(state.seen):
            return ControlDropCause.MALFORMED
        now_mono_s = self._clock.monotonic()
        if not (state.packets.take(1, now_mono_s) and state.bytes.take(len(message.body), now_mono_s)):
            state.limited += 1
            return ControlDropCause.RATE
        if not state.seen[position] & bit:
            state.seen[position] |= bit
            state.received += 1
        reply = echo._replace(
            received_unix_ns=message.received_unix_ns, replied_unix_ns=self._clock.time_ns()
        )
        try:
            body = encode_echo(Opcode.ECHO_REPLY, reply, len(message.body))
            self._port.send(message.source, body, way=message.way)
        except PeerUnreachableError:
            state.unsent += 1
            return ControlDropCause.UNREACHABLE
        state.answered += 1
        return None

    def _take_reply(self, message: TestMessage) -> str | None:
        echo = decode_echo(message.body)
        if echo is None:
            return ControlDropCause.MALFORMED
        take = self._takers.get((message.source, echo.session))
        if take is None or not take(echo, message):
            return ControlDropCause.UNASKED
        return None
