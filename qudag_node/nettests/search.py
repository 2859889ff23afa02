"""Goals such as ``p99<500ms,loss<1%``, and the search for the highest rate that meets one. Pure.

The search doubles the rate while the goal is met, then halves what is left between the highest rate that met
it and the lowest that did not. A rate is given up only when it has failed twice, for one bad second of a busy
machine says nothing about a network; and a rate that the sender itself cannot offer twice ends the search,
since what lies above it was never tried.

    search = RateSearch(start=100, most=10_000)
    while (rate := search.next_rate()) is not None:
        search.record(is_met=goal.is_met(figures_at(rate)))
    search.found, search.end
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from qudag_node.errors import ConfigError

__all__ = ["FIGURES", "Goal", "RateSearch", "SearchEnd", "Step", "Term", "parse_goal"]

#: What a goal may speak of: delays in seconds, and the share of what was lost.
FIGURES = ("loss", "min", "avg", "p50", "p90", "p95", "p99", "p999", "max", "jitter")

_TERM = re.compile(
    r"(?P<figure>[a-z0-9_.]+)\s*(?P<relation><=|<)\s*(?P<number>[0-9]*\.?[0-9]+)\s*(?P<unit>[a-zµ%]*)"
)
_SECONDS_BY_UNIT = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_RATIO_BY_UNIT = {"%": 0.01, "": 1.0}
_MAX_TERMS = 16
_EXAMPLE = "such as p99<500ms,loss<1%"

# A sender that offered less than this share of the rate did not try the rate.
_LEAST_OFFERED_RATIO = 0.95


@dataclass(frozen=True, slots=True)
class Term:
    """One figure and what it must stay below. ``limit`` is in seconds, of ``loss`` a ratio."""

    figure: str
    relation: str
    limit: float

    def __str__(self) -> str:
        if self.figure == "loss":
            return f"loss{self.relation}{self.limit * 100:.6g}%"
        factor, unit = next(each for each in _UNITS if self.limit >= each[0] or each[0] == 1e-9)
        return f"{self.figure}{self.relation}{self.limit / factor:.6g}{unit}"

    def is_met(self, value: float | None) -> bool:
        """Tell whether a figure keeps the limit; an unknown one, as a delay when all was lost, does not."""
        if value is None or math.isnan(value):
            return False
        return value <= self.limit if self.relation == "<=" else value < self.limit


@dataclass(frozen=True, slots=True)
class Goal:
    """Several terms, all to be met."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))

    def is_met(self, figures: Mapping[str, float | None]) -> bool:
        """Tell whether the figures meet every term."""
        return not self.failures(figures)

    def failures(self, figures: Mapping[str, float | None]) -> list[Term]:
        """Return the terms that the figures do not meet."""
        return [term for term in self.terms if not term.is_met(figures.get(term.figure))]


def parse_goal(text: str) -> Goal:
    """Read terms joined by commas; times with a unit, loss in percent or as a ratio.

    Raises:
        ConfigError: It is not that; the message names the part that is wrong.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > _MAX_TERMS:
        raise ConfigError("goal", f"{len(parts)} terms are more than {_MAX_TERMS}")
    return Goal(tuple(map(_term, parts)))


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text.lower())
    if match is None:
        raise ConfigError("goal", f"{text[:40]!r} is not FIGURE<LIMIT, {_EXAMPLE}")
    figure = {"p99.9": "p999", "loss_ratio": "loss", "median": "p50"}.get(match["figure"], match["figure"])
    if figure not in FIGURES:
        raise ConfigError("goal", f"{figure[:40]!r} is not one of {', '.join(FIGURES)}")
    factors = _RATIO_BY_UNIT if figure == "loss" else _SECONDS_BY_UNIT
    factor = factors.get(match["unit"])
    if factor is None:
        units = "% or a ratio" if figure == "loss" else "ns, us, ms or s"
        raise ConfigError("goal", f"{text[:40]!r}: the unit of {figure} is {units}")
    limit = float(match["number"]) * factor
    if figure == "loss" and limit > 1:
        raise ConfigError("goal", f"{text[:40]!r}: more than everything cannot be lost")
    return Term(figure, match["relation"], limit)


class SearchEnd(StrEnum):
    """Why a search is over."""

    #: Between the highest rate that met the goal and the lowest that did not nothing worth trying is left.
    PRECISION = "precision"
    #: The highest rate that may be tried met the goal.
    MOST = "most"
    #: Not even the lowest rate met the goal.
    LEAST = "least"
    #: The sender could not offer more; the network was not the limit.
    SENDER = "sender"
    #: As many rates as may be were tried.
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried."""

    rate: float
    is_met: bool


