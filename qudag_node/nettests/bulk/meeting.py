"""The streams of a TCP bandwidth test find each other: one end listens, the other connects.

The listening end answers when all streams are there, so both begin with all of them. Whoever connects and
does not prove that it belongs to the test is hung up on, and keeps nobody waiting.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from qudag_node.nettests.bulk.proofs import HELLO_BYTES, answer, hello, read_answer, read_hello
from qudag_node.nettests.bulk.sockets import bind, mark, use_congestion_control
from qudag_node.nettests.stamp.sockets import family_of
from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JobError

__all__ = ["Meeting", "be_patient", "meet"]

_BACKLOG = 64
#: Of strangers that say nothing the oldest is hung up on first.
_MAX_PENDING = 64
_PENDING_S = 3.0
_POLL_S = 0.1


@dataclass(slots=True)
class Meeting:
    """The streams of a test, in their order.

    Attributes:
        strangers: Connections that were none of this test's.
    """

    streams: list[socket.socket]
    strangers: int = 0


@dataclass(slots=True)
class _Pending:
    since_mono_s: float
    data: bytes = b""


@dataclass(slots=True)
class _Guests:
    """Who has connected, and what each has said so far."""

    key: bytes
    count: int
    purpose: int
    strangers: int = 0
    pending: dict[socket.socket, _Pending] = field(default_factory=dict[socket.socket, _Pending])
    stream_by_number: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])


def meet(params: dict[str, Any], channel: Channel) -> Meeting:
    """Listen (``listen`` host, ``ports``) or connect (``connect`` [host, port]); return the streams.

    Raises:
        JobError: The other end does not come, cannot be reached, or is not the one it should be.
    """
    if params.get("connect") is not None:
        return Meeting(_connect(params, channel))
    return _listen(params, channel)


def _listen(params: dict[str, Any], channel: Channel) -> Meeting:
    host, timeout_s = str(params["listen"]), float(params["meet_timeout_s"])
    guests = _Guests(bytes(params["key"]), int(params["streams"]), int(params["purpose"]))
    deadline_mono_s = time.monotonic() + timeout_s
    with (
        socket.socket(family_of(host), socket.SOCK_STREAM) as server,
        selectors.DefaultSelector() as selector,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _prepare(server, params)
        port = bind(server, host, params.get("ports"))
        server.listen(_BACKLOG)
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ)
        channel.emit("ready", port=port)
        try:
            while len(guests.stream_by_number) < guests.count:
                there = f"{len(guests.stream_by_number)} of {guests.count} streams"
                be_patient(
                    channel, deadline_mono_s, f"the other end did not connect within {timeout_s:g} s: {there}"
                )
                for key, _ in selector.select(_POLL_S):
                    if key.fileobj is server:
                        _accept(server, selector, guests)
                    else:
                        _read(key.fileobj, selector, guests)
                _tire(selector, guests)
            streams = [guests.stream_by_number[number] for number in range(guests.count)]
            for number, stream in enumerate(streams):
                stream.setblocking(True)
                stream.sendall(answer(guests.key, number, guests.purpose))
        except BaseException:
            _close_all(guests.stream_by_number.values())
            raise
        finally:
            guests.strangers += len(guests.pending)
            _close_all(guests.pending)
    return Meeting(streams, guests.strangers)


def be_patient(channel: Channel, deadline_mono_s: float, why: str) -> None:
    """Go on waiting for the other end.

    Raises:
        JobError: It is too late, for that reason; or the job is to stop.
    """
    if channel.is_stopping():
        raise JobError("stopped before the other end was there")
    if time.monotonic() > deadline_mono_s:
        raise JobError(why)


def _accept(server: socket.socket, selector: selectors.BaseSelector, guests: _Guests) -> None:
    try:
        guest, _ = server.accept()
    except OSError:
        return  # it has hung up meanwhile, or descriptors are short for now
    if len(guests.pending) >= _MAX_PENDING:
        _turn_away(next(iter(guests.pending)), selector, guests)
    guest.setblocking(False)
    guests.pending[guest] = _Pending(time.monotonic())
    selector.register(guest, selectors.EVENT_READ)


def _read(guest: Any, selector: selectors.BaseSelector, guests: _Guests) -> None:
    pending = guests.pending.get(guest)
    if pending is None:
        return  # turned away in this very round
    try:
        data = guest.recv(HELLO_BYTES - len(pending.data))
    except BlockingIOError:
        return
    except OSError:
        data = b""
    pending.data += data
    if data and len(pending.data) < HELLO_BYTES:
        return
    number = read_hello(guests.key, pending.data, guests.purpose)
    if number is None or number >= guests.count or number in guests.stream_by_number:
        _turn_away(guest, selector, guests)
        return
    selector.unregister(guest)
    del guests.pending[guest]
    guests.stream_by_number[number] = guest


def _tire(selector: selectors.BaseSelector, guests: _Guests) -> None:
    oldest_mono_s = time.monotonic() - _PENDING_S
    for guest in [each for each, pending in guests.pending.items() if pending.since_mono_s < oldest_mono_s]:
        _turn_away(guest, selector, guests)


def _turn_away(guest: socket.socket, selector: selectors.BaseSelector, guests: _Guests) -> None:
    guests.strangers += 1
    del guests.pending[guest]
    selector.unregister(guest)
    guest.close()


def _connect(params: dict[str, Any], channel: Channel) -> list[socket.socket]:
    host, port = params["connect"]
    key, purpose = bytes(params["key"]), int(params["purpose"])
    timeout_s = float(params["meet_timeout_s"])
    deadline_mono_s = time.monotonic() + timeout_s
    streams: list[socket.socket] = []
    try:
        for number in range(int(params["streams"])):
            stream = socket.socket(family_of(host), socket.SOCK_STREAM)
            streams.append(stream)
            _prepare(stream, params)
            _dial(stream, (str(host), int(port)), deadline_mono_s, timeout_s, channel)
            stream.sendall(hello(key, number, purpose))
        for number, stream in enumerate(streams):
            _take_answer(stream, key, number, purpose, _shown(host, port), deadline_mono_s, channel)
    except BaseException:
        _close_all(streams)
        raise
    return streams


def _dial(
    stream: socket.socket,
    address: tuple[str, int],
    deadline_mono_s: float,
    timeout_s: float,
    channel: Channel,
) -> None:
    shown = _shown(*address)
    stream.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        stream.connect(address)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_WRITE)
        while not selector.select(_POLL_S):
            be_patient(
                channel,
                deadline_mono_s,
                f"{shown}: no answer within {timeout_s:g} s; a firewall drops TCP to this port",
            )
    error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise JobError(f"{shown}: {os.strerror(error)}")


def _take_answer(
    stream: socket.socket,
    key: bytes,
    number: int,
    purpose: int,
    shown: str,
    deadline_mono_s: float,
    channel: Channel,
) -> None:
    data = b""
    stream.settimeout(_POLL_S)
    while len(data) < HELLO_BYTES:
        try:
            more = stream.recv(HELLO_BYTES - len(data))
        except TimeoutError:
            be_patient(channel, deadline_mono_s, f"{shown}: connected, but the test there does not answer")
            continue
        if not more:
            raise JobError("the other end hung up before the test began")
        data += more
    if not read_answer(key, data, number, purpose):
        raise JobError(f"{shown}: another program answers there, not the peer's test")
    stream.setblocking(True)


def _prepare(sock: socket.socket, params: dict[str, Any]) -> None:
    mark(sock, int(params.get("dscp", 0)))
    if params.get("congestion_control"):
        use_congestion_control(sock, str(params["congestion_control"]))


def _close_all(socks: Any) -> None:
    for sock in list(socks):
        sock.close()


def _shown(host: object, port: object) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
