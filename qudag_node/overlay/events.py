"""What has happened to this node and its links lately: a bounded ring that everybody may read.

What a stranger can cause any number of times (a refused link, a broken proof) is told once in a while with
the number of repetitions, so that it pushes nothing else out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from qudag_node.overlay.clock import Clock
from qudag_node.overlay.repetitions import Repetitions

__all__ = ["Event", "EventKind", "EventLog", "Severity"]

_log = logging.getLogger(__name__)


class Severity(StrEnum):
    """How much an operator should care."""

    #: The ordinary course of things.
    INFO = "info"
    #: Something works worse than it should.
    WARNING = "warning"
    #: Somebody must act.
    ERROR = "error"


class EventKind(StrEnum):
    """What happened."""

    #: Messages flow to and from a peer.
    LINK_UP = "link-up"
    #: They no longer do.
    LINK_DOWN = "link-down"
    #: A peer could not be reached, or would not have us.
    DIAL_FAILED = "dial-failed"
    #: We would not have a peer, or it could not prove who it is.
    LINK_REFUSED = "link-refused"
    #: Another identity than before answers at an address.
    IDENTITY_CHANGED = "identity-changed"
    #: A peer was banned.
    BANNED = "banned"
    #: A ban was lifted.
    UNBANNED = "unbanned"
    #: A peer to keep a link to was added.
    PEER_ADDED = "peer-added"
    #: One was removed.
    PEER_REMOVED = "peer-removed"
    #: A node can be reached for the first time.
    JOINED = "joined"
    #: A node said that it is stopping.
    LEFT = "left"
    #: Nodes that could be reached no longer can, without a word.
    PARTITION = "partition"
    #: They can again.
    HEALED = "healed"
    #: Messages were dropped because a queue was full or a rate exceeded.
    QUEUE_DROP = "queue-drop"
    #: Results of tests could not be written to the disk, or can be again.
    STORE_FAILED = "store-failed"


_SEVERITY = {
    EventKind.LINK_DOWN: Severity.WARNING,
    EventKind.DIAL_FAILED: Severity.WARNING,
    EventKind.LINK_REFUSED: Severity.WARNING,
    EventKind.IDENTITY_CHANGED: Severity.ERROR,
    EventKind.PARTITION: Severity.ERROR,
    EventKind.QUEUE_DROP: Severity.WARNING,
    EventKind.STORE_FAILED: Severity.ERROR,
}
_LEVEL = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. ``seq`` rises by one; ``subject`` is a peer, an address or a file."""

    seq: int
    unix_s: float
    kind: EventKind
    severity: Severity
    subject: str
    text: str


class EventLog:
    """The newest events; also written to the program's log.

    Attributes:
        seq: That of the newest event, 0 before the first.
    """

    def __init__(self, clock: Clock, capacity: int = 1024) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=capacity)
        self._listeners: list[Callable[[Event], None]] = []
        self._repetitions = Repetitions()
        self.seq = 0

    def add(self, kind: EventKind, subject: str, text: str, severity: Severity | None = None) -> None:
        """Note what happened. Peer-supplied text must be clean already."""
        severity = _SEVERITY.get(kind, Severity.INFO) if severity is None else severity
        self.seq += 1
        event = Event(
            seq=self.seq,
            unix_s=self._clock.time(),
            kind=kind,
            severity=severity,
            subject=subject,
            text=text,
        )
        self._events.append(event)
        _log.log(_LEVEL[severity], "%s %s: %s", kind, subject, text)
        for listener in tuple(self._listeners):
            listener(event)

    def add_quietly(self, kind: EventKind, subject: str, text: str) -> None:
        """Note what may happen again and again: once in 10 s for each subject, then with how often."""
        told = self._repetitions.admit(kind, subject, text, self._clock.monotonic())
        if told is not None:
            self.add(kind, *told)

    def since(self, seq: int) -> list[Event]:
        """Return the events after ``seq`` that are still kept, oldest first."""
        if seq >= self.seq:
            return []
        return [event for event in self._events if event.seq > seq]

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` with every new event, until the returned function is called."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop
