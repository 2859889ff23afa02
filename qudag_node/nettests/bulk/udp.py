"""The jobs ``udp.send`` and ``udp.receive``: datagrams at a rate, and which of them arrived.

The connecting end sends its proof until the listening end answers with its own; before that nothing is sent
to anybody. What is sent is sent in *steps*, each at a rate and for a time: one for an ordinary test, many for
a search. A step is an order of the node, or the only one when the job's parameters say it. A thread paces
it; above some thousand packets a second several go in one system call (GSO), and the receiver
takes them so (GRO).

Rates are of whole IP packets, as they were agreed; what is counted and told as bytes is payload.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from qudag_node.nettests.bulk.datagrams import (
    DEFAULT_PACKET_BYTES,
    LEAST_PACKET_BYTES,
    StepArrivals,
    gaps_of,
    pack_burst,
    packet_bits,
    unpack_burst,
)
from qudag_node.nettests.bulk.load import Load
from qudag_node.nettests.bulk.meeting import be_patient
from qudag_node.nettests.bulk.proofs import (
    HELLO_BYTES,
    TAG_BYTES,
    answer,
    hello,
    packet_tag,
    read_answer,
    read_hello,
)
from qudag_node.nettests.bulk.samples import MAX_PACKED_BYTES, Samples, sample_period_s
from qudag_node.nettests.bulk.sockets import bind, mark, wait_at_most
from qudag_node.nettests.pacing import SPIN_NS, sharpen_this_thread, wait_until
from qudag_node.nettests.stamp.sockets import family_of
from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JobError

__all__ = ["receive", "send"]

_UDP_SEGMENT, _UDP_GRO = 103, 104
_SO_RXQ_OVFL = 40
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_BUFFER_BYTES = 4 << 20
_DATAGRAM_BYTES = 65_535
#: So often a sender wakes at most; faster, it sends several packets each time.
_TICK_NS = 200_000
#: What the kernel cuts at most in one call.
_MAX_SEGMENTS = 60
_MAX_BURST_BYTES = 64_000
_MOST_BEHIND_NS = 50_000_000
_WAIT_S = 0.1
_HELLO_PERIOD_S = 0.1
_ENFORCED_RATIO = 1.25
_ENFORCED_BURST_S = 0.5
_STALLED_S = 5.0
_EVENT_PERIOD_S = 0.25
_MAX_STEPS = 4096
_ORDER_POLL_S = 0.005
_MAX_TOLD_STEPS = 32
_INT = struct.Struct("@i")


@dataclass(slots=True, eq=False)
class _Stream:
    """One socket, connected once the other end is known."""

    number: int
    sock: socket.socket
    tag: bytes
    has_segments: bool = False
    sent: int = 0
    sent_bytes: int = 0
    unsent: int = 0
    received_bytes: int = 0
    taken_packets: int = 0
    taken_bits: int = 0
    strangers: int = 0
    overflow: int = 0
    error: str = ""


def send(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Send what is ordered; the result says how much went out."""
    return _Sender(params, channel).run()


