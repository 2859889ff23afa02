"""Links as they come and go: how many, which way, for how long, and why they failed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qudag_node.metrics.causes import CauseCounter
from qudag_node.metrics.histogram import Histogram
from qudag_node.metrics.labels import Direction
from qudag_node.metrics.peers import NOBODY_SLOT
from qudag_node.metrics.slots import grown
from qudag_node.metrics.statistics import ConnectionStatistics

__all__ = ["ConnectionCounters"]

#: 2^57 ns: four and a half years.
_LONGEST_NS = (1 << 57) - 1
_NS_PER_S = 1e9


@dataclass(slots=True)
class ConnectionGauges:
    """What the overlay knows better: set them whenever they change."""

    pending: int = 0
    banned: int = 0
    limit: int = 0


class ConnectionCounters:
    """Counts links. A peer has one link at a time; opening a second ends the first."""

    def __init__(self, capacity: int) -> None:
        self.gauges = ConnectionGauges()
        #: Wall time of the present link's beginning, NaN without one.
        self.connected_unix_s = np.full(capacity, np.nan)
        #: Links a peer had before the present one.
        self.reconnects = np.zeros(capacity, np.uint32)
        self._opened_mono_s = np.full(capacity, np.nan)
        self._was_connected = np.zeros(capacity, np.bool_)
        self._is_incoming = np.zeros(capacity, np.bool_)
        self._active: dict[Direction, int] = {"in": 0, "out": 0}
        self._total = 0
        self._closed = 0
        self._errors = CauseCounter()
        self._durations = Histogram(_LONGEST_NS)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        flags = self._was_connected.nbytes + self._is_incoming.nbytes
        times = self.connected_unix_s.nbytes + self._opened_mono_s.nbytes
        return flags + times + self.reconnects.nbytes + self._durations.counts.nbytes

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self.connected_unix_s = grown(self.connected_unix_s, capacity, np.nan)
        self.reconnects = grown(self.reconnects, capacity)
        self._opened_mono_s = grown(self._opened_mono_s, capacity, np.nan)
        self._was_connected = grown(self._was_connected, capacity)
        self._is_incoming = grown(self._is_incoming, capacity)

    def clear(self, slot: int) -> None:
        """Make the slot as new; its link must have been closed."""
        self.connected_unix_s[slot] = self._opened_mono_s[slot] = np.nan
        self.reconnects[slot] = 0
        self._was_connected[slot] = False

    def is_open(self, slot: int) -> bool:
        """Whether the slot's peer has a link."""
        return not math.isnan(self._opened_mono_s[slot])

    def opened(self, slot: int, direction: Direction, *, now_mono_s: float, now_unix_s: float) -> None:
        """Count a link that stands."""
        self.closed(slot, now_mono_s=now_mono_s)
        self._total += 1
        if slot == NOBODY_SLOT:
            self._closed += 1  # beyond the limit of peers nobody could tell such links apart later
            return
        self._active[direction] += 1
        self._is_incoming[slot] = direction == "in"
        self.reconnects[slot] += self._was_connected[slot]
        self._was_connected[slot] = True
        self._opened_mono_s[slot] = now_mono_s
        self.connected_unix_s[slot] = now_unix_s

    def closed(self, slot: int, *, now_mono_s: float, cause: str | None = None) -> None:
        """Count a link's end, an error if it has a cause. Without a link nothing happens."""
        if not self.is_open(slot):
            return
        self._active["in" if self._is_incoming[slot] else "out"] -= 1
        self._closed += 1
        self._durations.record(int(max(now_mono_s - self._opened_mono_s[slot], 0) * _NS_PER_S))
        self.connected_unix_s[slot] = self._opened_mono_s[slot] = np.nan
        if cause is not None:
            self._errors.add(cause)

    def failed(self, cause: str) -> None:
        """Count a link that never came to stand."""
        self._errors.add(cause)

    def statistics(self, *, now_mono_s: float) -> ConnectionStatistics:
        """Return the counts; the durations are of all links, ended or standing (their age so far)."""
        opened_mono_s = self._opened_mono_s[np.isfinite(self._opened_mono_s)]
        durations = Histogram(_LONGEST_NS)
        durations.merge(self._durations)
        durations.record_many((np.maximum(now_mono_s - opened_mono_s, 0) * _NS_PER_S).astype(np.int64))
        return ConnectionStatistics(
            active=self._active["in"] + self._active["out"],
            incoming=self._active["in"],
            outgoing=self._active["out"],
            pending=self.gauges.pending,
            total=self._total,
            closed=self._closed,
            banned=self.gauges.banned,
            limit=self.gauges.limit,
            errors=self._errors.counts(),
            duration_s=durations.summary(),
        )
