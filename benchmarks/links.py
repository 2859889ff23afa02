"""What links cost: memory of idle ones, and gossip of signed vertices through five nodes.

Method. Memory: 1,000 idle TLS 1.3 links over loopback between two processes; resident memory with them, less
resident memory before the first, divided by 1,000, at each end (the larger one is told). Ours is a ``Link``
after handshake, seed and first ping; beside it are asyncio's own TLS streams as they come, with the
same certificate. Gossip: five processes with an ``Overlay`` each, linked in a ring and then in a full
mesh; each submits a fifth of 1,000 vertices of 100 bytes a second for 5 s. The propagation time is from
making a vertex to its being verified elsewhere, on one machine's clock. CPU is that of each process from the
beginning of the load to the end, over the vertices it accepted. Lost is what has not come 30 s after the
load. The goal holds on two idle cores; a busy machine shows in the propagation time first.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Coroutine
from typing import cast

from benchmarks.table import Row
from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.certificate import certificate_of, client_context, load_certificate, server_context
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.frames import FRAME_NAMES, FrameType
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.overlay.overlay import LocalNode, Overlay
from qudag_node.peerid import PeerId

__all__ = ["rows"]

_LINKS = 1000
_NODES = 5
_RATE_PER_S = 1000
_SECONDS = 5
_PAYLOAD = bytes(100)
_LIMIT_BYTES = 48 * 1024


def rows() -> list[Row]:
    """Measure everything; takes about half a minute."""
    ring = [(number, (number + 1) % _NODES) for number in range(_NODES)]
    mesh = [(number, other) for number in range(_NODES) for other in range(number)]
    return [_memory_row(), _gossip_row("ring", ring), _gossip_row("mesh", mesh)]


class _Child:
    """A process of this module; it is told a line and answers with one."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.links", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, float | str]:
        assert self._process.stdout is not None
        return cast("dict[str, float | str]", json.loads(self._process.stdout.readline()))

    def ask(self, line: str) -> dict[str, float | str]:
        self.tell(line)
        return self.hear()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()


def _memory_row() -> Row:
    ours, theirs = (_bytes_per_link(kind) for kind in ("ours", "asyncio"))
    return Row(
        what=f"memory of an idle TLS link, {_LINKS:,} links, each end",
        ours=f"{ours / 1024:.1f} KiB",
        peer=f"asyncio's TLS {theirs / 1024:.0f} KiB",
        ratio=ours / theirs,
        goal="< 48 KiB",
        met=ours < _LIMIT_BYTES,
        method="resident memory of both processes; the larger end",
    )


def _bytes_per_link(kind: str) -> float:
    server = _Child("accept", kind)
    port = server.hear()["port"]
    client = _Child("dial", kind)
    client.hear()
    dialled = float(client.ask(f"{port}")["bytes_per_link"])
    accepted = float(server.ask("measure")["bytes_per_link"])
    client.end()
    server.end()
    return max(dialled, accepted)


def _gossip_row(name: str, edges: list[tuple[int, int]]) -> Row:
    children = [_Child("gossip") for _ in range(_NODES)]
    addresses = [str(child.hear()["address"]) for child in children]
    for number, other in edges:
        children[number].ask(f"dial {addresses[other]}")
    for child in children:
        child.tell("load")
    submitted = sum(float(child.hear()["submitted"]) for child in children)
    for child in children:
        child.tell(f"result {submitted:.0f}")
    results = [child.hear() for child in children]
    for child in children:
        child.end()
    lost = sum(submitted - float(result["accepted"]) for result in results)
    p99_s = max(float(result["p99_s"]) for result in results)
    cpu_s = sum(float(result["cpu_s"]) for result in results)
    accepted = sum(float(result["accepted"]) for result in results)
    return Row(
        what=f"gossip of signed vertices, {_NODES} nodes in a {name}",
        ours=(
            f"{submitted / _SECONDS:,.0f}/s, {lost:.0f} lost, p99 {p99_s * 1e3:.0f} ms, "
            f"{cpu_s / accepted * 1e6:.0f} µs CPU a vertex and node"
        ),
        goal=f"{_RATE_PER_S:,}/s, none lost, p99 < 500 ms",
        met=lost == 0 and p99_s < 0.5 and submitted >= 0.95 * _RATE_PER_S * _SECONDS,
        method=f"{_SECONDS} s, {len(_PAYLOAD)} bytes of payload; the slowest node's p99",
    )


# The children


