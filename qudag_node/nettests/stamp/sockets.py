"""The UDP sockets of measurements: bound within the ports that are allowed, marked, with room."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Generator, Sequence

from qudag_node.nettests.worker.jobs import JobError

__all__ = ["BUFFER_BYTES", "bind_udp", "family_of"]

BUFFER_BYTES = 4 << 20
_SO_RCVBUFFORCE = 33
_IPV6_TCLASS = getattr(socket, "IPV6_TCLASS", 67)


def family_of(host: str) -> socket.AddressFamily:
    """The family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextlib.contextmanager
def bind_udp(
    host: str, ports: Sequence[int], *, dscp: int, buffer_bytes: int = BUFFER_BYTES
) -> Generator[socket.socket]:
    """Open a socket at a free port.

    Args:
        host: A numeric address of this host; empty is all of IPv4.
        ports: The first and the last that may be taken; empty is any.
        dscp: What its packets are marked with, 0 to 63.
        buffer_bytes: Room for arrivals.

    Raises:
        JobError: The address is not here, or all the ports are taken.
    """
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as sock:
        _make_room(sock, buffer_bytes)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TCLASS, dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        _bind(sock, host, ports)
        yield sock


def _bind(sock: socket.socket, host: str, ports: Sequence[int]) -> None:
    shown = host or "0.0.0.0"  # noqa: S104  # what is meant is said
    for port in range(ports[0], ports[-1] + 1) if ports else (0,):
        try:
            sock.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and ports:
                continue
            raise JobError(f"UDP {shown} port {port}: {exc.strerror}") from exc
        return
    raise JobError(f"UDP {shown}: ports {ports[0]} to {ports[-1]} are all taken")


def _make_room(sock: socket.socket, buffer_bytes: int) -> None:
    """Our own slowness should drop nothing; beyond the system's limit only root may go."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
