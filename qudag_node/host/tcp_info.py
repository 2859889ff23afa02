"""TCP_INFO: what the kernel knows of one TCP connection. Linux only; elsewhere there is none.

Offsets of ``struct tcp_info`` in linux/tcp.h, the same on every architecture; a kernel returns as much of it
as it knows, so each field is read only where the answer reaches that far:

     68 rtt u32 µs        72 rttvar u32 µs     80 snd_cwnd u32        100 total_retrans u32
    128 bytes_received u64                    148 min_rtt u32 µs      160 delivery_rate u64 bytes/s
    168 busy_time u64 µs 176 rwnd_limited u64 µs 184 sndbuf_limited u64 µs
    120 bytes_acked u64  144 notsent_bytes u32
    200 bytes_sent u64   208 bytes_retrans u64
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

__all__ = ["TcpInfo", "parse_tcp_info", "tcp_info", "unacknowledged_bytes"]

_ASK_BYTES = 512
_US_S = 1e-6
#: The kernel's "not measured yet" for min_rtt.
_NO_MIN_RTT = 0xFFFF_FFFF

_LAYOUT = struct.Struct("=68x I I 4x I 16x I 24x Q 12x I 8x Q Q Q Q 8x Q Q")
_PROGRESS = struct.Struct("=120x Q 16x I 52x Q Q")
_BASE_BYTES = 104  # since Linux 2.6
_RECEIVED_BYTES = 168  # bytes_received, min_rtt and delivery_rate: since 4.9
_LIMITED_BYTES = 192  # since 4.10
_SENT_BYTES = 216  # since 4.19


class TcpInfo(NamedTuple):
    """One look at a connection; None is what this kernel does not tell.

    A tuple, because a node with a thousand links makes a thousand of these a second.

    Attributes:
        retransmits: Segments sent again since the connection began.
        sent_bytes: Payload bytes sent, each counted once however often it was sent again.
        delivery_bytes_per_s: The kernel's newest estimate of the rate at which data arrives.
        busy_s: Time with data to send; the two ``_limited_s`` are the parts of it that waited for the
            receiver's window and for our own send buffer.
    """

    rtt_s: float
    rttvar_s: float
    cwnd_segments: int
    retransmits: int
    min_rtt_s: float | None = None
    delivery_bytes_per_s: float | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    retransmitted_bytes: int | None = None
    busy_s: float | None = None
    rwnd_limited_s: float | None = None
    sndbuf_limited_s: float | None = None


def parse_tcp_info(data: bytes) -> TcpInfo | None:
    """Read what ``data`` reaches to; None when it is shorter than the oldest layout."""
    if len(data) >= _SENT_BYTES:
        return _parse(data)
    return _parse_older(data) if len(data) >= _BASE_BYTES else None


def tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Ask the kernel about a connection; None off Linux, for other sockets and for a closed one; 2 µs."""
    if sys.platform != "linux":
        return None
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ASK_BYTES)
    except OSError:
        return None  # not TCP, or closed meanwhile: there is nothing to tell
    return parse_tcp_info(data)


def unacknowledged_bytes(sock: socket.socket, *, has_dialled: bool) -> int | None:
    """Return how many bytes were written that the other end's kernel has not said it has.

    None off Linux before 4.19, for other sockets and for a closed one.

    Args:
        sock: The connection; it may have been reset, as long as it is not closed.
        has_dialled: Whether this end made the connection; its SYN is acknowledged like a byte.
    """
    if sys.platform != "linux":
        return None
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ASK_BYTES)
    except OSError:
        return None
    if len(data) < _SENT_BYTES:
        return None
    progress: tuple[int, int, int, int] = _PROGRESS.unpack_from(data)
    acknowledged, unsent, sent, resent = progress
    return max(0, sent - resent - max(0, acknowledged - has_dialled)) + unsent


def _parse(data: bytes) -> TcpInfo:
    rtt, rttvar, cwnd, retransmits, received, min_rtt, rate, busy, rwnd, sndbuf, sent, resent = (
        _LAYOUT.unpack_from(data)
    )
    return TcpInfo(
        rtt * _US_S,
        rttvar * _US_S,
        cwnd,
        retransmits,
        None if min_rtt == _NO_MIN_RTT else min_rtt * _US_S,
        rate,
        received,
        sent - resent,
        resent,
        busy * _US_S,
        rwnd * _US_S,
        sndbuf * _US_S,
    )


def _parse_older(data: bytes) -> TcpInfo:
    info = _parse(data.ljust(_SENT_BYTES, b"\0"))._replace(sent_bytes=None, retransmitted_bytes=None)
    if len(data) < _LIMITED_BYTES:
        info = info._replace(busy_s=None, rwnd_limited_s=None, sndbuf_limited_s=None)
    if len(data) < _RECEIVED_BYTES:
        info = info._replace(received_bytes=None, min_rtt_s=None, delivery_bytes_per_s=None)
    return info
