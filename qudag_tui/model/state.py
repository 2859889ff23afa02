"""Everything the monitor knows and was told to show: one frozen tree, replaced only by ``reduce``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qudag_tui.model.filters import Filter
from qudag_tui.model.order import Sort
from qudag_tui.model.sample import MessageType, Sample
from qudag_tui.model.trail import Trail

__all__ = [
    "INTERVALS_S",
    "Link",
    "LinkPhase",
    "NodeEvent",
    "PeerDetail",
    "ScreenName",
    "Seen",
    "Severity",
    "UiState",
]

#: What ``+`` and ``-`` step through.
INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

#: Samples later than so many intervals (and a second) are called stale.
STALE_INTERVALS = 2.0


class LinkPhase(StrEnum):
    """How the monitor stands to its node."""

    #: Trying for the first time.
    CONNECTING = "connecting"
    #: Samples arrive.
    LIVE = "live"
    #: It was there, or did not answer; trying again by itself.
    LOST = "lost"


class ScreenName(StrEnum):
    """The screens, in the order of their keys."""

    #: The whole node on one page.
    OVERVIEW = "overview"
    #: Every peer in a table.
    PEERS = "peers"


class Severity(StrEnum):
    """How much an event asks of the reader."""

    #: Something happened.
    INFO = "info"
    #: Something got worse.
    WARNING = "warning"
    #: Someone must act.
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The connection to the node.

    Attributes:
        address: Where the node is reached, as ``--node`` would take it.
        since_mono_s: When this phase began.
        reason: Why it was lost, one line.
        retry_mono_s: When the next attempt is made.
    """

    address: str = ""
    phase: LinkPhase = LinkPhase.CONNECTING
    since_mono_s: float = 0.0
    reason: str = ""
    retry_mono_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent:
    """One line of the node's event log; ``unix_s`` is the node's clock."""

    seq: int
    unix_s: float
    kind: str
    severity: Severity = Severity.INFO
    subject: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDetail:
    """What the node said when asked of one peer; ``error`` where it would not say.

    Attributes:
        path: The ids of the nodes on the way there, both ends included; empty without a way.
        extra: What the answer holds beyond what is listed here, by dotted name.
    """

    peer_id: str
    by_type: Mapping[str, MessageType] = field(default_factory=dict[str, MessageType])
    events: tuple[NodeEvent, ...] = ()
    path: tuple[str, ...] = ()
    extra: Mapping[str, str | float] = field(default_factory=dict[str, str | float])
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has arrived: this is what a pause holds still.

    Attributes:
        before: The sample before, of the same run of the node: rates by type are the difference.
        arrived_mono_s: When the sample arrived, on our monotonic clock.
        events: Newest first.
    """

    sample: Sample | None = None
    before: Sample | None = None
    arrived_mono_s: float = 0.0
    trail: Trail = field(default_factory=Trail)
    events: tuple[NodeEvent, ...] = ()
    detail: PeerDetail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UiState:
    """The whole state of the monitor.

    Attributes:
        live: The newest that has arrived.
        held: What the screens show while paused.
        paused_mono_s: When the pause began.
        filter_text: What stands in the filter line, readable or not.
        wanted: The last filter that could be read; this one is in force.
        filter_problem: Why ``filter_text`` cannot be read, and from which character on.
    """

    link: Link = Link()
    live: Seen = Seen()
    held: Seen | None = None
    paused_mono_s: float = 0.0
    now_mono_s: float = 0.0
    interval_s: float = 1.0
    screen: ScreenName = ScreenName.OVERVIEW
    sort: Sort = field(default_factory=Sort)
    filter_text: str = ""
    wanted: Filter = field(default_factory=Filter)
    filter_problem: tuple[str, int] | None = None
    selected: str | None = None

    @property
    def seen(self) -> Seen:
        """What the screens show: the held data while paused, else the live ones."""
        return self.held or self.live

    @property
    def is_paused(self) -> bool:
        """Whether the display is held still."""
        return self.held is not None

    @property
    def age_s(self) -> float:
        """Seconds since what is shown arrived."""
        return max(0.0, self.now_mono_s - self.seen.arrived_mono_s)

    @property
    def is_stale(self) -> bool:
        """Whether the newest sample is older than it should be; a pause alone is not stale."""
        if self.live.sample is None:
            return False
        late = self.now_mono_s - self.live.arrived_mono_s
        return self.link.phase is not LinkPhase.LIVE or late > STALE_INTERVALS * self.interval_s + 1.0

    @property
    def node_unix_s(self) -> float:
        """The node's clock now, as far as its last sample tells; held with the display."""
        sample = self.seen.sample
        if sample is None:
            return 0.0
        return sample.node.sampled_unix_s + (0.0 if self.is_paused else self.age_s)
