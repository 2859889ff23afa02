"""What a reflector answers, without I/O: a request's octets in, the reply's out, and counts.

A reply is as long as its request, so nothing is amplified; only TWAMP-Light's requests of 14 to 43 octets get
the 44 of the base packet. The reflector is stateful: it numbers what it transmits in each session.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from qudag_node.nettests.stamp.authentication import has_digest, write_digest
from qudag_node.nettests.stamp.error_estimate import ErrorEstimate, encode_error
from qudag_node.nettests.stamp.packets import (
    AUTHENTICATED_BYTES,
    BASE_BYTES,
    Reply,
    Request,
    pack_reply,
    parse_reply,
    parse_request,
)
from qudag_node.nettests.stamp.timestamps import TimeFormat, encode_time
from qudag_node.nettests.stamp.tlvs import FollowUp, answer_extensions, are_intact

__all__ = ["Reflection", "Session", "SessionTable", "Token", "answer", "check", "is_reflectors_port"]

_HEAD_OF_SEEN_BITS = 1 << 24
_LAST_SYSTEM_PORT = 1023
#: Both formats of time have their seconds in the upper half.
_SECONDS_SHIFT = 32
#: No reflector takes longer to answer.
_MOST_LASTED_S = 60


class Token(NamedTuple):
    """Where a request came from."""

    host: str
    port: int


@dataclass(slots=True)
class Session:
    """One session, as its reflector knows it.

    Attributes:
        key: Of an authenticated one.
        transmitted: Replies sent, which is the next reply's number.
        received: Requests of sequence numbers that had not come before.
        duplicates: Those that had.
        reordered: Those that came after a later one.
        follow_up: The newest reply whose departure is known, by its number and time.
        last_mono_s: When it was last heard of.
    """

    key: bytes | None = None
    time_format: TimeFormat = TimeFormat.NTP
    transmitted: int = 0
    received: int = 0
    duplicates: int = 0
    reordered: int = 0
    follow_up: tuple[int, int] | None = None
    last_mono_s: float = 0.0
    _highest: int = -1
    _seen: bytearray = field(default_factory=bytearray)

    @property
    def base_bytes(self) -> int:
        """The length of its base packets."""
        return BASE_BYTES if self.key is None else AUTHENTICATED_BYTES

    def count(self, sequence: int) -> None:
        """Count a request. A bit for each number is kept, up to 16 million of them."""
        position, bit = sequence >> 3, 1 << (sequence & 7)
        if sequence < _HEAD_OF_SEEN_BITS:
            if position >= len(self._seen):
                self._seen.extend(bytes(position + 1 - len(self._seen)))
            if self._seen[position] & bit:
                self.duplicates += 1
                return
            self._seen[position] |= bit
        self.received += 1
        if sequence < self._highest:
            self.reordered += 1
        else:
            self._highest = sequence


class Reflection(NamedTuple):
    """A request that is to be answered."""

    data: bytes
    request: Request
    received_unix_ns: int
    ttl: int


def is_reflectors_port(port: int, own_port: int) -> bool:
    """Whether a request's source may be a reflector: this one's port, the one assigned, or any of a service.

    Answered, it might answer the answer, and so on for ever (CVE-2024-2169).
    """
    return port == own_port or port <= _LAST_SYSTEM_PORT


def check(data: bytes, key: bytes | None) -> Request | str:
    """Read a request; a text says why it is dropped silently: ``malformed``, ``unauthentic`` or ``replies``.

    A reply is no request, whoever sent it. It has the time of its request's arrival, by the same clock as its
    own, where requests have zeros (RFC 8762) or anything (TWAMP-Light's padding).
    """
    request = parse_request(data, authenticated=key is not None)
    if request is None:
        return "malformed"
    if key is not None and not (has_digest(data, key) and are_intact(data, AUTHENTICATED_BYTES, key)):
        return "unauthentic"
    if not request.error_estimate & 0xFF:
        return "malformed"
    reply = parse_reply(data, authenticated=key is not None)
    if reply is not None and reply.received:
        lasted_s = (reply.timestamp >> _SECONDS_SHIFT) - (reply.received >> _SECONDS_SHIFT)
        if abs(lasted_s) <= _MOST_LASTED_S:
            return "replies"
    return request


def answer(session: Session, reflection: Reflection, clock: ErrorEstimate, sending_unix_ns: int) -> bytes:
    """Return the reply, and count it as transmitted: take that back when it could not be sent.

    Args:
        session: Whose request it is; it has been counted.
        reflection: The request.
        clock: How wrong the two times may be.
        sending_unix_ns: The time now; the later this is called the better.
    """
    form = session.time_format
    reply = Reply(
        sequence=session.transmitted & 0xFFFF_FFFF,
        timestamp=encode_time(sending_unix_ns, form),
        error_estimate=encode_error(clock._replace(time_format=form)),
        ssid=reflection.request.ssid,
        received=encode_time(reflection.received_unix_ns, form),
        sender_sequence=reflection.request.sequence,
        sender_timestamp=reflection.request.timestamp,
        sender_error_estimate=reflection.request.error_estimate,
        sender_ttl=reflection.ttl & 0xFF,
    )
    base_bytes = session.base_bytes
    packet = pack_reply(reply, authenticated=session.key is not None)
    if len(reflection.data) > base_bytes:
        packet += reflection.data[base_bytes:]
        known = session.follow_up
        follow_up = FollowUp(0, 0) if known is None else FollowUp(known[0], encode_time(known[1], form))
        answer_extensions(packet, base_bytes, follow_up, session.key)
    if session.key is not None:
        write_digest(packet, session.key)
    session.transmitted += 1
    return bytes(packet)


class SessionTable:
    """The sessions of a reflector that answers everybody, by source address and session id (SSID).

    Args:
        limit: The one that has been silent for longest makes room for a new one.
        idle_s: One that has been silent for so long begins anew.
    """

    def __init__(self, *, limit: int = 4096, idle_s: float = 900.0) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._sessions: OrderedDict[tuple[Token, int], Session] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def find(self, source: Token, ssid: int, now_mono_s: float) -> Session:
        """Return the session of a request, which may be its first."""
        identity = (source, ssid)
        session = self._sessions.get(identity)
        if session is None or now_mono_s - session.last_mono_s > self._idle_s:
            self._sessions.pop(identity, None)
            while len(self._sessions) >= self._limit:
                self._sessions.popitem(last=False)
            session = self._sessions[identity] = Session()
        session.last_mono_s = now_mono_s
        self._sessions.move_to_end(identity)
        return session
