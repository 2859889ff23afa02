"""Tracing the overlay's paths: what a TRACE asks, what its TRACE_REPLY tells, and which replies are believed.

A TRACE is a routed envelope whose first ttl is the number of links it may pass. Where it ends, the node there
verifies it and answers its source with a TRACE_REPLY of the same id and this body:

    0           1         2                     10                 18                 26
    +-----------+---------+---------------------+------------------+------------------+
    | reason u8 | hops u8 | received unix ns u64| sent unix ns u64 | processing ns u64|
    +-----------+---------+---------------------+------------------+------------------+

hops: links the trace had passed; received and sent: the answerer's wall clock; processing: its monotonic
clock's time from the one to the other. A reply is believed when it is signed, carries the id of a trace
that waits, and fits it. The id is known to the nodes on the way only. No I/O; time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

__all__ = ["TraceBody", "TraceReason", "TraceResult", "Traces", "decode_trace_body", "encode_trace_body"]

_BODY = Struct("!BBQQQ")
_MAX_U64 = (1 << 64) - 1
# A traceroute of 16 hops at 10 ms has 1,600 a second in flight on a path of one second.
_MAX_PENDING = 4096
_TIMEOUT_S = 30.0


class TraceReason(IntEnum):
    """Why a trace ended where it did."""

    #: It is at its destination.
    REACHED = 1
    #: It has passed as many links as it might.
    TTL = 2
    #: The destination cannot be reached from here.
    NO_ROUTE = 3
    #: The node there is a leaf.
    NOT_RELAYING = 4
    #: The best way leads back to where it came from.
    LOOP = 5


class TraceBody(NamedTuple):
    """The body of a TRACE_REPLY."""

    reason: TraceReason
    hops: int
    received_unix_ns: int
    sent_unix_ns: int
    processing_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceResult:
    """A trace of ours was answered.

    Attributes:
        identity: Which one.
        source: The key of who answered; ``destination`` that of the trace.
        return_hops: Links on the way back.
    """

    identity: bytes
    source: bytes
    destination: bytes
    body: TraceBody
    return_hops: int


def encode_trace_body(body: TraceBody) -> bytes:
    """Return the body as it is sent; times that a broken clock gives are cut to what fits."""
    times = (min(max(ns, 0), _MAX_U64) for ns in (*body[2:],))
    return _BODY.pack(body.reason, body.hops, *times)


def decode_trace_body(encoded: bytes) -> TraceBody | None:
    """Read the body of a TRACE_REPLY; None when it is none. A longer one is of a later version."""
    if len(encoded) < _BODY.size:
        return None
    reason, hops, received_unix_ns, sent_unix_ns, processing_ns = _BODY.unpack_from(encoded)
    if not 1 <= reason <= len(TraceReason) or hops < 1:
        return None
    return TraceBody(TraceReason(reason), hops, received_unix_ns, sent_unix_ns, processing_ns)


class _Pending(NamedTuple):
    destination: bytes
    ttl: int
    deadline_mono_s: float


class Traces:
    """The traces of ours that wait for an answer."""

    __slots__ = ("_max_pending", "_pending")

    def __init__(self, max_pending: int = _MAX_PENDING) -> None:
        self._max_pending = max_pending
        # In the order of their sending, and so of their deadlines.
        self._pending: dict[bytes, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def has_room(self, now_mono_s: float) -> bool:
        """Give up those whose time is over; return whether another may be sent."""
        while self._pending:
            identity = next(iter(self._pending))
            if self._pending[identity].deadline_mono_s > now_mono_s:
                break
            del self._pending[identity]
        return len(self._pending) < self._max_pending

    def sent(self, identity: bytes, destination: bytes, ttl: int, now_mono_s: float) -> None:
        """Note a trace that was sent."""
        self._pending[identity] = _Pending(destination, ttl, now_mono_s + _TIMEOUT_S)

    def body_that_fits(self, identity: bytes, source: bytes, encoded: bytes) -> TraceBody | None:
        """Return what a reply says when it may be one to a trace that waits; nothing is proved by that."""
        pending, body = self._pending.get(identity), decode_trace_body(encoded)
        if pending is None or body is None:
            return None
        is_there = source == pending.destination
        if is_there is not (body.reason is TraceReason.REACHED) or body.hops > pending.ttl:
            return None
        if body.reason is TraceReason.TTL and body.hops != pending.ttl:
            return None
        return body

    def finish(self, identity: bytes) -> bytes:
        """A reply was proved: its trace waits no more. Return its destination."""
        return self._pending.pop(identity).destination
