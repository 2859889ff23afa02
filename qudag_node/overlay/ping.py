"""What the pings of one link tell: round-trip time, losses, clock offset, what the peer has received. Pure.

A ping is sent at its time whether or not the last one was answered, and counts from when it was due to be
sent, so a stall of the link shows in full. TCP loses no ping; one counts as lost when its answer
does not come in time, or the link ends first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from qudag_node.overlay.frames import Ping, Pong, RemoteFault

__all__ = ["ClockOffset", "Measurement", "PingTracker"]

# The offset comes from the quickest answer of the newest ones: a slow answer bounds it worse.
_OFFSET_SAMPLES = 16
# The gain of a new sample in the smoothed round-trip time (RFC 6298, section 2).
_GAIN = 1 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """How far the peer's wall clock is ahead of ours, true within ``± error_bound_s``."""

    offset_s: float
    error_bound_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one answer told.

    Attributes:
        rtt_s: From the ping's sending to its answer's decoding.
        confirmed_messages: Of all we sent on this link, what the peer had received.
        confirmed_bytes: Its bytes.
    """

    rtt_s: float
    confirmed_messages: int
    confirmed_bytes: int


class PingTracker:
    """The pings of one link. Times are nanoseconds, monotonic unless named otherwise.

    Attributes:
        clock_offset: The best present estimate, None before the first answer.
        last_rtt_s: The newest round-trip time, None before the first answer.
        srtt_s: The smoothed one.
    """

    __slots__ = (
        "_max_outstanding",
        "_next_nonce",
        "_offsets",
        "_sent_ns_by_nonce",
        "_timeout_ns",
        "clock_offset",
        "last_rtt_s",
        "srtt_s",
    )

    def __init__(self, *, timeout_s: float, first_nonce: int = 1, max_outstanding: int = 1024) -> None:
        self._timeout_ns = round(timeout_s * 1e9)
        self._next_nonce = first_nonce
        self._max_outstanding = max_outstanding
        self._sent_ns_by_nonce: dict[int, int] = {}
        self._offsets: deque[tuple[int, int]] = deque(maxlen=_OFFSET_SAMPLES)
        self.clock_offset: ClockOffset | None = None
        self.last_rtt_s: float | None = None
        self.srtt_s: float | None = None

    def ping(self, now_mono_ns: int) -> Ping | None:
        """Return the next ping to send; None while too many wait for an answer."""
        if len(self._sent_ns_by_nonce) >= self._max_outstanding:
            return None
        nonce = self._next_nonce
        self._next_nonce += 1
        self._sent_ns_by_nonce[nonce] = now_mono_ns
        return Ping(nonce, now_mono_ns)

    def pong(self, pong: Pong, now_mono_ns: int, now_unix_ns: int) -> Measurement | None:
        """Take an answer; None when its ping has been counted as lost.

        Raises:
            RemoteFault: ``pong_unasked``: no such ping was ever sent, or its time was changed.
        """
        sent_ns = self._sent_ns_by_nonce.pop(pong.nonce, None)
        if sent_ns is None:
            if not 0 < pong.nonce < self._next_nonce:
                raise RemoteFault("pong_unasked", f"an answer to ping {pong.nonce}, which was not sent")
            return None
        if sent_ns != pong.sender_mono_ns:
            raise RemoteFault("pong_unasked", "an answer with another time than its ping")
        rtt_ns = now_mono_ns - sent_ns
        # The answer was written somewhere between sending and receiving; the middle is wrong by half at most.
        self._offsets.append((rtt_ns, pong.wall_unix_ns - (now_unix_ns - rtt_ns // 2)))
        least_rtt_ns, offset_ns = min(self._offsets)
        # Read for every vertex of the neighbour, so it is computed here.
        self.clock_offset = ClockOffset(offset_s=offset_ns / 1e9, error_bound_s=least_rtt_ns / 2e9)
        self.last_rtt_s = rtt_ns / 1e9
        srtt_s = self.last_rtt_s if self.srtt_s is None else self.srtt_s
        self.srtt_s = srtt_s + _GAIN * (self.last_rtt_s - srtt_s)
        return Measurement(
            rtt_s=self.last_rtt_s,
            confirmed_messages=pong.received_messages,
            confirmed_bytes=pong.received_bytes,
        )

    def expire(self, now_mono_ns: int) -> int:
        """Forget the pings whose time is over; return how many were lost."""
        limit_ns = now_mono_ns - self._timeout_ns
        lost = [nonce for nonce, sent_ns in self._sent_ns_by_nonce.items() if sent_ns <= limit_ns]
        for nonce in lost:
            del self._sent_ns_by_nonce[nonce]
        return len(lost)

    def abandon(self) -> int:
        """The link has ended: forget every ping; return how many were lost."""
        lost = len(self._sent_ns_by_nonce)
        self._sent_ns_by_nonce.clear()
        return lost
