"""The jobs of sender and reflector, as processes, on loopback: with each other, and with scapy's packets."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from scapy.contrib.stamp import STAMPSessionReflectorTestUnauthenticated as ScapyReply
from scapy.contrib.stamp import STAMPSessionSenderTestUnauthenticated as ScapyRequest

from qudag_node.host.timestamps import Arrival
from qudag_node.nettests.stamp.authentication import write_digest
from qudag_node.nettests.stamp.packets import (
    Reply,
    Request,
    pack_reply,
    pack_request,
    parse_reply,
    parse_request,
)
from qudag_node.nettests.stamp.reflect_job import Limits
from qudag_node.nettests.stamp.timestamps import TimeFormat, encode_time
from qudag_node.nettests.stamp.tlvs import make_extensions, sign_extensions
from qudag_node.nettests.workers import Worker, WorkerError, Workers
from tests.needs import has_ipv6, need

PATIENCE_S = 60.0
KEY = bytes(range(32))
PLACES = ("received", "late", "forward_lost", "backward_lost", "local_dropped", "unplaced_lost")
LINUX = sys.platform == "linux"


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.close()


async def start(workers: Workers, job: str, **params: Any) -> tuple[Worker, int]:
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "peer": params.get("host", "127.0.0.1"),
        "ports": [],
        "dscp": 8,
        "format": "ntp",
        "rate_bits_per_s": 1e9,
    }
    worker = await workers.start(job, defaults | params)
    return worker, int((await worker.wait_for("ready", PATIENCE_S)).get("port", 0))


async def start_sender(workers: Workers, port: int, **params: Any) -> Worker:
    defaults: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": port,
        "key": KEY,
        "ssid": 0,
        "count": 50,
        "interval_ns": 2_000_000,
        "size": 0,
        "timeout_ns": 20_000_000_000,
        "is_same_clock": True,
    }
    return (await start(workers, "stamp.send", **(defaults | params)))[0]


async def finish(sender: Worker, counts: dict[str, Any] | None) -> dict[str, Any]:
    """Hand the reflector's counts to the sender; return its statistics, which must add up."""
    account = {} if counts is None else {**counts, "dropped": counts["dropped"] + counts["limited"]}
    sender.tell("account", **account)
    result = await sender.result(PATIENCE_S)
    statistics: dict[str, Any] = result["statistics"]
    assert sum(statistics[place] for place in PLACES) == statistics["sent"]
    return statistics | {"counts": result["counts"]}


async def stopped(reflector: Worker) -> dict[str, Any]:
    reflector.tell("stop")
    return await reflector.result(PATIENCE_S)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("near", "far"), [("ntp", "ntp"), ("ptp", "ntp"), ("ntp", "ptp")])
async def test_sender_and_reflector_measure_a_session(
    workers: Workers, host: str, near: str, far: str
) -> None:
    need(host != "::1" or has_ipv6(), "IPv6")
    reflector, port = await start(
        workers, "stamp.reflect", key=KEY, packets_per_s=5000, format=far, host=host
    )
    sender = await start_sender(workers, port, format=near, host=host, address=host, size=300)
    await sender.wait_for("sent", PATIENCE_S)
    counts = await stopped(reflector)
    found = await finish(sender, counts)
    assert (found["sent"], found["received"], found["loss_ratio"]) == (50, 50, 0.0)
    assert (counts["received"], counts["transmitted"], counts["duplicates"]) == (50, 50, 0)
    assert counts["bytes_in"] == counts["bytes_out"] == 50 * 300
    both = found["forward_delay"]["avg_s"] + found["backward_delay"]["avg_s"]
    assert both == pytest.approx(found["rtt"]["avg_s"], abs=2e-9)
    if LINUX:
        assert found["timestamps"] == "kernel"
        assert found["forward_delay"]["min_s"] >= 0
        assert found["backward_delay"]["min_s"] >= 0


