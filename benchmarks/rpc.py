"""What clients cost a node with 1,000 peers: how long a `stats` query takes, and what 100 subscribers cost.

Method. A real node process (`python -m qudag_node start`) has 1,000 TLS links over loopback to a second
process with 1,000 identities; each link is pinged every 30 s from both ends, so that the node is idle. A
third, this one, asks `stats` over the node's Unix socket with a blocking socket and reads the whole answer
(about 300 KB); the time is from the call to the last byte, without decoding. *Back to back*: the next call
follows at once. *Now and then*: one call each 1.13 s, so that each is the first since a tick. *Under load*:
the other process sends duplicates of one signed vertex, each in a frame of its own, as many as the node takes
of 50,000 a second; the rate that was reached is told. Beside each stands the same node with `--no-recording`,
in the same run.
Subscribers: 100 clients of one `stats` stream at 1 s on this side, read by one thread; CPU and resident
memory of the node with them less without them, divided by 100.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.table import Row
from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.certificate import certificate_of, client_context, server_context
from qudag_node.overlay.frames import FRAME_NAMES, FrameType, encode_frame
from qudag_node.overlay.handshake import Role as LinkRole
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.overlay.signing import Signer
from qudag_node.overlay.vertices import sign_vertex
from qudag_node.peerid import PeerId
from qudag_node.wire.framing import Decoder, Request, Response, encode
from qudag_node.wire.session import ClientSession

__all__ = ["rows"]

_PEERS = 1000
_QUERIES = 2000
_APART_QUERIES = 60
_APART_S = 1.13
_LOAD_PER_S = 50_000
_SUBSCRIBERS = 100
_SUBSCRIBED_S = 10.0


def rows() -> list[Row]:
    """Measure everything; takes about three minutes."""
    with _measured_node() as ours:
        idle, apart = ours.back_to_back(), ours.now_and_then()
        cpu_s, size_bytes, bytes_per_s = ours.subscribers()
        loaded, rate_per_s = ours.under_load()
    with _measured_node("--no-recording") as bare:
        bare_idle, bare_apart = bare.back_to_back(), bare.now_and_then()
        bare_loaded, bare_rate_per_s = bare.under_load()
    what = f"stats query, {_PEERS:,} peers"
    return [
        _query_row(f"{what}, back to back", idle, bare_idle, "< 1 ms, < 2 x", limit_s=0.001),
        _query_row(f"{what}, now and then", apart, bare_apart, "< 1 ms, < 2 x", limit_s=0.001),
        _query_row(
            f"{what}, {rate_per_s:,.0f} messages/s (bare {bare_rate_per_s:,.0f})",
            loaded,
            bare_loaded,
            f"< 10 ms at {_LOAD_PER_S:,}/s, < 2 x",
            limit_s=0.010,
        ),
        Row(
            what=f"a subscriber of {_SUBSCRIBERS}, {_PEERS:,} peers, 1 s",
            ours=f"{cpu_s * 1e6:,.0f} µs CPU/s, {size_bytes / 1024:.0f} KiB",
            goal="bounded",
            method=f"node's CPU and memory with them less without; each reads {bytes_per_s / 1e3:.0f} kB/s",
        ),
    ]


def _query_row(what: str, ours_s: list[float], bare_s: list[float], goal: str, *, limit_s: float) -> Row:
    (p50_s, p99_s), (bare_p50_s, bare_p99_s) = _percentiles(ours_s), _percentiles(bare_s)
    return Row(
        what=what,
        ours=f"p50 {p50_s * 1e3:.2f} ms, p99 {p99_s * 1e3:.2f} ms",
        peer=f"not recording: p50 {bare_p50_s * 1e3:.2f} ms, p99 {bare_p99_s * 1e3:.2f} ms",
        ratio=p99_s / bare_p99_s,
        goal=goal,
        met=p99_s < limit_s and p99_s < 2 * bare_p99_s,
        method=f"{len(ours_s)} queries over the Unix socket, to the last byte",
    )


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


class _Query:
    """A blocking client that reads one answer after the other, whole.

    A second, tiny call goes with each: its answer, always the same, marks the end of the first one's
    without decoding it.
    """

    _TINY = encode(Request(8, "nothing", []))

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        session = ClientSession("benchmark")
        self.socket.sendall(session.start())
        while not session.receive(self.socket.recv(65_536)):
            pass
        self.socket.sendall(self._TINY)
        self._end = self.socket.recv(65_536)
        self._call = encode(Request(7, "stats", [])) + self._TINY
        # One place for all answers: the pages of a new one would be the client's time, not the node's.
        self._room = memoryview(bytearray(4 << 20))

    def timed(self) -> float:
        """Return the seconds of one query."""
        began = time.perf_counter()
        self.read()
        return time.perf_counter() - began

    def stats(self) -> dict[str, Any]:
        """Return one answer, decoded."""
        response, _ = Decoder().feed(bytes(self.read()))
        return cast("dict[str, Any]", cast("Response", response).result)

    def read(self) -> memoryview:
        """Return one answer and the one that marks its end, to be looked at before the next call."""
        self.socket.sendall(self._call)
        room, mark, length = self._room, self._end, 0
        while length < len(mark) or bytes(room[length - len(mark) : length]) != mark:
            length += self.socket.recv_into(room[length:])
        return room[:length]


class _MeasuredNode:
    """A node process with its peers, and what is done to it."""

    def __init__(self, directory: Path, process: subprocess.Popen[str], swarm: _Swarm) -> None:
        self._path = str(directory / "rpc.sock")
        self._process = process
        self._swarm = swarm

    def back_to_back(self) -> list[float]:
        """Return the times of queries without a pause."""
        query = _Query(self._path)
        return [query.timed() for _ in range(_QUERIES)]

    def now_and_then(self) -> list[float]:
        """Return the times of queries that are each made anew."""
        query = _Query(self._path)
        times: list[float] = []
        for _ in range(_APART_QUERIES):
            time.sleep(_APART_S)
            times.append(query.timed())
        return times

    def under_load(self) -> tuple[list[float], float]:
        """Return the times of queries while messages come, and how many came a second."""
        query = _Query(self._path)
        before, began = self._swarm.sent_frames(), time.monotonic()
        self._swarm.tell("load")
        time.sleep(2.0)
        times: list[float] = []
        until = time.monotonic() + 15.0
        while time.monotonic() < until:
            times.append(query.timed())
            time.sleep(0.005)
        after, ended = self._swarm.sent_frames(), time.monotonic()
        self._swarm.tell("rest")
        return times, (after - before) / (ended - began)

    def subscribers(self) -> tuple[float, float, float]:
        """Return CPU seconds a second, memory, and bytes read a second, of one subscriber."""
        _, memory_before = self._cost()
        with _Readers(self._path) as readers:
            time.sleep(1.0)
            read_before, cpu_joined = readers.read_bytes, self._cost()[0]
            readers.run(_SUBSCRIBED_S)
            cpu_after, memory_after = self._cost()
            read = readers.read_bytes - read_before
        time.sleep(1.0)
        cpu_alone_began = self._cost()[0]
        time.sleep(_SUBSCRIBED_S)
        alone_s = self._cost()[0] - cpu_alone_began
        cpu_s = max(0.0, cpu_after - cpu_joined - alone_s)
        share = _SUBSCRIBERS * _SUBSCRIBED_S
        return cpu_s / share, (memory_after - memory_before) / _SUBSCRIBERS, read / share

    def _cost(self) -> tuple[float, int]:
        """Return the node's CPU time and resident memory."""
        proc = Path(f"/proc/{self._process.pid}")
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int((proc / "statm").read_text().split()[1])
        return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


