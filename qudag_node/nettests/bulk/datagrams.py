"""The datagrams of a UDP bandwidth test, and which of them arrived. Pure.

    0        8         10     12           16                24
    +--------+---------+------+------------+-----------------+----------…
    | tag, 8 | step u16| zero | number u32 | sent_ns u64     | zeros
    +--------+---------+------+------------+-----------------+----------…

The tag is the session's and the stream's (``packet_tag``). A step is a rate that is tried; numbers begin at
zero in each. ``sent_ns`` is the sender's monotonic clock when the system call began that sent it; the packets
of one call, which the kernel or the device cuts apart (GSO), share it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from functools import lru_cache
from typing import Final

__all__ = [
    "DEFAULT_PACKET_BYTES",
    "HEADER_BYTES",
    "LEAST_PACKET_BYTES",
    "Arrivals",
    "StepArrivals",
    "gaps_of",
    "pack_burst",
    "packet_bits",
    "unpack_burst",
]

_HEADER = struct.Struct("!8sH2xIQ")
HEADER_BYTES: Final = _HEADER.size
#: Fits an Ethernet frame below most tunnels, over IPv4 and IPv6.
DEFAULT_PACKET_BYTES: Final = 1400
#: Smaller ones are mostly headers: they would measure hosts, not paths.
LEAST_PACKET_BYTES: Final = 64
#: Of UDP and IP.
_IPV4_BYTES, _IPV6_BYTES = 28, 48
#: Gaps of one step that may still be filled; of more the oldest are lost for good.
_MAX_GAPS = 4096
#: All streams of a process have so many together, for each step that is counted.
_ALL_GAPS = 16_384
#: Steps whose packets are still taken: the newest, and the one before it for what comes late.
_LIVE_STEPS = 2
#: Steps whose counts are kept; they are asked for as soon as each is over.
_KEPT_STEPS = 32


def packet_bits(payload_bytes: int, host: str) -> int:
    """Return the bits of an IP packet to or from a numeric address, which is what an agreed rate counts."""
    return 8 * (payload_bytes + (_IPV6_BYTES if ":" in host else _IPV4_BYTES))


def gaps_of(streams: int) -> int:
    """Return how many gaps each of so many streams may remember, of one step."""
    return min(_MAX_GAPS, max(1, _ALL_GAPS // streams))


def pack_burst(
    buffer: bytearray, tag: bytes, step: int, first: int, count: int, size: int, sent_ns: int
) -> None:
    """Write the headers of ``count`` packets of ``size`` bytes, one after the other."""
    pack, offset = _HEADER.pack_into, 0
    for number in range(first, first + count):
        pack(buffer, offset, tag, step, number, sent_ns)
        offset += size


@lru_cache(maxsize=512)
def _layout(count: int, size: int) -> struct.Struct:
    """All headers of a burst at once: one call into C for them all."""
    one = f"8sH2xIQ{size - HEADER_BYTES}x"
    return struct.Struct("!" + one * (count - 1) + "8sH2xIQ")


def unpack_burst(data: memoryview, size: int, tag: bytes) -> tuple[int, tuple[int, ...], int] | None:
    """Read what one call received: packets of ``size`` bytes, of which the last may be shorter.

    Returns:
        The step, the numbers in order of arrival, and when the first was sent; None when any of them is none
        of this stream's, or of another step.
    """
    count = -(-len(data) // size)
    if size < HEADER_BYTES or len(data) - (count - 1) * size < HEADER_BYTES:
        return None
    values = _layout(count, size).unpack_from(data)
    step = values[1]
    if values[0::4] != (tag,) * count or values[1::4] != (step,) * count:
        return None
    return step, values[2::4], values[3]


class Arrivals:
    """Which packets of one step of a stream have arrived.

    Args:
        max_gaps: So many gaps are remembered.

    Attributes:
        received: Packets, each counted once.
        duplicates: Packets that had been there already.
        reordered: Those that came after one with a higher number (RFC 4737).
        next_number: One above the highest number seen.
        receiver_dropped: Of those missing, what the path delivered and the receiver's buffer had no room for.
        received_bytes: All that came, duplicates too.
        span_ns: From the first arrival to the last; ``head_bytes`` came at its beginning, in no time.
        jitter_ns: RFC 3550, between the bursts that the sender sent.
    """

    __slots__ = (
        "_first_ns",
        "_gap_ends",
        "_gap_starts",
        "_longest",
        "_max_gaps",
        "_transit_ns",
        "duplicates",
        "head_bytes",
        "jitter_ns",
        "next_number",
        "received",
        "received_bytes",
        "receiver_dropped",
        "reordered",
        "span_ns",
    )

    def __init__(self, max_gaps: int = _MAX_GAPS) -> None:
        self._max_gaps = max_gaps
        self.received = self.duplicates = self.reordered = self.next_number = self.receiver_dropped = 0
        self.received_bytes = self.head_bytes = self.span_ns = 0
        self._first_ns = 0
        self._longest = 1
        self.jitter_ns = 0.0
        self._transit_ns: int | None = None
        self._gap_starts: list[int] = []
        self._gap_ends: list[int] = []

    @property
    def missing(self) -> int:
        """Packets below the highest number seen that have not arrived; the tail is not in it."""
        return self.next_number - self.received

    def take(self, numbers: tuple[int, ...], sent_ns: int, received_ns: int, size: int = 0) -> None:
        """Count what one call received, ``size`` bytes of it."""
        if not self.received_bytes:
            self._first_ns, self.head_bytes = received_ns, size
        self.received_bytes += size
        self.span_ns = received_ns - self._first_ns
        first, count = numbers[0], len(numbers)
        self._longest = max(self._longest, count)
        if first >= self.next_number and numbers == tuple(range(first, first + count)):
            self._advance(first, count)
        else:
            for number in numbers:
                self._take_one(number)
        transit_ns = received_ns - sent_ns
        if self._transit_ns is not None:
            self.jitter_ns += (abs(transit_ns - self._transit_ns) - self.jitter_ns) / 16
        self._transit_ns = transit_ns

    def take_overflow(self, dropped: int, gap: int) -> None:
        """The receiver's buffer had no room ``dropped`` times, and ``gap`` numbers are missing there.

        The kernel counts what it queues, which may be several packets at once (GRO).
        """
        self.receiver_dropped += min(gap, dropped * self._longest)

    @property
    def gaps(self) -> int:
        """How many gaps are remembered."""
        return len(self._gap_starts)

    def forget_gaps(self) -> None:
        """What has not arrived will not: keep the counts alone."""
        self._gap_starts, self._gap_ends = [], []

    def _advance(self, first: int, count: int) -> None:
        if first > self.next_number:
            self._gap_starts.append(self.next_number)
            self._gap_ends.append(first)
            self._bound_gaps()
        self.next_number = first + count
        self.received += count

    def _take_one(self, number: int) -> None:
        if number >= self.next_number:
            self._advance(number, 1)
            return
        at = bisect_right(self._gap_starts, number) - 1
        if at < 0 or number >= self._gap_ends[at]:
            # Too late to be told from a duplicate when its gap is forgotten: then it is called one.
            self.duplicates += 1
            return
        self.received += 1
        self.reordered += 1
        start, end = self._gap_starts[at], self._gap_ends[at]
        parts = [(a, b) for a, b in ((start, number), (number + 1, end)) if a < b]
        self._gap_starts[at : at + 1] = [a for a, _ in parts]
        self._gap_ends[at : at + 1] = [b for _, b in parts]
        self._bound_gaps()

    def _bound_gaps(self) -> None:
        if len(self._gap_starts) > self._max_gaps:
            count = max(1, self._max_gaps // 2)
            del self._gap_starts[:count], self._gap_ends[:count]


class StepArrivals:
    """What has arrived of the steps of one stream: few are kept, for it is the sender who numbers them.

    Args:
        is_single: The test is one step, 0; else they come one after the other, each with a higher number.
        max_gaps: So many gaps are remembered of each step that is still taken.

    Attributes:
        by_step: The newest steps.
        received: Packets of all steps, each counted once.
    """

    __slots__ = ("_is_single", "_max_gaps", "_newest", "by_step", "received")

    def __init__(self, *, is_single: bool, max_gaps: int) -> None:
        self._is_single = is_single
        self._max_gaps = max_gaps
        self._newest: int | None = None
        self.by_step: dict[int, Arrivals] = {}
        self.received = 0

    @property
    def all(self) -> list[Arrivals]:
        """Those of the newest steps; any thread may ask."""
        return list(self.by_step.values())

    def take(
        self, step: int, numbers: tuple[int, ...], sent_ns: int, received_ns: int, size: int, dropped: int = 0
    ) -> bool:
        """Count what one call received, before which the socket had no room ``dropped`` times.

        Returns:
            Whether it was counted; a step that is over, or that the test has not, is not.
        """
        arrivals = self._find(step)
        if arrivals is None:
            return False
        gap, before = max(0, numbers[0] - arrivals.next_number), arrivals.received
        arrivals.take(numbers, sent_ns, received_ns, size)
        self.received += arrivals.received - before
        if dropped:
            arrivals.take_overflow(dropped, gap)
        return True

    def _find(self, step: int) -> Arrivals | None:
        if step == self._newest:
            return self.by_step[step]
        if self._is_single and step:
            return None
        newest_first = list(reversed(self.by_step))
        if step in newest_first[:_LIVE_STEPS]:
            return self.by_step[step]
        if newest_first and step <= newest_first[0]:
            return None
        if len(newest_first) >= _LIVE_STEPS:
            self.by_step[newest_first[_LIVE_STEPS - 1]].forget_gaps()
        if len(newest_first) >= _KEPT_STEPS:
            del self.by_step[newest_first[-1]]
        arrivals = self.by_step[step] = Arrivals(self._max_gaps)
        self._newest = step
        return arrivals
