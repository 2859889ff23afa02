"""How far a link has come. ``overlay.link`` draws how one phase follows another."""

from __future__ import annotations

from enum import Enum

__all__ = ["LinkPhase"]


class LinkPhase(Enum):
    """How far a link has come."""

    #: TLS and the proof of identity.
    OPENING = "opening"
    #: We have proven who we are, and wait to be accepted.
    GREETED = "greeted"
    #: Messages flow.
    UP = "up"
    #: We have said goodbye, and read what was on its way.
    LEAVING = "leaving"
    #: Over.
    CLOSED = "closed"
