from __future__ import annotations

import socket
import struct
import sys
import threading
import time

import pytest

from qudag_node.host.tcp_flow import congestion_control, flow_info, parse_flow_info
from qudag_node.host.threadtime import thread_time

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")


@linux_only
def test_a_connection_tells_what_it_carried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as near:
            far, _ = server.accept()
            with far:
                near.sendall(b"x" * 5000)
                received = 0
                while received < 5000:
                    received += len(far.recv(5000))
                info = flow_info(near)
                assert info is not None
                assert info.sent_bytes - info.resent_bytes == 5000
                assert info.mss_bytes > 500
                assert info.path_mtu >= info.mss_bytes
                assert info.cwnd_segments > 0
                assert info.window_bytes > 0
                assert congestion_control(near)
        assert flow_info(near) is None
        assert congestion_control(near) is None


def test_fields_stand_where_the_kernel_puts_them() -> None:
    data = bytearray(280)
    for offset, code, value in (
        (16, "I", 1448),
        (60, "I", 1500),
        (68, "I", 20_000),
        (80, "I", 10),
        (100, "I", 7),
        (120, "Q", 5_000_000_000),
        (128, "Q", 12),
        (148, "I", 19_000),
        (160, "Q", 1_250_000),
        (168, "Q", 900_000),
        (176, "Q", 100_000),
        (184, "Q", 200_000),
        (200, "Q", 6_000_000_000),
        (208, "Q", 1_000_000_000),
        (228, "I", 65_536),
    ):
        struct.pack_into("=" + code, data, offset, value)
    info = parse_flow_info(bytes(data))
    assert info == (
        *(1448, 1500, 20_000, 10, 7, 5_000_000_000, 12, 19_000, 1_250_000),
        *(900_000, 100_000, 200_000, 6_000_000_000, 1_000_000_000, 65_536),
    )
    assert parse_flow_info(bytes(data[:215])) is None
    older = parse_flow_info(bytes(data[:216]))
    assert older is not None
    assert older.window_bytes == 0
    struct.pack_into("=I", data, 148, 0xFFFF_FFFF)
    unmeasured = parse_flow_info(bytes(data))
    assert unmeasured is not None
    assert unmeasured.min_rtt_us == 0


@linux_only
def test_a_thread_that_runs_is_told_from_one_that_sleeps() -> None:
    done = threading.Event()
    sleeper = threading.Thread(target=done.wait)
    sleeper.start()
    assert sleeper.native_id is not None
    own = threading.get_native_id()
    before = thread_time(own)
    assert before is not None
    while time.thread_time() < 0.05 + before.running_ns / 1e9:
        sum(range(1000))
    after, sleeping = thread_time(own), thread_time(sleeper.native_id)
    done.set()
    sleeper.join()
    assert after is not None
    assert sleeping is not None
    assert after.running_ns - before.running_ns > 20_000_000
    assert after.wanted_ns >= after.running_ns
    assert sleeping.running_ns < after.running_ns
    assert thread_time(2**22 + 5) is None
