"""Making one link: who must answer, the TCP connection, the wait for the handshake, the pin."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from qudag_node.errors import (
    DataDirectoryError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.bans import Bans
from qudag_node.overlay.endpoints import Endpoint, PeerEndpoint
from qudag_node.overlay.faults import (
    DuplicateLinkError,
    LinkIdentityError,
    LinkRefusedError,
    SelfDialError,
    cause_of,
)
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.link import Link
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.overlay.pins import Pins
from qudag_node.peerid import PeerId

__all__ = ["Connector"]

_log = logging.getLogger(__name__)

_HAPPY_EYEBALLS_DELAY_S = 0.25  # RFC 8305, section 5


class Connector:
    """Dials.

    Attributes:
        settings: Of every link, dialled or accepted.
        is_closed: Set when the node is stopping: nobody is dialled any more.
    """

    def __init__(self, settings: LinkSettings, admission: Admission, bans: Bans, pins: Pins) -> None:
        self.is_closed = False
        self.settings = settings
        self._admission = admission
        self._bans = bans
        self._pins = pins

    async def dial(self, peer: PeerEndpoint) -> Link:
        """Make one link.

        Raises:
            DuplicateLinkError: Another one is kept.
            SelfDialError: This node is what answers there.
            PeerError: Anything else.
        """
        if self.is_closed:
            raise PeerRefusedError("this node is stopping")
        own_id = self.settings.me.identity.peer_id
        if peer.peer_id == own_id:
            raise SelfDialError
        pinned = None if peer.peer_id is not None else self._pins.find(peer.endpoint)
        expected = peer.peer_id or pinned
        for subject in (expected, peer.endpoint.host):
            if subject is not None and self._bans.find(subject, self.settings.clock.time()):
                raise LinkRefusedError(GoodbyeReason.BANNED, f"{subject} is banned")
        link = await self._connect(peer.endpoint, expected)
        try:
            await link.opened
        except asyncio.CancelledError:
            link.abort(PeerUnreachableError("given up"))
            raise
        except LinkRefusedError as exc:
            if exc.reason is not GoodbyeReason.DUPLICATE or link.peer_id is None:
                raise
            self._pin(peer, link.peer_id)
            raise DuplicateLinkError(link.peer_id) from exc
        except LinkIdentityError as exc:
            if exc.found == own_id:
                raise SelfDialError from exc
            if pinned is None or exc.found is None:
                raise
            where = self._pins.path or "known_peers"
            raise LinkIdentityError(
                "identity_changed",
                f"was {pinned}, is now {exc.found}; if that is meant, remove its line from {where}",
                found=exc.found,
            ) from exc
        if link.peer_id is not None:
            self._pin(peer, link.peer_id)
        return link

    async def _connect(self, endpoint: Endpoint, expected: PeerId | None) -> Link:
        link = Link(self.settings, Role.CLIENT, expected=expected)
        loop, timeout_s = asyncio.get_running_loop(), self.settings.config.handshake_timeout_s
        self._admission.dialling(link)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(
                    lambda: link, endpoint.host, endpoint.port, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S
                )
        except TimeoutError as exc:
            error: PeerError = PeerTimeoutError(f"no TCP connection within {timeout_s:g} s")
            self._give_up(link, error)
            raise error from exc
        except (OSError, UnicodeError) as exc:  # the latter from a name that no resolver takes
            error = PeerUnreachableError(_words(exc))
            self._give_up(link, error)
            raise error from exc
        except BaseException:
            self._give_up(link, None)
            raise
        return link

    def _give_up(self, link: Link, error: PeerError | None) -> None:
        self._admission.closed(link)
        link.opened.cancel()
        if error is not None:
            self.settings.collector.connection_failed(cause_of(error))

    def _pin(self, peer: PeerEndpoint, peer_id: PeerId) -> None:
        """Remember who was met first where nobody was named."""
        if peer.peer_id is not None:
            return
        try:
            self._pins.pin(peer.endpoint, peer_id)
        except DataDirectoryError as exc:
            _log.error("%s; the pin of %s holds until this node stops", exc, peer.endpoint)


def _words(exc: OSError | UnicodeError) -> str:
    """Return why there is no connection: in the system's words, where asyncio put its own over them."""
    if isinstance(exc, OSError) and exc.errno and not isinstance(exc, socket.gaierror):
        return os.strerror(exc.errno)
    return getattr(exc, "strerror", None) or str(exc)
