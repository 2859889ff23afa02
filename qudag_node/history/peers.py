"""The series of peers: a few figures of a bounded number of peers.

A peer gets its series when it is first seen connected. When all are taken, the peer that has been
away longest gives way; peers that are connected never do, so the first ones keep their history.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qudag_node.history.rings import Rings, Tier
from qudag_node.history.series import fold_of
from qudag_node.metrics.statistics import PeerTable

__all__ = ["PEER_SERIES", "PeerHistory"]

PEER_SERIES = ("rtt_p50_s", "rtt_p95_s", "loss_ratio", "sent_bytes_per_s", "received_bytes_per_s")
"""The columns of the peers table that have a history."""

_CONNECTED = "connected"


class PeerHistory:
    """Rings for `PEER_SERIES` of at most ``max_peers`` peers."""

    def __init__(self, tiers: tuple[Tier, ...], max_peers: int) -> None:
        self.rings = Rings(tiers)
        self.max_peers = max_peers
        self._first_series: dict[str, int] = {}
        self._away: dict[str, None] = {}  # in the order in which they left
        self._seen: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._rows: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._bases: npt.NDArray[np.intp] = np.empty(0, np.intp)

    def names(self) -> list[str]:
        """Return the names of the series that there are."""
        return [f"peers.{peer_id}.{name}" for peer_id in self._first_series for name in PEER_SERIES]

    def series(self, name: str) -> int | None:
        """Return the number of a series by name."""
        peer_id, _, column = name.removeprefix("peers.").rpartition(".")
        base = self._first_series.get(peer_id)
        return base + PEER_SERIES.index(column) if base is not None and column in PEER_SERIES else None

    def push(self, at_unix_s: float, table: PeerTable) -> None:
        """Add the figures of every peer that has series."""
        ids, states = table.text.get("id", ()), table.text.get("state", ())
        if self._seen[0] is not ids or self._seen[1] is not states:
            self._follow(ids, states)
            self._seen = (ids, states)
        values = self.rings.sample()
        for offset, name in enumerate(PEER_SERIES):
            if name in table.numbers:
                values[self._bases + offset] = table.numbers[name][self._rows]
        self.rings.push(at_unix_s, values)

    def _follow(self, ids: tuple[str, ...], states: tuple[str, ...]) -> None:
        """Notice who came and who left, and where in the table each peer with series stands."""
        connected = {id_ for id_, state in zip(ids, states, strict=True) if state == _CONNECTED}
        for id_ in self._first_series:
            if id_ in connected:
                self._away.pop(id_, None)
            else:
                self._away.setdefault(id_)
        for id_ in ids:
            if id_ in connected and id_ not in self._first_series:
                self._admit(id_)
        row_of = {id_: row for row, id_ in enumerate(ids) if id_ in self._first_series}
        self._rows = np.array(list(row_of.values()), np.intp)
        self._bases = np.array([self._first_series[id_] for id_ in row_of], np.intp)

    def _admit(self, peer_id: str) -> None:
        if len(self._first_series) < self.max_peers:
            self._first_series[peer_id] = len(self.rings)
            for name in PEER_SERIES:
                self.rings.add(fold_of(name))
        elif self._away:
            longest_away = next(iter(self._away))
            del self._away[longest_away]
            base = self._first_series[peer_id] = self._first_series.pop(longest_away)
            for offset in range(len(PEER_SERIES)):
                self.rings.forget(base + offset)
