"""TCP_INFO of a connection that carries bulk: what says why it is not faster. Linux 4.19 and later.

Further offsets of ``struct tcp_info`` (see ``tcp_info``):

     16 snd_mss u32        60 pmtu u32            68 rtt u32 µs       80 snd_cwnd u32 segments
    100 total_retrans u32 120 bytes_acked u64    128 bytes_received u64 148 min_rtt u32 µs
    160 delivery_rate u64 168 busy_time u64 µs   176 rwnd_limited u64 µs 184 sndbuf_limited u64 µs
    200 bytes_sent u64    208 bytes_retrans u64  228 snd_wnd u32 (since 5.4)
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

__all__ = ["FlowInfo", "congestion_control", "flow_info", "parse_flow_info"]

_ASK_BYTES = 512
_LAYOUT = struct.Struct("=16x I 40x I 4x I 8x I 16x I 16x Q Q 12x I 8x Q Q Q Q 8x Q Q")
_WINDOW = struct.Struct("=228x I")
_CONGESTION_BYTES = 16
_NO_MIN_RTT = 0xFFFF_FFFF


class FlowInfo(NamedTuple):
    """One look at a connection.

    Attributes:
        acked_bytes: What the other end's kernel has taken.
        busy_us: Time with data to send; the two ``_limited_us`` are the parts of it that waited for the
            receiver's window and for our own send buffer.
        window_bytes: What the receiver last said it would take; 0 where this kernel does not tell.
    """

    mss_bytes: int
    path_mtu: int
    rtt_us: int
    cwnd_segments: int
    retransmits: int
    acked_bytes: int
    received_bytes: int
    min_rtt_us: int
    delivery_bytes_per_s: int
    busy_us: int
    rwnd_limited_us: int
    sndbuf_limited_us: int
    sent_bytes: int
    resent_bytes: int
    window_bytes: int = 0


def parse_flow_info(data: bytes) -> FlowInfo | None:
    """Read the kernel's answer; None when it is too short to hold all that is asked."""
    if len(data) < _LAYOUT.size:
        return None
    info = FlowInfo(*_LAYOUT.unpack_from(data))
    if info.min_rtt_us == _NO_MIN_RTT:
        info = info._replace(min_rtt_us=0)
    if len(data) >= _WINDOW.size:
        (window,) = _WINDOW.unpack_from(data)
        info = info._replace(window_bytes=window)
    return info


def flow_info(sock: socket.socket) -> FlowInfo | None:
    """Ask the kernel; None off Linux, for other sockets, and for one that is closed."""
    if sys.platform != "linux":
        return None
    try:
        return parse_flow_info(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ASK_BYTES))
    except OSError:
        return None


def congestion_control(sock: socket.socket) -> str | None:
    """Return the name of a connection's algorithm; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_BYTES)
    except OSError:
        return None
    return name.split(b"\0", 1)[0].decode(errors="replace")
