"""The jobs of reflectors: one session of a neighbour, authenticated; or everybody, without authentication."""

from __future__ import annotations

import errno
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from qudag_node.host.timestamps import (
    Arrival,
    dropped_datagrams,
    enable_stamps,
    receive,
    set_receive_timeout,
    wait_for_stamps,
)
from qudag_node.nettests.pacing import sharpen_this_thread
from qudag_node.nettests.stamp.clock import clock_estimate
from qudag_node.nettests.stamp.departures import Departures
from qudag_node.nettests.stamp.packets import BASE_BYTES, UDP_AND_IP_BYTES, Request
from qudag_node.nettests.stamp.reflector import (
    Reflection,
    Session,
    SessionTable,
    Token,
    answer,
    check,
    is_reflectors_port,
)
from qudag_node.nettests.stamp.sockets import BUFFER_BYTES, bind_udp
from qudag_node.nettests.stamp.timestamps import TimeFormat
from qudag_node.nettests.worker.channel import Channel

__all__ = ["Limits", "reflect", "reflect_for_all"]

_POLL_S = 0.05
#: Told to stop, it takes what has arrived before, but not for longer.
_DRAIN_S = 2.0
_MAX_DATAGRAM_BYTES = 65_535
_CLOCK_INTERVAL_S = 1.0
_REPORT_INTERVAL_S = 1.0
_NEWEST_DEPARTURES = 64
#: A request that is shorter than its reply (TWAMP-Light's 14 octets): so many a second are answered.
_SHORT_PER_S = 100
_MAX_PER_S = 10_000
_MAX_PER_S_EACH = 2_000
_MAX_SOURCES = 4096
_COUNTS = (
    *("packets_in", "bytes_in", "packets_out", "bytes_out"),
    *("malformed", "unauthentic", "replies", "foreign", "limited", "unsent", "user_stamps"),
)
#: An earlier reply has met nobody, or no way.
_OF_EARLIER_REPLIES = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})


class _Rate:
    """At most so many a second, counted in steps of one second."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._second = 0
        self._taken = 0

    def take(self, now_mono_s: float) -> bool:
        if int(now_mono_s) != self._second:
            self._second, self._taken = int(now_mono_s), 0
        self._taken += 1
        return self._taken <= self._per_s


class _Bytes:
    """At most so many a second over time, and two seconds' worth or two of the largest datagrams at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._burst = self._left = max(2.0 * _MAX_DATAGRAM_BYTES, 2.0 * per_s)
        self._at_mono_s = time.monotonic()

    def take(self, amount: int, now_mono_s: float) -> bool:
        left = min(self._burst, self._left + (now_mono_s - self._at_mono_s) * self._per_s)
        is_there = left >= amount
        self._left, self._at_mono_s = left - amount if is_there else left, now_mono_s
        return is_there


class Limits:
    """How many requests are answered: in all, of each source address, and of those shorter than a reply."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._all = _Rate(params.get("packets_per_s", _MAX_PER_S))
        self._short = _Rate(params.get("short_per_s", _SHORT_PER_S))
        self._per_s_each = params.get("packets_per_s_each", _MAX_PER_S_EACH)
        self._by_host: OrderedDict[str, _Rate] = OrderedDict()

    def take(self, arrival: Arrival, now_mono_s: float) -> bool:
        """Count a request; return whether it is to be answered."""
        host = arrival.source[0]
        rate = self._by_host.get(host)
        if rate is None:
            if len(self._by_host) >= _MAX_SOURCES:
                self._by_host.popitem(last=False)
            rate = self._by_host[host] = _Rate(self._per_s_each)
        self._by_host.move_to_end(host)
        is_short = len(arrival.data) < BASE_BYTES
        return (
            rate.take(now_mono_s)
            and (not is_short or self._short.take(now_mono_s))
            and self._all.take(now_mono_s)
        )


class _Reflector:
    """What both jobs share: the socket, the clock's state, the counts of what came in and went out."""

    def __init__(self, sock: socket.socket, params: dict[str, Any]) -> None:
        self.sock = sock
        self.has_stamps = params.get("kernel_stamps", True) and enable_stamps(sock, transmit=True)
        set_receive_timeout(sock, _POLL_S)
        wait_for_stamps()
        self.departures: Departures[tuple[Session, int]] = Departures(sock, has_stamps=self.has_stamps)
        self.counts = dict.fromkeys(_COUNTS, 0)
        self._clock = clock_estimate()
        self._clock_mono_s = time.monotonic()

    def arrivals(self, channel: Channel) -> Iterator[Arrival | None]:
        """Yield datagrams as they come, now and then None; told to stop, first what had come before."""
        deadline_mono_s: float | None = None
        while True:
            if deadline_mono_s is None and channel.is_stopping():
                deadline_mono_s = time.monotonic() + _DRAIN_S
            arrival = self.arrival(0 if deadline_mono_s is None else socket.MSG_DONTWAIT)
            yield arrival
            if deadline_mono_s is not None and (arrival is None or time.monotonic() > deadline_mono_s):
                return

    def arrival(self, flags: int) -> Arrival | None:
        """Wait for a datagram, at most ``_POLL_S``; its time is filled in."""
        try:
            arrival = receive(self.sock, _MAX_DATAGRAM_BYTES, flags)
        except BlockingIOError:
            return None
        except OSError as exc:
            if exc.errno in _OF_EARLIER_REPLIES:
                return None
            raise
        self.counts["packets_in"] += 1
        self.counts["bytes_in"] += len(arrival.data)
        if arrival.received_unix_ns is None:
            self.counts["user_stamps"] += 1
            return arrival._replace(received_unix_ns=time.time_ns())
        return arrival

    def reply(self, session: Session, request: Request, arrival: Arrival) -> None:
        """Answer a request that is as it should be."""
        now_mono_s = time.monotonic()
        if now_mono_s - self._clock_mono_s > _CLOCK_INTERVAL_S:
            self._clock, self._clock_mono_s = clock_estimate(), now_mono_s
        sequence = session.transmitted
        sending_unix_ns = time.time_ns()
        received_unix_ns = arrival.received_unix_ns or sending_unix_ns
        reflection = Reflection(arrival.data, request, received_unix_ns, arrival.ttl)
        packet = answer(session, reflection, self._clock, sending_unix_ns)
        try:
            self.sock.sendto(packet, arrival.source)
        except OSError:
            session.transmitted = sequence
            self.counts["unsent"] += 1
            self.departures.failed()
            return
        self.departures.sent((session, sequence), sending_unix_ns)
        self.counts["packets_out"] += 1
        self.counts["bytes_out"] += len(packet)


