"""The messages of a stress test: their packet, and the part of the node that is tested.

    0            1          2          4              8              24
    +------------+----------+----------+--------------+--------------+- - - - -+
    | opcode u8  | flags u8 | step u16 | sequence u32 | session, 16  | padding |   LOAD, 5
    +------------+----------+----------+--------------+--------------+- - - - -+
    |                the same as that of the message                 | received u32    LOAD_ACK, 6
    +----------------------------------------------------------------+- - - - - - - -

flags 1: acknowledge. received: messages of this step that have arrived so far. Every message is signed,
relayed and verified as any other that is routed through the overlay; a few are acknowledged at once, which
times them, and all of them are counted:

    stress.counts  {session, step}  ->  {received, bytes, reordered, span_s}

Load is taken only within a session that was granted, at most at the rate that was granted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from qudag_node.errors import DeclinedError, PeerUnreachableError
from qudag_node.nettests.consent import Grant
from qudag_node.nettests.control import Asker, Control, ControlDropCause
from qudag_node.nettests.messages import Opcode
from qudag_node.nettests.params import Params
from qudag_node.nettests.responder import SESSION_BYTES, Responder
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.testport import TestMessage, TestPort, Way
from qudag_node.peerid import PeerId

__all__ = [
    "COUNTS",
    "HEAD_BYTES",
    "MAX_STEPS",
    "Load",
    "LoadAck",
    "LoadDropCause",
    "LoadService",
    "StepCounts",
    "TakeAck",
    "decode_ack",
    "decode_load",
    "encode_ack",
    "encode_load",
]

COUNTS = "stress.counts"
#: Rates that one session may try.
MAX_STEPS = 256
_HEAD = struct.Struct("!BBHI16s")
_RECEIVED = struct.Struct("!I")
HEAD_BYTES = _HEAD.size
_ACKNOWLEDGE = 1
# What was sent late, and what waited in a queue, arrives faster than it was agreed on.
_MARGIN = 1.25
_BURST_S = 2.0
_LEAST_BURST = 64.0
_MAX_COUNT = 0xFFFF_FFFF


class LoadDropCause(StrEnum):
    """Why a message of a stress test was dropped; the text is the cause in ``TestPort.drop_counts``."""

    #: Of no session that is open.
    SESSION = "stress_session"
    #: More than was granted.
    RATE = "stress_rate"


class Load(NamedTuple):
    """One message."""

    session: bytes
    step: int
    sequence: int
    wants_ack: bool


class LoadAck(NamedTuple):
    """The acknowledgement of one."""

    session: bytes
    step: int
    sequence: int
    received: int


@dataclass(slots=True)
class StepCounts:
    """What has arrived of one step.

    Attributes:
        reordered: Messages that came after one that was sent later.
        span_s: From the first to the last.
    """

    received: int = 0
    bytes: int = 0
    reordered: int = 0
    span_s: float = 0.0


TakeAck = Callable[[LoadAck, TestMessage], None]


def encode_load(load: Load, size_bytes: int) -> bytes:
    """Return a body of ``size_bytes``, or of as many as it takes."""
    flags = _ACKNOWLEDGE if load.wants_ack else 0
    head = _HEAD.pack(Opcode.LOAD, flags, load.step, load.sequence, load.session)
    return head.ljust(size_bytes, b"\0")


def decode_load(body: bytes) -> Load | None:
    """Read the body of a message; None when it is none."""
    if len(body) < _HEAD.size:
        return None
    _, flags, step, sequence, session = _HEAD.unpack_from(body)
    return Load(session, step, sequence, bool(flags & _ACKNOWLEDGE))


def encode_ack(ack: LoadAck) -> bytes:
    """Return the body of an acknowledgement."""
    head = _HEAD.pack(Opcode.LOAD_ACK, 0, ack.step, ack.sequence, ack.session)
    return head + _RECEIVED.pack(min(ack.received, _MAX_COUNT))


def decode_ack(body: bytes) -> LoadAck | None:
    """Read the body of an acknowledgement; None when it is none."""
    if len(body) < _HEAD.size + _RECEIVED.size:
        return None
    _, _, step, sequence, session = _HEAD.unpack_from(body)
    (received,) = _RECEIVED.unpack_from(body, _HEAD.size)
    return LoadAck(session, step, sequence, received)


@dataclass(slots=True)
class _Step:
    counts: StepCounts = field(default_factory=StepCounts)
    highest: int = -1
    first_mono_s: float = 0.0


@dataclass(slots=True)
class _Taking:
    """A session whose load is taken here."""

    messages: TokenBucket
    bytes: TokenBucket
    steps: dict[int, _Step] = field(default_factory=dict[int, _Step])
    unsent_acks: int = 0


class _LoadSession:
    """The responder's hold on a session."""

    def __init__(self, service: LoadService, key: tuple[PeerId, bytes], state: _Taking) -> None:
        self._service = service
        self._key = key
        self._state = state

    async def describe(self) -> dict[str, Any]:
        """Nothing more need be known."""
        return {}

    async def finish(self) -> dict[str, Any]:
        """Take no more; return what has arrived."""
        await self.abort()
        steps = self._state.steps.items()
        return {
            "steps": [[number, *asdict(step.counts).values()] for number, step in steps],
            "unsent_acks": self._state.unsent_acks,
        }

    async def abort(self) -> None:
        """Take no more."""
        self._service.close(self._key)


