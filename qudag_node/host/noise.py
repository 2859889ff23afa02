"""How much of the processors' time the host beneath took away: what makes a measurement doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessorTimes", "read_processor_times", "steal_ratio"]

_STEAL = 7
_FIELDS = 8


class ProcessorTimes(NamedTuple):
    """Time since boot of all processors together, in the kernel's ticks."""

    total: int
    stolen: int


def read_processor_times(path: Path = Path("/proc/stat")) -> ProcessorTimes | None:
    """Look now; None where there is no procfs. 50 µs."""
    try:
        with path.open(encoding="ascii") as file:
            words = file.readline().split()
    except OSError:
        return None
    times = [int(word) for word in words[1 : 1 + _FIELDS]]
    return ProcessorTimes(sum(times), times[_STEAL]) if len(times) == _FIELDS else None


def steal_ratio(before: ProcessorTimes | None, after: ProcessorTimes | None) -> float | None:
    """Return the part of the time between that was stolen, 0 to 1; None where too little passed to tell."""
    if before is None or after is None or after.total <= before.total:
        return None
    return (after.stolen - before.stolen) / (after.total - before.total)
