"""Clocks for tests: what would take long, or hang on a deadline, is done by moving them."""

from __future__ import annotations

import time

__all__ = ["LeapingClock"]


class LeapingClock:
    """The real time, ahead of it by as much as a test says. Timers of the event loop do not leap along."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def leap(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._ahead_ns += int(seconds * 1e9)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9

    def time_ns(self) -> int:
        return time.time_ns() + self._ahead_ns

    def time(self) -> float:
        return self.time_ns() / 1e9
