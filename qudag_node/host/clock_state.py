"""Whether the kernel holds the wall clock to be right, and how wrong it may be: adjtimex(2). Linux only."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["ClockState", "read_boot_id", "read_clock_state", "same_clock_mark"]

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_US_S = 1e-6


class ClockState(NamedTuple):
    """What the kernel says of its wall clock.

    Attributes:
        is_synchronised: Something (NTP, PTP) keeps it right and has said so lately.
        max_error_s: The bound on its error; the kernel lets it grow by 0.5 ms a second between corrections,
        up
            to 16 s.
    """

    is_synchronised: bool
    max_error_s: float


class _Timex(ctypes.Structure):
    """``struct timex`` of linux/timex.h; what follows ``tick`` is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("room", ctypes.c_long * 24),
    )


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def read_clock_state() -> ClockState | None:
    """Ask the kernel; None where it does not tell. 2 µs."""
    if sys.platform != "linux":
        return None
    timex = _Timex()
    state = _libc().adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return ClockState(
        is_synchronised=state != _TIME_ERROR and not timex.status & _STA_UNSYNC,
        max_error_s=timex.maxerror * _US_S,
    )


@cache
def read_boot_id() -> str:
    """Return what names this run of this kernel, containers and namespaces included; empty where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def same_clock_mark(secret: bytes) -> bytes:
    """Return what is equal for all who run on this kernel, hence by one clock, and know ``secret``.

    To others it says nothing. Empty where the kernel has no name.
    """
    boot_id = read_boot_id()
    return hashlib.sha256(b"qudag-same-clock\0" + secret + boot_id.encode()).digest()[:16] if boot_id else b""
