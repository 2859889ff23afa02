"""What the monitor remembers of the last minutes, for its charts: whole-node points and peer columns.

Nothing is copied per peer: a tick keeps references to the few columns that the inline histories show.
Both memories are bounded. Time is that of the node's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qudag_tui.model.peers import Peers
from qudag_tui.model.sample import Sample

__all__ = ["Beat", "Point", "Track", "Trail", "peer_beats", "resample"]

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
class Beat:
    """One peer at one tick; ``lost`` counts the probes it lost since the tick before."""

    rtt_s: float | None
    bytes_per_s: float | None
    lost: int = 0


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


def peer_beats(tracks: Sequence[Track], peer_id: str, count: int) -> list[Beat | None]:
    """Return the last ``count`` ticks of one peer, newest last; None where it was not heard of."""
    beats: list[Beat | None] = []
    lost_before: float | None = None
    at_before: float | None = None
    for track in tracks[-count - 1 :]:
        if at_before is not None and track.at_unix_s - at_before > GAP_INTERVALS * track.interval_s:
            beats.append(None)
        at_before = track.at_unix_s
        row = track.peers.index_of(peer_id)
        if row is None:
            beats.append(None)
            continue
        received = track.peers.number("received_bytes_per_s", row)
        sent = track.peers.number("sent_bytes_per_s", row)
        both = None if received is None and sent is None else (received or 0.0) + (sent or 0.0)
        lost = track.peers.number("probes_lost", row)
        news = 0 if lost is None or lost_before is None else max(0, int(lost - lost_before))
        lost_before = lost
        beats.append(Beat(track.peers.number("rtt_last_s", row), both, news))
    return beats[-count:]
