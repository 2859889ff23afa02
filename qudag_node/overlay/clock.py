"""The clocks the overlay reads, as an argument. The ``time`` module is one; tests bring their own."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Monotonic time for durations, wall time for what is shown or compared across machines."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""
        ...

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def time_ns(self) -> int:
        """The same in nanoseconds."""
        ...