class _Readers:
    """Many subscribers of one stream, read in one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._selector = selectors.DefaultSelector()
        self.read_bytes = 0

    def __enter__(self) -> _Readers:
        for _ in range(_SUBSCRIBERS):
            query = _Query(self._path)
            query.socket.sendall(encode(Request(9, "subscribe", [{"topic": "stats", "interval_s": 1.0}])))
            self._selector.register(query.socket, selectors.EVENT_READ)
        self.run(3.0)
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            cast("socket.socket", key.fileobj).close()
        self._selector.close()

    def run(self, seconds: float) -> None:
        """Read whatever comes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self.read_bytes += len(cast("socket.socket", key.fileobj).recv(1 << 20))


@contextmanager
def _measured_node(*flags: str) -> Generator[_MeasuredNode]:
    """A node with its peers linked and its figures warm."""
    settings = {
        "overlay.max_links": _PEERS + 10,
        "overlay.max_links_per_address": _PEERS + 10,
        "overlay.max_pending_links": _PEERS + 10,
        "overlay.ping_interval_s": 30,
        "overlay.dead_peer_timeout_s": 90,
        "rpc.requests_per_s": 1e6,
        "rpc.request_burst": 10**6,
    }
    with tempfile.TemporaryDirectory(prefix="q") as name:
        directory = Path(name)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "qudag_node", "start", "--data-dir", name, "--no-discovery"),
                *("--listen", "127.0.0.1:0", "--rpc", "tcp://127.0.0.1:0", *flags),
                *(f"--set={key}={value}" for key, value in settings.items()),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        ready = process.stderr.readline().split()
        swarm = _Swarm(ready[1], ready[ready.index("on") + 1].rstrip(";"))
        try:
            # A minute's worth of samples would be better; ten seconds fill every ring of round-trip times.
            time.sleep(10.0)
            yield _MeasuredNode(directory, process, swarm)
        finally:
            swarm.end()
            process.terminate()
            process.wait()
            process.stderr.close()


