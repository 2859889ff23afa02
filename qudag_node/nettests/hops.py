"""What a traceroute says of each hop: its statistics, which hop adds the delay or the loss, the routes. Pure.

Every round sends one probe for each ttl; what answers a probe is a hop of the way. Three things must be told
apart that look alike at the hop itself: a hop that loses what passes it, one that passes everything on but
does not answer (or not always), and one that is only slow to answer. What is beyond the hop tells: everything
from there has passed it. So loss and delay *of the way* up to a hop are the least of the hop's own and of all
beyond it, and what a hop adds is by how much they rise there. Serves hops of the overlay and of IP alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from qudag_node.nettests.samples import percentile

__all__ = ["Answer", "Hop", "HopTable", "HopVerdict", "PathReport", "Route"]

T = TypeVar("T", str, int)

#: An answer of the destination itself; every other reason is a hop's on the way.
REACHED = "reached"
#: The probe's ttl ended there, as it should.
TTL = "ttl"

# Two shares of loss are different when chance alone would differ so in less than one case of a hundred.
_Z = 2.33
# A hop is worth naming for its delay when it adds so much, such a share of the whole, and so many times what
# the next one adds.
_NAMED_DELAY_S = 0.001
_NAMED_DELAY_RATIO = 0.25
_NAMED_DELAY_LEAD = 1.5
# A flapping network has few routes; who invents more gets them counted together.
_MAX_ROUTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one probe.

    Attributes:
        source: Who answered: a PeerId, or an IP address.
        reason: ``reached``, ``ttl``, or why it went no further.
        hops: Links the probe had passed.
        return_hops: Links the answer had passed, where that is known.
    """

    source: str
    reason: str
    hops: int
    rtt_s: float
    return_hops: int | None = None


