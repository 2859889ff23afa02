"""What can happen to the monitor: news from the node and wishes of the user, as values."""

from __future__ import annotations

from dataclasses import dataclass

from qudag_tui.model.sample import Sample
from qudag_tui.model.state import NodeEvent, PeerDetail, ScreenName
from qudag_tui.model.trail import Point

__all__ = [
    "Connected",
    "ConnectionLost",
    "DetailArrived",
    "EventsArrived",
    "FilterTyped",
    "IntervalStepped",
    "PastArrived",
    "PauseToggled",
    "PeerSelected",
    "SampleArrived",
    "ScreenShown",
    "SortBy",
    "SortReversed",
    "SortStepped",
    "TimePassed",
    "UiEvent",
]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The clock went on; the only way that time enters the state."""

    now_mono_s: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The node answered at ``address``."""

    address: str
    now_mono_s: float


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The node went away or did not answer; the client tries again by itself."""

    reason: str
    now_mono_s: float
    retry_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class SampleArrived:
    """A new sample of the node."""

    sample: Sample
    now_mono_s: float


@dataclass(frozen=True, slots=True)
class EventsArrived:
    """New lines of the node's event log, in any order."""

    events: tuple[NodeEvent, ...]


@dataclass(frozen=True, slots=True)
class PastArrived:
    """What the node remembers of the time before our first sample."""

    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class DetailArrived:
    """What the node said of one peer."""

    detail: PeerDetail


@dataclass(frozen=True, slots=True)
class ScreenShown:
    """The user went to a screen."""

    screen: ScreenName


@dataclass(frozen=True, slots=True)
class PauseToggled:
    """Hold the display still, or let it go."""


@dataclass(frozen=True, slots=True)
class IntervalStepped:
    """Look less often (``+1``) or more often (``-1``)."""

    by: int


@dataclass(frozen=True, slots=True)
class SortBy:
    """Sort by this field; the one in force already turns round."""

    key: str


@dataclass(frozen=True, slots=True)
class SortStepped:
    """Sort by the next or previous of ``keys``, the columns on the screen."""

    keys: tuple[str, ...]
    by: int = 1


@dataclass(frozen=True, slots=True)
class SortReversed:
    """Turn the order round."""


@dataclass(frozen=True, slots=True)
class FilterTyped:
    """The text in the filter line; empty shows every peer."""

    text: str


@dataclass(frozen=True, slots=True)
class PeerSelected:
    """The selection went to this peer, and stays with it when the rows move."""

    peer_id: str | None


UiEvent = (
    TimePassed
    | Connected
    | ConnectionLost
    | SampleArrived
    | EventsArrived
    | PastArrived
    | DetailArrived
    | ScreenShown
    | PauseToggled
    | IntervalStepped
    | SortBy
    | SortStepped
    | SortReversed
    | FilterTyped
    | PeerSelected
)
