"""Log, then fold: exact totals for the price of one ``list.append`` a message.

The hot path appends one float to a list, at the speed of C and without a Python frame. Later, several
thousand events at a time, numpy folds the list into exact totals. A traffic event is a whole number that
a float holds exactly (under 2^53), because Python adds floats faster than integers of this size, and because
a list of floats becomes an array in 6 ns each (`struct`), a list of integers in 15:

    52                                           24                      0
    +--------------------------------------------+----------------------+
    | (peer slot · 2 + direction) · types + type | size in bytes        |
    +--------------------------------------------+----------------------+

The upper part is the place of the counter itself. A latency is two events, the key of its series and the
seconds. A peer's series has the peer's key with no type and no size added; the node's own have negative keys.

A fold costs 30 ns an event and, when numpy's code has left the processor's cache, a quarter of a millisecond
besides; so it is due only at 16,384 events, and whenever somebody reads. It works in slices of 8,192.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.histogram import HIGHEST_NS, Histogram, HistogramTable, RollingHistograms
from qudag_node.metrics.rings import LatencyRings
from qudag_node.metrics.slots import grown

__all__ = ["FOLD_AT", "MAX_SIZE_BYTES", "RECEIVED", "SENT", "LatencyRecorder", "TrafficRecorder"]

#: When a fold is due. An event takes 24 bytes and a list item: 512 KiB.
FOLD_AT = 16384
#: Events folded at a time: arrays of 64 KiB, which stay in the processor's cache.
_SLICE = 8192

SENT = 0
RECEIVED = 1

_SIZE_BITS = 24
#: Largest size that a key has room for.
MAX_SIZE_BYTES = (1 << _SIZE_BITS) - 1

_NS_PER_S = 1e9

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


def _keep_freed_memory() -> None:
    """Let the C library keep what numpy frees.

    glibc gives memory at the heap's end back to the kernel when 128 KiB of it are free, and every fold would
    get it again, page by page: 53 ns an event instead of 25. Once a larger block has been freed, glibc raises
    that limit to twice its size by itself (mallopt(3), M_MMAP_THRESHOLD): here to what a fold takes. Blocks
    beyond the size freed here still go back. Elsewhere this does nothing.
    """
    np.empty(1 << 18, np.uint8)


def _take(events: list[float]) -> Float64s:
    """Empty a log and return it as an array."""
    taken = np.frombuffer(struct.pack(f"{len(events)}d", *events))
    events.clear()
    return taken


def _slices(length: int) -> Iterator[slice]:
    return (slice(first, first + _SLICE) for first in range(0, length, _SLICE))


class TrafficRecorder:
    """Messages and bytes by peer, direction and type, and the sizes by type.

    Args:
        types: How many message types there are.
        capacity: Peer slots to begin with.

    Attributes:
        events: What was logged and not folded yet.
        log: Appends one event. The caller keeps 0 ≤ size ≤ `MAX_SIZE_BYTES`.
    """

    def __init__(self, types: int, capacity: int) -> None:
        _keep_freed_memory()
        self.events: list[float] = []
        self.log: Callable[[float], None] = self.events.append
        self.recorded = 0
        self._types = types
        self._cells = 2 * types
        #: Sizes in bytes, a row for each direction and type: those sent, then those received.
        self.sizes = HistogramTable(self._cells, MAX_SIZE_BYTES)
        self._messages = np.zeros(capacity * self._cells, np.int64)
        self._bytes = np.zeros(capacity * self._cells, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held, the log at its usual largest included."""
        return self._messages.nbytes + self._bytes.nbytes + self.sizes.nbytes + FOLD_AT * 40

    def slot_key(self, slot: int) -> float:
        """Return a peer's part of a key."""
        return float(slot * self._cells << _SIZE_BITS)

    def cell_key(self, direction: int, message_type: int) -> float:
        """Return the part of a key that says direction and type."""
        return float(direction * self._types + message_type << _SIZE_BITS)

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self._messages = grown(self._messages, capacity * self._cells)
        self._bytes = grown(self._bytes, capacity * self._cells)

    def clear(self, slot: int) -> None:
        """Forget one slot; the totals keep what it had."""
        cells = slice(slot * self._cells, (slot + 1) * self._cells)
        self._messages[cells] = 0
        self._bytes[cells] = 0

    def fold(self) -> None:
        """Take the whole log into the totals."""
        events = _take(self.events)
        for part in _slices(len(events)):
            self._fold_slice(events[part].astype(np.int64))

    def totals(self, direction: int) -> tuple[Int64s, Int64s]:
        """Return messages and bytes by type since the start."""
        return self._by_type(self.sizes.samples, direction), self._by_type(self.sizes.sums, direction)

    def size_histogram(self, message_type: int) -> Histogram:
        """Return the sizes of a type's messages, sent and received together."""
        return self.sizes.histogram((message_type, self._types + message_type))

    def of_slot(self, slot: int, direction: int) -> tuple[Int64s, Int64s]:
        """Return messages and bytes by type of one peer."""
        cells = slice(slot * self._cells, (slot + 1) * self._cells)
        return self._by_type(self._messages[cells], direction), self._by_type(self._bytes[cells], direction)

    def by_slot(self) -> tuple[Int64s, Int64s]:
        """Return messages and bytes indexed by slot, direction and type."""
        shape = (-1, 2, self._types)
        return self._messages.reshape(shape), self._bytes.reshape(shape)

    def _by_type(self, cells: Int64s, direction: int) -> Int64s:
        by_type: Int64s = cells.reshape(2, -1)[direction].copy()
        return by_type

    def _fold_slice(self, events: Int64s) -> None:
        sizes = events & MAX_SIZE_BYTES
        events >>= _SIZE_BITS  # now the places of the counters
        np.add.at(self._messages, events, 1)
        np.add.at(self._bytes, events, sizes)
        events %= self._cells
        self.sizes.record_many(events, sizes)
        self.recorded += len(events)


