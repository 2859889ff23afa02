"""How long a thread ran, and how long it waited for a core: /proc/self/task/N/schedstat. Linux only."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["ThreadTime", "thread_time"]

_TASKS = Path("/proc/self/task")


class ThreadTime(NamedTuple):
    """Nanoseconds since the thread began: on a core, and ready to run while others had the cores."""

    running_ns: int
    waiting_ns: int

    @property
    def wanted_ns(self) -> int:
        """How long it would have run on a host of its own: a thread that wants all the time is the limit."""
        return self.running_ns + self.waiting_ns


def thread_time(native_id: int) -> ThreadTime | None:
    """Return the times of a thread of this process; None where the system does not tell, or it has ended."""
    try:
        running, waiting, _ = (_TASKS / str(native_id) / "schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return ThreadTime(int(running), int(waiting))