class LoadService:
    """Takes the load of peers, and hands the acknowledgements of our own to whom they are for.

    Args:
        port: The overlay.
        control: Where bodies and requests come from.
        responder: Where sessions are opened.
        clock: The node's.
    """

    def __init__(self, *, port: TestPort, control: Control, responder: Responder, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._taking: dict[tuple[PeerId, bytes], _Taking] = {}
        self._takers: dict[tuple[PeerId, bytes], TakeAck] = {}
        control.on_body(Opcode.LOAD, self._take_load)
        control.on_body(Opcode.LOAD_ACK, self._take_ack)
        control.serve(COUNTS, self._counts)
        responder.add_kind("stress", self._open)

    def begin(self, peer: PeerId, session: bytes, take: TakeAck) -> None:
        """Hand the acknowledgements of a session to ``take``."""
        self._takers[peer, session] = take

    def end(self, peer: PeerId, session: bytes) -> None:
        """The reverse of ``begin``."""
        del self._takers[peer, session]

    def close(self, key: tuple[PeerId, bytes]) -> None:
        """Take no more of a session."""
        self._taking.pop(key, None)

    async def _open(self, asker: Asker, params: dict[str, object], grant: Grant) -> _LoadSession:
        session, now_mono_s = Params(params).binary("session", SESSION_BYTES), self._clock.monotonic()
        messages_per_s = grant.packets_per_s * _MARGIN
        bytes_per_s = grant.rate_bits_per_s / 8 * _MARGIN
        state = _Taking(
            TokenBucket(messages_per_s, max(_LEAST_BURST, messages_per_s * _BURST_S), now_mono_s),
            TokenBucket(bytes_per_s, max(_LEAST_BURST * 16_384, bytes_per_s * _BURST_S), now_mono_s),
        )
        self._taking[asker.peer, session] = state
        return _LoadSession(self, (asker.peer, session), state)

    def _take_load(self, message: TestMessage) -> str | None:
        load = decode_load(message.body)
        if load is None:
            return ControlDropCause.MALFORMED
        state = self._taking.get((message.source, load.session))
        if state is None:
            return LoadDropCause.SESSION
        now_mono_s = self._clock.monotonic()
        if not (state.messages.take(1, now_mono_s) and state.bytes.take(len(message.body), now_mono_s)):
            return LoadDropCause.RATE
        step = state.steps.get(load.step)
        if step is None:
            if len(state.steps) >= MAX_STEPS:
                return LoadDropCause.RATE
            step = state.steps[load.step] = _Step(first_mono_s=message.received_mono_s)
        counts = step.counts
        counts.received += 1
        counts.bytes += len(message.body)
        counts.reordered += load.sequence < step.highest
        counts.span_s = message.received_mono_s - step.first_mono_s
        step.highest = max(step.highest, load.sequence)
        if load.wants_ack:
            self._acknowledge(message.source, state, load, counts.received)
        return None

    def _acknowledge(self, peer: PeerId, state: _Taking, load: Load, received: int) -> None:
        try:
            self._port.send(
                peer, encode_ack(LoadAck(load.session, load.step, load.sequence, received)), way=Way.OVERLAY
            )
        except PeerUnreachableError:
            state.unsent_acks += 1

    def _take_ack(self, message: TestMessage) -> str | None:
        ack = decode_ack(message.body)
        if ack is None:
            return ControlDropCause.MALFORMED
        take = self._takers.get((message.source, ack.session))
        if take is None:
            return ControlDropCause.UNASKED
        take(ack, message)
        return None

    async def _counts(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        read = Params(params)
        state = self._taking.get((asker.peer, read.binary("session", SESSION_BYTES)))
        if state is None:
            raise DeclinedError("no session of this name is open; it may have reached its deadline")
        step = state.steps.get(read.whole("step", most=0xFFFF))
        return asdict(StepCounts() if step is None else step.counts)
