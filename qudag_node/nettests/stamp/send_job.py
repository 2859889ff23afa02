"""The job of a sender: an open-loop STAMP session with one reflector, and its statistics.

Where the kernel stamps arrivals, one thread does everything: replies lie in the socket until the next packet
is out, which costs them nothing, as their time is that of their arrival. A second thread, asleep in the
socket, would do harm: each transmit stamp wakes it, within the sending of the very packet that is timed
(15 µs). Where the kernel stamps nothing there is such a thread, as there an arrival's time is its reading's.

Once all is sent and the last reply is in, or too late, the node is told (``sent``). It asks the other end
what arrived there and passes that on (``account``); then the statistics are complete, tail losses included.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from qudag_node.host.noise import read_processor_times, steal_ratio
from qudag_node.host.timestamps import (
    Arrival,
    dropped_datagrams,
    enable_stamps,
    receive,
    set_receive_timeout,
    wait_for_stamps,
)
from qudag_node.nettests.pacing import Schedule, sharpen_this_thread, wait_until
from qudag_node.nettests.ping_statistics import Probes, ReflectorCounts, ping_statistics, silence_of, times_of
from qudag_node.nettests.stamp.authentication import has_digest, write_digest
from qudag_node.nettests.stamp.clock import clock_estimate
from qudag_node.nettests.stamp.departures import Departures
from qudag_node.nettests.stamp.error_estimate import ErrorEstimate, decode_error, encode_error
from qudag_node.nettests.stamp.packets import (
    AUTHENTICATED_BYTES,
    BASE_BYTES,
    Reply,
    Request,
    pack_request,
    parse_reply,
)
from qudag_node.nettests.stamp.sockets import BUFFER_BYTES, bind_udp
from qudag_node.nettests.stamp.timestamps import TimeFormat, decode_time, encode_time
from qudag_node.nettests.stamp.tlvs import (
    EXTENSION_BYTES,
    are_intact,
    find_follow_up,
    make_extensions,
    sign_extensions,
)
from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JobError

__all__ = ["SMALLEST_BYTES", "send"]

#: An authenticated packet with its follow-up and its HMAC.
SMALLEST_BYTES = AUTHENTICATED_BYTES + EXTENSION_BYTES

_POLL_S = 0.05
_MAX_DATAGRAM_BYTES = 65_535
_MAX_AWAITED_FOLLOW_UPS = 4096
_PROGRESS_S = 0.25
_FIRST_AFTER_NS = 5_000_000
#: Sleeping longer than this, it looks up now and then whether it should stop.
_NAP_NS = 20_000_000
_LONG_NAP_NS = 100_000_000
_WAIT_S = 0.002
_LEAST_REAL_TIME_NS = 1_000_000
_ACCOUNT_TIMEOUT_S = 40.0
#: A session that is stopped early does not wait longer for its last replies.
_STOPPED_WAIT_S = 1.5
_TRANSMIT_STAMPS_S = 0.05
_STEP_NS = 1_000_000
_MAX_FAILURES_IN_A_ROW = 100
_MAX_AT_ONCE = 1000


@dataclass(slots=True)
class _Session:
    """What is known of the session; where two threads share it, one of them takes the replies."""

    sock: socket.socket
    key: bytes | None
    ssid: int
    form: TimeFormat
    has_stamps: bool
    probes: Probes = field(default_factory=Probes)
    is_over: threading.Event = field(default_factory=threading.Event)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("refused", "malformed", "unauthentic", "unsent", "bytes_out", "bytes_in", "packets_in"), 0
        )
    )
    latest: int = -1
    far_clock: ErrorEstimate | None = None
    awaited: OrderedDict[int, int] = field(default_factory=OrderedDict[int, int])

    @property
    def base_bytes(self) -> int:
        return BASE_BYTES if self.key is None else AUTHENTICATED_BYTES

    def drain(self) -> None:
        """Take the replies that are there, if nobody else does; of a flood not all at once."""
        for _ in range(_MAX_AT_ONCE if self.has_stamps else 0):
            if not self.take_next(socket.MSG_DONTWAIT):
                return

    def take_next(self, flags: int = 0) -> bool:
        """Wait for a reply, at most ``_POLL_S``, and take it; False when there is none."""
        try:
            arrival = receive(self.sock, _MAX_DATAGRAM_BYTES, flags)
        except BlockingIOError:
            return False
        except OSError:
            self.counts["refused"] += 1  # told by ICMP: nobody is there
            return True
        self.take(arrival)
        return True

    def take(self, arrival: Arrival) -> None:
        """Note a reply, if it is one."""
        self.counts["packets_in"] += 1
        self.counts["bytes_in"] += len(arrival.data)
        is_kernels = arrival.received_unix_ns is not None
        arrived_unix_ns = arrival.received_unix_ns or time.time_ns()
        reply = parse_reply(arrival.data, authenticated=self.key is not None)
        clock = None if reply is None else decode_error(reply.error_estimate)
        if reply is None or clock is None or reply.ssid != self.ssid or not self._is_answer(reply):
            self.counts["malformed"] += 1
            return
        if self.key is not None and not self._is_authentic(arrival.data):
            self.counts["unauthentic"] += 1
            return
        self._note(reply, clock, arrived_unix_ns, is_kernels=is_kernels)
        follow_up = find_follow_up(arrival.data, self.base_bytes)
        if follow_up is not None:
            departed = decode_time(follow_up.timestamp, clock.time_format, arrived_unix_ns)
            self.follow_up(follow_up.sequence, departed)

    def _is_answer(self, reply: Reply) -> bool:
        """Whether it answers a packet that was sent: a request thrown back is authentic, too."""
        sequence = reply.sender_sequence
        return (
            sequence < len(self.probes)
            and reply.received != 0
            and reply.sender_timestamp == encode_time(self.probes.written_unix_ns[sequence], self.form)
        )

    def _is_authentic(self, data: bytes) -> bool:
        return (
            self.key is not None
            and has_digest(data, self.key)
            and are_intact(data, AUTHENTICATED_BYTES, self.key)
        )

    def _note(self, reply: Reply, clock: ErrorEstimate, arrived_unix_ns: int, *, is_kernels: bool) -> None:
        times = (
            decode_time(reply.received, clock.time_format, arrived_unix_ns),
            decode_time(reply.timestamp, clock.time_format, arrived_unix_ns),
            arrived_unix_ns,
        )
        sequence = reply.sender_sequence
        if not self.probes.reply(sequence, reply.sequence, times, is_kernels=is_kernels):
            return
        self.latest = sequence
        self.far_clock = clock
        self.awaited[reply.sequence] = sequence
        if len(self.awaited) > _MAX_AWAITED_FOLLOW_UPS:
            self.awaited.popitem(last=False)

    def follow_up(self, reply_sequence: int, departed_unix_ns: int) -> None:
        """Note when a reply truly left; one that is out of all proportion is left out."""
        sequence = self.awaited.pop(reply_sequence, None)
        if sequence is not None:
            self.probes.follow_up(sequence, departed_unix_ns)


def send(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Send, receive, and say what it comes to.

    Args:
        params: ``host`` and ``ports`` of this end; ``address`` and ``port`` of the reflector; ``key`` (None:
            unauthenticated), ``ssid``, ``dscp``, ``format`` (ntp or ptp); ``count`` (0: until told to stop),
            ``interval_ns``, ``size``, ``timeout_ns``; ``is_same_clock``; ``keep`` to get the single times;
            ``buffer_bytes`` of room for arrivals; ``kernel_stamps`` False does without them.
        channel: ``ready``, ``progress`` with figures, ``sent`` at the end; waits then for the order
        ``account``
            with the reflector's counts, or with nothing.
    """
    gc.disable()  # nothing here makes cycles, and a collection would come at the wrong moment
    room = params.get("buffer_bytes", BUFFER_BYTES)
    with bind_udp(params["host"], params["ports"], dscp=params["dscp"], buffer_bytes=room) as sock:
        try:
            sock.connect((params["address"], params["port"]))
        except OSError as exc:
            raise JobError(f"{params['address']}: {exc.strerror}") from exc
        has_stamps = params.get("kernel_stamps", True) and enable_stamps(sock, transmit=True)
        set_receive_timeout(sock, _POLL_S)
        wait_for_stamps()
        form = TimeFormat[params["format"].upper()]
        session = _Session(sock, params["key"], params["ssid"], form, has_stamps=has_stamps)
        # One that never sleeps would be stopped by the kernel for 50 ms of every second.
        sharpen_this_thread(real_time=params["interval_ns"] >= _LEAST_REAL_TIME_NS)
        channel.emit("ready", has_stamps=has_stamps)
        with _receiving(session):
            return _Sender(session, params, channel).run()


