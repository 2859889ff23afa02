"""Which links may stand: limits, and one link for each peer. Decides; whoever asks carries it out.

Of two nodes that dial each other at the same time the one with the smaller PeerId decides: its own dial
survives, and it refuses the other's. It alone decides, so both ends keep the same link, and no
message that was sent on the surviving link is lost:

- Before a client proves itself it checks once more that it has no other link or dial to that peer.
- The smaller end refuses an incoming link while its own dial to that peer is under way or has just come up.
- The larger end takes the incoming link, and gives up its own dial or an older link, which the smaller
  end would not replace unless it had lost it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from qudag_node.overlay.faults import LinkRefusedError, SelfDialError
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.link import Link
from qudag_node.peerid import PeerId

__all__ = ["Admission"]


class Admission:
    """The links of one node, from the first byte to the last.

    Args:
        own_id: Who we are.
        max_links: Links that stand, in total.
        max_per_address: Incoming connections of one IPv4 address or IPv6 /64 network.
        max_pending: Incoming connections whose handshake is not done.
        settle_s: While a link is younger than this, a second one is a simultaneous dial, not a return.
    """

    def __init__(
        self, own_id: PeerId, *, max_links: int, max_per_address: int, max_pending: int, settle_s: float
    ) -> None:
        self._own_id = own_id
        self._max_links = max_links
        self._max_per_address = max_per_address
        self._max_pending = max_pending
        self._settle_s = settle_s
        self._incoming: Counter[str] = Counter()
        self._site_by_link: dict[Link, str] = {}
        self._opening: set[Link] = set()
        self._dial_by_peer: dict[PeerId, Link] = {}
        self._link_by_peer: dict[PeerId, Link] = {}

    @property
    def pending_count(self) -> int:
        """Connections whose handshake is not done, either way."""
        return len(self._opening)

    @property
    def link_count(self) -> int:
        """Links that stand."""
        return len(self._link_by_peer)

    def __iter__(self) -> Iterator[Link]:
        """The links that stand."""
        return iter(self._link_by_peer.values())

    def opening(self) -> list[Link]:
        """Return the connections whose handshake is not done."""
        return list(self._opening)

    def link_to(self, peer_id: PeerId) -> Link | None:
        """Return the link to a peer, if one stands."""
        return self._link_by_peer.get(peer_id)

    def dialling(self, link: Link) -> None:
        """Note a connection of ours that begins its handshake."""
        self._opening.add(link)

    def accept(self, link: Link, host: str) -> None:
        """Note a connection of somebody unknown.

        Raises:
            LinkRefusedError: Too many are half open, or come from there.
        """
        site = _site_of(host)
        if self._incoming[site] >= self._max_per_address:
            raise LinkRefusedError(
                GoodbyeReason.FULL, f"{self._max_per_address} links from {site} are the limit"
            )
        if len(self._site_by_link) - self._incoming_up() >= self._max_pending:
            raise LinkRefusedError(
                GoodbyeReason.FULL, f"{self._max_pending} handshakes at once are the limit"
            )
        self._incoming[site] += 1
        self._site_by_link[link] = site
        self._opening.add(link)

    def admit(self, link: Link, peer_id: PeerId, now_mono_s: float) -> list[Link]:
        """Let a connection go on to be the link to a peer; return those that must give way to it.

        Raises:
            LinkRefusedError: It is ourselves, one link too many, or the other one is kept.
        """
        if peer_id == self._own_id:
            raise SelfDialError
        standing, dial = self._link_by_peer.get(peer_id), self._dial_by_peer.get(peer_id)
        losers: list[Link] = []
        if link.role is Role.CLIENT:
            if standing is not None or dial is not None:
                raise LinkRefusedError(GoodbyeReason.DUPLICATE, "another link to that peer stands")
        elif self._own_id < peer_id:
            if dial is not None or (
                standing is not None and now_mono_s - standing.up_mono_s < self._settle_s
            ):
                raise LinkRefusedError(GoodbyeReason.DUPLICATE, "this node's own dial is kept")
            losers = [standing] if standing is not None else []
        else:
            losers = [loser for loser in (standing, dial) if loser is not None]
        if standing is None and len(self._link_by_peer) >= self._max_links:
            raise LinkRefusedError(GoodbyeReason.FULL, f"{self._max_links} links are the limit")
        if link.role is Role.CLIENT:
            self._dial_by_peer[peer_id] = link
        return losers

    def up(self, link: Link, peer_id: PeerId) -> None:
        """Note that the connection has become the link to a peer."""
        self._opening.discard(link)
        self._forget_dial(link)
        self._link_by_peer[peer_id] = link

    def down(self, link: Link) -> None:
        """Note that a link no longer stands, though its socket may."""
        peer_id = link.peer_id
        if peer_id is not None and self._link_by_peer.get(peer_id) is link:
            del self._link_by_peer[peer_id]

    def closed(self, link: Link) -> None:
        """Note that a connection is gone, whatever became of it."""
        self._opening.discard(link)
        self._forget_dial(link)
        site = self._site_by_link.pop(link, None)
        if site is not None:
            self._incoming[site] -= 1
            if not self._incoming[site]:
                del self._incoming[site]

    def _forget_dial(self, link: Link) -> None:
        peer_id = link.peer_id
        if peer_id is not None and self._dial_by_peer.get(peer_id) is link:
            del self._dial_by_peer[peer_id]

    def _incoming_up(self) -> int:
        return sum(link not in self._opening for link in self._site_by_link)


def _site_of(host: str) -> str:
    """Return what one holder of addresses is counted by: an IPv4 address, or an IPv6 /64 network."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
