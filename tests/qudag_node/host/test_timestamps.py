from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qudag_node.host.clock_state import read_boot_id, read_clock_state, same_clock_mark
from qudag_node.host.noise import ProcessorTimes, read_processor_times, steal_ratio
from qudag_node.host.timestamps import (
    dropped_datagrams,
    enable_stamps,
    receive,
    restart_transmit_numbers,
    set_receive_timeout,
    take_transmit_stamps,
    wait_for_stamps,
)
from tests.needs import has_ipv6, need

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernel time stamps are Linux's")

HOSTS = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
PATIENCE_S = 30.0


@pytest.fixture(params=HOSTS, ids=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    family, host = request.param
    need(family is socket.AF_INET or has_ipv6(), "IPv6")
    with socket.socket(family, socket.SOCK_DGRAM) as near, socket.socket(family, socket.SOCK_DGRAM) as far:
        far.bind((host, 0))
        near.bind((host, 0))
        near.connect(far.getsockname())
        set_receive_timeout(far, PATIENCE_S)
        yield near, far


def collect(sock: socket.socket, count: int) -> dict[int, int]:
    stamps: dict[int, int] = {}
    deadline_mono_s = time.monotonic() + PATIENCE_S
    while len(stamps) < count:
        assert time.monotonic() < deadline_mono_s
        stamps.update(take_transmit_stamps(sock))
    return stamps


def test_departures_and_arrivals_are_stamped_in_order(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    assert enable_stamps(near, transmit=True)
    assert enable_stamps(far, transmit=False)
    wait_for_stamps()
    before = time.time_ns()
    for number in range(5):
        near.send(bytes([number]))
    arrivals = [receive(far, 100) for _ in range(5)]
    after = time.time_ns()
    stamps = collect(near, 5)
    assert [arrival.data for arrival in arrivals] == [bytes([number]) for number in range(5)]
    assert sorted(stamps) == list(range(5))
    for number, arrival in enumerate(arrivals):
        assert arrival.received_unix_ns is not None
        assert before <= stamps[number] <= arrival.received_unix_ns <= after
        assert arrival.source[:2] == near.getsockname()[:2]
        assert arrival.ttl == 64
        assert arrival.dropped == 0
    assert take_transmit_stamps(near) == []


def test_numbers_can_begin_again(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    enable_stamps(near, transmit=True)
    for _ in range(3):
        near.send(b"x")
    collect(near, 3)
    restart_transmit_numbers(near)
    near.send(b"x")
    assert list(collect(near, 1)) == [0]


def test_what_a_socket_dropped_itself_is_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    enable_stamps(far, transmit=False)
    for _ in range(100):
        near.send(bytes(500))
    dropped = dropped_datagrams(far)
    assert dropped is not None
    assert 0 < dropped < 100
    for _ in range(100 - dropped):
        assert len(receive(far, 1000).data) == 500
    near.send(b"last")
    last = receive(far, 1000)
    assert (last.data, last.dropped) == (b"last", dropped)


def test_a_receive_that_is_in_vain_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    _, far = pair
    set_receive_timeout(far, 0.01)
    with pytest.raises(BlockingIOError):
        receive(far, 100)


def test_a_socket_without_stamps_has_none(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    near.send(b"x")
    arrival = receive(far, 100)
    assert (arrival.received_unix_ns, arrival.ttl) == (None, 0)
    assert take_transmit_stamps(near) == []


def test_what_is_no_socket_of_datagrams_tells_no_drops() -> None:
    with socket.socket() as tcp:
        assert dropped_datagrams(tcp) == 0


def test_the_kernel_tells_of_its_clock() -> None:
    state = read_clock_state()
    assert state is not None
    assert 0 <= state.max_error_s <= 16
    if state.is_synchronised:
        assert state.max_error_s < 16


def test_the_mark_of_a_clock_is_the_same_for_who_knows_the_secret() -> None:
    assert same_clock_mark(b"a") == same_clock_mark(b"a") != same_clock_mark(b"b")
    assert len(same_clock_mark(b"a")) == 16
    assert read_boot_id().encode() not in same_clock_mark(b"a")


def test_stolen_time_is_a_part_of_all_time(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3\n")
    before = read_processor_times(stat)
    assert before == ProcessorTimes(360, 80)
    assert steal_ratio(before, ProcessorTimes(460, 85)) == 0.05
    assert steal_ratio(before, before) is None
    assert steal_ratio(None, before) is None
    assert read_processor_times(tmp_path / "none") is None
    stat.write_text("cpu 1 2\n")
    assert read_processor_times(stat) is None
    assert read_processor_times() is not None
