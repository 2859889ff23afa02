"""What the monitor remembers of the last minutes, for its charts: whole-node points and peer columns.

Nothing is copied per peer: a tick keeps references to the few columns that the inline histories show.
Both memories are bounded. Time is that of the node's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qudag_tui.model.peers import Peers
from qudag_tui.model.sample import Sample

__all__ = ["Past", "Point", "Track", "Trail", "Window", "resample"]

#: Points of the whole node: ten minutes at one second.
MAX_POINTS = 600

#: Ticks of peer columns, and the cells (rows times ticks) that they may take together.
MAX_TRACKS = 120
MAX_CELLS = 400_000
MIN_TRACKS = 24

#: A silence longer than so many intervals is a gap in the chart, not a slow sample.
GAP_INTERVALS = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The figures of one sample that the throughput charts draw."""

    at_unix_s: float
    interval_s: float
    received_bytes_per_s: float | None
    sent_bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Track:
    """The columns of one sample that the inline histories draw."""

    at_unix_s: float
    interval_s: float
    peers: Peers


@dataclass(frozen=True, slots=True)
class Trail:
    """Points and tracks, oldest first."""

    points: tuple[Point, ...] = ()
    tracks: tuple[Track, ...] = field(default=(), repr=False)

    def with_sample(self, sample: Sample, interval_s: float) -> Trail:
        """Return the trail with one more sample; one that is not newer starts the trail anew.

        A node that restarted with its clock set back would otherwise draw over its own past.
        """
        at = sample.node.sampled_unix_s
        if self.points and at <= self.points[-1].at_unix_s:
            return self if at == self.points[-1].at_unix_s else Trail().with_sample(sample, interval_s)
        point = Point(
            at_unix_s=at,
            interval_s=interval_s,
            received_bytes_per_s=sample.bandwidth.received_rate.per_s_1,
            sent_bytes_per_s=sample.bandwidth.sent_rate.per_s_1,
        )
        kept = min(MAX_TRACKS, max(MIN_TRACKS, MAX_CELLS // max(1, len(sample.peers))))
        before = self.tracks[-1].peers if self.tracks else None
        track = Track(at, interval_s, sample.peers.only(TRACKED, before))
        return Trail((*self.points[1 - MAX_POINTS :], point), (*self.tracks[1 - kept :], track))

    def with_past(self, points: Sequence[Point]) -> Trail:
        """Return the trail with what the node remembers of the time before and between our samples."""
        step_s = min((point.interval_s for point in points), default=1.0)
        ours = {point.at_unix_s // step_s for point in self.points}
        merged = [point for point in points if point.at_unix_s // step_s not in ours]
        merged = sorted([*merged, *self.points], key=lambda point: point.at_unix_s)
        return Trail(tuple(merged[-MAX_POINTS:]), self.tracks)


TRACKED = ("rtt_last_s", "probes_lost", "received_bytes_per_s", "sent_bytes_per_s")


def resample(points: Sequence[Point], name: str, count: int, step_s: float) -> list[float | None]:
    """Return the last ``count`` steps of one figure, newest last; None where nothing was heard."""
    steps: list[float | None] = [None] * count
    if not points:
        return steps
    end = points[-1].at_unix_s
    for point in reversed(points):
        # Half a step of grace, so that a sample a few milliseconds early keeps its place.
        behind = int((end - point.at_unix_s) / step_s + 0.5)
        if behind >= count:
            break
        held = max(1, round(point.interval_s / step_s))
        for step in range(behind, min(behind + held, count)):
            if steps[count - 1 - step] is None:
                steps[count - 1 - step] = getattr(point, name)
    return steps


@dataclass(frozen=True, slots=True)
class Past:
    """One peer over the last ticks, newest last: three lists of one length.

    Attributes:
        rtt_s: None where it is not known, or the peer was not heard of.
        bytes_per_s: Both directions together; None likewise.
        lost: Probes lost since the tick before.
    """

    rtt_s: list[float | None]
    bytes_per_s: list[float | None]
    lost: list[int]

    def __len__(self) -> int:
        return len(self.rtt_s)


class Window:
    """The last ``count`` ticks, prepared once so that many peers can be looked up in them."""

    def __init__(self, tracks: Sequence[Track], count: int) -> None:
        self._count = count
        self._frames: list[tuple[Track, bool, list[Sequence[float] | None]]] = []
        before: Track | None = None
        # One tick more than is shown: the first loss is the difference to the tick before.
        for track in tracks[-count - 1 :]:
            is_gap = (
                before is not None and track.at_unix_s - before.at_unix_s > GAP_INTERVALS * track.interval_s
            )
            self._frames.append((track, is_gap, [track.peers.column(name) for name in TRACKED]))
            before = track

    def past(self, peer_id: str) -> Past:
        """Return what is remembered of one peer."""
        rtts: list[float | None] = []
        rates: list[float | None] = []
        losses: list[int] = []
        ids: Sequence[str] | None = None
        row: int | None = None
        lost_before = -1.0
        for track, is_gap, (rtt, lost, received, sent) in self._frames:
            if track.peers.ids is not ids:
                ids, row = track.peers.ids, track.peers.index_of(peer_id)
            if is_gap:
                rtts.append(None)
                rates.append(None)
                losses.append(0)
            if row is None:
                rtts.append(None)
                rates.append(None)
                losses.append(0)
                continue
            # NaN differs from itself.
            value = rtt[row] if rtt is not None else None
            rtts.append(value if value == value else None)
            value = (received[row] if received else 0.0) + (sent[row] if sent else 0.0)
            rates.append(value if value == value else None)
            lost_now = lost[row] if lost is not None else 0.0
            losses.append(int(lost_now - lost_before) if lost_now > lost_before >= 0 else 0)
            lost_before = lost_now
        return Past(rtts[-self._count :], rates[-self._count :], losses[-self._count :])
