"""What a process that moves data costs: its time on the cores, and how hard its busiest thread is pressed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from qudag_node.host.threadtime import thread_time

__all__ = ["Load"]


class Load:
    """Sampled along with the counts.

    Args:
        threads: Those that move the data, started.

    Attributes:
        cpu_us: The process's time on the cores since this was made.
        pressed_us: The same of the thread that wanted most, in each sample, with the time that it waited for
            a core: a thread that wants all the time is what limits the test.
    """

    def __init__(self, threads: Sequence[threading.Thread]) -> None:
        self._threads = threads
        self._wanted_ns = [self._wanted(thread) for thread in threads]
        self._cpu_begin_ns = time.process_time_ns()
        self.pressed_us = 0
        self.cpu_us = 0

    def sample(self) -> None:
        """Bring the figures up to date."""
        self.cpu_us = (time.process_time_ns() - self._cpu_begin_ns) // 1000
        wanted_ns = [
            max(self._wanted(thread), old) for thread, old in zip(self._threads, self._wanted_ns, strict=True)
        ]
        most_ns = max((new - old for new, old in zip(wanted_ns, self._wanted_ns, strict=True)), default=0)
        self.pressed_us += most_ns // 1000
        self._wanted_ns = wanted_ns

    @staticmethod
    def _wanted(thread: threading.Thread) -> int:
        if thread.native_id is None:
            return 0
        times = thread_time(thread.native_id)
        return 0 if times is None else times.wanted_ns
