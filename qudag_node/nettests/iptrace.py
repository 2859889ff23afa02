"""The IP path to one address: a traceroute that needs no rights, on Linux. A job of worker processes.

A UDP socket with ``IP_RECVERR`` gets the ICMP errors that its own packets cause, with the address of who sent
them; nothing is sent but small UDP packets with a rising TTL to a port where nobody listens. One packet is on
its way at a time, always between the same two ports, so that routers that spread flows over several ways send
all of them one way, and routers that quote no more than RFC 792 demands are understood. At the end one packet
of full size, which no router may split, shows how large packets may be.

    0          4           6        8
    +----------+-----------+--------+
    | mark     | round u16 | ttl u16|      IPv4 and IPv6 alike; padded to the size asked for
    +----------+-----------+--------+

Sources: ip(7), RFC 792, RFC 4443, RFC 1191; Linux's include/uapi/linux/errqueue.h.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JobError

__all__ = ["UNAVAILABLE", "UNDERLAY_PORT", "is_available", "run"]

#: The first port of the traceroute of 1987; nobody listens there, and firewalls know it.
UNDERLAY_PORT = 33434
#: The line for a system that cannot do this.
UNAVAILABLE = "the IP path below a link can be traced on Linux only (it needs IP_RECVERR)"

# linux/in.h, linux/in6.h, asm-generic/socket.h: Python has no names for them.
_IP_MTU_DISCOVER, _IP_RECVERR, _IP_RECVTTL, _IP_MTU, _IP_TTL = 10, 11, 12, 14, 2
_IPV6_MTU_DISCOVER, _IPV6_MTU, _IPV6_RECVERR, _IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 23, 24, 25, 51, 52
_PMTUDISC_PROBE = 3
_SO_TIMESTAMPNS = 35

_MARK: Final = struct.Struct("!4sHH")
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_TIMESPEC = struct.Struct("=qq")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_CONTROL_BYTES = 512
_MAX_PACKET_BYTES = 65_535

_REASON_V4 = {
    (11, 0): "ttl",
    (3, 0): "net-unreachable",
    (3, 1): "host-unreachable",
    (3, 3): "reached",
    (3, 4): "too-big",
    (3, 9): "prohibited",
    (3, 10): "prohibited",
    (3, 13): "prohibited",
}
_REASON_V6 = {
    (3, 0): "ttl",
    (1, 0): "net-unreachable",
    (1, 1): "prohibited",
    (1, 3): "host-unreachable",
    (1, 4): "reached",
    (2, 0): "too-big",
}
# A way with so many silent routers in a row has ended, or is behind a firewall.
_MAX_SILENT = 5
# Once answers have come, one is waited for so many times as long as for the slowest.
_PATIENCE, _LEAST_WAIT_S = 4.0, 0.25
_FULL_SIZE_TRIES = 4
# An error that an earlier packet has caused is told once, in the place of the next packet.
_SEND_TRIES = 3
# Above this an interface is none that leaves the machine.
_LARGEST_REAL_MTU = 16_384


class Answered(NamedTuple):
    """One ICMP error, or a reply of the destination itself.

    Attributes:
        number: The round it answers; None when the router quoted too little to tell.
        mtu: What a router that could not pass a packet on says it could.
        ip_ttl: The TTL the answer arrived with.
    """

    address: str
    reason: str
    number: int | None
    ttl: int | None
    mtu: int
    ip_ttl: int | None
    received_ns: int


@dataclass(slots=True)
class _Found:
    sent: list[list[object]] = field(default_factory=list[list[object]])
    answers: list[list[object]] = field(default_factory=list[list[object]])
    #: Where the last round ended: at the destination, or at who said that there is no way.
    length: int | None = None
    is_reached: bool = False
    slowest_s: float | None = None

    def wait_s(self, timeout_s: float, least_s: float) -> float:
        """Return how long to wait for an answer."""
        if self.slowest_s is None:
            return timeout_s
        return min(timeout_s, max(least_s, self.slowest_s * _PATIENCE))


def is_available() -> bool:
    """Whether this system can do it."""
    return sys.platform == "linux"


def run(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Trace the path to an address.

    Args:
        params: ``address`` (an IP address), and optionally ``port``, ``max_hops``, ``rounds``,
            ``interval_s`` between rounds, ``timeout_s`` for one answer, ``least_wait_s`` for one once answers
            have come, ``dscp``, ``local`` (the address to send from).
        channel: Says when to finish early.

    Returns:
        ``sent`` [[round, ttl, unix_s]], ``answers`` [[round, ttl, address, reason, rtt_s, return_hops]],
        ``path_mtu_bytes`` (None when it could not be found), ``local_address``.

    Raises:
        JobError: Not available here, or nothing can be sent there.
    """
    if not is_available():
        raise JobError(UNAVAILABLE)
    address = str(params["address"])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        probe = _Probe(sock, address, params)
        found = _trace(probe, params, channel)
        mtu = None if channel.is_stopping() else probe.path_mtu_bytes(is_reached=found.is_reached)
        return {
            "sent": found.sent,
            "answers": found.answers,
            "path_mtu_bytes": mtu,
            "local_address": str(sock.getsockname()[0]),
        }