class LatencyRecorder:
    """Seconds by series: histograms of the node's own series over a window, and a ring for every peer.

    Args:
        series: How many series the node has of its own.
        capacity: Peer slots to begin with.
        slot_key: The key of slot 1; that of slot n is n times as much.

    Attributes:
        events: Series that were logged and not folded yet.
        log_series: Appends the key of a value's series.
        log_value: Appends the value, in seconds, right after.
        rejected: Values that were negative or not a number, and left out.
    """

    def __init__(self, series: int, capacity: int, slot_key: float) -> None:
        self.events: list[float] = []
        self._value_log: list[float] = []
        self.log_series: Callable[[float], None] = self.events.append
        self.log_value: Callable[[float], None] = self._value_log.append
        self.recorded = 0
        self.rejected = 0
        self._own = series
        self._slot_key = slot_key
        self.rings = LatencyRings(capacity)
        #: One row for each own series, and a last one for all peers together.
        self.window = RollingHistograms(series + 1)
        self.counts: Int64s = np.zeros(series + 1, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held, the logs at their usual largest included."""
        return self.rings.nbytes + self.window.nbytes + self.counts.nbytes + FOLD_AT * (8 + 32)

    def series_key(self, series: int) -> float:
        """Return the key of one of the node's own series."""
        return (series - self._own) * self._slot_key

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self.rings.grow(capacity)

    def clear(self, slot: int) -> None:
        """Forget one slot's ring; the window keeps what it had."""
        self.rings.clear(slot)

    def fold(self) -> None:
        """Take the whole log into histograms and rings."""
        keys, seconds = _take(self.events), _take(self._value_log)
        for part in _slices(len(keys)):
            self._fold_slice(keys[part], seconds[part])

    def _fold_slice(self, keys: Float64s, seconds: Float64s) -> None:
        self.recorded += len(seconds)
        valid = seconds >= 0
        if not valid.all():
            self.rejected += len(seconds) - int(valid.sum())
            keys, seconds = keys[valid], seconds[valid]
            if not len(keys):
                return
        series = keys / self._slot_key
        series += self._own  # the node's own first, then the slots
        # Sorting 16-bit numbers is a radix sort (4 ns each, and stable: the order of time is kept).
        few = len(self.rings.count) + self._own < 1 << 16
        order = np.argsort(series.astype(np.uint16 if few else np.uint32), kind="stable")
        by_series = series.astype(np.int64)[order]
        seconds = np.minimum(seconds[order], HIGHEST_NS / _NS_PER_S)
        starts = np.flatnonzero(np.diff(by_series, prepend=-1))
        rows = by_series[starts]
        own = int(rows.searchsorted(self._own))
        # To the window all peers are one row, the one after the node's own.
        self._record_window(np.minimum(rows[: own + 1], self._own), starts[: own + 1], seconds)
        if own < len(rows):
            first = starts[own]
            self.rings.record_runs(rows[own:] - self._own, starts[own:] - first, seconds[first:])

    def _record_window(self, rows: Int64s, starts: Int64s, seconds: Float64s) -> None:
        nanoseconds = np.rint(seconds * _NS_PER_S).astype(np.int64)
        self.window.record_runs(rows, starts, nanoseconds)
        self.counts[rows] += np.diff(starts, append=len(seconds))
