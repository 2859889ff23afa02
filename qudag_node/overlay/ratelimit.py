"""How much one peer may send: token buckets for its messages and bytes. Time is an argument.

Control frames (pings, adverts, peer exchange) have a bucket of their own: data over the limit must not
cost a peer its pongs, and a flood of pings must not hide behind a generous limit for data. So do test
messages: what a test sends too much of must cost nobody's data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from qudag_node.overlay.frames import CONTROL_TYPES, FrameType

__all__ = ["FairBudget", "PeerRateLimiter", "RateLimits", "RefusalCause", "TokenBucket"]


class RefusalCause(StrEnum):
    """Why a received message was dropped; the text is the cause in the statistics."""

    #: More data messages per second than allowed.
    MESSAGES = "rate_limit_messages"
    #: More bytes per second than allowed.
    BYTES = "rate_limit_bytes"
    #: More control frames per second than allowed.
    CONTROL = "rate_limit_control"


# An enum's member is looked up slowly, and this is asked for every frame.
_TEST = FrameType.TEST
# What waiting until ``ready_mono_s`` may fall short by.
_ROUNDING = 1e-6


class TokenBucket:
    """At most ``burst`` at once and ``rate_per_s`` over time: over any t seconds, burst + rate · t."""

    __slots__ = ("_at_mono_s", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now_mono_s: float) -> None:
        if rate_per_s <= 0 or burst <= 0:
            raise ValueError(f"rate {rate_per_s} and burst {burst} must be positive")
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = float(burst)
        self._at_mono_s = now_mono_s

    def take(self, amount: float, now_mono_s: float) -> bool:
        """Take the amount, all of it or nothing; return whether it was there."""
        tokens = self.available(now_mono_s)
        self._at_mono_s = now_mono_s
        if tokens < amount - _ROUNDING:
            self._tokens = tokens
            return False
        self._tokens = max(0.0, tokens - amount)
        return True

    def available(self, now_mono_s: float) -> float:
        """What could be taken now."""
        return min(self.burst, self._tokens + (now_mono_s - self._at_mono_s) * self.rate_per_s)

    def ready_mono_s(self, amount: float) -> float:
        """When the amount will be there, if nothing is taken before."""
        return self._at_mono_s + max(0.0, amount - self._tokens) / self.rate_per_s

    def put_back(self, amount: float) -> None:
        """Return what was taken and not used."""
        self._tokens = min(self.burst, self._tokens + amount)


class FairBudget:
    """A rate that many share, each with a part of it: nobody alone can use up what there is for all.

    Args:
        rate_per_s: For all together; ``burst`` at once.
        each_per_s: For one; ``each_burst`` at once.
        capacity: Most sharers remembered. One that was forgotten begins with a full part again, and is still
            bounded by what there is for all.
    """

    __slots__ = ("_all", "_capacity", "_each_burst", "_each_per_s", "_part_by_sharer")

    def __init__(
        self,
        rate_per_s: float,
        burst: float,
        *,
        each_per_s: float,
        each_burst: float,
        now_mono_s: float = 0.0,
        capacity: int = 1024,
    ) -> None:
        self._all = TokenBucket(rate_per_s, burst, now_mono_s)
        self._each_per_s, self._each_burst = each_per_s, each_burst
        self._capacity = capacity
        self._part_by_sharer: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """How many sharers are remembered."""
        return len(self._part_by_sharer)

    def take(self, sharer: Hashable, now_mono_s: float, amount: float = 1) -> bool:
        """Take the amount, all of it or nothing; return whether it was there."""
        part = self._part_by_sharer.get(sharer)
        if part is None:
            while len(self._part_by_sharer) >= self._capacity:
                self._part_by_sharer.popitem(last=False)
            part = TokenBucket(self._each_per_s, self._each_burst, now_mono_s)
            self._part_by_sharer[sharer] = part
        self._part_by_sharer.move_to_end(sharer)
        if not part.take(amount, now_mono_s):
            return False
        if self._all.take(amount, now_mono_s):
            return True
        part.put_back(amount)
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What one peer may send to us.

    Attributes:
        messages_per_s: Data and routed frames; as many test frames besides.
        bytes_per_s: Bytes of those frames.
        control_per_s: All other frames.
        burst_s: How many seconds' worth may come at once.
        control_burst: Control frames at once; a new neighbour tells all the adverts it knows.
    """

    messages_per_s: float = 20_000
    bytes_per_s: float = 64 * 1024 * 1024
    control_per_s: float = 500
    burst_s: float = 1.0
    control_burst: float = 4096

    def __post_init__(self) -> None:
        for name in ("messages_per_s", "bytes_per_s", "control_per_s", "burst_s", "control_burst"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")


class PeerRateLimiter:
    """The limits of one peer; ask once for each frame received from it."""

    __slots__ = ("_bytes", "_control", "_messages", "_test_bytes", "_test_messages")

    def __init__(self, limits: RateLimits, now_mono_s: float) -> None:
        self._messages, self._test_messages = (
            TokenBucket(limits.messages_per_s, max(1.0, limits.messages_per_s * limits.burst_s), now_mono_s)
            for _ in range(2)
        )
        # A burst smaller than the largest frame would never let it through.
        self._bytes, self._test_bytes = (
            TokenBucket(
                limits.bytes_per_s, max(128.0 * 1024, limits.bytes_per_s * limits.burst_s), now_mono_s
            )
            for _ in range(2)
        )
        self._control = TokenBucket(limits.control_per_s, max(1.0, limits.control_burst), now_mono_s)

    def admit(self, kind: FrameType, size_bytes: int, now_mono_s: float) -> RefusalCause | None:
        """Return None to accept a frame, or why it is dropped."""
        if kind in CONTROL_TYPES:
            return None if self._control.take(1, now_mono_s) else RefusalCause.CONTROL
        is_test = kind is _TEST
        messages = self._test_messages if is_test else self._messages
        if not messages.take(1, now_mono_s):
            return RefusalCause.MESSAGES
        if not (self._test_bytes if is_test else self._bytes).take(size_bytes, now_mono_s):
            messages.put_back(1)
            return RefusalCause.BYTES
        return None
