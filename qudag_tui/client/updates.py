"""What a client that stays connected tells its owner: its state, snapshots, events. Frozen values."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qudag_node.wire import PeerRows

__all__ = ["ConnectionStatus", "EventsArrived", "LinkState", "Mailbox", "Snapshot", "Update"]

MAX_WAITING_STATUSES = 16
MAX_WAITING_EVENTS = 1000


class LinkState(Enum):
    """How the connection to the node stands."""

    #: Dialling, proving, subscribing.
    CONNECTING = "connecting"
    #: Snapshots arrive when they should.
    CONNECTED = "connected"
    #: Connected, but no snapshot for three intervals.
    STALE = "stale"
    #: Not connected; ``retry_in_s`` until the next attempt.
    WAITING = "waiting"
    #: The node said no, or is not the node that was meant. Tried again, but seldom.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """A change of state.

    Attributes:
        where: The address.
        reason: One line for a person, empty while all is well.
        retry_in_s: Seconds from this status to the next attempt, while waiting or refused.
        attempt: Attempts that failed in a row.
    """

    state: LinkState
    where: str
    reason: str = ""
    retry_in_s: float | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The node's statistics at one instant.

    Attributes:
        document: The scalar sections, keys as docs/stats-schema.md has them.
        peers: One row per peer, as columns.
        received_mono_s: When it arrived, on the client's monotonic clock.
    """

    document: Mapping[str, Any]
    peers: PeerRows
    received_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsArrived:
    """New events, oldest first: maps of seq, unix_s, kind, severity, subject, text."""

    events: tuple[Mapping[str, Any], ...]


Update = ConnectionStatus | Snapshot | EventsArrived


class Mailbox:
    """Updates that nobody has taken yet. Only the newest snapshot is kept; the rest is bounded."""

    def __init__(self) -> None:
        self._statuses: deque[ConnectionStatus] = deque(maxlen=MAX_WAITING_STATUSES)
        self._events: deque[Mapping[str, Any]] = deque(maxlen=MAX_WAITING_EVENTS)
        self._snapshot: Snapshot | None = None

    def put(self, update: Update) -> None:
        """Add an update, replacing what it makes obsolete."""
        match update:
            case ConnectionStatus():
                self._statuses.append(update)
            case Snapshot():
                self._snapshot = update
            case EventsArrived(events=events):
                self._events.extend(events)

    def take(self) -> list[Update]:
        """Return everything that waits: states, then events, then the newest snapshot."""
        taken: list[Update] = [*self._statuses]
        if self._events:
            taken.append(EventsArrived(events=tuple(self._events)))
        if self._snapshot is not None:
            taken.append(self._snapshot)
        self._statuses.clear()
        self._events.clear()
        self._snapshot = None
        return taken
