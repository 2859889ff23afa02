"""Keeping links to the peers an operator named: dial, wait, dial again; one task for each.

A peer added while the node runs is kept in ``DIR/peers.json``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Protocol

from qudag_node.errors import ConfigError, DataDirectoryError, PeerError, PeerRefusedError
from qudag_node.overlay.backoff import BackOff
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.endpoints import Endpoint, PeerEndpoint, parse_peer
from qudag_node.overlay.faults import DuplicateLinkError, SelfDialError
from qudag_node.overlay.link import Link
from qudag_node.overlay.storage import JsonValue, read_json, write_json
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId

__all__ = ["PEERS_FILE_NAME", "DialState", "DialWatcher", "Dialer", "Target", "read_added_peers"]

_log = logging.getLogger(__name__)

PEERS_FILE_NAME = "peers.json"

_SCHEMA = "qudag.peers/1"
_MAX_TARGETS = 1024
# Of an error: two identities and what a peer says of it have room.
_MAX_WORDS = 512
# A link that stood for so long was good; the next wait is the shortest again.
_STABLE_S = 5.0


class DialState(StrEnum):
    """How far a target is that has no link."""

    #: It is being dialled.
    CONNECTING = "connecting"
    #: It will be dialled again, after a wait.
    BACKOFF = "backoff"


@dataclass(slots=True, eq=False)
class Target:
    """A peer to keep a link to.

    Attributes:
        peer_id: Who answers there; learnt by dialling where it was not given.
        is_added: Added while the node ran, so kept in the file.
        wake: Set to end a wait.
        is_linked: Whether a link to it stands; what follows matters only while none does.
        attempts: How often it was dialled since the last link ended, or ever.
        last_error: Why the last dial failed or the last link ended; empty if neither.
        next_dial_mono_s: When it is dialled again, None while it is being dialled.
    """

    peer: PeerEndpoint
    is_added: bool
    peer_id: PeerId | None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    is_linked: bool = False
    attempts: int = 0
    last_error: str = ""
    next_dial_mono_s: float | None = None

    @property
    def state(self) -> DialState:
        """How far it is, while it has no link."""
        return DialState.CONNECTING if self.next_dial_mono_s is None else DialState.BACKOFF


class DialWatcher(Protocol):
    """Who wants to know how dialling goes."""

    def dial_began(self, target: Target) -> None:
        """A target is being dialled."""
        ...

    def dial_failed(self, target: Target, error: PeerError, wait_s: float) -> None:
        """It could not be linked to; it is dialled again after a wait."""
        ...

    def dialled_self(self, target: Target) -> None:
        """It is this node, and not dialled any more."""
        ...


class Dialer:
    """The targets of one node.

    Args:
        dial: Makes one link, or raises a PeerError.
        link_to: The link to a peer that stands already.
        path: Where added peers are kept; None to keep them in memory.
    """

    def __init__(
        self,
        *,
        dial: Callable[[PeerEndpoint], Awaitable[Link]],
        link_to: Callable[[PeerId], Link | None],
        watcher: DialWatcher,
        reconnect_min_s: float,
        reconnect_max_s: float,
        path: Path | None,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._dial = dial
        self._link_to = link_to
        self._watcher = watcher
        self._reconnect_s = reconnect_min_s, reconnect_max_s
        self._path = path
        self._rng = Random()
        self._target_by_endpoint: dict[Endpoint, Target] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def targets(self) -> list[Target]:
        """Every peer that a link is kept to."""
        return list(self._target_by_endpoint.values())

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to dial, in tasks of this group."""
        self._tasks = tasks
        for target in self.targets:
            self._start(target)

    def add(self, peer: PeerEndpoint, *, is_added: bool) -> bool:
        """Keep a link to a peer from now on; return whether that is news.

        Raises:
            PeerRefusedError: There are as many as may be.
        """
        if peer.endpoint in self._target_by_endpoint:
            return False
        if len(self._target_by_endpoint) >= _MAX_TARGETS:
            raise PeerRefusedError(f"{_MAX_TARGETS} peers to keep a link to are the limit")
        target = Target(peer, is_added, peer.peer_id)
        self._target_by_endpoint[peer.endpoint] = target
        if self._tasks is not None:
            self._start(target)
        return True

    def remove(self, *, peer_id: PeerId | None = None, endpoint: Endpoint | None = None) -> list[Target]:
        """Keep no link to a peer any more; return what is no longer dialled."""
        removed = [
            target
            for target in self.targets
            if target.peer.endpoint == endpoint or (peer_id is not None and target.peer_id == peer_id)
        ]
        for target in removed:
            del self._target_by_endpoint[target.peer.endpoint]
            if target.task is not None:
                target.task.cancel()
        return removed

    def stop(self) -> None:
        """Dial nobody any more."""
        self._tasks = None
        for target in self.targets:
            if target.task is not None:
                target.task.cancel()

    def wake(self, peer_id: PeerId) -> None:
        """Dial a peer now rather than after its wait."""
        for target in self.targets:
            if target.peer_id == peer_id:
                target.wake.set()

    def save(self) -> None:
        """Write the added peers to the file. Blocking.

        Raises:
            DataDirectoryError: It cannot be written.
        """
        if self._path is not None:
            added: list[JsonValue] = [str(target.peer) for target in self.targets if target.is_added]
            write_json(self._path, {"schema": _SCHEMA, "peers": added})

    def _start(self, target: Target) -> None:
        if self._tasks is not None:
            target.task = self._tasks.create_task(self._keep(target), name=f"dial[{target.peer.endpoint}]")

    async def _keep(self, target: Target) -> None:
        back_off = BackOff(*self._reconnect_s, self._rng)
        while True:
            link = None if target.peer_id is None else self._link_to(target.peer_id)
            error: PeerError | None = None
            try:
                if link is None:
                    target.attempts += 1
                    self._watcher.dial_began(target)
                    link = await self._dial(target.peer)
                    target.peer_id = link.peer_id
            except DuplicateLinkError as exc:
                target.peer_id = exc.peer_id
                if self._link_to(exc.peer_id) is not None:
                    continue
                # The peer's own dial is about to become the link.
            except SelfDialError:
                self._give_up(target)
                return
            except PeerError as exc:
                error = exc
            if link is not None:
                target.is_linked, target.attempts = True, 0
                ended = await asyncio.shield(link.down)
                target.is_linked, target.last_error = False, _words(ended)
                if link.stood_s >= _STABLE_S:
                    back_off.succeed()
            wait_s = back_off.fail()
            target.next_dial_mono_s = self._clock.monotonic() + wait_s
            if error is not None:
                target.last_error = _words(error)
                self._watcher.dial_failed(target, error, wait_s)
            await self._wait(target, wait_s)
            target.next_dial_mono_s = None

    def _give_up(self, target: Target) -> None:
        """Never dial ourselves again."""
        self._target_by_endpoint.pop(target.peer.endpoint, None)
        self._watcher.dialled_self(target)
        if target.is_added:
            try:
                self.save()
            except DataDirectoryError as exc:
                _log.error("%s; the next start dials %s once more", exc, target.peer.endpoint)

    async def _wait(self, target: Target, wait_s: float) -> None:
        target.wake.clear()
        try:
            async with asyncio.timeout(wait_s):
                await target.wake.wait()
        except TimeoutError:
            return


def _words(error: PeerError | None) -> str:
    return "" if error is None else clean_text(str(error), _MAX_WORDS)


def read_added_peers(path: Path) -> list[PeerEndpoint]:
    """Return the peers that ``Dialer.save`` wrote.

    Raises:
        DataDirectoryError: The file is not what was written.
    """
    document = read_json(path)
    try:
        match document:
            case None:
                return []
            case {"schema": str(schema), "peers": list(entries)} if schema == _SCHEMA:
                return [parse_peer(str(entry)) for entry in entries]
            case _:
                raise DataDirectoryError(f"{path}: is not a list of peers; repair or remove it")
    except ConfigError as exc:
        raise DataDirectoryError(f"{path}: {exc}; repair or remove the file") from exc
