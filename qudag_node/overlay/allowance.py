"""How many relayed test messages are taken from whom: each costs a verification before anything is known.

From a peer with which a test was agreed, as many as were agreed. From everybody else so few that they do not
matter, and those that one neighbour brings are a part of them: enough to agree on a test. Pure; time is an
argument.
"""

from __future__ import annotations

from qudag_node.overlay.ratelimit import FairBudget, TokenBucket

__all__ = ["Allowance"]

# A verification and what it leads to take 0.2 ms: at most 8 % of a core, whoever sends.
_PER_S, _BURST = 400.0, 800.0
_PER_S_EACH, _BURST_EACH = 100.0, 400.0
# What was agreed on as a rate arrives in bursts.
_MARGIN = 1.25
_LEAST_BURST = 64.0
# Far above the sessions that a node has.
_MAX_EXPECTED = 4096


class Allowance:
    """What is taken from whom."""

    __slots__ = ("_buckets_by_source", "_count", "_others")

    def __init__(self) -> None:
        self._buckets_by_source: dict[bytes, list[TokenBucket]] = {}
        self._count = 0
        self._others = FairBudget(_PER_S, _BURST, each_per_s=_PER_S_EACH, each_burst=_BURST_EACH)

    def expect(self, source: bytes, per_s: float, now_mono_s: float) -> TokenBucket:
        """Take so many from a source from now on, until ``forget`` is called with what this returns.

        Raises:
            ValueError: The rate is not positive, or the node expects more than it can have agreed to.
        """
        if self._count >= _MAX_EXPECTED:
            raise ValueError(f"{_MAX_EXPECTED} rates are expected already")
        rate = per_s * _MARGIN
        bucket = TokenBucket(rate, max(_LEAST_BURST, rate), now_mono_s)
        self._buckets_by_source.setdefault(source, []).append(bucket)
        self._count += 1
        return bucket

    def forget(self, source: bytes, bucket: TokenBucket) -> None:
        """Expect no more of this."""
        buckets = self._buckets_by_source[source]
        buckets.remove(bucket)
        self._count -= 1
        if not buckets:
            del self._buckets_by_source[source]

    def take(self, source: bytes, came_from: bytes, now_mono_s: float) -> bool:
        """Tell whether a message that names this source, and that this neighbour brought, is looked at."""
        expected = self._buckets_by_source.get(source, ())
        return any(bucket.take(1, now_mono_s) for bucket in expected) or self._others.take(
            came_from, now_mono_s
        )