class RateSearch:
    """The search for the highest rate that meets a goal, in whatever unit rates are given.

    Args:
        start: The first rate; it should be one that is likely to meet the goal.
        most: Never go above this.
        least: Never go below this; by default a 1,024th of ``start``.
        precision: End when the answer is known to this share of itself.
        max_steps: Try at most so many rates, repetitions included.
        growth: How fast to rise before the first failure.
        tries: How often a rate must fail to be given up.

    Attributes:
        steps: What was tried, in order.
        end: Why it is over; None while it is not.
    """

    def __init__(
        self,
        *,
        start: float,
        most: float,
        least: float | None = None,
        precision: float = 0.05,
        max_steps: int = 30,
        growth: float = 2.0,
        tries: int = 2,
    ) -> None:
        if not (start > 0 and most > 0 and 0 < precision < 1 and max_steps > 0 and growth > 1 and tries > 0):
            raise ValueError("a rate, the precision, the steps or the growth are out of range")
        self._rate = min(start, most)
        self._most = most
        self._least = min(start / 1024 if least is None else least, self._rate)
        self._precision, self._max_steps = precision, max_steps
        self._growth, self._tries = growth, tries
        self._good: float | None = None
        self._bad: float | None = None
        self._failed = 0
        self.steps: list[Step] = []
        self.end: SearchEnd | None = None

    @property
    def found(self) -> float | None:
        """The highest rate that met the goal so far; None when none did."""
        return self._good

    @property
    def found_at_try(self) -> int | None:
        """How often ``found`` was tried until it met the goal; None when that was never tried itself."""
        verdicts = [step.is_met for step in self.steps if step.rate == self._good]
        return verdicts.index(True) + 1 if any(verdicts) else None

    @property
    def refused(self) -> float | None:
        """The lowest rate that was given up; None when none was."""
        return self._bad

    def next_rate(self) -> float | None:
        """Return the rate to try next; None when the search is over."""
        return None if self.end is not None else self._rate

    def record(self, *, is_met: bool, offered: float | None = None) -> None:
        """Take what came of the rate that ``next_rate`` gave.

        Args:
            is_met: Whether the goal was met.
            offered: What the sender managed to send, where that is known.
        """
        if self.end is not None:
            raise ValueError("the search is over")
        rate = self._rate
        is_short = offered is not None and offered < rate * _LEAST_OFFERED_RATIO
        self.steps.append(Step(rate, is_met))
        if is_short and offered is not None:
            # The rate itself was not tried, but what was sent may have met the goal. A sender that was held
            # up once gets another try.
            if self._is_given_up():
                self.end = SearchEnd.SENDER
                if is_met and (self._good is None or offered > self._good):
                    self._good = offered
        elif is_met:
            self._good, self._failed = rate, 0
            self._rise()
        elif self._is_given_up():
            self._bad, self._failed = rate, 0
            self._fall()
        if self.end is None and len(self.steps) >= self._max_steps:
            self.end = SearchEnd.STEPS

    def _is_given_up(self) -> bool:
        self._failed += 1
        return self._failed >= self._tries

    def _rise(self) -> None:
        if self._bad is not None:
            self._halve(self._rate, self._bad)
        elif self._rate >= self._most:
            self.end = SearchEnd.MOST
        else:
            self._rate = min(self._rate * self._growth, self._most)

    def _fall(self) -> None:
        if self._good is not None:
            self._halve(self._good, self._rate)
        elif self._rate <= self._least:
            self.end = SearchEnd.LEAST
        else:
            self._rate = max(self._rate / self._growth, self._least)

    def _halve(self, good: float, bad: float) -> None:
        if bad / good <= 1 + self._precision:
            self.end = SearchEnd.PRECISION
            return
        # Of two rates the geometric mean is the middle: the precision is a share of the answer.
        self._rate = math.sqrt(good * bad)
