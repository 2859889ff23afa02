"""Real links over loopback sockets, with an owner that takes note of everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.certificate import certificate_of, client_context, server_context
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.frames import FRAME_NAMES, FrameType
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.peerid import PeerId

NETWORK = "testnet"


@dataclass
class NotingOwner:
    """Accepts everybody, unless told otherwise."""

    collector: MetricsCollector
    refusal: PeerError | None = None
    fault: PeerError | None = None
    links: list[Link] = field(default_factory=list)
    frames: list[tuple[FrameType, bytes]] = field(default_factory=list)
    failures: list[PeerError] = field(default_factory=list)
    ends: list[PeerError | None] = field(default_factory=list)
    rtts_s: list[float] = field(default_factory=list)
    pending: list[Link] = field(default_factory=list)
    closed: list[Link] = field(default_factory=list)

    def accept(self, link: Link) -> None:
        self.pending.append(link)

    def admit(self, link: Link, peer_id: PeerId) -> None:
        if self.refusal is not None:
            raise self.refusal

    def link_up(self, link: Link) -> PeerHandle:
        self.links.append(link)
        assert link.peer_id is not None
        return self.collector.open_peer(link.peer_id)

    def link_ready(self, link: Link) -> None:
        assert link.is_up

    def take_frame(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        if self.fault is not None:
            raise self.fault
        self.frames.append((kind, payload))
        self.collector.record_message_processed(FRAME_NAMES[kind])

    def link_measured(self, link: Link, rtt_s: float) -> None:
        self.rtts_s.append(rtt_s)

    def link_failed(self, link: Link, error: PeerError) -> None:
        self.failures.append(error)

    def link_down(self, link: Link, error: PeerError | None) -> None:
        self.ends.append(error)

    def link_closed(self, link: Link) -> None:
        self.closed.append(link)


class End:
    """One node's worth of links."""

    def __init__(self, config: OverlayConfig, *, network: str = NETWORK, clock: Clock = time) -> None:
        self.identity = Identity.generate()
        self.collector = MetricsCollector(message_types=FRAME_NAMES)
        self.owner = NotingOwner(self.collector)
        self.settings = LinkSettings(
            me=LocalEnd(
                identity=self.identity,
                network=network,
                agent="test/1",
                certificate=certificate_of(self.identity),
            ),
            server_tls=server_context(self.identity),
            client_tls=client_context(),
            config=config,
            collector=self.collector,
            clock=clock,
            owner=self.owner,
            read_buffer=memoryview(bytearray(32 * 1024)),
        )
        self.server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    @property
    def link(self) -> Link:
        """The newest link."""
        return self.owner.links[-1]

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Link(self.settings, Role.SERVER), "127.0.0.1", 0)

    async def dial(self, port: int, *, expected: PeerId | None = None) -> Link:
        """Dial and wait until the link is up; raises what ends it before that."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: Link(self.settings, Role.CLIENT, expected=expected), "127.0.0.1", port
        )
        await link.opened
        return link

    def traffic(self, peer: End) -> dict[str, tuple[int, int, int, int]]:
        """By type: messages and bytes sent to a peer, messages and bytes received from it."""
        handle = self.collector.open_peer(peer.identity.peer_id)
        return {
            name: (counts.sent, counts.sent_bytes, counts.received, counts.received_bytes)
            for name, counts in self.collector.peer_types(handle).items()
        }


def quiet(**changes: object) -> OverlayConfig:
    """Settings under which nothing happens by itself."""
    settings: dict[str, object] = {"ping_interval_s": 3600.0, "dead_peer_timeout_s": 7200.0, **changes}
    return OverlayConfig(**settings)  # type: ignore[arg-type]  # any field


@asynccontextmanager
async def two_ends(
    config: OverlayConfig | None = None, *, other: OverlayConfig | None = None, clock: Clock = time
) -> AsyncGenerator[tuple[End, End]]:
    """Yield an end that dials and one that listens; everything is closed afterwards."""
    dialling, listening = End(config or quiet(), clock=clock), End(other or config or quiet())
    await listening.listen()
    try:
        yield dialling, listening
    finally:
        assert listening.server is not None
        listening.server.close()
        everything = [*dialling.owner.links, *listening.owner.links, *listening.owner.pending]
        for link in everything:
            link.abort(PeerError("the test is over"))
        await until(lambda: all(link.phase.value == "closed" for link in everything))
        await listening.server.wait_closed()


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition that the event loop brings about."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # sockets bring it about, not a task of ours
            await asyncio.sleep(0.002)
