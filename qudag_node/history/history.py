"""The history of a node: what was, at which resolution, for how long, and how much memory that may take.

    all series          1 s for 10 minutes, 10 s for 6 hours, 1 minute for 7 days       51 kB each
    series of peers     1 s for 10 minutes, 10 s for 6 hours                            11 kB each

With 512 series and 100 peers of 5 series that is 32 MB at the most, taken as series begin to vary.
Points are float32: seven digits. Names beyond the limit have no history; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite

import numpy as np
import numpy.typing as npt

from qudag_node.history.peers import PeerHistory
from qudag_node.history.rings import Rings, Tier
from qudag_node.history.series import fold_of, numbers_of
from qudag_node.metrics.statistics import NetworkStatistics

__all__ = ["History", "HistorySlice"]

TIERS = ((1, 600), (10, 2160), (60, 10_080))
PEER_TIERS = ((1, 600), (10, 2160))
MAX_SERIES = 512
MAX_PEERS = 100
# A whole week of one series at one minute; about 40 kB.
MAX_POINTS = 10_080

_DEFAULT_SPAN_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySlice:
    """Points at a common step.

    Attributes:
        from_unix_s: Where the first point begins; point ``i`` covers ``from_unix_s + i * step_s`` on.
        step_s: At least what was asked for: no finer than was kept, and no more points than allowed.
        series: Points by name, NaN where nothing is known.
    """

    from_unix_s: float
    step_s: float
    series: Mapping[str, npt.NDArray[np.float32]]


class History:
    """Rings for every series of the statistics.

    Args:
        tiers: Step in seconds and number of points, finest first.
        peer_tiers: The same for the series of peers.
        max_series: Most series, those of peers aside.
        max_peers: Most peers with series.
        interval_s: How often `append` is called; the finest step is no finer.
    """

    def __init__(
        self,
        tiers: Sequence[tuple[float, int]] = TIERS,
        *,
        peer_tiers: Sequence[tuple[float, int]] = PEER_TIERS,
        max_series: int = MAX_SERIES,
        max_peers: int = MAX_PEERS,
        interval_s: float = 1.0,
    ) -> None:
        self._rings = Rings(_no_finer(tiers, interval_s))
        self._peers = PeerHistory(_no_finer(peer_tiers, interval_s), max_peers)
        self._max_series = max_series
        self._series: dict[str, int] = {}
        # What the last statistics held: names, which of these have a series, and the series of those.
        self._names: list[str] = []
        self._found: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._numbers: npt.NDArray[np.intp] = np.empty(0, np.intp)

    @property
    def nbytes(self) -> int:
        """Memory of the points."""
        return self._rings.nbytes + self._peers.rings.nbytes

    def append(self, statistics: NetworkStatistics) -> None:
        """Add what is known at ``statistics.node.sampled_unix_s``."""
        at_unix_s = statistics.node.sampled_unix_s
        names, numbers = numbers_of(statistics)
        if names != self._names:
            self._follow(names)
        values = self._rings.sample()
        values[self._numbers] = np.array(numbers)[self._found]
        self._rings.push(at_unix_s, values)
        self._peers.push(at_unix_s, statistics.peers)

    def names(self) -> list[str]:
        """Return the names of all series, sorted."""
        return sorted([*self._series, *self._peers.names()])

    def read(
        self,
        series: Iterable[str],
        from_unix_s: float | None = None,
        to_unix_s: float | None = None,
        step_s: float | None = None,
    ) -> HistorySlice:
        """Return points of some series, from the one in which ``from_unix_s`` lies on.

        Spans are cut to what is kept; a span before or after it gives no points.

        Args:
            series: Names; all are read at the same step.
            from_unix_s: Ten minutes before the end, if None.
            to_unix_s: The newest sample, if None.
            step_s: The finest that reaches back so far, if None.

        Raises:
            KeyError: there is no series of a name.
            ValueError: the step is negative or longer than what is kept, or something is not a finite number.
        """
        # What lies before the oldest point kept, or after the newest, is not asked for at all.
        newest_unix_s = self._rings.end_unix_s
        oldest_unix_s = newest_unix_s - self._rings.span_s
        end_unix_s = newest_unix_s if to_unix_s is None else min(to_unix_s, newest_unix_s)
        start_unix_s = end_unix_s - _DEFAULT_SPAN_S if from_unix_s is None else from_unix_s
        start_unix_s = min(max(start_unix_s, oldest_unix_s), end_unix_s)
        wanted_s = 0.0 if step_s is None else step_s
        if not (0 <= wanted_s < np.inf and isfinite(start_unix_s) and isfinite(end_unix_s)):
            raise ValueError("from_unix_s, to_unix_s and step_s must be finite, and step_s not negative")
        longest_s = self._rings.span_s
        if wanted_s > longest_s:
            raise ValueError(f"step_s {wanted_s:g} is more than the {longest_s:g} s that are kept")
        found = {name: self._find(name) for name in series}
        groups = {id(rings): rings for rings, _ in found.values()} or {0: self._rings}
        wanted_s = max(wanted_s, (end_unix_s - start_unix_s) / (MAX_POINTS - 1))
        tiers = {key: rings.tier_for(start_unix_s, wanted_s) for key, rings in groups.items()}
        steps_s = [rings.step_s(tiers[key]) for key, rings in groups.items()]
        # A whole number of points of every tier that takes part, the coarsest first.
        step = max(steps_s) * max(1, ceil(wanted_s / max(steps_s)))
        first, end = floor(start_unix_s / step), ceil(end_unix_s / step)
        points: dict[str, npt.NDArray[np.float32]] = {}
        for name, (rings, number) in found.items():
            tier = tiers[id(rings)]
            together = round(step / rings.step_s(tier))
            points[name] = rings.read(number, tier, first * together, end - first, together)
        return HistorySlice(from_unix_s=first * step, step_s=step, series=points)

    def _find(self, name: str) -> tuple[Rings, int]:
        series = self._series.get(name)
        if series is not None:
            return self._rings, series
        series = self._peers.series(name)
        if series is None:
            raise KeyError(name)
        return self._peers.rings, series

    def _follow(self, names: list[str]) -> None:
        """Notice that the statistics hold other numbers than before."""
        for name in names:
            if name not in self._series:
                self._admit(name)
        found = [place for place, name in enumerate(names) if name in self._series]
        self._names, self._found = names, np.array(found, np.intp)
        self._numbers = np.array([self._series[names[place]] for place in found], np.intp)

    def _admit(self, name: str) -> None:
        if len(self._series) < self._max_series:
            self._series[name] = self._rings.add(fold_of(name))


def _no_finer(tiers: Sequence[tuple[float, int]], interval_s: float) -> tuple[Tier, ...]:
    """Return tiers not finer than the interval of the samples, each step a multiple of the one before."""
    made: list[Tier] = []
    finest_s = interval_s
    for step_s, slots in tiers:
        unit_s = made[-1].step_s if made else step_s
        finest_s = ceil(max(step_s, finest_s) / unit_s) * unit_s
        made.append(Tier(finest_s, slots))
    return tuple(made)