class _Owner:
    """Accepts every link, and counts them."""

    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector
        self.up: list[Link] = []

    def accept(self, link: Link) -> None:
        """Let it begin."""

    def admit(self, link: Link, peer_id: PeerId) -> None:
        """Let it in."""

    def link_up(self, link: Link) -> PeerHandle:
        """Record under the peer."""
        self.up.append(link)
        assert link.peer_id is not None
        return self._collector.open_peer(link.peer_id)

    def link_ready(self, link: Link) -> None:
        """Nothing to tell."""

    def take_frame(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        """Nothing comes."""

    def link_measured(self, link: Link, rtt_s: float) -> None:
        """Nothing to do."""

    def link_failed(self, link: Link, error: PeerError) -> None:
        """A link that fails makes the figures worthless."""
        raise AssertionError(error)

    def link_down(self, link: Link, error: PeerError | None) -> None:
        """The end of the run."""

    def link_closed(self, link: Link) -> None:
        """The same."""


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(**values: float | str) -> None:
    print(json.dumps(values), flush=True)


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _link_settings() -> tuple[LinkSettings, _Owner]:
    identity = Identity.generate()
    collector = MetricsCollector(message_types=FRAME_NAMES)
    owner = _Owner(collector)
    settings = LinkSettings(
        me=LocalEnd(identity=identity, network="bench", agent="bench", certificate=certificate_of(identity)),
        server_tls=server_context(identity),
        client_tls=client_context(),
        config=OverlayConfig(),
        collector=collector,
        clock=time,
        owner=owner,
        read_buffer=memoryview(bytearray(32 * 1024)),
    )
    return settings, owner


class _Silent(asyncio.Protocol):
    """What asyncio's TLS carries."""


async def _accept(kind: str) -> None:
    loop, commands = asyncio.get_running_loop(), await _input()
    settings, _ = _link_settings()
    kept: list[_Silent] = []

    def silent() -> _Silent:
        kept.append(_Silent())
        return kept[-1]

    if kind == "ours":
        server = await loop.create_server(lambda: Link(settings, Role.SERVER), "127.0.0.1", 0, backlog=_LINKS)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        load_certificate(context, Identity.generate())
        server = await loop.create_server(silent, "127.0.0.1", 0, ssl=context, backlog=_LINKS)
    before = _resident_bytes()
    _say(port=server.sockets[0].getsockname()[1])
    await commands.readline()
    _say(bytes_per_link=(_resident_bytes() - before) / _LINKS)
    await commands.read()


async def _dial(kind: str) -> None:
    loop, commands = asyncio.get_running_loop(), await _input()
    settings, owner = _link_settings()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _say()
    port = int(await commands.readline())
    before = _resident_bytes()
    kept: list[object] = []
    for _ in range(_LINKS):
        if kind == "ours":
            link = Link(settings, Role.CLIENT)
            await loop.create_connection(lambda link=link: link, "127.0.0.1", port)  # type: ignore[misc]
            await link.opened
        else:
            kept.append(await loop.create_connection(_Silent, "127.0.0.1", port, ssl=context))
    if kind == "ours":
        # Idle is what a link is between its pings; let each have had one.
        await asyncio.sleep(2)
        assert all(link.is_up and link.pings.last_rtt_s for link in owner.up)
    _say(bytes_per_link=(_resident_bytes() - before) / _LINKS)
    await commands.read()


async def _gossip() -> None:
    commands = await _input()
    collector = MetricsCollector(message_types=FRAME_NAMES)
    identity = Identity.generate()
    node = LocalNode(identity=identity, name="bench", network="bench", agent="bench")
    config = OverlayConfig(listen=("127.0.0.1:0",), discovery=False)
    overlay = Overlay(config, node, collector, time, EventLog(time))
    delays_s: list[float] = []
    overlay.on_vertex = lambda vertex: delays_s.append((time.time_ns() - vertex.origin_unix_ns) / 1e9)
    await overlay.start()
    _say(address=f"{identity.peer_id}@{overlay.listen_addresses[0]}")
    before_s = 0.0
    while command := (await commands.readline()).decode().split():
        match command:
            case ["dial", address]:
                await overlay.dial(address)
                _say()
            case ["load"]:
                await asyncio.sleep(0.5)
                before_s = time.process_time()
                _say(submitted=await _submit(overlay))
            case ["result", submitted]:
                await _settle(collector, int(submitted))
                delays_s.sort()
                _say(
                    accepted=collector.vertices_accepted,
                    p99_s=delays_s[len(delays_s) * 99 // 100],
                    cpu_s=time.process_time() - before_s,
                )
            case _:
                raise AssertionError(command)
    await overlay.stop()


async def _settle(collector: MetricsCollector, submitted: int) -> None:
    """Wait for every vertex: what is late is not lost, and shows in the propagation time."""
    for _ in range(300):
        if collector.vertices_accepted >= submitted:
            return
        await asyncio.sleep(0.1)


async def _submit(overlay: Overlay) -> int:
    start, submitted = time.monotonic(), 0
    while (elapsed_s := time.monotonic() - start) < _SECONDS:
        due = int(elapsed_s * _RATE_PER_S / _NODES) - submitted
        submitted += await overlay.submit([_PAYLOAD] * due)
        await asyncio.sleep(0.01)
    return submitted


def _child(arguments: list[str]) -> Coroutine[None, None, None]:
    match arguments:
        case ["accept", kind]:
            return _accept(kind)
        case ["dial", kind]:
            return _dial(kind)
        case _:
            return _gossip()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * _LINKS + 100), hard), hard))
    asyncio.run(_child(sys.argv[1:]))
