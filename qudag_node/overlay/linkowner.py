"""What a link needs of the node it belongs to: settings shared by all links, and an owner who decides."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.pace import Pace
from qudag_node.peerid import PeerId

if TYPE_CHECKING:
    from qudag_node.overlay.link import Link

__all__ = ["LinkOwner", "LinkSettings"]


class LinkOwner(Protocol):
    """Who decides about links and handles what they bring. No method may block or raise, except as said."""

    def accept(self, link: Link) -> None:
        """Somebody dialled; begin the handshake, or raise a ``LinkRefusedError``."""
        ...

    def admit(self, link: Link, peer_id: PeerId) -> None:
        """Somebody proved who they are, or we are about to; go on, or raise a ``LinkRefusedError``."""
        ...

    def link_up(self, link: Link) -> PeerHandle:
        """The link stands; return what its messages are recorded under."""
        ...

    def link_ready(self, link: Link) -> None:
        """Messages can be sent from now on."""
        ...

    def take_frame(self, link: Link, kind: FrameType, payload: bytes, now_mono_s: float) -> None:
        """Handle or queue one received frame.

        Raises:
            RemoteFault: No correct node sends this; the link is closed.
        """
        ...

    def link_measured(self, link: Link, rtt_s: float) -> None:
        """A ping was answered."""
        ...

    def link_failed(self, link: Link, error: PeerError) -> None:
        """The link never came up."""
        ...

    def link_down(self, link: Link, error: PeerError | None) -> None:
        """No further message will be sent. ``error`` is None when both ends parted in order."""
        ...

    def link_closed(self, link: Link) -> None:
        """The socket is gone; nothing is recorded under the peer by this link any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """What all links of a node share.

    Attributes:
        read_buffer: Bytes are read here and copied out before anything else runs, so one is enough.
        sockets: File descriptors of the links; who makes the event loop may serve them in turn.
    """

    me: LocalEnd
    server_tls: ssl.SSLContext
    client_tls: ssl.SSLContext
    config: OverlayConfig
    collector: MetricsCollector
    clock: Clock
    owner: LinkOwner
    read_buffer: memoryview
    sockets: set[int] = field(default_factory=set[int])
    pace: Pace = field(default_factory=Pace)
