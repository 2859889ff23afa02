"""Being on time: a thread that sleeps until shortly before a moment, and spins for the rest.

A sleep alone is 50 to 100 µs late, a timer of the event loop up to a millisecond; this is late by 0.3 µs on a
quiet host (median). The interpreter's lock is held while it spins: at most ``SPIN_NS`` for each moment.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

__all__ = ["SPIN_NS", "Schedule", "sharpen_this_thread", "wait_until"]

#: More than a sleep with the sharpest timer is late, nearly always.
SPIN_NS = 150_000
_PR_SET_TIMERSLACK = 29
_PRIORITY = 10
_SWITCH_INTERVAL_S = 0.0002


def sharpen_this_thread(*, real_time: bool = True) -> bool:
    """Have this thread woken in time, as far as the system permits; return whether ahead of ordinary ones.

    For processes that do nothing but pace or answer packets: it also makes threads of the interpreter take
    turns more often.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    if sys.platform != "linux":
        return False
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
    if not real_time:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except OSError:
        return False  # the right to is root's
    return True


def wait_until(due_mono_ns: int, spin_ns: int = SPIN_NS) -> int:
    """Return at that moment, or at once when it has passed; the result is the time then."""
    now = time.monotonic_ns()
    if due_mono_ns - now > spin_ns:
        time.sleep((due_mono_ns - now - spin_ns) / 1e9)
        now = time.monotonic_ns()
    while now < due_mono_ns:
        now = time.monotonic_ns()
    return now


class Schedule:
    """Moments at equal distances, whoever is late for one: nothing waits for an answer.

    After a stall of the sender itself what was missed is not made up for in one burst beyond
    ``most_behind_ns``: the schedule moves on instead, and says by how much.

    Args:
        begin_mono_ns: The first moment.
        interval_ns: From one to the next; 0 is as fast as can be.
        most_behind_ns: How far behind it may fall.

    Attributes:
        moved_ns: By how much it has moved in all.
    """

    def __init__(self, begin_mono_ns: int, interval_ns: int, most_behind_ns: int = 100_000_000) -> None:
        self._next_mono_ns = begin_mono_ns
        self._interval_ns = interval_ns
        self._most_behind_ns = most_behind_ns
        self.moved_ns = 0

    def next_due(self, now_mono_ns: int) -> int:
        """Return the next moment, which may have passed."""
        behind_ns = now_mono_ns - self._next_mono_ns
        if behind_ns > self._most_behind_ns:
            self._next_mono_ns += behind_ns
            self.moved_ns += behind_ns
        due_mono_ns = self._next_mono_ns
        self._next_mono_ns += self._interval_ns
        return due_mono_ns
