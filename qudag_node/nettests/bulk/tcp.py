"""The jobs ``tcp.send`` and ``tcp.receive``: one thread for each stream, samples all along.

What limits a transfer in this language is the size of a system call: a mebibyte is written at once, and what
arrives is dropped by the kernel (MSG_TRUNC) without being copied. A rate is kept by the sender; the receiver,
who has agreed to it, reads no faster than that either, and TCP does the rest.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from qudag_node.host.tcp_flow import congestion_control, flow_info
from qudag_node.nettests.bulk.load import Load
from qudag_node.nettests.bulk.meeting import meet
from qudag_node.nettests.bulk.samples import MAX_PACKED_BYTES, Samples, sample_period_s
from qudag_node.nettests.bulk.sockets import close_at_once
from qudag_node.nettests.worker.channel import Channel

__all__ = ["receive", "send"]

_CHUNK_BYTES = 1 << 20
_LEAST_CHUNK_BYTES = 1 << 10
#: With a rate, so much is written at once.
_PACED_CHUNK_S = 0.01
#: A sender that was held up makes up for so much.
_MOST_BEHIND_S = 0.1
#: The receiver enforces the rate with so much to spare, for its clock and the sender's buffers.
_ENFORCED_RATIO = 1.05
_ENFORCED_BURST_S = 0.25
#: The other end is gone, or the path is: nothing has arrived for so long.
_STALLED_S = 5.0
#: How long after its end a receiver still waits for the sender to close.
_DRAIN_S = 2.0
_EVENT_PERIOD_S = 0.25


class _Stream:
    """One connection, and the thread that writes or reads it."""

    def __init__(self, sock: socket.socket, rate_bytes_per_s: float | None) -> None:
        self.sock = sock
        self.rate_bytes_per_s = rate_bytes_per_s
        self.bytes = 0
        self.held_ns = 0
        self.error = ""
        self.stopping = False
        self.info = flow_info(sock)

    def send(self) -> None:
        """Write until told to stop, or the other end is gone."""
        rate = self.rate_bytes_per_s
        if rate is None:
            size = _CHUNK_BYTES
        else:
            size = int(min(max(rate * _PACED_CHUNK_S, _LEAST_CHUNK_BYTES), _CHUNK_BYTES))
        chunk = memoryview(bytes(size))
        write = self.sock.send
        begin_ns, offset = time.monotonic_ns(), 0
        try:
            while not self.stopping:
                if rate is not None:
                    begin_ns += self._keep_pace(begin_ns, rate)
                sent = write(chunk[offset:] if offset else chunk)
                self.bytes += sent
                offset = (offset + sent) % size
        except OSError as exc:
            self._broken(exc.strerror or str(exc))

    def _keep_pace(self, begin_ns: int, rate: float) -> int:
        """Sleep until what was written is due; return by how much the schedule has moved."""
        now_ns = time.monotonic_ns()
        ahead_ns = begin_ns + int(self.bytes / rate * 1e9) - now_ns
        if ahead_ns > 0:
            time.sleep(ahead_ns / 1e9)
            self.held_ns += time.monotonic_ns() - now_ns
            return 0
        return max(0, -ahead_ns - int(_MOST_BEHIND_S * 1e9))

    def receive(self) -> None:
        """Read until the other end closes."""
        rate = self.rate_bytes_per_s
        read, begin_ns = _reader(self.sock), time.monotonic_ns()
        try:
            while True:
                count = read()
                if not count:
                    self._broken("the other end closed the connection")
                    return
                self.bytes += count
                if rate is not None:
                    self._enforce(begin_ns, rate * _ENFORCED_RATIO)
        except OSError as exc:
            self._broken(exc.strerror or str(exc))

    def _enforce(self, begin_ns: int, rate: float) -> None:
        now_ns = time.monotonic_ns()
        ahead_s = self.bytes / rate - (now_ns - begin_ns) / 1e9 - _ENFORCED_BURST_S
        if ahead_s > 0:
            time.sleep(ahead_s)
            self.held_ns += time.monotonic_ns() - now_ns

    def _broken(self, reason: str) -> None:
        if not self.stopping:
            self.error = reason


def _reader(sock: socket.socket) -> Callable[[], int]:
    """Return what reads once and says how much came."""
    buffer = bytearray(_CHUNK_BYTES)
    # Linux drops the bytes and leaves the buffer alone.
    flags = socket.MSG_TRUNC if sys.platform.startswith("linux") else 0
    return lambda: sock.recv_into(buffer, _CHUNK_BYTES, flags)


def send(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Send for ``duration_s`` on ``streams`` connections, no faster than ``rate_bits_per_s`` together."""
    return _Transfer(params, channel, is_sender=True).run()


