"""Which peers are shown, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from qudag_tui.model.fields import BY_KEY, Field, Kind
from qudag_tui.model.filters import Filter, matching_rows
from qudag_tui.model.peers import Peers
from qudag_tui.model.quality import WARN_RATIO

__all__ = ["Sort", "arrange", "worst_first"]


@dataclass(frozen=True, slots=True)
class Sort:
    """By which field, and whether the largest comes first."""

    key: str = "name"
    descending: bool = False

    @classmethod
    def by(cls, field: Field) -> Sort:
        """Sort as one would first want it: words from A, figures from the largest."""
        return cls(field.key, descending=field.kind is not Kind.TEXT)


def arrange(peers: Peers, sort: Sort, wanted: Filter, at_unix_s: float) -> Sequence[int]:
    """Return the rows to show, in order; equals by name, unknown figures last in both directions."""
    rows = matching_rows(wanted, peers, peers.by_label, at_unix_s)
    field = BY_KEY[sort.key]
    if field.key == "name":
        return rows[::-1] if sort.descending else rows
    if field.kind is Kind.TEXT:
        texts = peers.folded(field.column)
        named = sorted((row for row in rows if texts[row]), key=texts.__getitem__, reverse=sort.descending)
        return named + [row for row in rows if not texts[row]]
    # The largest age belongs to the smallest moment.
    reverse = sort.descending is not (field.kind is Kind.SINCE)
    return _by_number(peers.numbers(field.column), rows, reverse=reverse)


def worst_first(peers: Peers, count: int) -> Sequence[int]:
    """Return the ``count`` worst neighbours: the most unanswered or sent again, then by p95, then by name."""
    loss, p95 = peers.numbers("loss_ratio"), peers.numbers("rtt_p95_s")
    resent = peers.numbers("tcp_retransmit_ratio")
    # A comparison with NaN is false, so what is not known is not bad.
    badness = {
        row: (
            max(loss[row] if loss[row] > 0 else 0.0, resent[row] if resent[row] > WARN_RATIO else 0.0),
            p95[row] if p95[row] > 0 else 0.0,
        )
        for row in peers.neighbours
    }
    return nlargest(count, badness, key=badness.__getitem__)


def _by_number(column: Sequence[float], rows: Sequence[int], *, reverse: bool) -> list[int]:
    # NaN differs from itself.
    known = [row for row in rows if column[row] == column[row]]
    known.sort(key=column.__getitem__, reverse=reverse)
    if len(known) == len(rows):
        return known
    return known + [row for row in rows if column[row] != column[row]]