def _trace(probe: _Probe, params: dict[str, Any], channel: Channel) -> _Found:
    found = _Found()
    for number in range(int(params.get("rounds", 3))):
        if number and channel.wait_stop(float(params.get("interval_s", 1.0))):
            break
        _go_round(probe, found, number, params, channel)
    return found


def _go_round(probe: _Probe, found: _Found, number: int, params: dict[str, Any], channel: Channel) -> None:
    """Ask one hop after the other, up to the end of the way or until nothing answers any more."""
    timeout_s, silent = float(params.get("timeout_s", 1.0)), 0
    least_wait_s = float(params.get("least_wait_s", _LEAST_WAIT_S))
    for ttl in range(1, int(params.get("max_hops", 30)) + 1):
        is_beyond = found.length is not None and ttl > found.length
        if channel.is_stopping() or silent >= (1 if is_beyond else _MAX_SILENT):
            return
        answer = _ask(probe, found, number, ttl, found.wait_s(timeout_s, least_wait_s))
        silent = silent + 1 if answer is None else 0
        if answer is not None and answer.reason != "ttl":
            found.length = ttl
            found.is_reached |= answer.reason == "reached"
            return


def _ask(probe: _Probe, found: _Found, number: int, ttl: int, wait_s: float) -> Answered | None:
    """Send one packet and note what comes of it."""
    sent_ns = probe.send(number, ttl)
    found.sent.append([number, ttl, sent_ns / 1e9])
    answer = probe.wait(number, ttl, wait_s)
    if answer is None:
        return None
    rtt_s = max(answer.received_ns - sent_ns, 0) / 1e9
    found.slowest_s = max(found.slowest_s or 0.0, rtt_s)
    back = None if answer.ip_ttl is None else _hops_of(answer.ip_ttl)
    found.answers.append([number, ttl, answer.address, answer.reason, rtt_s, back])
    return answer


def _hops_of(ip_ttl: int) -> int | None:
    """Return the links an answer has passed, for senders begin with 32, 64, 128 or 255."""
    return min(first - ip_ttl for first in (32, 64, 128, 255) if first >= ip_ttl) + 1