class HopVerdict(StrEnum):
    """What is to be said of a hop; the text is for people."""

    OK = "ok"
    #: Nothing came from it, all is well beyond it.
    SILENT = "does not answer, passes everything on"
    #: It answered fewer probes than those beyond it.
    SPARING = "does not always answer, passes everything on"
    #: What passes it, or the link to it, is lost in part.
    LOSS = "loss begins here"
    #: It adds more delay than any other hop.
    DELAY = "adds the most delay"
    #: It answers later than what is beyond it.
    SLOW = "is slow to answer, not to pass on"
    #: It answers, and nothing beyond it does.
    LAST = "nothing beyond it answers"
    #: Nothing came from it, nor from beyond it.
    NOTHING = "no answer, nor from beyond"
    #: It said that it does not pass the probes on.
    REFUSES = "does not pass on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One hop of the way, over all rounds.

    Attributes:
        source: Who answered most often; None when nobody did.
        others: Who else answered there, when routes changed.
        rtts_s: Each answer's, in the order of their arrival.
        loss_ratio: Of this hop's own probes; None when none was sent.
        added_s: By how much the median delay of the way rises here; None where nothing answered.
        way_loss_ratio: What the way up to here loses, as far as it is known from here and beyond.
        reason: The reason most answers gave; of one that refuses, why.
        refusals: In how many rounds it said why it passes nothing on.
        return_hops: Links on the way back, of most answers.
    """

    ttl: int
    source: str | None
    others: tuple[str, ...]
    sent: int
    received: int
    rtts_s: tuple[float, ...]
    loss_ratio: float | None
    added_s: float | None
    way_loss_ratio: float | None
    reason: str | None
    refusals: Mapping[str, int]
    return_hops: int | None
    verdict: HopVerdict


@dataclass(slots=True)
class Route:
    """One way that was seen: who answered at each hop, None where nobody has yet."""

    path: list[str | None]
    count: int
    first_unix_s: float
    #: It is known to its end: the destination, or the hop that passes nothing on.
    is_whole: bool

    def fits(self, seen: Sequence[str | None], *, is_whole: bool) -> bool:
        """Tell whether a round may have gone this way, where both may have gaps and may lack the end."""
        known = self.path
        if (self.is_whole and len(seen) > len(known)) or (is_whole and len(known) > len(seen)):
            return False
        if self.is_whole and is_whole and len(seen) != len(known):
            return False
        return all(None in pair or pair[0] == pair[1] for pair in zip(known, seen, strict=False))

    def learn(self, seen: Sequence[str | None], *, is_whole: bool) -> None:
        """Fill the gaps from a round that went this way."""
        self.path.extend([None] * (len(seen) - len(self.path)))
        for index, source in enumerate(seen):
            self.path[index] = self.path[index] or source
        self.is_whole |= is_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReport:
    """The way, over all rounds.

    Attributes:
        is_reached: Whether the destination ever answered.
        routes: Every way seen, in the order of their first appearance.
        route_changes: How often a round's way was another than that of the round before.
    """

    hops: tuple[Hop, ...]
    is_reached: bool
    routes: tuple[Route, ...]
    route_changes: int

    def named(self, verdict: HopVerdict) -> Hop | None:
        """Return the first hop of a verdict."""
        return next((hop for hop in self.hops if hop.verdict is verdict), None)


@dataclass(slots=True)
class _Row:
    sent: int = 0
    sources: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    #: What it said when it did not pass probes on, that were for hops beyond it or for itself.
    refusals: Counter[str] = field(default_factory=Counter[str])
    return_hops: Counter[int] = field(default_factory=Counter[int])
    rtts_s: list[float] = field(default_factory=list[float])

    @property
    def lost(self) -> int:
        return self.sent - len(self.rtts_s)

    @property
    def median_s(self) -> float:
        """Nearest rank, as every percentile that is shown; there must be an answer."""
        return percentile(sorted(round(rtt_s * 1e9) for rtt_s in self.rtts_s), 500) / 1e9


@dataclass(slots=True)
class _Round:
    at_unix_s: float
    sent: set[int] = field(default_factory=set[int])
    answer_by_ttl: dict[int, Answer] = field(default_factory=dict[int, Answer])


class HopTable:
    """The probes and answers of one traceroute.

    Args:
        max_hops: Never probe further.
        expected_hops: How long the way should be; None when nobody knows.
    """

    def __init__(self, *, max_hops: int, expected_hops: int | None = None) -> None:
        if max_hops < 1:
            raise ValueError(f"{max_hops} hops are too few")
        self._max_hops = max_hops
        self._rows: dict[int, _Row] = {}
        self._open: dict[int, _Round] = {}
        self._routes: list[Route] = []
        self._route: Route | None = None
        self._route_changes = 0
        self._is_reached = False
        self._length = min(expected_hops or max_hops, max_hops)

    @property
    def length(self) -> int:
        """The ttl up to which the next round should probe."""
        return self._length

    @property
    def open_rounds(self) -> int:
        """Rounds that are not closed."""
        return len(self._open)

    def sent(self, number: int, ttl: int, at_unix_s: float) -> None:
        """A probe of a round was sent."""
        self._open.setdefault(number, _Round(at_unix_s)).sent.add(ttl)

    def answered(self, number: int, ttl: int, answer: Answer) -> bool:
        """A probe was answered; return whether it still counts: its round is open and it is the first."""
        opened = self._open.get(number)
        if opened is None or ttl not in opened.sent or ttl in opened.answer_by_ttl:
            return False
        opened.answer_by_ttl[ttl] = answer
        return True

    def is_complete(self, number: int) -> bool:
        """Whether nothing more can come of a round: all that was sent is answered."""
        opened = self._open.get(number)
        return opened is None or len(opened.answer_by_ttl) == len(opened.sent)

    def close(self, number: int) -> None:
        """What of a round is unanswered now is lost."""
        closing = self._open.pop(number, None)
        if closing is None:
            return
        answers = closing.answer_by_ttl.values()
        end = min((answer.hops for answer in answers if answer.reason == REACHED), default=None)
        refusal = min(
            (answer for answer in answers if answer.reason not in {REACHED, TTL}),
            key=lambda answer: answer.hops,
            default=None,
        )
        for ttl in sorted(closing.sent):
            answer = closing.answer_by_ttl.get(ttl)
            # Beyond the destination there is no hop to speak of; what a hop before refuses is lost.
            if end is None or ttl <= end:
                self._fold(ttl, answer if answer is not None and answer.hops == ttl else None)
        stopped = None if refusal is None else refusal.hops
        if refusal is not None:
            row = self._rows.setdefault(refusal.hops, _Row())
            row.refusals[refusal.reason] += 1
        self._is_reached |= end is not None
        if stopped is None:
            self._adapt(closing, end)
        self._follow(closing, end or stopped)

    def report(self) -> PathReport:
        """Return what all closed rounds say."""
        last = max((ttl for ttl, row in self._rows.items() if row.rtts_s), default=0)
        # Of what is beyond the last answer one row says all there is to say.
        is_open = not self._is_reached and not (last and self._rows[last].refusals)
        ttls = [ttl for ttl in sorted(self._rows) if ttl <= last + is_open]
        return PathReport(
            hops=tuple(_judge(ttls, [self._rows[ttl] for ttl in ttls], is_reached=self._is_reached)),
            is_reached=self._is_reached,
            routes=tuple(self._routes),
            route_changes=self._route_changes,
        )

    def _fold(self, ttl: int, answer: Answer | None) -> None:
        row = self._rows.setdefault(ttl, _Row())
        row.sent += 1
        if answer is not None:
            row.sources[answer.source] += 1
            row.reasons[answer.reason] += 1
            row.rtts_s.append(answer.rtt_s)
            if answer.return_hops is not None:
                row.return_hops[answer.return_hops] += 1

    def _adapt(self, closing: _Round, end: int | None) -> None:
        """Probe as far as the destination, and one further each round while it is not found."""
        if end is not None:
            self._length = min(end, self._max_hops)
        elif max(closing.sent) >= self._length:
            self._length = min(self._length + 1, self._max_hops)

    def _follow(self, closing: _Round, end: int | None) -> None:
        last = end if end is not None else max(closing.answer_by_ttl, default=0)
        if not last:
            return
        path: list[str | None] = [None] * last
        for answer in closing.answer_by_ttl.values():
            if answer.hops <= last:
                path[answer.hops - 1] = answer.source
        is_whole = end is not None
        route = self._route
        if route is None or not route.fits(path, is_whole=is_whole):
            route = self._known(path, is_whole=is_whole)
            self._route_changes += self._route is not None
            self._route = route
        if len(self._routes) < _MAX_ROUTES:
            route.learn(path, is_whole=is_whole)
        if not route.count:
            route.first_unix_s = closing.at_unix_s
        route.count += 1

    def _known(self, path: list[str | None], *, is_whole: bool) -> Route:
        for route in self._routes:
            if route.fits(path, is_whole=is_whole):
                return route
        if len(self._routes) < _MAX_ROUTES:
            self._routes.append(Route([], 0, 0.0, is_whole=False))
        # The last one has no path of its own: it stands for all that do not fit the others.
        return self._routes[-1]


def _judge(ttls: Sequence[int], rows: Sequence[_Row], *, is_reached: bool) -> list[Hop]:
    way_loss = [min((row.lost / row.sent for row in rows[at:]), default=0.0) for at in range(len(rows))]
    way_s = [min((row.median_s for row in rows[at:] if row.rtts_s), default=None) for at in range(len(rows))]
    added_s = _rises(rows, way_s)
    total_s = next((rtt_s for rtt_s in reversed(way_s) if rtt_s is not None), 0.0)
    slowest = _slowest(added_s, total_s)
    verdicts = [_own_verdict(rows, at, is_reached=is_reached) for at in range(len(rows))]
    losing = _where_loss_begins(rows, verdicts)
    hops: list[Hop] = []
    for at, (ttl, row) in enumerate(zip(ttls, rows, strict=True)):
        verdict = verdicts[at]
        if verdict is HopVerdict.OK and at == losing:
            verdict = HopVerdict.LOSS
        if verdict is HopVerdict.OK and _is_slow(row, way_s[at], total_s):
            verdict = HopVerdict.SLOW
        if verdict is HopVerdict.OK and at == slowest:
            verdict = HopVerdict.DELAY
        hops.append(
            Hop(
                ttl=ttl,
                source=_first(row.sources),
                others=tuple(source for source, _ in row.sources.most_common()[1:]),
                sent=row.sent,
                received=len(row.rtts_s),
                rtts_s=tuple(row.rtts_s),
                loss_ratio=row.lost / row.sent if row.sent else None,
                added_s=added_s[at],
                way_loss_ratio=way_loss[at],
                reason=_first(row.refusals if verdict is HopVerdict.REFUSES else row.reasons),
                refusals=dict(row.refusals),
                return_hops=_first(row.return_hops),
                verdict=verdict,
            )
        )
    return hops


def _rises(rows: Sequence[_Row], way_s: Sequence[float | None]) -> list[float | None]:
    """Return by how much the delay of the way rises at each hop that answered; all add up to the whole."""
    rises: list[float | None] = []
    before_s = 0.0
    for row, here_s in zip(rows, way_s, strict=True):
        if here_s is None or not row.rtts_s:
            rises.append(None)
            continue
        rises.append(here_s - before_s)
        before_s = here_s
    return rises


def _slowest(added_s: Sequence[float | None], total_s: float) -> int | None:
    """Return the hop that adds the most delay, where one stands out."""
    order = sorted(range(len(added_s)), key=lambda at: added_s[at] or 0.0, reverse=True)
    if len(order) < 2:
        return None
    most_s, next_s = (added_s[at] or 0.0 for at in order[:2])
    least_s = max(_NAMED_DELAY_S, total_s * _NAMED_DELAY_RATIO, next_s * _NAMED_DELAY_LEAD)
    return order[0] if most_s >= least_s else None


def _own_verdict(rows: Sequence[_Row], at: int, *, is_reached: bool) -> HopVerdict:
    row, beyond = rows[at], rows[at + 1 :]
    answered_beyond = any(later.rtts_s for later in beyond)
    if not row.rtts_s:
        return HopVerdict.SILENT if answered_beyond else HopVerdict.NOTHING
    if row.refusals and not answered_beyond:
        return HopVerdict.REFUSES
    if not answered_beyond and not is_reached:
        return HopVerdict.LAST
    if any(_loses_more(row, later) for later in beyond):
        return HopVerdict.SPARING
    return HopVerdict.OK


def _where_loss_begins(rows: Sequence[_Row], verdicts: Sequence[HopVerdict]) -> int | None:
    """Return the hop from which on everything loses more than the hop before it; None when there is none."""
    before = _Row(sent=max((row.sent for row in rows), default=0))
    before.rtts_s = [0.0] * before.sent  # up to this node nothing is lost
    for at, row in enumerate(rows):
        beyond = [later for later in rows[at:] if later.rtts_s]
        if beyond and all(_loses_more(later, before) for later in beyond):
            return next((here for here in range(at, len(rows)) if verdicts[here] is HopVerdict.OK), None)
        if verdicts[at] is HopVerdict.OK:
            before = row
    return None


def _loses_more(one: _Row, other: _Row) -> bool:
    """Tell whether one row loses more than another, beyond what chance explains: two proportions compared."""
    if not one.sent or not other.sent:
        return False
    pooled = (one.lost + other.lost) / (one.sent + other.sent)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.sent + 1 / other.sent))
    return error > 0 and (one.lost / one.sent - other.lost / other.sent) / error > _Z


def _is_slow(row: _Row, way_s: float | None, total_s: float) -> bool:
    if way_s is None or not row.rtts_s:
        return False
    excess_s = row.median_s - way_s
    return excess_s >= max(_NAMED_DELAY_S, total_s * _NAMED_DELAY_RATIO)


def _first(counts: Counter[T]) -> T | None:
    """Return what was seen most often."""
    return counts.most_common(1)[0][0] if counts else None
