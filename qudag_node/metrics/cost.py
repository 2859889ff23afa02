"""What collecting costs: folds and ticks are measured, single records estimated."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["CollectionCost"]

_CALIBRATION_RECORDS = 2000
_CALIBRATION_ROUNDS = 5
#: Amid a program's other work the caches are cold: a record costs this much more than in a tight loop
#: (1.7 was measured in a live process).
_COLD_FACTOR = 1.7


class CollectionCost:
    """Processor time spent on metrics.

    A record is too short to be timed (reading a clock costs as much), so its cost is estimated: a tight loop
    of records is timed once, the fastest of five rounds, times 1.7 for cold caches. The true figure varies
    with the machine's caches by about a factor of two. The work of those who call the collector (sampling
    sockets, writing gauges) is not included.

    Args:
        cpu_clock: Processor time of this thread, in seconds.
    """

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self._cpu_clock = cpu_clock
        #: Processor time of the folds and ticks so far.
        self.measured_s = 0.0
        self._is_measuring = False
        self._per_record_s: float | None = None

    @contextmanager
    def measured(self) -> Generator[None]:
        """Count the processor time of the block; a block inside another is counted once."""
        if self._is_measuring:
            yield
            return
        self._is_measuring = True
        began_s = self._cpu_clock()
        try:
            yield
        finally:
            self.measured_s += self._cpu_clock() - began_s
            self._is_measuring = False

    def cpu_s(self, records: int) -> float:
        """Return the processor time spent so far, given how many records were made."""
        if self._per_record_s is None:
            self._per_record_s = self._calibrate()
        return self.measured_s + records * self._per_record_s

    def _calibrate(self) -> float:
        rounds_s = [self._round_s() for _ in range(_CALIBRATION_ROUNDS)]
        return max(min(rounds_s), 0.0) / _CALIBRATION_RECORDS * _COLD_FACTOR

    def _round_s(self) -> float:
        """Time records as a caller makes them, less the loop around them."""
        events: list[float] = []
        log, peer_key, cell_key = events.append, 2.0**40, 2.0**30
        sizes = range(_CALIBRATION_RECORDS)
        began_s = self._cpu_clock()
        for size in sizes:
            log(peer_key + cell_key + size)
        between_s = self._cpu_clock()
        for _size in sizes:
            pass
        return 2 * between_s - began_s - self._cpu_clock()
