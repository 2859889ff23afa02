"""When datagrams truly left and arrived: the kernel's time stamps of a UDP socket, by the wall clock.

A departure is when a datagram came to the packet scheduler of its device (SOF_TIMESTAMPING_TX_SCHED). The
driver's stamp comes later: what waits in this host's own queue, which a transfer over a slow link fills,
would be seen in no round trip.

Linux only; elsewhere everything here says that there is none. Three things to know (measured):

- Transmit stamps wait in the socket's error queue, which holds about 255 of them: take them after every few
  datagrams, or there are no more. They are charged to the receive buffer.
- A Python socket with a time-out never rests while that queue is not empty: it polls, is told of an error,
  finds no datagram and polls again, holding the interpreter's lock. Use a blocking socket, with
  ``set_receive_timeout``, which is the kernel's own.
- The stamps are numbered from the moment the option is set, a number for each datagram sent: count likewise.

The first stamped socket of a machine takes effect some milliseconds after it is opened; until then arrivals
have no stamp. ``wait_for_stamps`` waits for that.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import NamedTuple

__all__ = [
    "Arrival",
    "dropped_datagrams",
    "enable_stamps",
    "receive",
    "restart_transmit_numbers",
    "set_receive_timeout",
    "take_transmit_stamps",
    "wait_for_stamps",
]

_SO_TIMESTAMPING = 37
_SO_RXQ_OVFL = 40
_SO_MEMINFO = 55
_MEMINFO_BYTES = 36
_MEMINFO_DROPS = 8
_RX_SOFTWARE, _SOFTWARE, _TX_SCHEDULER = 1 << 3, 1 << 4, 1 << 8
_OPT_ID, _OPT_CMSG, _OPT_TSONLY = 1 << 7, 1 << 10, 1 << 11
_RECEIVING = _RX_SOFTWARE | _SOFTWARE
_SENDING = _RECEIVING | _TX_SCHEDULER | _OPT_CMSG | _OPT_TSONLY
_MSG_ERRQUEUE = 0x2000
_IP_RECVTTL, _IP_TTL, _IP_RECVERR = 12, 2, 11
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT, _IPV6_RECVERR = 51, 52, 25
_ORIGIN_TIMESTAMPING = 4
_TIMESPEC = struct.Struct("@qq")
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_TIMEVAL = struct.Struct("@ll")
_INT = struct.Struct("@i")
_UINT = struct.Struct("@I")
_SECOND_NS = 1_000_000_000
_ANCILLARY_BYTES = 512
_WARM_UP_S = 0.002
_WARM_UP_TRIES = 25
_IS_LINUX = sys.platform == "linux"


class Arrival(NamedTuple):
    """A datagram and what the kernel says of it.

    Attributes:
        data: All of it.
        source: The sender's address, as the socket gives it.
        received_unix_ns: When it arrived; None where the kernel does not tell.
        ttl: Its IP TTL or hop limit on arrival; 0 where unknown.
        dropped: Datagrams that this socket had dropped for want of room until then, modulo 2^32.
    """

    data: bytes
    source: tuple[str, int]
    received_unix_ns: int | None
    ttl: int
    dropped: int


def enable_stamps(sock: socket.socket, *, transmit: bool) -> bool:
    """Have arrivals, and departures if asked for, stamped by the kernel; return whether it does."""
    if not _IS_LINUX:
        return False
    sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    flags = _SENDING | _OPT_ID if transmit else _RECEIVING
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
    except OSError:
        return False  # a kernel, or something that passes for one, without them
    return True


def wait_for_stamps() -> None:
    """Return when the kernel stamps arrivals, a stamped socket being open; after 50 ms at the latest.

    It is tried on the loopback address; in a namespace without one, this just waits.
    """
    if not _IS_LINUX:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        has_stamps = enable_stamps(sock, transmit=False)
        for _ in range(_WARM_UP_TRIES if has_stamps else 0):
            try:
                sock.sendto(b"?", ("127.0.0.1", sock.getsockname()[1] or _bind(sock)))
                if receive(sock, 1, socket.MSG_DONTWAIT).received_unix_ns is not None:
                    return
            except OSError:
                pass  # no loopback here, or not yet arrived
            time.sleep(_WARM_UP_S)


def _bind(sock: socket.socket) -> int:
    sock.bind(("127.0.0.1", 0))
    return int(sock.getsockname()[1])


def restart_transmit_numbers(sock: socket.socket) -> None:
    """Number the next datagram 0; for after a failed send, of which nobody knows whether it counted."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SENDING)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SENDING | _OPT_ID)


def set_receive_timeout(sock: socket.socket, timeout_s: float) -> None:
    """Have a blocking ``receive`` raise ``BlockingIOError`` after so long."""
    seconds, rest = divmod(timeout_s, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(seconds), int(rest * 1e6)))


def receive(sock: socket.socket, size: int, flags: int = 0) -> Arrival:
    """Read one datagram of at most ``size`` octets; more of it is cut off.

    Raises:
        BlockingIOError: None came in time.
    """
    data, ancillary, _, source = sock.recvmsg(size, _ANCILLARY_BYTES, flags)
    received_unix_ns: int | None = None
    ttl = dropped = 0
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET:
            if kind == _SO_TIMESTAMPING:
                seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                received_unix_ns = seconds * _SECOND_NS + nanoseconds or None
            elif kind == _SO_RXQ_OVFL:
                (dropped,) = _UINT.unpack_from(value)
        elif (level, kind) in _TTL_KINDS:
            (ttl,) = _INT.unpack_from(value)
    return Arrival(data, source, received_unix_ns, ttl, dropped)


def take_transmit_stamps(sock: socket.socket) -> list[tuple[int, int]]:
    """Return what departures are known since the last call: their numbers and times in ns since 1970.

    Raises nothing: what else the error queue holds (ICMP) is dropped.
    """
    stamps: list[tuple[int, int]] = []
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, _ANCILLARY_BYTES, _MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            return stamps
        sent_unix_ns, number = 0, -1
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                sent_unix_ns = seconds * _SECOND_NS + nanoseconds
            elif (level, kind) in _ERROR_KINDS:
                fields = _EXTENDED_ERROR.unpack_from(value)
                if fields[1] == _ORIGIN_TIMESTAMPING:
                    number = fields[6]
        if sent_unix_ns and number >= 0:
            stamps.append((number, sent_unix_ns))


def dropped_datagrams(sock: socket.socket) -> int | None:
    """How many datagrams this socket has dropped so far, for want of room mostly; None where nobody tells."""
    if not _IS_LINUX:
        return None
    try:
        fields = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
    except OSError:
        return None
    if len(fields) < _MEMINFO_BYTES:
        return None
    return int(struct.unpack_from("@9I", fields)[_MEMINFO_DROPS])


_TTL_KINDS = frozenset({(socket.IPPROTO_IP, _IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)})
_ERROR_KINDS = frozenset({(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)})
