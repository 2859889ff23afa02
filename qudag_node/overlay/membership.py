"""Which peers this node keeps, refuses and names: what its operator decides, over restarts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from qudag_node.errors import AmbiguousError, ConfigError, NotFoundError, PeerError
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.aliases import ALIASES_FILE_NAME, Aliases
from qudag_node.overlay.bans import BAN_FILE_NAME, Ban, Bans
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.dialer import Dialer, Target
from qudag_node.overlay.discovery import PeerBook
from qudag_node.overlay.endpoints import Endpoint, leads_to, parse_endpoint, parse_peer
from qudag_node.overlay.events import EventKind, EventLog, Severity
from qudag_node.overlay.faults import LinkIdentityError
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.parts import LocalNode
from qudag_node.overlay.peertable import PeerState, PeerTable, is_id_prefix
from qudag_node.overlay.pins import PIN_FILE_NAME, Pins
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["Membership"]

_MAX_CANDIDATES = 8


class Membership:
    """What is kept in the data directory about peers, and what follows from it.

    Attributes:
        bans: Who is refused.
        pins: Who was met first at which address.
    """

    def __init__(
        self,
        node: LocalNode,
        admission: Admission,
        table: PeerTable,
        book: PeerBook,
        events: EventLog,
        clock: Clock,
    ) -> None:
        """Read what the last run left.

        Raises:
            DataDirectoryError: A file of it is damaged.
        """
        self.bans = Bans(node.file(BAN_FILE_NAME))
        self.pins = Pins(node.file(PIN_FILE_NAME))
        self._aliases = Aliases(node.file(ALIASES_FILE_NAME))
        self._own_id = node.identity.peer_id
        self._admission = admission
        self._table = table
        self._book = book
        self._events = events
        self._clock = clock
        now_mono_s = clock.monotonic()
        for peer_id, alias in self._aliases.items():
            peer = table.open(peer_id, now_mono_s)
            if peer is not None:
                peer.alias = alias
                table.publish(peer)
        for ban in self.bans.active(clock.time()):
            self._show_banned(ban)

    # What an operator does

    def add(self, dialer: Dialer, address: str, own: Sequence[Endpoint] = ()) -> bool:
        """Keep a link to [PEERID@]HOST:PORT from now on, over restarts; return whether that is news.

        Args:
            dialer: Keeps it.
            address: Where the peer is.
            own: Where we are.

        Raises:
            ConfigError: It is no address, or our own.
            PeerRefusedError: There are as many as may be.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        peer = parse_peer(address)
        if peer.peer_id == self._own_id or any(leads_to(peer.endpoint, here) for here in own):
            raise ConfigError(repr(address), "is this node itself")
        if not dialer.add(peer, is_added=True):
            return False
        dialer.save()
        self._events.add(EventKind.PEER_ADDED, str(peer.endpoint), "a link to it is kept from now on")
        return True

    def remove(self, dialer: Dialer, text: str) -> None:
        """Keep no link to a peer any more, and close the present one. It may still dial us: ban it for that.

        Raises:
            NotFoundError, AmbiguousError: See ``PeerTable.resolve``.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        peer_id, endpoint = self._target_of(dialer, text)
        removed = dialer.remove(peer_id=peer_id, endpoint=endpoint)
        for target in removed:
            self.pins.unpin(target.peer.endpoint)
        dialer.save()
        link = None if peer_id is None else self._admission.link_to(peer_id)
        if link is not None:
            link.leave(GoodbyeReason.REMOVED)
        self._events.add(EventKind.PEER_REMOVED, text, "no link to it is kept any more")

    def ban(self, text: str, *, duration_s: float | None = None, reason: str = "") -> Ban:
        """Refuse a peer, or every peer of an IP address, close its links and tell nobody where it is.

        Raises:
            NotFoundError, AmbiguousError: See ``PeerTable.resolve``.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        subject = self._subject_of(text)
        peer = self._table.get(PeerId(subject))
        ban = self.bans.ban(
            subject,
            reason,
            now_unix_s=self._clock.time(),
            duration_s=duration_s,
            name="" if peer is None else peer.name,
            address="" if peer is None else peer.address,
        )
        for link in list(self._admission):
            if subject in {link.peer_id, link.remote[0]}:
                link.leave(GoodbyeReason.BANNED)
        try:
            self._book.forget(key=public_key_of(subject))
        except ValueError:
            self._book.forget(host=subject)
        self._show_banned(ban)
        until = "for good" if duration_s is None else f"for {duration_s:g} s"
        self._events.add(EventKind.BANNED, subject, f"{until}{f': {clean_text(reason)}' if reason else ''}")
        self.bans.save()
        return ban

    def unban(self, dialer: Dialer, text: str) -> None:
        """Lift a ban of an IP address, or of a peer by id or its beginning, name, alias or address.

        Raises:
            NotFoundError: Nothing of that name is banned.
            AmbiguousError: Several banned peers fit; carries them.
            DataDirectoryError: It cannot be written down; it holds until the node stops.
        """
        subject = self._banned_subject_of(text)
        self.bans.unban(subject, now_unix_s=self._clock.time())
        self._show_welcome(PeerId(subject))
        dialer.wake(PeerId(subject))
        self._events.add(EventKind.UNBANNED, subject, "may link again")
        self.bans.save()

    def show_expired(self) -> None:
        """Show as known whoever is shown as banned and no longer is; to be called now and then."""
        now_unix_s = self._clock.time()
        for peer in self._table:
            if peer.state is PeerState.BANNED and self.bans.find(peer.id, now_unix_s) is None:
                self._show_welcome(peer.id)

    def alias(self, text: str, alias: str) -> PeerId:
        """Call a peer something; an empty alias takes it away.

        Raises:
            NotFoundError, AmbiguousError: See ``PeerTable.resolve``.
            PeerRefusedError: It is no name, or another peer's.
        """
        peer_id = self._table.resolve(text)
        self._aliases.set(peer_id, alias)
        peer = self._table.get(peer_id)
        if peer is not None:
            peer.alias = alias
            self._table.publish(peer)
        return peer_id

    # What the dialer tells

    def dial_began(self, target: Target) -> None:
        """Show that a peer is being dialled."""
        self._show_dialling(target, PeerState.CONNECTING)

    def dial_failed(self, target: Target, error: PeerError, wait_s: float) -> None:
        """Show that a peer could not be linked to."""
        self._show_dialling(target, PeerState.BACKOFF)
        subject = str(target.peer.endpoint)
        if isinstance(error, LinkIdentityError):
            self._events.add_quietly(EventKind.IDENTITY_CHANGED, subject, str(error))
        else:
            self._events.add_quietly(EventKind.DIAL_FAILED, subject, f"{error}; again in {wait_s:.1f} s")

    def dialled_self(self, target: Target) -> None:
        """Tell that an address is our own."""
        self.pins.unpin(target.peer.endpoint)
        text = "is this node itself: no link to it is kept any more"
        self._events.add(EventKind.PEER_REMOVED, str(target.peer.endpoint), text, Severity.WARNING)

    # Inside

    def _target_of(self, dialer: Dialer, text: str) -> tuple[PeerId | None, Endpoint | None]:
        """Return the peer or address that a link is kept to."""
        try:
            peer_id: PeerId | None = self._table.resolve(text)
        except NotFoundError:
            peer_id = None
        endpoint: Endpoint | None = None
        with suppress(ConfigError):
            endpoint = parse_peer(text).endpoint
        if peer_id is None and not any(target.peer.endpoint == endpoint for target in dialer.targets):
            raise NotFoundError(f"no peer is known as {text!r}")
        return peer_id, endpoint

    def _subject_of(self, text: str) -> str:
        """Return the PeerId or IP address that is to be banned."""
        try:
            return str(ip_address(text))
        except ValueError:
            pass
        try:
            return self._table.resolve(text)
        except NotFoundError:
            with suppress(ValueError):
                public_key_of(text)
                return text
            raise

    def _banned_subject_of(self, text: str) -> str:
        """Return who of the banned is meant, whether the peer table has room for them or not."""
        with suppress(ValueError):
            text = str(ip_address(text))
        bans = self.bans.active(self._clock.time())
        for fits in (_is_subject, self._is_alias, _is_name, _is_address, _is_prefix):
            found = [ban for ban in bans if fits(ban, text)]
            if len(found) == 1:
                return found[0].subject
            if found:
                shown = found[:_MAX_CANDIDATES]
                raise AmbiguousError(text, [f"{ban.name or 'nameless'} ({ban.subject})" for ban in shown])
        raise NotFoundError(f"{text!r} is not banned")

    def _is_alias(self, ban: Ban, text: str) -> bool:
        return bool(text) and self._aliases.find(PeerId(ban.subject)) == text

    def _show_banned(self, ban: Ban) -> None:
        peer_id = ban.peer_id
        peer = None if peer_id is None else self._table.open(peer_id, self._clock.monotonic())
        if peer is None or peer.state is PeerState.CONNECTED:
            return
        peer.state = PeerState.BANNED
        peer.name = peer.name or ban.name
        with suppress(ConfigError):
            if ban.address and not peer.endpoints:
                peer.note_endpoint(parse_endpoint(ban.address))
        self._table.publish(peer)

    def _show_welcome(self, peer_id: PeerId) -> None:
        peer = self._table.get(peer_id)
        if peer is not None and peer.state is PeerState.BANNED:
            peer.state = PeerState.KNOWN
            self._table.publish(peer)

    def _show_dialling(self, target: Target, state: PeerState) -> None:
        if target.peer_id is None:
            return
        peer = self._table.open(target.peer_id, self._clock.monotonic())
        if peer is not None and peer.state not in {PeerState.CONNECTED, PeerState.BANNED}:
            peer.state = state
            peer.note_endpoint(target.peer.endpoint)
            self._table.publish(peer)


def _is_subject(ban: Ban, text: str) -> bool:
    return ban.subject == text


def _is_name(ban: Ban, text: str) -> bool:
    return bool(text) and ban.name == text


def _is_address(ban: Ban, text: str) -> bool:
    return bool(text) and text in {ban.address, ban.address.rpartition(":")[0].strip("[]")}


def _is_prefix(ban: Ban, text: str) -> bool:
    return is_id_prefix(text) and ban.subject.startswith(text)
