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

    def badness(row: int) -> tuple[float, float]:
        # A comparison with NaN is false: what is not known is not bad.
        again = resent[row] if resent[row] > WARN_RATIO else 0.0
        return max(loss[row] if loss[row] > 0 else 0.0, again), p95[row] if p95[row] > 0 else 0.0

    ailing = [row for row in peers.neighbours if loss[row] > 0 or resent[row] > WARN_RATIO]
    worst = nlargest(count, ailing, key=badness)
    if len(worst) < count:
        known = set(ailing)
        others = [row for row in peers.neighbours if p95[row] > 0 and row not in known]
        worst += nlargest(count - len(worst), others, key=p95.__getitem__)
    if len(worst) < count:
        known = set(worst)
        worst += [row for row in peers.neighbours if row not in known][: count - len(worst)]
    return worst


def _by_number(column: Sequence[float], rows: Sequence[int], *, reverse: bool) -> list[int]:
    # NaN differs from itself.
    known = [row for row in rows if column[row] == column[row]]
    known.sort(key=column.__getitem__, reverse=reverse)
    if len(known) == len(rows):
        return known
    return known + [row for row in rows if column[row] != column[row]]
