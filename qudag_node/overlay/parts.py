"""The decisions of one node, made without I/O: what gossip, routing and exchange are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from qudag_node.config import OverlayConfig
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.discovery import PeerBook
from qudag_node.overlay.flood import Flood
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig
from qudag_node.overlay.lsdb import DatabaseLimits
from qudag_node.overlay.routed import Router
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Signer, Verifier

__all__ = ["LocalNode", "Parts", "make_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """Who this node is.

    Attributes:
        directory: Where bans, pins, aliases and added peers are kept; None to keep them in memory.
    """

    identity: Identity
    name: str
    network: str
    agent: str
    directory: Path | None = None

    def file(self, name: str) -> Path | None:
        """Return the path of a file that is kept, None when nothing is."""
        return None if self.directory is None else self.directory / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What decides.

    Attributes:
        relays: Whether this node passes on what is not its own.
        exchanges: Whether it tells and learns addresses.
    """

    flood: Flood
    seen: SeenCache
    link_state: LinkState
    router: Router
    book: PeerBook
    relays: bool
    exchanges: bool


def make_parts(config: OverlayConfig, node: LocalNode, clock: Clock, *, sequence: int) -> Parts:
    """Make the parts; ``sequence`` is that of the last advert before the restart."""
    now_mono_s = clock.monotonic()
    signer, verifier = Signer(node.identity.private_key, node.network), Verifier(node.network)
    seen = SeenCache(config.seen_vertices, ttl_s=config.seen_ttl_s, now_mono_s=now_mono_s)
    link_state_config = LinkStateConfig(
        name=node.name,
        renew_interval_s=config.advert_interval_s,
        is_leaf=not config.share_links,
        limits=DatabaseLimits(origins=config.max_origins),
    )
    link_state = LinkState(
        signer, verifier, link_state_config, sequence=sequence, rng=Random(), now_mono_s=now_mono_s
    )

    def next_hop(destination: bytes) -> bytes | None:
        route = link_state.route(destination)
        return None if route is None else route.next_hop

    return Parts(
        flood=Flood(signer, verifier, seen),
        seen=seen,
        link_state=link_state,
        router=Router(signer, verifier, next_hop, relays=config.share_links, max_relays=config.max_hops),
        book=PeerBook(node.identity.public_key, config.max_known_peers),
        relays=config.share_links,
        exchanges=config.discovery,
    )
