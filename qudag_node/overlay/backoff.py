"""How long to wait before trying again: exponential, with jitter, so that nobody returns in step."""

from __future__ import annotations

from random import Random

__all__ = ["BackOff"]


class BackOff:
    """The waits after failures in a row: from ``least_s``, doubling up to ``most_s``, each cut by up to half.

    Attributes:
        failures: How many there were since the last success.
    """

    __slots__ = ("_least_s", "_most_s", "_rng", "failures")

    def __init__(self, least_s: float, most_s: float, rng: Random) -> None:
        if not 0 < least_s <= most_s:
            raise ValueError(f"waits from {least_s} s to {most_s} s")
        self._least_s = least_s
        self._most_s = most_s
        self._rng = rng
        self.failures = 0

    def fail(self) -> float:
        """Note a failure; return how many seconds to wait."""
        # 2.0**63 is beyond any sensible limit, and an exponent that grew for years would overflow.
        wait_s = min(self._most_s, self._least_s * 2.0 ** min(self.failures, 63))
        self.failures += 1
        return wait_s * self._rng.uniform(0.5, 1.0)

    def succeed(self) -> None:
        """Note a success: the next wait is the shortest."""
        self.failures = 0
