"""The round trips of single links, as traces to several peers show them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from qudag_node.nettests.hops import Hop, PathReport
from qudag_node.nettests.samples import percentile

__all__ = ["LinkRtts"]


class LinkRtts:
    """By how much the delay of the ways that were traced rises over each link.

    A link counts only where both its ends answered as neighbours on one way that did not change meanwhile.

    Args:
        source: Where the traces were sent from.
        reports: What came of them.
    """

    def __init__(self, source: str, reports: Iterable[PathReport]) -> None:
        self._rises_ns: dict[frozenset[str], list[int]] = {}
        for report in reports:
            if report.route_changes:
                continue
            before: str | None = source
            for ttl, hop in enumerate(report.hops, start=1):
                here = hop.source if hop.ttl == ttl and _is_certain(hop) else None
                if before is not None and here is not None and hop.added_s is not None:
                    self._rises_ns.setdefault(frozenset((before, here)), []).append(round(hop.added_s * 1e9))
                before = here

    def rtt_s(self, path: Sequence[str]) -> float | None:
        """Return the round trip over the links of a way, both ends included; None where one is not known."""
        total_ns = 0
        for link in pairwise(path):
            rises_ns = self._rises_ns.get(frozenset(link))
            if rises_ns is None:
                return None
            total_ns += percentile(sorted(rises_ns), 500)
        return total_ns / 1e9 if len(path) > 1 else None

    def best_known_s(
        self, taken: Sequence[str | None], taken_s: float | None, best: Sequence[str]
    ) -> float | None:
        """Return the least round trip that is known of to where two ways lead; None when it was not traced.

        Args:
            taken: The way that the traces took.
            taken_s: Their round trip.
            best: The best way by the map, which may be wrong: it may have turned out to be the longer one.
        """
        best_s = taken_s if list(taken) == list(best) else self.rtt_s(best)
        return best_s if best_s is None or taken_s is None else min(best_s, taken_s)


def _is_certain(hop: Hop) -> bool:
    return hop.received > 0 and not hop.others