def receive(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Receive what ``send`` at the other end sends."""
    return _Transfer(params, channel, is_sender=False).run()


class _Transfer:
    def __init__(self, params: dict[str, Any], channel: Channel, *, is_sender: bool) -> None:
        self._channel = channel
        self._is_sender = is_sender
        self._duration_s = float(params["duration_s"])
        self._period_s = sample_period_s(self._duration_s)
        self._pack_bytes = int(params.get("pack_bytes", MAX_PACKED_BYTES))
        meeting = meet(params, channel)
        self._strangers = meeting.strangers
        rate = params.get("rate_bits_per_s")
        each = None if rate is None else float(rate) / 8 / len(meeting.streams)
        self._streams = [_Stream(sock, each) for sock in meeting.streams]
        self._threads = [
            threading.Thread(target=stream.send if is_sender else stream.receive, daemon=True)
            for stream in self._streams
        ]
        self._samples = Samples()
        self._why_early = ""

    def run(self) -> dict[str, Any]:
        """Transfer; return what was counted."""
        channel, streams = self._channel, self._streams
        algorithm = congestion_control(streams[0].sock)
        begin_ns = time.monotonic_ns()
        for thread in self._threads:
            thread.start()
        channel.emit("begun", congestion_control=algorithm)
        load = Load(self._threads)
        self._sample(begin_ns, load)
        told_s = moved_s = 0.0
        for number in range(1, int(self._duration_s / self._period_s + 1.5)):
            due_s = min(number * self._period_s, self._duration_s)
            is_stopping = channel.wait_stop(max(0.0, due_s - (time.monotonic_ns() - begin_ns) / 1e9))
            now_s = self._sample(begin_ns, load)
            if is_stopping:
                break
            if self._grew():
                moved_s = now_s
            self._why_early = self._why_to_end(now_s - moved_s, now_s)
            if self._why_early:
                break
            if now_s - told_s >= _EVENT_PERIOD_S:
                told_s = now_s
                channel.emit("sample", **self._samples.at(-1))
        if not self._is_sender:
            self._drain()
        for stream in streams:
            stream.stopping = True
        for stream in streams:
            close_at_once(stream.sock)
        for thread in self._threads:
            thread.join(1)  # its last call may have moved something
        return self._result(algorithm)

    def _sample(self, begin_ns: int, load: Load) -> float:
        streams = self._streams
        for stream in streams:
            # A closed connection tells nothing: what it told last remains.
            stream.info = flow_info(stream.sock) or stream.info
        moved = sum(stream.bytes for stream in streams)
        held_ns = sum(stream.held_ns for stream in streams)
        now_ns = time.monotonic_ns()
        load.sample()
        row = {
            "t_us": (now_ns - begin_ns) // 1000,
            "cpu_us": load.cpu_us,
            "pressed_us": load.pressed_us,
            "held_us": held_ns // 1000,
        }
        infos = [stream.info for stream in streams if stream.info is not None]
        if self._is_sender:
            acked = sum(info.acked_bytes for info in infos)
            row |= {
                "bytes": acked if infos else moved,
                "retransmits": sum(info.retransmits for info in infos),
                "sent_bytes": sum(info.sent_bytes for info in infos),
                "resent_bytes": sum(info.resent_bytes for info in infos),
                "rtt_us": sum(info.rtt_us for info in infos) // max(1, len(infos)),
                "min_rtt_us": min((info.min_rtt_us for info in infos), default=0),
                "cwnd_bytes": sum(info.cwnd_segments * info.mss_bytes for info in infos),
                "window_bytes": sum(info.window_bytes for info in infos),
                "delivery_bytes_per_s": sum(info.delivery_bytes_per_s for info in infos),
                "busy_us": sum(info.busy_us for info in infos),
                "rwnd_limited_us": sum(info.rwnd_limited_us for info in infos),
                "sndbuf_limited_us": sum(info.sndbuf_limited_us for info in infos),
            }
        else:
            row["bytes"] = moved
        self._samples.add(row)
        return (now_ns - begin_ns) / 1e9

    def _grew(self) -> bool:
        count = len(self._samples)
        return count < 2 or self._samples.grown("bytes", count - 2, count - 1) > 0

    def _why_to_end(self, still_s: float, now_s: float) -> str:
        broken = [stream.error for stream in self._streams if stream.error]
        if len(broken) == len(self._streams):
            # Clocks and round trips: the sender's end comes a moment before the receiver's, or after.
            is_at_end = now_s >= self._duration_s - max(0.5, 2 * self._period_s)
            return "" if is_at_end else f"ended after {now_s:.1f} s: {broken[0]}"
        if still_s > _STALLED_S:
            return f"nothing has arrived for {still_s:.1f} s, after {now_s - still_s:.1f} s of the test"
        return ""

    def _drain(self) -> None:
        """Take what is still on its way, so that no sender sees a reset before its own end."""
        deadline_mono_s = time.monotonic() + (
            0 if self._why_early or self._channel.is_stopping() else _DRAIN_S
        )
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < deadline_mono_s:
                thread.join(0.05)

    def _result(self, algorithm: str | None) -> dict[str, Any]:
        infos = [stream.info for stream in self._streams if stream.info is not None]
        path_mtu = [info.path_mtu for info in infos]
        mss = [info.mss_bytes for info in infos]
        return {
            "samples": self._samples.pack(self._pack_bytes),
            "streams": len(self._streams),
            "stream_bytes": [stream.bytes for stream in self._streams],
            "congestion_control": algorithm,
            "mss_bytes": min(mss, default=0),
            "path_mtu": min(path_mtu, default=0),
            "strangers": self._strangers,
            "why_early": self._why_early,
        }
