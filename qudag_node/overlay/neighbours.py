"""The nodes at the other ends of the links that stand, by key, and how to send to them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from qudag_node.overlay.discovery import Exchange
from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.link import Link
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["Neighbour", "Neighbours"]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour:
    """One neighbour.

    Attributes:
        key: Its public key: how gossip names nodes.
        exchange: The exchange of addresses with it.
    """

    peer_id: PeerId
    key: bytes
    link: Link
    exchange: Exchange


class Neighbours(Mapping[bytes, Neighbour]):
    """The neighbours by key."""

    def __init__(self, *, exchange_interval_s: float) -> None:
        self._exchange_interval_s = exchange_interval_s
        self._by_key: dict[bytes, Neighbour] = {}
        self._by_link: dict[Link, Neighbour] = {}

    def __getitem__(self, key: bytes) -> Neighbour:
        return self._by_key[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def origin(self, key: bytes) -> Neighbour | None:
        """Return the neighbour of this key; as ``get``, and ten times as quick when there is none."""
        return self._by_key.get(key)

    def at(self, link: Link) -> Neighbour | None:
        """Return who is at the other end of a link; None when it no longer stands."""
        return self._by_link.get(link)

    def add(self, link: Link, peer_id: PeerId, now_mono_s: float) -> Neighbour:
        """Note a link that stands."""
        exchange = Exchange(self._exchange_interval_s, now_mono_s)
        neighbour = Neighbour(peer_id, public_key_of(peer_id), link, exchange)
        self._by_key[neighbour.key] = self._by_link[link] = neighbour
        return neighbour

    def remove(self, link: Link) -> Neighbour | None:
        """Note that a link no longer stands; return who was there, None when another link stands already."""
        neighbour = self._by_link.pop(link, None)
        if neighbour is None or self._by_key.get(neighbour.key) is not neighbour:
            return None
        del self._by_key[neighbour.key]
        return neighbour

    def send(self, key: bytes, kind: FrameType, frame: bytes, now_mono_s: float) -> bool:
        """Send a whole frame to one neighbour; return whether its queue took it."""
        neighbour = self._by_key.get(key)
        return neighbour is not None and neighbour.link.send(kind, frame, now_mono_s)

    def flood(self, kind: FrameType, frame: bytes, now_mono_s: float, *, but: Container[Link] = ()) -> int:
        """Send a whole frame by every link but some; return how many queues took it."""
        taken = 0
        for link in self._by_link:
            if link not in but:
                taken += link.send(kind, frame, now_mono_s)
        return taken
