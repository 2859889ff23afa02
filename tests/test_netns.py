"""The harness against what is known: so many packets were sent, so many must be counted, dropped and seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

from tests.integration.nodes import wait_until
from tests.netns import Namespace, Wire, wire_between

pytestmark = pytest.mark.integration

PORT = 40_000
# As many as the receiver's buffer holds if it never gets a turn.
PACKETS = 300

SINK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212992)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
s.setblocking(False)
seen = 0
try:
    while s.recv(2000):
        seen += 1
except BlockingIOError:
    print(seen, flush=True)
"""

SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
for _ in range(int(sys.argv[5])):
    s.sendto(bytes(100), (sys.argv[3], int(sys.argv[4])))
"""


@pytest.fixture
def wire() -> Generator[Wire]:
    with wire_between() as built:
        yield built


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def report(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(line_of(process))


def send(source: Namespace, target: Namespace, *, port: int = PORT, from_port: int = 0) -> None:
    source.run(
        sys.executable, "-c", SEND, source.address, str(from_port), target.address, str(port), str(PACKETS)
    )


def test_every_packet_is_counted_and_every_fiftieth_dropped(wire: Wire) -> None:
    counter = wire.count(wire.b, f"udp dport {PORT}-{PORT + 9}", every=50)
    with wire.b.program(sys.executable, "-c", SINK, wire.b.address, str(PORT)) as sink:
        assert line_of(sink) == "ready"
        send(wire.a, wire.b)
        wait_until(lambda: counter.read().arrived == PACKETS)
        counted = counter.read()
        assert (counted.dropped, counted.arrived_bytes) == (PACKETS // 50, PACKETS * 128)
        assert report(sink) == counted.passed


def test_what_is_dropped_at_random_is_what_is_missing(wire: Wire) -> None:
    counter = wire.count(wire.b, f"udp dport {PORT}", ratio=0.3)
    with wire.b.program(sys.executable, "-c", SINK, wire.b.address, str(PORT)) as sink:
        assert line_of(sink) == "ready"
        send(wire.a, wire.b)
        wait_until(lambda: counter.read().arrived == PACKETS)
        counted = counter.read()
        assert PACKETS > counted.dropped > 0
        assert report(sink) == counted.passed


def test_each_direction_and_each_port_has_its_own_counter(wire: Wire) -> None:
    there = wire.count(wire.b, f"udp dport {PORT}", every=10)
    elsewhere = wire.count(wire.b, f"udp dport {PORT + 1}")
    back = wire.count(wire.a, f"udp sport {PORT}", every=20)
    send(wire.a, wire.b)
    send(wire.b, wire.a, port=PORT + 5, from_port=PORT)
    wait_until(lambda: (there.read().arrived, back.read().arrived) == (PACKETS, PACKETS))
    assert (there.read().dropped, back.read().dropped) == (PACKETS // 10, PACKETS // 20)
    assert elsewhere.read().arrived == 0


def test_a_token_bucket_tells_what_it_dropped(wire: Wire) -> None:
    counter = wire.count(wire.b, f"udp dport {PORT}")
    # 142 bytes a packet with the header of Ethernet: of a burst of 300 at once some must go.
    wire.shape(wire.a, 1e6, queue_bytes=5_000, burst_bytes=2_000)
    before = wire.shaped(wire.a)
    send(wire.a, wire.b)
    wait_until(lambda: not wire.shaped(wire.a)["backlog"])
    after = wire.shaped(wire.a)
    dropped = after["drops"] - before["drops"]
    assert dropped > 0
    wait_until(lambda: counter.read().arrived == PACKETS - dropped)


def test_real_packets_are_no_longer_than_the_mtu(wire: Wire) -> None:
    wire.with_real_packets()
    counter = wire.count(wire.b, f"udp dport {PORT}")
    code = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
s.sendto(bytes(20000), ("{wire.b.address}", {PORT}))
"""
    wire.a.run(sys.executable, "-c", code)
    wait_until(lambda: counter.read().arrived == 20)
    assert counter.read().arrived_bytes == 20 * 1028


def test_inside_there_is_nothing_but_the_wire(wire: Wire) -> None:
    lines = wire.a.run("ip", "-o", "link").splitlines()
    assert sorted(line.split()[1].partition("@")[0].rstrip(":") for line in lines) == ["lo", "wire"]


def test_nothing_is_left_behind() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # descriptors, not files
    with wire_between() as built:
        assert built.a.net_fd != built.b.net_fd
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208  # the same
