"""Whole overlays in one process, over real loopback sockets and TLS."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from qudag_node.config import OverlayConfig
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.events import EventKind, EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.overlay import LocalNode, Overlay
from tests.qudag_node.overlay.links import NETWORK, until


class Node:
    """One overlay with all that belongs to it."""

    def __init__(
        self,
        name: str = "node",
        *,
        identity: Identity | None = None,
        directory: Path | None = None,
        network: str = NETWORK,
        clock: Clock = time,
        background_bytes_per_s: float = math.inf,
        **settings: object,
    ) -> None:
        self.identity = identity or Identity.generate()
        self.collector = MetricsCollector(message_types=FRAME_NAMES)
        self.events = EventLog(time)
        self.config = OverlayConfig(
            **{  # type: ignore[arg-type]  # any field
                "listen": ("127.0.0.1:0",),
                "discovery": False,
                "reconnect_min_s": 0.05,
                "reconnect_max_s": 0.2,
                **settings,
            }
        )
        local = LocalNode(
            identity=self.identity, name=name, network=network, agent="test/1", directory=directory
        )
        self.name = name
        self.overlay = Overlay(
            self.config,
            local,
            self.collector,
            clock,
            self.events,
            background_bytes_per_s=background_bytes_per_s,
        )

    @property
    def id(self) -> str:
        return self.identity.peer_id

    @property
    def address(self) -> str:
        """Where it listens, with its identity."""
        return f"{self.id}@{self.overlay.listen_addresses[0]}"

    @property
    def neighbours(self) -> set[str]:
        return {str(link.peer_id) for link in self.overlay.links()}

    def told(self, kind: EventKind) -> list[str]:
        """The texts of the events of one kind."""
        return [event.text for event in self.events.since(0) if event.kind is kind]

    def traffic(self, peer: Node) -> dict[str, tuple[int, int, int, int]]:
        """By type: messages and bytes sent to a peer, messages and bytes received from it."""
        handle = self.collector.open_peer(peer.id)
        return {
            name: (counts.sent, counts.sent_bytes, counts.received, counts.received_bytes)
            for name, counts in self.collector.peer_types(handle).items()
        }


@asynccontextmanager
async def running(*nodes: Node) -> AsyncGenerator[None]:
    """Start overlays, and stop them afterwards."""
    started: list[Node] = []
    try:
        for node in nodes:
            await node.overlay.start()
            started.append(node)
        yield
    finally:
        for node in started:
            await node.overlay.stop()


async def linked(*pairs: tuple[Node, Node]) -> None:
    """Link the first of each pair to the second."""
    for one, other in pairs:
        await one.overlay.dial(other.address)
    await until(
        lambda: all(other.id in one.neighbours and one.id in other.neighbours for one, other in pairs)
    )


def ring_of(nodes: Sequence[Node]) -> list[tuple[Node, Node]]:
    return [(node, nodes[(number + 1) % len(nodes)]) for number, node in enumerate(nodes)]


def line_of(nodes: Sequence[Node]) -> list[tuple[Node, Node]]:
    return list(itertools.pairwise(nodes))


def assert_same_counts(one: Node, other: Node) -> None:
    """What one sent to the other is what the other received, by type, in messages and bytes."""
    there, back = one.traffic(other), other.traffic(one)
    for kind, (sent, sent_bytes, received, received_bytes) in there.items():
        assert back[kind] == (received, received_bytes, sent, sent_bytes), kind
