"""Numbers by message type, and the numbers of the node's own latency series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

__all__ = ["ByType", "NodeSeries"]


class ByType(dict[str, float]):
    """One number for each message type; asking for another type is a `ValueError`."""

    def __init__(self, types: Sequence[str], numbers: Iterable[float]) -> None:
        super().__init__(zip(types, numbers, strict=True))

    def __missing__(self, message_type: str) -> NoReturn:
        raise ValueError(f"{message_type!r} is not a message type; there are {', '.join(self)}")


class NodeSeries:
    """Which series of a `LatencyRecorder` is which.

    Args:
        types: How many message types there are.
    """

    def __init__(self, types: int) -> None:
        self._types = types
        self.routing = 2 * types
        self.propagation = self.routing + 1
        #: The ends of the intervals in which the propagation times truly lie.
        self.propagation_least = self.routing + 2
        self.propagation_most = self.routing + 3
        self.loop_lag = self.routing + 4
        self.count = self.routing + 5
        #: All peers together, after the node's own.
        self.links = self.count

    def type_latency(self, message_type: int) -> int:
        """Return the series of a type's latency."""
        return message_type

    def processing(self, message_type: int) -> int:
        """Return the series of a type's processing time."""
        return self._types + message_type

    @property
    def all_processing(self) -> slice:
        """The processing series, in the order of the types."""
        return slice(self._types, 2 * self._types)
