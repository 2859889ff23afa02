"""TCP_INFO: what the kernel knows of one TCP connection. Linux only; elsewhere there is none.

Offsets of ``struct tcp_info`` in linux/tcp.h, the same on every architecture; a kernel returns as much of it
as it knows, so each field is read only where the answer reaches that far:

     68 rtt u32 µs        72 rttvar u32 µs     80 snd_cwnd u32        100 total_retrans u32
    128 bytes_received u64                    148 min_rtt u32 µs      160 delivery_rate u64 bytes/s
    168 busy_time u64 µs 176 rwnd_limited u64 µs 184 sndbuf_limited u64 µs
    200 bytes_sent u64   208 bytes_retrans u64
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

__all__ = ["TcpInfo", "parse_tcp_info", "tcp_info"]

_ASK_BYTES = 512
_MICROSECOND_S = 1e-6
#: The kernel's "not measured yet" for min_rtt.
_NO_MIN_RTT = 0xFFFF_FFFF

_BASE = struct.Struct("=68x I I 4x I 16x I")  # rtt, rttvar, snd_cwnd, total_retrans: since Linux 2.6
_RECEIVED = struct.Struct("=128x Q 12x I 8x Q")  # bytes_received, min_rtt, delivery_rate: since 4.9
_LIMITS = struct.Struct("=168x Q Q Q")  # since 4.10
_SENT = struct.Struct("=200x Q Q")  # since 4.19


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """One look at a connection; None is what this kernel does not tell.

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
    if len(data) < _BASE.size:
        return None
    rtt_us, rttvar_us, cwnd_segments, retransmits = _BASE.unpack_from(data)
    received_bytes = min_rtt_s = delivery = None
    busy_s = rwnd_limited_s = sndbuf_limited_s = None
    sent_bytes = retransmitted_bytes = None
    if len(data) >= _RECEIVED.size:
        received_bytes, min_rtt_us, delivery = _RECEIVED.unpack_from(data)
        min_rtt_s = None if min_rtt_us == _NO_MIN_RTT else min_rtt_us * _MICROSECOND_S
    if len(data) >= _LIMITS.size:
        busy_s, rwnd_limited_s, sndbuf_limited_s = (t * _MICROSECOND_S for t in _LIMITS.unpack_from(data))
    if len(data) >= _SENT.size:
        all_bytes, retransmitted_bytes = _SENT.unpack_from(data)
        sent_bytes = all_bytes - retransmitted_bytes
    return TcpInfo(
        rtt_s=rtt_us * _MICROSECOND_S,
        rttvar_s=rttvar_us * _MICROSECOND_S,
        cwnd_segments=cwnd_segments,
        retransmits=retransmits,
        min_rtt_s=min_rtt_s,
        delivery_bytes_per_s=delivery,
        received_bytes=received_bytes,
        sent_bytes=sent_bytes,
        retransmitted_bytes=retransmitted_bytes,
        busy_s=busy_s,
        rwnd_limited_s=rwnd_limited_s,
        sndbuf_limited_s=sndbuf_limited_s,
    )


def tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Ask the kernel about a connection; None off Linux, for other sockets and for a closed one."""
    if sys.platform != "linux":
        return None
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ASK_BYTES)
    except OSError:
        return None  # not TCP, or closed meanwhile: there is nothing to tell
    return parse_tcp_info(data)
