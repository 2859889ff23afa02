"""Both engines, with plain sockets in the place of nodes: what passes a link, and that it is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qudag_node.lab.impairment import CLEAN, Impairment
from qudag_node.lab.links import LinkProcess
from qudag_node.lab.relay import bind_all
from qudag_node.lab.topology import links_of, node_names
from tests.qudag_node.lab.engines import PEER1, PEER2, PEER3, TO_1, TO_2, line_of, program, running_links

pytestmark = pytest.mark.integration

ENGINES = pytest.mark.parametrize("engine", ["netns", "relay"])

UDP_ECHO = """
import socket, sys
host, port = sys.argv[1].split(":")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((host, int(port)))
print("ready", flush=True)
while True:
    data, sender = s.recvfrom(65535)
    s.sendto(data, sender)
"""

UDP_PINGS = """
import socket, sys, time
host, port = sys.argv[1].split(":")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[4]))
shortest, back = 1e9, 0
for number in range(int(sys.argv[2])):
    began = time.perf_counter()
    s.sendto(number.to_bytes(4, "big") + bytes(int(sys.argv[3]) - 4), (host, int(port)))
    try:
        s.recv(65535)
    except TimeoutError:
        continue
    back += 1
    shortest = min(shortest, time.perf_counter() - began)
print(back, shortest, flush=True)
"""

UDP_PINGS_FROM_MANY = """
import socket, sys
host, port = sys.argv[1].split(":")
back = 0
for number in range(int(sys.argv[2])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.sendto(b"%d" % number, (host, int(port)))
        back += s.recv(100) == b"%d" % number
print(back, flush=True)
"""

UDP_PING_FROM = """
import socket, sys
(host, port), (own, from_port) = (address.split(":") for address in sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((own, int(from_port)))
s.settimeout(20)
s.sendto(b"hello", (host, int(port)))
print("%s:%d" % s.recvfrom(100)[1], flush=True)
"""

UDP_COUNT = """
import socket, sys
host, port = sys.argv[1].split(":")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind((host, int(port)))
s.settimeout(20)
print("ready", flush=True)
seen = 0
while s.recv(65535) != b"the last":
    seen += 1
print(seen, flush=True)
"""

UDP_SEND = """
import socket, sys, time
host, port = sys.argv[1].split(":")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    s.sendto(bytes(100), (host, int(port)))
    if number % 50 == 0:
        time.sleep(0.005)
print("sent", flush=True)
sys.stdin.readline()
s.sendto(b"the last", (host, int(port)))
sys.stdin.readline()
"""

TCP_ECHO = """
import socket, sys
host, port = sys.argv[1].split(":")
listener = socket.create_server((host, int(port)))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    print(connection.getpeername()[0], flush=True)
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    connection.close()
"""

TCP_SEND = """
import hashlib, socket, sys, threading, time
host, port = sys.argv[1].split(":")
size = int(sys.argv[2])
s = socket.create_connection((host, int(port)), timeout=30)
data = hashlib.shake_128(b"x").digest(size)
began = time.perf_counter()
writer = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
writer.start()
back = b""
while more := s.recv(65536):
    back += more
writer.join()
print(back == data, time.perf_counter() - began, flush=True)
"""


def truth_of(links: LinkProcess) -> dict[str, Any]:
    answer: dict[str, Any] = asyncio.run(links.truth())["truth"]
    return answer


@ENGINES
def test_a_datagram_takes_the_delay_of_both_directions_and_is_counted(engine: str) -> None:
    impairments = {TO_2: Impairment(delay_s=0.03), TO_1: Impairment(delay_s=0.01)}
    with (
        running_links(engine, impairments) as links,
        program(links, PEER2, UDP_ECHO, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        with program(links, PEER1, UDP_PINGS, links.dial[TO_2], "20", "100", "20") as client:
            back, shortest_s = line_of(client).split()
        assert int(back) == 20
        assert float(shortest_s) >= 0.04
        truth = truth_of(links)
        for direction in (TO_1, TO_2):
            counters = truth[str(direction)]
            assert (counters["sent"], counters["delivered"]) == (20, 20)
            assert counters["sent_bytes"] == counters["delivered_bytes"] == 20 * (100 + 28)
            assert counters["late"]["samples"] == 20
            assert counters["dropped_before"] == 0
            assert counters["udp"] == {name: counters[name] for name in counters["udp"]}


@ENGINES
def test_what_is_lost_is_exactly_what_the_truth_says(engine: str) -> None:
    with (
        running_links(engine, {TO_2: Impairment(loss_ratio=0.05)}) as links,
        program(links, PEER2, UDP_COUNT, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        with program(links, PEER1, UDP_SEND, links.dial[TO_2], "3000") as client:
            assert line_of(client) == "sent"
            asyncio.run(heal_and_let_go(links, client))
            seen = int(line_of(server))
            truth = truth_of(links)[str(TO_2)]
        assert truth["sent"] == 3001
        assert truth["dropped_loss"] == 3000 - seen > 0
        assert truth["delivered"] == seen + 1
        assert truth["udp"]["dropped_loss"] == truth["dropped_loss"]


async def heal_and_let_go(links: LinkProcess, client: Any) -> None:
    while (await links.truth())["truth"][str(TO_2)]["sent"] < 3000:
        pass
    await links.impair({TO_2: CLEAN})
    client.stdin.write("\n")
    client.stdin.flush()


@ENGINES
def test_an_outage_stops_datagrams_and_healing_brings_them_back(engine: str) -> None:
    async def switch(outage: bool) -> None:
        await links.impair(dict.fromkeys((TO_1, TO_2), Impairment(outage=outage)))

    async def ping(links: LinkProcess) -> list[str]:
        found = []
        for outage in (True, False):
            await switch(outage)
            with program(links, PEER1, UDP_PINGS, links.dial[TO_2], "1", "100", "0.3") as client:
                found.append(line_of(client).split()[0])
        counters = (await links.truth())["truth"][str(TO_2)]
        assert (counters["dropped_outage"], counters["delivered"]) == (1, 1)
        return found

    with (
        running_links(engine, {}) as links,
        program(links, PEER2, UDP_ECHO, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        assert asyncio.run(ping(links)) == ["0", "1"]


@ENGINES
def test_a_stream_arrives_whole_through_delay_jitter_and_a_rate(engine: str) -> None:
    bad = Impairment(delay_s=0.01, jitter_s=0.005, rate_bits_per_s=20e6)
    with (
        running_links(engine, {TO_2: bad, TO_1: bad}) as links,
        program(links, PEER2, TCP_ECHO, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        with program(links, PEER1, TCP_SEND, links.dial[TO_2], "500000") as client:
            assert line_of(server) == links.dial[TO_1].split(":")[0]
            whole, took_s = line_of(client).split()
        assert whole == "True"
        assert float(took_s) >= 500_000 * 8 / 20e6
        truth = truth_of(links)
        for direction in (TO_1, TO_2):
            counters = truth[str(direction)]
            assert counters["sent_bytes"] >= 500_000
            assert counters["udp"]["sent"] == 0
            while counters["in_flight_bytes"]:  # the last acknowledgements
                counters = truth_of(links)[str(direction)]


@ENGINES
def test_there_is_no_way_but_the_links(engine: str) -> None:
    with (
        running_links(engine, {}, nodes=3) as links,
        program(links, PEER3, TCP_ECHO, links.listen_by_node[PEER3]) as server,
    ):
        assert line_of(server) == "ready"
        assert not [d for d in links.dial if {d.source, d.target} == {PEER1, PEER3}]
        if engine == "netns":
            with program(links, PEER1, TCP_SEND, links.listen_by_node[PEER3], "10") as client:
                assert client.wait() == 1


def test_a_stream_through_the_relay_is_held_back_by_an_outage_and_not_lost() -> None:
    async def scenario(links: LinkProcess) -> str:
        with program(links, PEER1, TCP_SEND, links.dial[TO_2], "300000") as client:
            await links.impair(dict.fromkeys((TO_1, TO_2), Impairment(outage=True)))
            await asyncio.sleep(0.3)
            assert client.poll() is None
            await links.impair(dict.fromkeys((TO_1, TO_2), CLEAN))
            return line_of(client).split()[0]

    with (
        running_links("relay", {TO_2: Impairment(rate_bits_per_s=2e6)}) as links,
        program(links, PEER2, TCP_ECHO, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        assert asyncio.run(scenario(links)) == "True"


def test_a_dial_to_nobody_through_the_relay_fails() -> None:
    with (
        running_links("relay", {}) as links,
        program(links, PEER1, TCP_SEND, links.dial[TO_2], "10") as client,
    ):
        assert client.wait(20) == 1


def test_bytes_that_nobody_is_left_for_are_counted_as_dropped() -> None:
    with running_links("relay", {TO_2: Impairment(delay_s=0.3)}) as links:
        with program(links, PEER2, TCP_ECHO, links.listen_by_node[PEER2]) as server:
            assert line_of(server) == "ready"
            with program(links, PEER1, TCP_SEND, links.dial[TO_2], "3000000") as client:
                assert line_of(server)
                server.kill()
                client.wait(20)
        counters = truth_of(links)[str(TO_2)]
        while counters["in_flight"]:  # what is on its way arrives at nobody
            counters = truth_of(links)[str(TO_2)]
        assert counters["dropped_host_bytes"] > 0
        assert counters["sent_bytes"] == counters["delivered_bytes"] + counters["dropped_host_bytes"]


def test_many_senders_share_a_link_and_each_gets_its_own_replies() -> None:
    """More ports than the relay keeps flows for: the one unused longest makes room."""
    with (
        running_links("relay", {}) as links,
        program(links, PEER2, UDP_ECHO, links.listen_by_node[PEER2]) as server,
    ):
        assert line_of(server) == "ready"
        for _ in range(3):
            with program(links, PEER1, UDP_PINGS_FROM_MANY, links.dial[TO_2], "40") as client:
                assert line_of(client) == "40"
        # From its own port to the other's own port, with no flow between.
        own = links.listen_by_node[PEER1]
        with program(links, PEER1, UDP_PING_FROM, links.dial[TO_2], own) as client:
            assert line_of(client) == links.dial[TO_2]


def test_two_relays_share_a_host() -> None:
    with running_links("relay", {}) as one, running_links("relay", {}) as other:
        assert one.listen_by_node[PEER1] != other.listen_by_node[PEER1]


def test_where_only_one_address_is_local_everyone_has_a_port() -> None:
    links = links_of("line", 3)
    relay = bind_all(node_names(3), links, host_is_local=False)
    try:
        assert {host for host, _ in (*relay.listen_by_node.values(), *relay.seen_at.values())} == {
            "127.0.0.1"
        }
        assert len({port for _, port in relay.seen_at.values()}) == 4
        assert len({port for _, port in relay.listen_by_node.values()}) == 3
        assert all(relay.datagrams[d].getsockname() == address for d, address in relay.seen_at.items())
    finally:
        relay.close()