class _Swarm:
    """The process with the peers."""

    def __init__(self, peer_id: str, address: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rpc", peer_id, address, str(_PEERS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hear()

    def tell(self, line: str) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> int:
        """Wait for a number."""
        assert self._process.stdout is not None
        return int(json.loads(self._process.stdout.readline()))

    def sent_frames(self) -> int:
        """Return how many frames the kernel has taken; the node is behind by its buffers only."""
        self.tell("count")
        return self.hear()

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


# The process with the peers


class _Owner:
    """Takes what comes, and does nothing with it."""

    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector

    def accept(self, link: Link) -> None:
        """Nobody dials us."""

    def admit(self, link: Link, peer_id: PeerId) -> None:
        """Whoever it is."""

    def link_up(self, link: Link) -> PeerHandle:
        """Record under nobody."""
        return self._collector.nobody

    def link_ready(self, link: Link) -> None:
        """Nothing to tell."""

    def take_frame(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        """Adverts and the first copy of the vertex."""

    def link_measured(self, link: Link, rtt_s: float) -> None:
        """Nothing to do."""

    def link_failed(self, link: Link, error: PeerError) -> None:
        """A link that fails makes the figures worthless."""
        raise AssertionError(error)

    def link_down(self, link: Link, error: PeerError | None) -> None:
        """The end of the run."""

    def link_closed(self, link: Link) -> None:
        """The same."""


async def _swarm(peer_id: str, address: str, peers: str) -> None:
    host, _, port = address.rpartition(":")
    collector = MetricsCollector(message_types=FRAME_NAMES, recording=False)
    shared: dict[str, Any] = {
        "server_tls": server_context(Identity.generate()),
        "client_tls": client_context(),
        "config": OverlayConfig(handshake_timeout_s=60.0, ping_interval_s=30.0, dead_peer_timeout_s=90.0),
        "collector": collector,
        "clock": time,
        "owner": _Owner(collector),
        "read_buffer": memoryview(bytearray(32 * 1024)),
    }
    loop = asyncio.get_running_loop()
    links: list[Link] = []
    for number in range(int(peers)):
        identity = Identity.generate()
        me = LocalEnd(
            identity=identity,
            network="qudag",
            agent="qudag/benchmark",
            certificate=certificate_of(identity),
            listen=f"127.0.0.1:{20_000 + number}",
        )
        link = Link(LinkSettings(me=me, **shared), LinkRole.CLIENT, expected=PeerId(peer_id))
        await loop.create_connection(partial(_identity, link), host, int(port))
        await link.opened
        links.append(link)
    print(json.dumps(len(links)), flush=True)
    signer = Signer(Identity.generate().private_key, "qudag")
    vertex = sign_vertex(signer, bytes(100), (), origin_unix_ns=time.time_ns())
    frame = encode_frame(FrameType.DATA, vertex.encoded)
    loading: asyncio.Task[None] | None = None
    async for order in _orders():
        match order:
            case "load":
                loading = asyncio.create_task(_load(links, frame))
            case "rest" if loading is not None:
                loading.cancel()
            case _:
                print(
                    json.dumps(sum(link.confirmed_messages + link.unconfirmed[0] for link in links)),
                    flush=True,
                )


def _identity(link: Link) -> Link:
    return link


async def _load(links: list[Link], frame: bytes) -> None:
    """Send duplicates, in bursts of 50 on each link in turn; what the queue does not take is not sent."""
    burst = 50
    per_step = 5
    step_s = burst * per_step / _LOAD_PER_S
    due, turn = time.monotonic(), 0
    while True:
        now = time.monotonic()
        for link in links[turn : turn + per_step]:
            for _ in range(burst):
                link.send(FrameType.DATA, frame, now)
        turn = (turn + per_step) % len(links)
        due += step_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _orders() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


if __name__ == "__main__":
    asyncio.run(_swarm(*sys.argv[1:]))