def receive(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Receive until told to stop; the result says what arrived, by step."""
    return _Receiver(params, channel).run()


# Meeting


def _meet(params: dict[str, Any], channel: Channel) -> list[_Stream]:
    key, purpose, count = bytes(params["key"]), int(params["purpose"]), int(params["streams"])
    connect, listen = params.get("connect"), str(params.get("listen"))
    host = _host_of(params)
    streams: list[_Stream] = []
    ports: list[int] = []
    try:
        for number in range(count):
            sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
            streams.append(_Stream(number, sock, packet_tag(key, number, purpose)))
            _prepare(sock, params)
            if connect is None:
                ports.append(bind(sock, listen, params.get("ports")))
            else:
                sock.connect((host, int(params["connect_ports"][number])))
        if connect is None:
            channel.emit("ready", port=ports[0], ports=ports)
        deadline_mono_s = time.monotonic() + float(params["meet_timeout_s"])
        waiting = {stream.sock: stream for stream in streams}
        while waiting:
            _take_part(waiting, key, purpose, connect is not None, str(params.get("peer") or ""))
            be_patient(channel, deadline_mono_s, _nobody(host, params))
    except BaseException:
        for stream in streams:
            stream.sock.close()
        raise
    return streams


def _take_part(
    waiting: dict[socket.socket, _Stream], key: bytes, purpose: int, is_connecting: bool, peer: str
) -> None:
    """One round of saying hello, or of waiting for it.

    A hello is believed from the address of the link only: the peer has the key, and could have this end
    send its stream to whatever address it writes into a single packet.
    """
    for sock, stream in list(waiting.items()):
        wait_at_most(sock, _HELLO_PERIOD_S / len(waiting))
        if is_connecting:
            with contextlib.suppress(ConnectionRefusedError):
                sock.send(hello(key, stream.number, purpose))
        try:
            data, address = sock.recvfrom(2048)
        except BlockingIOError:
            continue
        except ConnectionRefusedError:
            time.sleep(_HELLO_PERIOD_S / 4)
            continue
        is_from_peer = not peer or address[0] == peer
        if not is_connecting and is_from_peer and read_hello(key, data, purpose) == stream.number:
            sock.connect(address)
            sock.send(answer(key, stream.number, purpose))
            del waiting[sock]
        elif is_connecting and (
            read_answer(key, data, stream.number, purpose) or data[:TAG_BYTES] == stream.tag
        ):
            del waiting[sock]
        else:
            stream.strangers += 1


def _host_of(params: dict[str, Any]) -> str:
    connect = params.get("connect")
    return str(connect[0] if connect else params.get("listen"))


def _packets_per_s(params: dict[str, Any]) -> float:
    return float(params.get("packets_per_s") or math.inf)


def _nobody(host: str, params: dict[str, Any]) -> str:
    timeout_s = float(params["meet_timeout_s"])
    if params.get("connect") is None:
        return f"no packet of the other end's came within {timeout_s:g} s; a firewall drops UDP"
    return f"{host}: no answer over UDP within {timeout_s:g} s; a firewall drops UDP to the test's ports"


def _prepare(sock: socket.socket, params: dict[str, Any]) -> None:
    mark(sock, int(params.get("dscp", 0)))
    for ordinary, forced in ((socket.SO_SNDBUF, _SO_SNDBUFFORCE), (socket.SO_RCVBUF, _SO_RCVBUFFORCE)):
        try:
            if sys.platform != "linux":
                raise PermissionError
            sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, ordinary, _BUFFER_BYTES)


# Sending


class _Sender:
    def __init__(self, params: dict[str, Any], channel: Channel) -> None:
        self._channel = channel
        self._size = int(params.get("packet_bytes") or DEFAULT_PACKET_BYTES)
        if not LEAST_PACKET_BYTES <= self._size <= _DATAGRAM_BYTES - 48:
            raise JobError(f"packets of {self._size} bytes: at least {LEAST_PACKET_BYTES}, at most 65487")
        self._packet_bits = packet_bits(self._size, _host_of(params))
        self._cap = min(float(params["rate_bits_per_s"]), _packets_per_s(params) * self._packet_bits)
        self._duration_s = float(params["duration_s"])
        self._pack_bytes = int(params.get("pack_bytes", MAX_PACKED_BYTES))
        self._is_single = bool(params.get("is_single", True))
        self._streams = _meet(params, channel)
        self._stopping = False
        self._held_ns = [0] * len(self._streams)
        self._samples = Samples()
        self._sent_by_step: dict[int, list[int]] = {}

    def run(self) -> dict[str, Any]:
        channel = self._channel
        for stream in self._streams:
            stream.has_segments = sys.platform == "linux"
            wait_at_most(stream.sock, _WAIT_S)
        channel.emit("begun")
        if self._is_single:
            self._step(0, self._cap, self._duration_s, is_told=True)
        else:
            self._serve()
        for stream in self._streams:
            stream.sock.close()
        return {
            "samples": self._samples.pack(self._pack_bytes),
            "streams": len(self._streams),
            "packet_bytes": self._size,
            "steps": {str(step): counts for step, counts in self._sent_by_step.items()},
            "packets": sum(stream.sent for stream in self._streams),
            "moved_bytes": sum(stream.sent_bytes for stream in self._streams),
            "unsent": sum(stream.unsent for stream in self._streams),
            "segmentation": any(stream.has_segments for stream in self._streams),
            "why_early": next((stream.error for stream in self._streams if stream.error), ""),
        }

    def _serve(self) -> None:
        deadline_mono_s = time.monotonic() + self._duration_s
        while not self._channel.is_stopping() and time.monotonic() < deadline_mono_s:
            for order in self._channel.orders():
                step = int(order["step"])
                rate = min(float(order["rate_bits_per_s"]), self._cap)
                left_s = max(0.0, deadline_mono_s - time.monotonic())
                if len(self._sent_by_step) < _MAX_STEPS:
                    self._step(step, rate, min(float(order["duration_s"]), left_s), is_told=False)
                sent, elapsed_us = self._sent_by_step.get(step, [0, 0])
                self._channel.emit("step", step=step, sent=sent, elapsed_us=elapsed_us)
            self._channel.wait_stop(_ORDER_POLL_S)

    def _step(self, step: int, rate: float, duration_s: float, *, is_told: bool) -> None:
        streams = self._streams
        before = sum(stream.sent for stream in streams)
        begin_ns = time.monotonic_ns()
        until_ns = begin_ns + int(duration_s * 1e9)
        self._stopping = False
        threads = [
            threading.Thread(
                target=self._send, args=(stream, step, rate / len(streams), begin_ns, until_ns), daemon=True
            )
            for stream in streams
        ]
        for thread in threads:
            thread.start()
        load = Load(threads)
        period_s, told_s = sample_period_s(duration_s), 0.0
        if is_told:
            self._sample(begin_ns, load)
        while any(thread.is_alive() for thread in threads):
            if self._channel.wait_stop(
                min(period_s, max(0.0, (until_ns - time.monotonic_ns()) / 1e9) + 0.001)
            ):
                self._stopping = True
                for thread in threads:
                    thread.join(1)
            if is_told:
                now_s = self._sample(begin_ns, load)
                if now_s - told_s >= _EVENT_PERIOD_S:
                    told_s = now_s
                    self._channel.emit("sample", **self._samples.at(-1))
        elapsed_us = (time.monotonic_ns() - begin_ns) // 1000
        self._sent_by_step[step] = [sum(stream.sent for stream in streams) - before, elapsed_us]

    def _sample(self, begin_ns: int, load: Load) -> float:
        load.sample()
        now_ns = time.monotonic_ns()
        self._samples.add(
            {
                "t_us": (now_ns - begin_ns) // 1000,
                "bytes": sum(stream.sent_bytes for stream in self._streams),
                "packets": sum(stream.sent for stream in self._streams),
                "cpu_us": load.cpu_us,
                "pressed_us": load.pressed_us,
                "held_us": sum(self._held_ns) // 1000,
            }
        )
        return (now_ns - begin_ns) / 1e9

    def _send(self, stream: _Stream, step: int, rate: float, begin_ns: int, until_ns: int) -> None:
        sharpen_this_thread(real_time=False)
        size, number = self._size, 0
        packet_ns = self._packet_bits * 1e9 / rate
        burst = max(1, min(round(_TICK_NS / packet_ns), _MAX_SEGMENTS, _MAX_BURST_BYTES // size))
        # A core that only spins is missed elsewhere: an eighth of the time at most.
        spin_ns = min(SPIN_NS, int(packet_ns * burst / 8))
        buffer = bytearray(size * burst)
        view = memoryview(buffer)
        due = float(begin_ns)
        try:
            while not self._stopping:
                now_ns = time.monotonic_ns()
                if due > now_ns:
                    if due >= until_ns:
                        break
                    wait_until(int(due), spin_ns)
                    waited_ns = time.monotonic_ns()
                    self._held_ns[stream.number] += waited_ns - now_ns
                    now_ns = waited_ns
                elif now_ns - due > _MOST_BEHIND_NS:
                    due = float(now_ns)  # what a stall of this host missed is not made up for in one burst
                if now_ns >= until_ns:
                    break
                count = burst if stream.has_segments else 1
                pack_burst(buffer, stream.tag, step, number, count, size, now_ns)
                if self._write(stream, view[: size * count], size):
                    number += count
                    stream.sent += count
                    stream.sent_bytes += size * count
                    due += packet_ns * count
        except OSError as exc:
            is_gone = exc.errno == errno.ECONNREFUSED
            stream.error = "the other end has closed its port" if is_gone else os.strerror(exc.errno or 0)

    @staticmethod
    def _write(stream: _Stream, data: memoryview, size: int) -> bool:
        """Send one call's packets; tell whether they went out."""
        try:
            if len(data) > size:
                stream.sock.sendmsg([data], [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("@H", size))])
            else:
                stream.sock.send(data)
        except OSError as exc:
            if exc.errno in {errno.EAGAIN, errno.ENOBUFS}:
                stream.unsent += -(-len(data) // size)
                return False
            if len(data) > size and exc.errno in {errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP}:
                stream.has_segments = False  # this path's device or MTU does not let it
                return False
            raise
        return True


# Receiving


class _Receiver:
    def __init__(self, params: dict[str, Any], channel: Channel) -> None:
        self._channel = channel
        self._duration_s = float(params["duration_s"])
        self._pack_bytes = int(params.get("pack_bytes", MAX_PACKED_BYTES))
        self._tail_s = float(params.get("tail_s", 0.3))
        self._is_single = bool(params.get("is_single", True))
        self._cap, self._most_packets_per_s = float(params["rate_bits_per_s"]), _packets_per_s(params)
        self._header_bits = packet_bits(0, _host_of(params))
        self._key, self._purpose = bytes(params["key"]), int(params["purpose"])
        self._streams = _meet(params, channel)
        max_gaps = gaps_of(len(self._streams))
        self._arrivals = [StepArrivals(is_single=self._is_single, max_gaps=max_gaps) for _ in self._streams]
        self._stopping = False
        self._samples = Samples()

    def run(self) -> dict[str, Any]:
        streams, channel = self._streams, self._channel
        for stream in streams:
            wait_at_most(stream.sock, _WAIT_S)
            if sys.platform == "linux":
                stream.sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
                with contextlib.suppress(OSError):
                    stream.sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
        channel.emit("begun")
        threads = [threading.Thread(target=self._receive, args=(stream,), daemon=True) for stream in streams]
        for thread in threads:
            thread.start()
        why_early = self._watch(Load(threads))
        self._stopping = True
        for thread in threads:
            thread.join(1)
        for stream in streams:
            stream.sock.close()
        return {
            "samples": self._samples.pack(self._pack_bytes),
            "streams": len(streams),
            "steps": self._steps(),
            "packets": sum(each.received for each in self._arrivals),
            "moved_bytes": sum(stream.received_bytes for stream in streams),
            "strangers": sum(stream.strangers for stream in streams),
            "why_early": why_early,
        }

    def _watch(self, load: Load) -> str:
        """Sample until the end; return why it came early."""
        channel, period_s = self._channel, sample_period_s(self._duration_s)
        begin_ns = time.monotonic_ns()
        self._sample(begin_ns, load)
        until_s = self._duration_s + self._tail_s
        told_s = moved_s = 0.0
        last_bytes = 0
        while True:
            is_stopping = channel.wait_stop(period_s if self._is_single else _ORDER_POLL_S)
            for order in channel.orders():
                channel.emit("step", **self._counts(int(order["step"])))
            now_s = (time.monotonic_ns() - begin_ns) / 1e9
            if self._is_single or now_s - self._samples.last("t_us") / 1e6 >= period_s:
                self._sample(begin_ns, load)
            if is_stopping or now_s >= until_s:
                return ""
            received = self._samples.last("bytes")
            if received != last_bytes:
                last_bytes, moved_s = received, now_s
            if self._is_single and now_s - moved_s > _STALLED_S and now_s < self._duration_s:
                return f"nothing has arrived for {now_s - moved_s:.1f} s, after {moved_s:.1f} s of the test"
            if self._is_exceeded(_ENFORCED_RATIO * (now_s + _ENFORCED_BURST_S)):
                return "the sender exceeds the rate that was agreed"
            if self._is_single and now_s - told_s >= _EVENT_PERIOD_S:
                told_s = now_s
                channel.emit("sample", **self._samples.at(-1))

    def _is_exceeded(self, seconds: float) -> bool:
        """Whether more came than may in that time, whatever it was."""
        bits = sum(stream.taken_bits for stream in self._streams)
        packets = sum(stream.taken_packets for stream in self._streams)
        return bits > self._cap * seconds or packets > self._most_packets_per_s * seconds

    def _sample(self, begin_ns: int, load: Load) -> None:
        load.sample()
        streams = self._streams
        arrivals = [each for stream in self._arrivals for each in stream.all]
        self._samples.add(
            {
                "t_us": (time.monotonic_ns() - begin_ns) // 1000,
                "bytes": sum(stream.received_bytes for stream in streams),
                "packets": sum(each.received for each in self._arrivals),
                "missing": sum(each.missing for each in arrivals),
                "jitter_us": int(max((each.jitter_ns for each in arrivals), default=0)) // 1000,
                "receiver_dropped": sum(each.receiver_dropped for each in arrivals),
                "cpu_us": load.cpu_us,
                "pressed_us": load.pressed_us,
                "held_us": 0,
            }
        )

    def _counts(self, step: int) -> dict[str, int]:
        found = (each.by_step.get(step) for each in self._arrivals)
        arrivals = [each for each in found if each is not None]
        return {
            "step": step,
            "received": sum(each.received for each in arrivals),
            "duplicates": sum(each.duplicates for each in arrivals),
            "reordered": sum(each.reordered for each in arrivals),
            "jitter_ns": int(max((each.jitter_ns for each in arrivals), default=0)),
            "receiver_dropped": sum(each.receiver_dropped for each in arrivals),
            "received_bytes": sum(each.received_bytes for each in arrivals),
            "head_bytes": sum(each.head_bytes for each in arrivals),
            "span_us": max((each.span_ns for each in arrivals), default=0) // 1000,
        }

    def _steps(self) -> dict[str, dict[str, int]]:
        """The newest steps; those before have been told."""
        steps = {step for each in self._arrivals for step in list(each.by_step)}
        return {str(step): self._counts(step) for step in sorted(steps)[-_MAX_TOLD_STEPS:]}

    def _receive(self, stream: _Stream) -> None:
        sock, tag, arrivals = stream.sock, stream.tag, self._arrivals[stream.number]
        buffer = bytearray(_DATAGRAM_BYTES + 1)
        view = memoryview(buffer)
        room = socket.CMSG_SPACE(4) * 2
        while not self._stopping:
            try:
                count, ancillary, _, _ = sock.recvmsg_into([buffer], room)
            except BlockingIOError:
                continue
            except ConnectionRefusedError:
                continue  # the answer to our own hello: the sender's socket is gone
            except OSError as exc:
                stream.error = exc.strerror or str(exc)
                return
            received_ns = time.monotonic_ns()
            size = count
            dropped = stream.overflow
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
                    (size,) = _INT.unpack_from(data)
                elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                    (dropped,) = _INT.unpack_from(data)
            packets = -(-count // size) if count else 1
            stream.taken_packets += packets
            stream.taken_bits += count * 8 + packets * self._header_bits
            burst = unpack_burst(view[:count], size, tag) if count else None
            if burst is None:
                self._take_other(stream, bytes(view[: min(count, HELLO_BYTES + 1)]))
                continue
            step, numbers, sent_ns = burst
            if arrivals.take(step, numbers, sent_ns, received_ns, count, dropped - stream.overflow):
                stream.received_bytes += count
                stream.overflow = dropped

    def _take_other(self, stream: _Stream, data: bytes) -> None:
        """Answer the hello of a connecting end that did not hear the first answer; count strangers."""
        if read_hello(self._key, data, self._purpose) == stream.number:
            with contextlib.suppress(OSError):
                stream.sock.send(answer(self._key, stream.number, self._purpose))
        elif not read_answer(self._key, data, stream.number, self._purpose):
            stream.strangers += 1
