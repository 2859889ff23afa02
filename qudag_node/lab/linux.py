"""The few Linux calls that Python 3.11 lacks, and TUN devices. Elsewhere they raise OSError.

``os.unshare`` and ``os.setns`` came with Python 3.12.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import sys
from pathlib import Path

__all__ = [
    "CLONE_NEWNET",
    "CLONE_NEWUSER",
    "become_root_of_a_user_namespace",
    "have_namespaces",
    "open_tun",
    "set_name",
    "set_real_time",
    "set_timer_slack",
    "setns",
    "unshare",
]

#: linux/sched.h
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

# linux/prctl.h
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29

# linux/if_tun.h
_TUNSETIFF = 0x4004_54CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
#: struct ifreq: name, flags, and padding to the size of the kernel's union.
_IFREQ = struct.Struct("16sH22x")

#: Above every ordinary process, below what an administrator would give a driver.
_REAL_TIME_PRIORITY = 10

_libc = ctypes.CDLL(None, use_errno=True)


def have_namespaces() -> bool:
    """Whether this is Linux with the calls; whether they are permitted shows only by trying."""
    return sys.platform == "linux" and hasattr(_libc, "unshare") and hasattr(_libc, "setns")


def unshare(flags: int) -> None:
    """Leave the namespaces that ``flags`` names for new ones.

    Raises:
        OSError: Not permitted here, or a thread runs (user namespaces need a single one).
    """
    _call("unshare", flags)


def setns(fd: int, flags: int) -> None:
    """Enter the namespace behind ``fd``.

    Raises:
        OSError: Not permitted, or not a namespace of that kind.
    """
    _call("setns", fd, flags)


def become_root_of_a_user_namespace() -> None:
    """Enter a new user namespace in which this process has every capability.

    The user keeps the same number inside and outside, so files, and the credentials that a Unix socket
    tells, mean the same on both sides.

    Raises:
        OSError: Unprivileged user namespaces are switched off here.
    """
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    # Without "deny" an unprivileged process may not map its group (user_namespaces(7)).
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")


def open_tun(name: str) -> int:
    """Create a TUN device in the current network namespace; it lives until the descriptor closes.

    Raises:
        OSError: No /dev/net/tun, or not permitted.
    """
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name.encode("ascii"), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def set_name(name: str) -> None:
    """Name this process in ``ps`` and ``top``; without effect where the kernel has no such call."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode("ascii")))


def set_timer_slack(slack_ns: int) -> None:
    """Let timers of this thread fire this late at most; the kernel's default is 50 µs."""
    _prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns))


def set_real_time(wanted: bool) -> bool:
    """Ask for, or give back, a real-time priority; return whether the process has one now."""
    if sys.platform != "linux":
        return False
    try:
        if wanted:
            policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(_REAL_TIME_PRIORITY))
        else:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        return False
    return wanted


def _prctl(option: int, argument: object) -> None:
    if sys.platform == "linux":
        _libc.prctl(option, argument, 0, 0, 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(_libc, name, None)
    if function is None:
        raise OSError(errno.ENOSYS, f"this system has no {name}()")
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