@contextlib.contextmanager
def _receiving(session: _Session) -> Generator[None]:
    """Have a thread read arrivals at once, where their times are those of the reading."""
    if session.has_stamps:
        yield
        return
    thread = threading.Thread(target=_receive, args=(session,), name="receive")
    thread.start()
    try:
        yield
    finally:
        session.is_over.set()
        thread.join()


def _receive(session: _Session) -> None:
    while not session.is_over.is_set():
        session.take_next()


class _Sender:
    """The main thread's part."""

    def __init__(self, session: _Session, params: dict[str, Any], channel: Channel) -> None:
        self._session = session
        self._probes = session.probes
        self._params = params
        self._channel = channel
        self._departures: Departures[int] = Departures(session.sock, has_stamps=session.has_stamps)
        self._form = session.form
        self._clock = clock_estimate()
        self._error_field = encode_error(self._clock._replace(time_format=self._form))
        extension_bytes = max(params["size"] - session.base_bytes, 0)
        # Unauthenticated packets carry plain padding, as TWAMP-Light's do.
        self._tail = bytes(extension_bytes) if session.key is None else make_extensions(extension_bytes)
        self._told_mono_ns = 0

    def run(self) -> dict[str, Any]:
        """Send everything, wait for the replies and the account, and return the result."""
        before = read_processor_times()
        began_unix_ns, began_mono_ns = time.time_ns(), time.monotonic_ns()
        schedule = Schedule(began_mono_ns + _FIRST_AFTER_NS, self._params["interval_ns"])
        self._send_all(schedule)
        self._wait_for_replies()
        self._channel.emit("sent", sent=len(self._probes), received=self._probes.replied)
        counts = self._wait_for_account()
        self._take_what_is_there()
        step_ns = (time.time_ns() - began_unix_ns) - (time.monotonic_ns() - began_mono_ns)
        drift_ns = (time.monotonic_ns() - began_mono_ns) // 1000
        return {
            "statistics": self._statistics(counts),
            "silence": list(silence_of(self._probes)),
            "counts": {**self._session.counts, "impossible": self._probes.impossible},
            "steal_ratio": steal_ratio(before, read_processor_times()),
            "moved_s": schedule.moved_ns / 1e9,
            "clock_step_s": step_ns / 1e9 if abs(step_ns) > _STEP_NS + drift_ns else 0.0,
            **(self._samples() if self._params.get("keep") else {}),
        }

    def _send_all(self, schedule: Schedule) -> None:
        count, failures = self._params["count"], 0
        while (not count or len(self._probes) < count) and not self._channel.is_stopping():
            now_mono_ns = time.monotonic_ns()
            due_mono_ns = schedule.next_due(now_mono_ns)
            self._take_what_is_there()
            while (left_ns := due_mono_ns - time.monotonic_ns()) > _NAP_NS:
                if self._channel.wait_stop(min(left_ns - _NAP_NS, _LONG_NAP_NS) / 1e9):
                    return
                self._take_what_is_there()
            written_mono_ns = wait_until(due_mono_ns)
            failures = 0 if self._send_one(due_mono_ns, written_mono_ns) else failures + 1
            if failures >= _MAX_FAILURES_IN_A_ROW:
                return

    def _send_one(self, due_mono_ns: int, written_mono_ns: int) -> bool:
        session = self._session
        written_unix_ns = time.time_ns()
        sequence = self._probes.add(due_mono_ns, written_mono_ns, written_unix_ns)
        timestamp = encode_time(written_unix_ns, self._form)
        request = Request(sequence & 0xFFFF_FFFF, timestamp, self._error_field, session.ssid)
        packet = pack_request(request, authenticated=session.key is not None) + self._tail
        if session.key is not None:
            sign_extensions(packet, AUTHENTICATED_BYTES, session.key)
            write_digest(packet, session.key)
        try:
            try:
                session.sock.send(packet)
            except ConnectionRefusedError:  # about an earlier one; this one was not sent
                session.counts["refused"] += 1
                self._departures.failed()
                session.sock.send(packet)
        except OSError:
            session.counts["unsent"] += 1
            self._probes.forget_last()
            self._departures.failed()
            return False
        self._departures.sent(sequence, written_unix_ns)
        session.counts["bytes_out"] += len(packet)
        return True

    def _take_what_is_there(self) -> None:
        self._note_departures()
        self._session.drain()
        self._tell_progress(time.monotonic_ns())

    def _note_departures(self) -> None:
        for sequence, departed_unix_ns in self._departures.take():
            if sequence < len(self._probes):
                self._probes.departed_unix_ns[sequence] = departed_unix_ns

    def _wait_for_replies(self) -> None:
        deadline_mono_s, is_stopping = time.monotonic() + self._params["timeout_ns"] / 1e9, False
        while self._probes.replied < len(self._probes) and time.monotonic() < deadline_mono_s:
            if self._channel.is_stopping() and not is_stopping:
                is_stopping = True
                deadline_mono_s = min(deadline_mono_s, time.monotonic() + _STOPPED_WAIT_S)
            self._take_what_is_there()
            time.sleep(_WAIT_S)
        deadline_mono_s = time.monotonic() + _TRANSMIT_STAMPS_S
        while self._departures.awaited and time.monotonic() < deadline_mono_s:
            self._note_departures()
            time.sleep(_WAIT_S)

    def _wait_for_account(self) -> ReflectorCounts | None:
        deadline_mono_s = time.monotonic() + _ACCOUNT_TIMEOUT_S
        while time.monotonic() < deadline_mono_s:
            for order in self._channel.orders():
                if order["op"] == "account":
                    return self._read_account(order)
            self._session.drain()
            time.sleep(_WAIT_S)
        return None

    def _read_account(self, order: dict[str, Any]) -> ReflectorCounts | None:
        if "received" not in order:
            return None
        for sequence, departed_unix_ns in order["departures"]:
            self._session.follow_up(sequence, departed_unix_ns)
        return ReflectorCounts(
            received=order["received"],
            dropped=order["dropped"],
            unsent=order["unsent"],
            has_stamps=order["has_stamps"],
        )

    def _statistics(self, counts: ReflectorCounts | None) -> dict[str, Any]:
        own, far = clock_estimate(), self._session.far_clock
        are_synchronised = self._clock.is_synchronised and own.is_synchronised
        error_s: float | None = None
        if are_synchronised and far is not None and far.is_synchronised:
            error_s = max(own.error_s, self._clock.error_s) + far.error_s
        return ping_statistics(
            self._probes,
            counts=counts,
            dropped=dropped_datagrams(self._session.sock) or 0,
            timeout_ns=self._params["timeout_ns"],
            is_same_clock=self._params["is_same_clock"],
            synchronised_error_s=error_s,
        )

    def _samples(self) -> dict[str, bytes]:
        """The round trips and when each was due, as arrays of 64-bit numbers."""
        times = times_of(self._probes)
        return {
            "due_mono_ns": array("q", times.due_mono_ns).tobytes(),
            "round_trip_ns": array("q", times.round_trip_ns).tobytes(),
        }

    def _tell_progress(self, now_mono_ns: int) -> None:
        if now_mono_ns - self._told_mono_ns < _PROGRESS_S * 1e9:
            return
        self._told_mono_ns = now_mono_ns
        probes, latest = self._probes, self._session.latest
        round_trip_s: float | None = None
        if latest >= 0:
            left = probes.departed_unix_ns[latest] or probes.written_unix_ns[latest]
            there = probes.replied_unix_ns[latest] - probes.received_unix_ns[latest]
            round_trip_s = (probes.arrived_unix_ns[latest] - left - there) / 1e9
        self._channel.emit("progress", sent=len(probes), received=probes.replied, rtt_s=round_trip_s)
