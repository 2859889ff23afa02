from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from qudag_node.host import parse_tcp_info, tcp_info, unacknowledged_bytes

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            yield near, far


@linux_only
def test_a_connection_tells_what_it_carried(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    near.sendall(b"x" * 5000)
    received = 0
    while received < 5000:
        received += len(far.recv(5000))
    sender, receiver = tcp_info(near), tcp_info(far)
    assert sender is not None
    assert receiver is not None
    assert (sender.sent_bytes, receiver.received_bytes) == (5000, 5000)
    assert sender.cwnd_segments > 0
    assert 0 <= sender.rtt_s < 10
    assert sender.min_rtt_s is not None
    assert sender.retransmits == 0


@linux_only
def test_what_was_written_is_what_the_other_kernel_has_and_what_is_unacknowledged(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    for near, far, has_dialled in ((pair[0], pair[1], True), (pair[1], pair[0], False)):
        near.setblocking(False)
        written = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                written += near.send(b"x" * 65536)
        deadline_mono_s = time.monotonic() + 10
        counts: tuple[int | None, int | None] = (None, None)
        while time.monotonic() < deadline_mono_s:
            info = tcp_info(far)
            assert info is not None
            counts = info.received_bytes, unacknowledged_bytes(near, has_dialled=has_dialled)
            if None not in counts and sum(filter(None, counts)) == written:
                break
        assert counts[1]
        assert sum(filter(None, counts)) == written


@linux_only
def test_other_sockets_and_closed_ones_have_none(pair: tuple[socket.socket, socket.socket]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert tcp_info(datagrams) is None
    pair[0].close()
    assert tcp_info(pair[0]) is None


def test_there_is_none_off_linux(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tcp_info(pair[0]) is None


def sample() -> bytearray:
    data = bytearray(280)
    for offset, form, value in (
        (68, "I", 20_000),
        (72, "I", 1_000),
        (80, "I", 10),
        (100, "I", 3),
        (128, "Q", 12_345),
        (148, "I", 15_000),
        (160, "Q", 1_000_000),
        (168, "Q", 7_000_000),
        (176, "Q", 2_000_000),
        (184, "Q", 1_000_000),
        (200, "Q", 50_000),
        (208, "Q", 1_500),
    ):
        struct.pack_into(f"={form}", data, offset, value)
    return data


def test_every_field_is_read_from_its_offset() -> None:
    info = parse_tcp_info(bytes(sample()))
    assert info is not None
    assert (info.rtt_s, info.rttvar_s, info.cwnd_segments, info.retransmits) == (0.02, 0.001, 10, 3)
    assert (info.received_bytes, info.min_rtt_s, info.delivery_bytes_per_s) == (12_345, 0.015, 1_000_000)
    assert (info.busy_s, info.rwnd_limited_s, info.sndbuf_limited_s) == (7.0, 2.0, 1.0)
    assert (info.sent_bytes, info.retransmitted_bytes) == (48_500, 1_500)


@pytest.mark.parametrize(
    ("length", "known"),
    [
        (103, None),
        (104, ()),
        (168, ("received_bytes",)),
        (192, ("received_bytes", "busy_s")),
        (216, ("sent_bytes",)),
    ],
)
def test_an_older_kernel_tells_less(length: int, known: tuple[str, ...] | None) -> None:
    info = parse_tcp_info(bytes(sample()[:length]))
    if known is None:
        assert info is None
        return
    assert info is not None
    for name in known:
        assert getattr(info, name) is not None
    if length < 216:
        assert info.sent_bytes is None


def test_a_minimum_not_measured_yet_is_none() -> None:
    data = sample()
    struct.pack_into("=I", data, 148, 0xFFFF_FFFF)
    info = parse_tcp_info(bytes(data))
    assert info is not None
    assert info.min_rtt_s is None


@linux_only
def test_what_is_not_acknowledged_is_known_of_connections_only(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = pair
    near.sendall(b"x" * 1000)
    assert far.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
    assert unacknowledged_bytes(far, has_dialled=False) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert unacknowledged_bytes(datagrams, has_dialled=True) is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert unacknowledged_bytes(near, has_dialled=True) is None
