"""A live receiver on which the kinds of metrics take turns, slice by slice.

One asyncio process with real TCP connections; a sender in a process of its own keeps a steady rate. Every
tenth of a second another kind of metrics takes over all connections, in an order that is shuffled anew each
round, so that drifts of the machine's speed fall on all alike. Every read is timed from the bytes to the last
frame. What a kind costs is its median per frame less the plain receiver's: medians, because now and then
another process takes the processor, or a fold falls due. The folds are added as what they are, their own CPU
time per message recorded, as the collector measures it. Every tenth slice is followed by a tick of ours,
timed by itself in CPU time.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

from benchmarks._prometheus import PrometheusMetrics, PrometheusPeer
from benchmarks._receivers import Line, Ours, OursWithLatency, Plain, Prometheus
from qudag_node.history import History
from qudag_node.host import TcpInfo, tcp_info
from qudag_node.metrics import MetricsCollector, PeerHandle, PeerLabels
from qudag_node.monitors import StatsAggregator
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.gauges import TCP_LINKS_AT_A_TIME, Turns

__all__ = ["Cost", "Soak", "soak"]

_SLICE_S = 0.1
_SLICES_PER_TICK = 10
_WARM_UP_S = 2.0
_CONNECT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Time that one kind of metrics adds to a message.

    Attributes:
        record_s: Where the message is received.
        fold_s: In folds.
    """

    record_s: float
    fold_s: float = 0.0

    @property
    def all_s(self) -> float:
        """Both together."""
        return self.record_s + self.fold_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What was measured.

    Attributes:
        plain_s: A message without any metrics, from the bytes to the frame.
        added: What each kind adds to it.
        tick_s: One tick of ours: a latency of each peer, TCP_INFO, windows, aggregating, history. The median.
    """

    plain_s: float
    added: dict[type[Plain], Cost]
    tick_s: float


def soak(kinds: Sequence[type[Plain]], *, connections: int, rate: int, batch: int, rounds: int) -> Soak:
    """Let the kinds, and `Plain`, take turns for some rounds."""
    return asyncio.run(_Receiver(kinds, connections).run(rate, batch, rounds))


class _Kind:
    """One kind of metrics on all connections."""

    def __init__(self, kind: type[Plain]) -> None:
        self.kind = kind
        self.collector = MetricsCollector(message_types=FRAME_NAMES)
        self.prometheus = PrometheusMetrics()
        self.protocols: list[Plain] = []
        self.peers: list[PeerHandle] = []
        self.reads: list[tuple[int, int]] = []

    def open(self, line: Line) -> None:
        """Make the protocol that reads a line when it is this kind's turn."""
        if issubclass(self.kind, Ours):
            peer = self.collector.open_peer(f"peer{len(self.peers)}")
            peer.set_labels(PeerLabels(name=peer.id, address="127.0.0.1:9000", agent="bench", hops=1))
            self.collector.connection_opened(peer, "in", now_mono_s=0.0, now_unix_s=0.0)
            self.peers.append(peer)
            self.protocols.append(self.kind(line, self.reads, self.collector, peer))
        elif issubclass(self.kind, Prometheus):
            children = PrometheusPeer(self.prometheus, f"peer{len(self.protocols)}")
            self.protocols.append(self.kind(line, self.reads, self.prometheus, children))
        else:
            self.protocols.append(self.kind(line, self.reads))

    def per_message_s(self) -> float:
        """Return the median time of a message."""
        return statistics.median(ns / frames for ns, frames in self.reads if frames) * 1e-9

    def cost(self, plain: _Kind) -> Cost:
        """Return what this kind adds to the plain receiver."""
        messages = sum(frames for _, frames in self.reads)
        return Cost(
            record_s=self.per_message_s() - plain.per_message_s(),
            fold_s=self.collector.cost.measured_s / messages,
        )


class _Receiver:
    def __init__(self, kinds: Sequence[type[Plain]], connections: int) -> None:
        self._connections = connections
        self._all_stand = asyncio.Event()
        self._lines: list[Line] = []
        self._plain = _Kind(Plain)
        self._kinds = [self._plain, *map(_Kind, kinds)]
        # What ticks is a collector apart, so that folds and ticks are not mixed up.
        self._ticked = _Kind(OursWithLatency)
        self._aggregator = StatsAggregator(self._ticked.collector, started_mono_s=0.0, started_unix_s=0.0)
        self._history = History()
        self._turns: Turns[tuple[Line, PeerHandle]] = Turns(TCP_LINKS_AT_A_TIME)
        self._ticks_s: list[float] = []

    async def run(self, rate: int, batch: int, rounds: int) -> Soak:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Opening(self._open), "127.0.0.1", 0, backlog=self._connections
        )
        port = server.sockets[0].getsockname()[1]
        arguments = [str(number) for number in (port, self._connections, rate, batch)]
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks._sender", *arguments, stdin=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._all_stand.wait()
            await asyncio.sleep(_WARM_UP_S)
            self._plain.reads.clear()
            await self._take_turns(rounds)
        finally:
            sender.kill()
            await sender.wait()
            for line in self._lines:
                line.transport.abort()
            server.close()
        return Soak(
            plain_s=self._plain.per_message_s(),
            added={kind.kind: kind.cost(self._plain) for kind in self._kinds[1:]},
            tick_s=statistics.median(self._ticks_s),
        )

    def _open(self, transport: asyncio.Transport) -> None:
        line = Line(transport)
        self._lines.append(line)
        for kind in (*self._kinds, self._ticked):
            kind.open(line)
        transport.set_protocol(self._plain.protocols[-1])
        if len(self._lines) == self._connections:
            self._all_stand.set()

    async def _take_turns(self, rounds: int) -> None:
        order, slices = list(self._kinds), 0
        for _ in range(rounds):
            Random(slices).shuffle(order)
            for kind in order:
                await self._slice(kind)
                slices += 1
                if slices % _SLICES_PER_TICK == 0:
                    self._ticks_s.append(self._tick_s())

    async def _slice(self, kind: _Kind) -> None:
        """Let one kind receive for a while."""
        for line, protocol in zip(self._lines, kind.protocols, strict=True):
            line.transport.set_protocol(protocol)
        await asyncio.sleep(_SLICE_S)

    def _tick_s(self) -> float:
        """Do what a node does once a second for its metrics, and return its CPU time.

        Every peer has had a message, whose cost is counted elsewhere, and is probed: one latency each.
        """
        collector = self._ticked.collector
        for peer in self._ticked.peers:
            collector.record_message_received(peer, "data", 300)
        collector.fold()
        now = {"now_mono_s": time.monotonic(), "now_unix_s": time.time()}
        began_s = time.thread_time()
        for peer in self._ticked.peers:
            collector.record_latency(peer, 0.01, method="link-ping")
        looks: list[tuple[PeerHandle, TcpInfo]] = []
        for line, peer in self._turns.next_of(list(zip(self._lines, self._ticked.peers, strict=True))):
            info = tcp_info(line.transport.get_extra_info("socket"))
            if info is not None:
                looks.append((peer, info))
        collector.set_tcp_infos(looks)
        self._aggregator.tick(**now)
        self._history.append(self._aggregator.aggregate(**now))
        return time.thread_time() - began_s


class _Opening(asyncio.Protocol):
    """Hands a new connection over."""

    def __init__(self, opened: Callable[[asyncio.Transport], None]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened(cast("asyncio.Transport", transport))