class _Probe:
    """The socket that packets leave from, and where the errors that they cause come back.

    Raises:
        JobError: There is no way to the address.
    """

    def __init__(self, sock: socket.socket, address: str, params: dict[str, Any]) -> None:
        self._sock = sock
        self._address = address
        self._is_v6 = sock.family == socket.AF_INET6
        self._mark = os.urandom(4)
        self._poll = select.poll()
        sock.setblocking(False)
        self._set_options(int(params.get("dscp", 0)))
        try:
            if params.get("local"):
                sock.bind((str(params["local"]), 0))
            sock.connect((address, int(params.get("port", UNDERLAY_PORT))))
        except OSError as exc:
            raise JobError(f"{address}: {os.strerror(exc.errno or errno.EINVAL)}") from exc
        self._poll.register(sock, select.POLLIN)

    def send(self, number: int, ttl: int, size_bytes: int = _MARK.size) -> int:
        """Send one packet; return when, by the wall clock.

        Raises:
            JobError: The kernel will not.
        """
        level, option = (
            (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
            if self._is_v6
            else (socket.IPPROTO_IP, socket.IP_TTL)
        )
        self._sock.setsockopt(level, option, ttl)
        packet = _MARK.pack(self._mark, number & 0xFFFF, ttl).ljust(size_bytes, b"\0")
        error = OSError()
        for _ in range(_SEND_TRIES):
            sent_ns = time.time_ns()
            try:
                self._sock.send(packet)
            except OSError as exc:
                if exc.errno == errno.EMSGSIZE:
                    raise
                error = exc
                continue
            return sent_ns
        raise JobError(f"{self._address}: {os.strerror(error.errno or errno.EINVAL)}") from error

    def wait(self, number: int, ttl: int, timeout_s: float) -> Answered | None:
        """Return the answer to a packet; what answers another one came too late, and is dropped."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            # What came while this process was not running has come in time.
            for answer in self._drain() if self._poll.poll(max(0.0, left_s) * 1000) else ():
                if answer.ttl is None or (answer.number, answer.ttl) == (number & 0xFFFF, ttl):
                    return answer
            if left_s <= 0:
                return None

    def path_mtu_bytes(self, *, is_reached: bool) -> int | None:
        """Return how large a packet may be on the way; None when the destination does not tell.

        Args:
            is_reached: The destination answers; if it does not, there is no way to know.
        """
        header_bytes = 48 if self._is_v6 else 28
        level, option = (socket.IPPROTO_IPV6, _IPV6_MTU) if self._is_v6 else (socket.IPPROTO_IP, _IP_MTU)
        mtu = self._sock.getsockopt(level, option)
        if not is_reached or mtu > _LARGEST_REAL_MTU:
            return mtu if is_reached else None
        for turn in range(_FULL_SIZE_TRIES):
            number = 0xFFFF - turn
            try:
                self.send(number, 64, mtu - header_bytes)
            except OSError:
                mtu = min(mtu, self._sock.getsockopt(level, option))
                continue
            answer = self.wait(number, 64, 1.0)
            if answer is None:
                continue  # hosts answer about once a second; a way that swallows large packets stays silent
            if answer.reason != "too-big":
                return mtu
            mtu = answer.mtu if 68 <= answer.mtu < mtu else mtu - 100
        return None

    def _set_options(self, dscp: int) -> None:
        options: list[tuple[int, int, int]] = [(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)]
        if self._is_v6:
            options += [
                (socket.IPPROTO_IPV6, _IPV6_RECVERR, 1),
                (socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1),
                (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE),
                (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2),
            ]
        else:
            options += [
                (socket.IPPROTO_IP, _IP_RECVERR, 1),
                (socket.IPPROTO_IP, _IP_RECVTTL, 1),
                (socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE),
                (socket.IPPROTO_IP, socket.IP_TOS, dscp << 2),
            ]
        for option in options:
            self._sock.setsockopt(*option)

    def _drain(self) -> list[Answered]:
        """Take all that has come: errors, and datagrams in case somebody does listen there."""
        answers: list[Answered] = []
        for flags in (socket.MSG_ERRQUEUE, 0):
            while True:
                try:
                    data, control, _, _ = self._sock.recvmsg(_MAX_PACKET_BYTES, _CONTROL_BYTES, flags)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # the same error once more, as that of the socket; its details are in the queue
                answer = self._read(data, control, is_error=bool(flags))
                if answer is not None:
                    answers.append(answer)
        return answers

    def _read(self, data: bytes, control: list[tuple[int, int, bytes]], *, is_error: bool) -> Answered | None:
        received_ns, ip_ttl = time.time_ns(), None
        address, reason, mtu = self._address, None if is_error else "reached", 0
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, ns = _TIMESPEC.unpack_from(value)
                received_ns = seconds * 1_000_000_000 + ns
            elif (level, kind) in {
                (socket.IPPROTO_IP, _IP_TTL),
                (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT),
            }:
                ip_ttl = int.from_bytes(value[:4], sys.byteorder)
            elif (level, kind) in {
                (socket.IPPROTO_IP, _IP_RECVERR),
                (socket.IPPROTO_IPV6, _IPV6_RECVERR),
            }:
                _, origin, type_, code, _, mtu, _ = _EXTENDED_ERROR.unpack_from(value)
                if origin not in {_ORIGIN_ICMP, _ORIGIN_ICMP6}:
                    return None
                reasons = _REASON_V6 if origin == _ORIGIN_ICMP6 else _REASON_V4
                reason = reasons.get((type_, code), "unreachable")
                address = _offender(value[_EXTENDED_ERROR.size :]) or address
        if reason is None:
            return None
        if reason == "reached" and address != self._address:
            reason = "prohibited"  # a firewall on the way that rejects, in the destination's words
        number, ttl = self._which(data) if is_error else (None, None)
        return Answered(address, reason, number, ttl, mtu, ip_ttl, received_ns)

    def _which(self, quoted: bytes) -> tuple[int | None, int | None]:
        """Return which packet a router quotes; routers need not quote more than 8 bytes of it."""
        if len(quoted) < _MARK.size:
            return None, None
        mark, number, ttl = _MARK.unpack_from(quoted)
        return (number, ttl) if mark == self._mark else (-1, -1)


def _offender(value: bytes) -> str | None:
    """Return the address in the ``sockaddr`` of who sent an error."""
    if len(value) < 2:
        return None
    family = int.from_bytes(value[:2], sys.byteorder)
    if family == socket.AF_INET and len(value) >= 8:
        return socket.inet_ntop(socket.AF_INET, value[4:8])
    if family == socket.AF_INET6 and len(value) >= 24:
        return socket.inet_ntop(socket.AF_INET6, value[8:24])
    return None
