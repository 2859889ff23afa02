"""Finding peers by oneself: ask neighbours for addresses, and dial some while links are few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError
from qudag_node.overlay.backoff import BackOff
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.discovery import PeerAddress, PeerBook
from qudag_node.overlay.endpoints import Endpoint, PeerEndpoint
from qudag_node.overlay.faults import DuplicateLinkError
from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.link import Link
from qudag_node.overlay.neighbours import Neighbours
from qudag_node.overlay.pace import Pace
from qudag_node.peerid import peer_id_of

__all__ = ["Finder"]

_LOOK_INTERVAL_S = 1.0
_DIALS_AT_ONCE = 4
_MAX_BACK_OFFS = 1024


class Finder:
    """Runs discovery for one node.

    Args:
        dial: Makes one link, or raises a PeerError.
        is_wanted: Whether a node with this key may be dialled now.
    """

    def __init__(
        self,
        *,
        config: OverlayConfig,
        book: PeerBook,
        neighbours: Neighbours,
        dial: Callable[[PeerEndpoint], Awaitable[Link]],
        is_wanted: Callable[[bytes], bool],
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._pace = pace
        self._config = config
        self._book = book
        self._neighbours = neighbours
        self._dial = dial
        self._is_wanted = is_wanted
        self._clock = clock
        self._rng = Random()
        self._back_offs: dict[bytes, tuple[BackOff, float]] = {}

    async def ask(self) -> None:
        """Ask every neighbour for addresses, again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._config.exchange_interval_s * self._rng.uniform(0.9, 1.1))
            await self._pace.goes_on()
            now_mono_s = self._clock.monotonic()
            for neighbour in list(self._neighbours.values()):
                neighbour.link.send(FrameType.PEERS, neighbour.exchange.ask(), now_mono_s)

    async def run(self) -> None:
        """Dial nodes from the book while links are fewer than wanted, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_INTERVAL_S * self._rng.uniform(0.5, 1.5))
            await self._pace.goes_on()
            missing = self._config.target_links - len(self._neighbours)
            if missing <= 0:
                continue
            now_mono_s = self._clock.monotonic()
            exclude = _Unwanted(self, now_mono_s)
            addresses = self._book.candidates(self._rng, min(missing, _DIALS_AT_ONCE), exclude=exclude)
            async with asyncio.TaskGroup() as dials:
                for address in addresses:
                    dials.create_task(self._try(address), name=f"find[{address.host}]")

    def must_wait(self, key: bytes, now_mono_s: float) -> bool:
        """Whether a node was tried in vain a short while ago."""
        waiting = self._back_offs.get(key)
        return waiting is not None and now_mono_s < waiting[1]

    def is_wanted(self, key: bytes) -> bool:
        """Whether a node is neither linked nor unwelcome."""
        return key not in self._neighbours and self._is_wanted(key)

    async def _try(self, address: PeerAddress) -> None:
        peer = PeerEndpoint(Endpoint(address.host, address.port), peer_id_of(address.key))
        try:
            await self._dial(peer)
        except DuplicateLinkError:
            return
        except PeerError:
            self._book.note_failure(address)
            self._wait(address.key)
            return
        self._back_offs.pop(address.key, None)
        self._book.prove(address)

    def _wait(self, key: bytes) -> None:
        if key not in self._back_offs and len(self._back_offs) >= _MAX_BACK_OFFS:
            del self._back_offs[next(iter(self._back_offs))]
        least_s, most_s = self._config.reconnect_min_s, self._config.reconnect_max_s
        back_off, _ = self._back_offs.get(key, (BackOff(least_s, most_s, self._rng), 0.0))
        self._back_offs[key] = back_off, self._clock.monotonic() + back_off.fail()


class _Unwanted:
    """The keys that are not to be dialled now, as a container."""

    def __init__(self, finder: Finder, now_mono_s: float) -> None:
        self._finder = finder
        self._now_mono_s = now_mono_s

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, bytes):
            return False
        return not self._finder.is_wanted(key) or self._finder.must_wait(key, self._now_mono_s)