async def test_loss_in_each_direction_is_what_was_dropped_and_tail_losses_are_seen(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    there, back = {3, 4, 17, 58, 59}, {0, 9, 31, 57}
    with relayed(port, lambda number: number in there, lambda number: number in back) as relay_port:
        sender = await start_sender(workers, relay_port, count=60, timeout_ns=3_000_000_000)
        await sender.wait_for("sent", PATIENCE_S)
        found = await finish(sender, await stopped(reflector))
    assert (found["forward_lost"], found["backward_lost"]) == (5, 4)
    assert found["received"] + found["late"] == 51


@contextmanager
def relayed(
    port: int, lose_there: Callable[[int], bool], lose_back: Callable[[int], bool], copies: int = 1
) -> Generator[int]:
    """A relay that loses what it is told to, by the packets' own numbers, and may copy the rest."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        near.bind(("127.0.0.1", 0))
        far.connect(("127.0.0.1", port))
        over = threading.Event()
        senders: list[Any] = []

        def there() -> None:
            while not over.is_set():
                data, source = near.recvfrom(2000)
                if over.is_set():
                    return
                senders[:] = [source]
                request = parse_request(data, authenticated=True)
                assert request is not None
                for _ in range(0 if lose_there(request.sequence) else copies):
                    far.send(data)

        def back() -> None:
            while not over.is_set():
                try:
                    data = far.recv(2000)
                except ConnectionRefusedError:
                    continue
                reply = parse_reply(data, authenticated=True)
                if over.is_set() or reply is None:
                    return
                if not lose_back(reply.sender_sequence):
                    near.sendto(data, senders[0])

        threads = [threading.Thread(target=there, daemon=True), threading.Thread(target=back, daemon=True)]
        for thread in threads:
            thread.start()
        try:
            yield near.getsockname()[1]
        finally:
            over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", near.getsockname())
                far_name = far.getsockname()
            far.connect(("127.0.0.1", near.getsockname()[1]))
            near.sendto(b"", far_name)
            for thread in threads:
                thread.join()


async def test_duplicated_packets_are_counted_and_change_nothing(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    with relayed(port, lambda _: False, lambda _: False, copies=2) as relay_port:
        sender = await start_sender(workers, relay_port, count=40)
        await sender.wait_for("sent", PATIENCE_S)
        counts = await stopped(reflector)
        found = await finish(sender, counts)
    assert (found["received"], found["loss_ratio"]) == (40, 0.0)
    assert counts["received"] == 40
    # The copies of the last may still have been under way.
    assert 30 <= counts["duplicates"] <= 40
    assert 30 <= found["duplicates"] <= 40


@pytest.mark.parametrize(
    ("near", "far", "label"),
    [(False, False, "user"), (False, True, "mixed"), (True, False, "mixed")],
    ids=["none", "far only", "near only"],
)
async def test_without_the_kernels_times_it_measures_all_the_same_and_says_so(
    workers: Workers, near: bool, far: bool, label: str
) -> None:
    if not LINUX:
        pytest.skip("no kernel's times here")
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000, kernel_stamps=far)
    sender = await start_sender(workers, port, kernel_stamps=near)
    await sender.wait_for("sent", PATIENCE_S)
    counts = await stopped(reflector)
    found = await finish(sender, counts)
    assert (found["sent"], found["received"] + found["late"]) == (50, 50)
    assert found["timestamps"] == label
    assert counts["has_stamps"] == far
    assert counts["user_stamps"] == (0 if far else 50)


async def all_sent(sender: Worker, count: int) -> None:
    while (await sender.wait_for("progress", PATIENCE_S))["sent"] < count:
        pass


@pytest.mark.skipif(not LINUX, reason="elsewhere a socket does not tell what it dropped")
async def test_what_the_reflectors_host_drops_is_no_loss_of_the_network(workers: Workers) -> None:
    reflector, port = await start(
        workers, "stamp.reflect", key=KEY, packets_per_s=10_000, buffer_bytes=32 * 1024
    )
    os.kill(reflector.pid, signal.SIGSTOP)
    sender = await start_sender(workers, port, count=300, interval_ns=500_000, timeout_ns=3_000_000_000)
    await all_sent(sender, 300)
    os.kill(reflector.pid, signal.SIGCONT)
    await sender.wait_for("sent", PATIENCE_S)
    counts = await stopped(reflector)
    found = await finish(sender, counts)
    assert 0 < counts["dropped"] < 300
    assert counts["received"] + counts["dropped"] == 300
    assert (found["local_dropped"], found["forward_lost"]) == (counts["dropped"], 0)
    assert found["processing"]["max_s"] > 0


@pytest.mark.skipif(not LINUX, reason="elsewhere a socket does not tell what it dropped")
async def test_what_this_host_drops_is_no_loss_of_the_network(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=10_000)
    os.kill(reflector.pid, signal.SIGSTOP)
    sender = await start_sender(
        workers, port, count=300, interval_ns=500_000, timeout_ns=30_000_000_000, buffer_bytes=32 * 1024
    )
    await all_sent(sender, 300)
    os.kill(sender.pid, signal.SIGSTOP)
    os.kill(reflector.pid, signal.SIGCONT)
    counts = await stopped(reflector)  # it answers all that it has before it ends
    os.kill(sender.pid, signal.SIGCONT)
    sender.tell("stop")
    await sender.wait_for("sent", PATIENCE_S)
    found = await finish(sender, counts)
    assert (counts["received"], counts["packets_out"]) == (300, 300)
    assert 0 < found["local_dropped"] < 300
    assert (found["forward_lost"], found["backward_lost"]) == (0, 0)


async def test_a_reflector_that_is_gone_is_told_of_and_nothing_is_placed(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    await reflector.close()
    sender = await start_sender(workers, port, count=20, timeout_ns=100_000_000)
    await sender.wait_for("sent", PATIENCE_S)
    found = await finish(sender, None)
    assert (found["sent"], found["received"], found["unplaced_lost"]) == (20, 0, 20)
    assert found["counts"]["refused"] > 0


async def test_a_sender_that_is_stopped_waits_for_what_is_under_way(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    sender = await start_sender(workers, port, count=0, keep=True)
    while (await sender.wait_for("progress", PATIENCE_S))["received"] < 2:
        pass
    sender.tell("stop")
    sent = await sender.wait_for("sent", PATIENCE_S)
    found = await finish(sender, await stopped(reflector))
    assert found["sent"] == found["received"] + found["late"] == sent["sent"]


async def test_what_cannot_be_sent_is_given_up_and_told(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    sender = await start_sender(workers, port, count=500, interval_ns=100_000, size=65_600)
    await sender.wait_for("sent", PATIENCE_S)
    found = await finish(sender, await stopped(reflector))
    assert (found["sent"], found["counts"]["unsent"], found["loss_ratio"]) == (0, 100, 0.0)


async def test_no_way_is_one_line(workers: Workers) -> None:
    with pytest.raises(WorkerError, match=r"UDP 192\.0\.2\.1 port 0: Cannot assign requested address"):
        await start(workers, "stamp.reflect", key=KEY, packets_per_s=1, host="192.0.2.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(WorkerError, match=f"ports {port} to {port} are all taken"):
            await start(workers, "stamp.reflect", key=KEY, packets_per_s=1, ports=[port, port])


def ask(sock: socket.socket, data: bytes) -> bytes:
    sock.send(data)
    return sock.recv(70_000)


@contextmanager
def asking(
    port: int, timeout_s: float = PATIENCE_S, source: str = "127.0.0.1", source_port: int = 0
) -> Generator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, source_port))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(timeout_s)
        yield sock


async def test_a_reflector_drops_what_is_not_its_sessions(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000)
    rng = random.Random(1)

    def packet(sequence: int, key: bytes = KEY) -> bytes:
        now = encode_time(time.time_ns(), TimeFormat.NTP)
        data = pack_request(Request(sequence, now, 1, 9), authenticated=True)
        write_digest(data, key)
        return bytes(data)

    with asking(port) as sock, asking(port) as stranger:
        first = parse_reply(ask(sock, packet(0)), authenticated=True)
        assert first is not None
        assert (first.sequence, first.ssid, first.sender_ttl) == (0, 9, 64 if LINUX else first.sender_ttl)
        stranger.send(packet(1))
        for length in (0, 1, 13, 44, 111, 112, 113, 500, 1400):
            sock.send(rng.randbytes(length))
        sock.send(packet(2, b"x" * 32))
        sock.send(packet(3) + b"unsigned")
        last = parse_reply(ask(sock, packet(4)), authenticated=True)
        assert last is not None
        assert (last.sequence, last.sender_sequence) == (1, 4)  # the first answer after all that
    counts = await stopped(reflector)
    assert (counts["received"], counts["foreign"], counts["malformed"]) == (2, 1, 5)
    assert counts["unauthentic"] == 6
    assert counts["packets_in"] == 14


@pytest.mark.skipif(not LINUX, reason="elsewhere a host has 127.0.0.1 alone")
async def test_a_reflector_answers_no_address_but_that_of_the_link(workers: Workers) -> None:
    """Who has the key could aim it at others: not even the first authentic packet from elsewhere counts."""
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=5000, host="127.0.0.1")
    data = pack_request(Request(0, 1 << 62, 1, 0), authenticated=True)
    write_digest(data, KEY)
    with asking(port, source="127.0.0.2") as forged, asking(port) as sock:
        forged.send(bytes(data))
        assert len(ask(sock, bytes(data))) == 112
        forged.setblocking(False)
        with pytest.raises(BlockingIOError):
            forged.recv(2000)
    counts = await stopped(reflector)
    assert (counts["foreign"], counts["packets_out"]) == (1, 1)


async def test_a_reflector_keeps_to_the_rate_that_was_granted(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.reflect", key=KEY, packets_per_s=10)
    sender = await start_sender(workers, port, count=200, interval_ns=100_000, timeout_ns=300_000_000)
    await sender.wait_for("sent", PATIENCE_S)
    counts = await stopped(reflector)
    found = await finish(sender, counts)
    assert counts["limited"] > 0
    assert counts["limited"] + counts["received"] == 200
    assert (found["local_dropped"], found["forward_lost"]) == (counts["limited"], 0)


async def test_a_reflector_keeps_to_the_bits_that_were_granted_whatever_is_sent(workers: Workers) -> None:
    """Of a megabyte in few large packets it answers two seconds' worth, and what those hundred took."""
    reflector, port = await start(
        workers, "stamp.reflect", key=KEY, packets_per_s=5000, rate_bits_per_s=8 * 1000
    )
    with asking(port) as sock:
        for number in range(100):
            data = pack_request(Request(number, 1 << 62, 1, 0), authenticated=True) + make_extensions(10_000)
            sign_extensions(data, 112, KEY)
            write_digest(data, KEY)
            sock.send(data)
            await asyncio.sleep(0.001)  # its socket has room for them
        counts = await stopped(reflector)
    assert counts["limited"] > 0
    assert counts["received"] + counts["limited"] + counts["dropped"] == 100
    assert 0 < counts["bytes_out"] < 400_000


async def test_the_public_reflector_answers_scapy_and_twamp_light(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.light")
    with asking(port) as sock:
        request = ScapyRequest(seq=5, ssid=7, ts=1000.5)
        answer: Any = ScapyReply(ask(sock, bytes(request)))
        assert (answer.seq, answer.seq_sender, answer.ssid) == (0, 5, 7)
        assert float(answer.ts_sender) == pytest.approx(1000.5)
        assert float(answer.ts_rx) <= float(answer.ts)
        # TWAMP-Light: 14 octets are answered with 44, what is longer with as many, the rest copied.
        assert len(ask(sock, bytes(request)[:14])) == 44
        padded = bytes(request) + b"padding of a TWAMP-Light sender"
        assert ask(sock, padded)[44:] == padded[44:]
        # Its own numbers, session by session.
        assert ScapyReply(ask(sock, bytes(ScapyRequest(seq=9, ssid=7)))).seq == 2
        with asking(port) as other:
            assert ScapyReply(ask(other, bytes(ScapyRequest(seq=9, ssid=7)))).seq == 0
    counts = await stopped(reflector)
    assert (counts["packets_in"], counts["packets_out"]) == (5, 5)
    assert counts["sessions"] == 3


async def test_the_public_reflector_survives_garbage_and_sends_no_more_than_it_gets(workers: Workers) -> None:
    reflector, port = await start(workers, "stamp.light", short_per_s=1)
    rng = random.Random(2)
    with asking(port) as sock:
        for _ in range(60):  # the answers to which our own socket has room for
            sock.send(rng.randbytes(rng.choice((0, 5, 14, 30, 44, 60, 112, 900, 1472))))
        sock.send(bytes(ScapyRequest(seq=77)))
        while parse_seq(sock.recv(70_000)) != 77:
            pass
    counts = await stopped(reflector)
    assert counts["packets_in"] == 61
    assert counts["packets_in"] == counts["packets_out"] + counts["malformed"] + counts["limited"]
    assert counts["bytes_out"] <= counts["bytes_in"]


async def test_two_public_reflectors_do_not_answer_each_other(workers: Workers) -> None:
    one, port = await start(workers, "stamp.light")
    other, other_port = await start(workers, "stamp.light")
    with asking(port) as sock, asking(other_port) as beside:
        for size in (14, 44, 200):
            beside.send(ask(sock, bytes(ScapyRequest(seq=size)).ljust(200, b"\0")[:size]))
        assert parse_seq(ask(beside, bytes(ScapyRequest(seq=9)))) == 9  # the only answer
    if LINUX:
        with asking(port, source="127.0.0.2", source_port=port) as twin:
            twin.send(bytes(ScapyRequest(seq=1)))
    counts, counts_beside = await stopped(one), await stopped(other)
    assert (counts["packets_out"], counts["replies"]) == (3, int(LINUX))
    assert (counts_beside["packets_out"], counts_beside["replies"]) == (1, 3)


def parse_seq(data: bytes) -> int:
    reply = parse_reply(data, authenticated=False)
    assert reply is not None
    return reply.sender_sequence


@pytest.mark.parametrize(
    ("limit", "hosts"), [("packets_per_s_each", 1), ("packets_per_s", 4)], ids=["one", "all"]
)
async def test_the_public_reflector_answers_one_address_and_all_only_so_often(
    workers: Workers, limit: str, hosts: int
) -> None:
    if hosts > 1 and not LINUX:
        pytest.skip("elsewhere a host has 127.0.0.1 alone")
    reflector, port = await start(workers, "stamp.light", **{limit: 20})
    began_mono_s = time.monotonic()
    with ExitStack() as stack:
        socks = [stack.enter_context(asking(port, source=f"127.0.0.{1 + host}")) for host in range(hosts)]
        for number in range(200):
            socks[number % hosts].send(bytes(ScapyRequest(seq=number)))
        assert parse_seq(socks[0].recv(70_000)) == 0
        counts = await stopped(reflector)
    seconds = int(time.monotonic() - began_mono_s) + 2  # that have begun meanwhile
    assert counts["packets_out"] + counts["limited"] == counts["packets_in"] == 200
    assert 20 <= counts["packets_out"] <= 20 * seconds
    assert counts["limited"] >= 200 - 20 * seconds


def test_a_busy_address_keeps_its_count_while_thousands_of_others_come() -> None:
    limits = Limits({"packets_per_s": 1_000_000, "packets_per_s_each": 2})

    def take(host: int) -> bool:
        source = str(ipaddress.IPv4Address(host))
        return limits.take(Arrival(bytes(44), (source, 5000), None, 64, 0), 7.5)

    assert [take(1), take(1), take(1)] == [True, True, False]
    for host in range(10_000):
        assert take(0x0A00_0000 + host)
        assert not take(1)


@pytest.mark.parametrize("key", [KEY, None], ids=["authenticated", "unauthenticated"])
async def test_requests_thrown_back_are_no_answers(workers: Workers, key: bytes | None) -> None:
    """They carry the session's digest, and would answer packet 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE_S)

        def throw_back() -> None:
            for _ in range(20):
                data, source = sock.recvfrom(2000)
                sock.sendto(data, source)

        thread = threading.Thread(target=throw_back, daemon=True)
        thread.start()
        sender = await start_sender(
            workers, sock.getsockname()[1], key=key, count=20, timeout_ns=1_000_000_000
        )
        await sender.wait_for("sent", PATIENCE_S)
        thread.join()
        found = await finish(sender, None)
    assert (found["sent"], found["received"], found["late"], found["duplicates"]) == (20, 0, 0, 0)
    assert found["counts"]["malformed"] == found["counts"]["packets_in"] > 0


async def test_an_unauthenticated_sender_measures_a_stranger_that_speaks_only_the_rfc(
    workers: Workers,
) -> None:
    """Its peer answers in NTP, fills in no TTL, and sends what is to be discarded."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        over = threading.Event()

        def reflect() -> None:
            while True:
                data, source = sock.recvfrom(2000)
                if over.is_set():
                    return
                request = parse_request(data, authenticated=False)
                assert request is not None
                now = encode_time(time.time_ns(), TimeFormat.NTP)
                reply = Reply(
                    request.sequence,
                    now,
                    1,
                    0,
                    now,
                    request.sequence,
                    request.timestamp,
                    request.error_estimate,
                    0,
                )
                packed = bytes(pack_reply(reply, authenticated=False))
                sock.sendto(b"junk", source)
                sock.sendto(packed[:12] + b"\0\0" + packed[14:], source)  # multiplier 0: to be discarded
                sock.sendto(
                    bytes(pack_reply(reply._replace(sender_sequence=1 << 31), authenticated=False)), source
                )
                sock.sendto(packed[:41], source)

        thread = threading.Thread(target=reflect, daemon=True)
        thread.start()
        sender = await start_sender(workers, sock.getsockname()[1], key=None, count=20)
        await sender.wait_for("sent", PATIENCE_S)
        found = await finish(sender, None)
        over.set()
        with asking(sock.getsockname()[1]) as waker:
            waker.send(b"")
        thread.join()
    assert (found["sent"], found["received"] + found["late"]) == (20, 20)
    assert found["counts"]["malformed"] == 60
    assert found["timestamps"] in {"mixed", "user"}
