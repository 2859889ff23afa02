"""The sockets of a bandwidth test: where they are bound, how their packets are marked."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from qudag_node.nettests.worker.jobs import JobError

__all__ = ["bind", "close_at_once", "mark", "use_congestion_control", "wait_at_most"]

_TIMEVAL = struct.Struct("@ll")
_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def bind(sock: socket.socket, host: str, ports: list[int] | None) -> int:
    """Bind to any free port, or to the first that is free of FIRST to LAST; return it.

    Raises:
        JobError: None is free, or the address is not ours.
    """
    for port in [0] if ports is None else range(ports[0], ports[1] + 1):
        try:
            sock.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                continue
            raise JobError(f"cannot listen on {host}: {exc.strerror}") from exc
        bound: tuple[Any, ...] = sock.getsockname()
        return int(bound[1])
    raise JobError("no port is free for the test")


def mark(sock: socket.socket, dscp: int) -> None:
    """Mark the packets with a DSCP, as far as the system lets us."""
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def use_congestion_control(sock: socket.socket, name: str) -> None:
    """Choose the algorithm of a connection.

    Raises:
        JobError: This system has none of that name.
    """
    if sys.platform != "linux":
        raise JobError("the congestion control can be chosen on Linux only")
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode()[:15])
    except OSError as exc:
        there = _AVAILABLE.read_text().split() if _AVAILABLE.exists() else []
        raise JobError(f"no congestion control {name!r} here; there are: {', '.join(there)}") from exc


def wait_at_most(sock: socket.socket, seconds: float) -> None:
    """Have blocking calls on a socket end with an error after so long, by the kernel's own timer."""
    value = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def close_at_once(sock: socket.socket) -> None:
    """Close a connection with a reset: what has not been sent is not sent any more, and threads are woken."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