def reflect(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Answer one session until told to stop.

    Who asks has the key and could write any source into a packet, so only the address of its link is
    answered; the first authentic request from there fixes the port. Requests from elsewhere are dropped.

    Args:
        params: ``host`` and ``ports`` (first and last, or nothing) to listen on, ``peer`` (the address to
            answer), ``key``, ``dscp``,
            ``format`` (ntp or ptp), ``packets_per_s`` and ``rate_bits_per_s`` (headers included) to answer at
            most; ``buffer_bytes`` of room for arrivals; ``kernel_stamps`` False does without them.
        channel: ``ready`` has the ``port``; the result is the counts.
    """
    sharpen_this_thread(real_time=False)  # whoever floods it must not keep others from a processor
    with bind_udp(
        params["host"],
        params["ports"],
        dscp=params["dscp"],
        buffer_bytes=params.get("buffer_bytes", BUFFER_BYTES),
    ) as sock:
        reflector = _Reflector(sock, params)
        session = Session(key=params["key"], time_format=TimeFormat[params["format"].upper()])
        packets, octets = _Rate(params["packets_per_s"]), _Bytes(params["rate_bits_per_s"] / 8)
        source: tuple[str, int] | None = None
        newest: OrderedDict[int, int] = OrderedDict()
        counts = reflector.counts
        channel.emit("ready", port=sock.getsockname()[1], has_stamps=reflector.has_stamps)
        for arrival in reflector.arrivals(channel):
            _note_departures(reflector, newest)
            if arrival is None:
                continue
            found = check(arrival.data, session.key)
            if isinstance(found, str):
                counts[found] += 1
            elif arrival.source[0] != params["peer"] or source not in {None, arrival.source}:
                counts["foreign"] += 1
            elif not packets.take(now_mono_s := time.monotonic()) or not octets.take(
                len(arrival.data) + UDP_AND_IP_BYTES, now_mono_s
            ):
                counts["limited"] += 1
            else:
                source = arrival.source
                session.count(found.sequence)
                reflector.reply(session, found, arrival)
        _note_departures(reflector, newest)
        return {
            **counts,
            "received": session.received,
            "duplicates": session.duplicates,
            "reordered": session.reordered,
            "transmitted": session.transmitted,
            "dropped": dropped_datagrams(sock) or 0,
            "has_stamps": reflector.has_stamps,
            "departures": [[sequence, unix_ns] for sequence, unix_ns in newest.items()],
        }


def _note_departures(reflector: _Reflector, newest: OrderedDict[int, int] | None = None) -> None:
    for (session, sequence), unix_ns in reflector.departures.take():
        session.follow_up = sequence & 0xFFFF_FFFF, unix_ns
        if newest is not None:
            newest[sequence] = unix_ns
            if len(newest) > _NEWEST_DEPARTURES:
                newest.popitem(last=False)


def reflect_for_all(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Answer everybody, unauthenticated, until told to stop: STAMP, and TWAMP-Light with it.

    Args:
        params: ``host`` and ``ports``, ``dscp``; ``packets_per_s``, ``packets_per_s_each`` and
            ``short_per_s`` change how many requests a second are answered in all, of one address, and of
            those shorter than their replies.
        channel: ``ready`` has the ``port``; ``traffic`` tells the counts, once a second while they change.
    """
    sharpen_this_thread(real_time=False)  # whoever floods it must not keep others from a processor
    with bind_udp(params["host"], params["ports"], dscp=params["dscp"]) as sock:
        reflector = _Reflector(sock, params)
        sessions = SessionTable()
        limits = Limits(params)
        counts = reflector.counts
        told, told_mono_s = 0, time.monotonic()
        port = sock.getsockname()[1]
        channel.emit("ready", port=port, has_stamps=reflector.has_stamps)
        for arrival in reflector.arrivals(channel):
            _note_departures(reflector)
            now_mono_s = time.monotonic()
            if now_mono_s - told_mono_s >= _REPORT_INTERVAL_S:
                told_mono_s = now_mono_s
                if counts["packets_in"] != told:
                    told = counts["packets_in"]
                    channel.emit("traffic", **counts, sessions=len(sessions))
            if arrival is None:
                continue
            found = check(arrival.data, None)
            if isinstance(found, str):
                counts[found] += 1
            elif is_reflectors_port(arrival.source[1], port):
                counts["replies"] += 1
            elif not limits.take(arrival, now_mono_s):
                counts["limited"] += 1
            else:
                session = sessions.find(Token(*arrival.source[:2]), found.ssid, now_mono_s)
                reflector.reply(session, found, arrival)
        return {**counts, "sessions": len(sessions)}
