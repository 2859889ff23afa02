"""The search for the highest UDP rate that a path carries: steps of a session, each a rate and a time.

    rise    1 Mbit/s, doubled until a step fails twice; what arrived of that one is about the path's rate
    search  around it, to one percent, a rate given up only when it has failed twice
    hold    the rate found, for seconds; what arrives is the result

A step fails when it does not meet the goal, and also when what it sent takes longer to arrive than it took
to send: then a queue grows in the path, and that is loss which has not happened yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from qudag_node.errors import ConfigError
from qudag_node.nettests.search import Goal, RateSearch, parse_goal

__all__ = [
    "DEFAULT_GOAL",
    "Capacity",
    "CapacityStep",
    "Stepping",
    "find_capacity",
    "goal_of",
    "search_length_s",
]

DEFAULT_GOAL: Final = "loss<0.1%"
_KNOWN = ("loss", "jitter")

_FIRST_BITS_PER_S = 1e6
_RISE_S = 0.4
_MAX_RISES = 24
_STEP_S = 1.0
_MAX_STEPS = 10
_MAX_HOLDS = 3
_HOLD_BACKOFF = 0.98
_PRECISION = 0.01
#: How much longer than sending may arriving take, before a queue is seen to grow.
_STRETCH_RATIO = 1.02
_STRETCH_S = 0.01
#: Short steps far from the rate: a queue that matters there doubles the time.
_RISE_STRETCH_RATIO = 1.2
_RISE_TRIES = 2
#: A sender that offered less than this share did not try the rate.
_OFFERED_RATIO = 0.95
_ASKING_S = 0.5


class Stepping(Protocol):
    """What takes the steps: a ``BulkSession``."""

    cap_bits_per_s: float

    async def step(self, way: str, number: int, rate_bits_per_s: float, duration_s: float) -> dict[str, int]:
        """Send at a rate for a time; return what was sent, and what has arrived of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityStep:
    """One rate that was tried.

    Attributes:
        received_bits_per_s: From the first arrival to the last; None where that is not known.
        has_met: It met the goal, and no queue grew.
    """

    rate_bits_per_s: float
    offered_bits_per_s: float
    received_bits_per_s: float | None
    sent: int
    received: int
    receiver_dropped: int
    reordered: int
    loss_ratio: float
    jitter_s: float
    duration_s: float
    has_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a search has found.

    Attributes:
        held: The step that held the rate; None when no rate met the goal, or the search was cut short.
        end: In words, why the search ended where it did.
    """

    steps: tuple[CapacityStep, ...]
    held: CapacityStep | None
    end: str

    def documents(self) -> list[dict[str, Any]]:
        """Return the steps for the result."""
        return [asdict(step) for step in self.steps]


def goal_of(text: str | None) -> Goal:
    """Return the goal of a search.

    Raises:
        ConfigError: It speaks of a figure that packets which nobody answers do not have.
    """
    goal = parse_goal(text or DEFAULT_GOAL)
    for term in goal.terms:
        if term.figure not in _KNOWN:
            raise ConfigError("bandwidth.find", f"{term.figure} is not one of {', '.join(_KNOWN)}")
    return goal


def search_length_s(hold_s: float) -> float:
    """Return how long a search lasts at most, for one direction."""
    rises = _MAX_RISES * 0.5 * (_RISE_S + _ASKING_S)
    return rises + _MAX_STEPS * (_STEP_S + _ASKING_S) + 1.5 * (hold_s + _ASKING_S)


async def find_capacity(
    session: Stepping,
    way: str,
    *,
    goal: Goal,
    hold_s: float,
    first_number: int = 0,
    on_step: Callable[[CapacityStep], bool],
) -> Capacity:
    """Search in one direction.

    Args:
        session: Opened for a search.
        way: ``forward`` or ``reverse``.
        goal: What a rate must meet.
        hold_s: How long the found rate is held.
        first_number: Steps of one session are numbered, whatever their direction.
        on_step: Called after each; True ends the search early.

    Raises:
        NodeError: The peer or a worker fails.
    """
    cap = session.cap_bits_per_s
    steps: list[CapacityStep] = []

    async def step(rate: float, duration_s: float, stretch: float = _STRETCH_RATIO) -> CapacityStep:
        told = await session.step(way, first_number + len(steps), rate, duration_s)
        steps.append(_judged(told, rate, duration_s, goal, stretch))
        return steps[-1]

    def ended(held: CapacityStep | None, end: str) -> Capacity:
        return Capacity(steps=tuple(steps), held=held, end=end)

    rate = min(_FIRST_BITS_PER_S, cap)
    failed = 0
    while True:
        newest = await step(rate, _RISE_S, _RISE_STRETCH_RATIO)
        if on_step(newest):
            return ended(None, "stopped")
        failed = 0 if newest.has_met else failed + 1
        if failed >= _RISE_TRIES or len(steps) >= _MAX_RISES:
            break
        if newest.has_met:
            if rate >= cap or not _is_offered(newest):
                break
            rate = min(rate * 2, cap)
    if not newest.received:
        return ended(None, "nothing arrives")
    around = min(newest.received_bits_per_s or newest.offered_bits_per_s, newest.offered_bits_per_s, cap)
    search = RateSearch(
        start=around if newest.has_met else around * 0.98,
        most=min(cap, max(around * 1.2, _FIRST_BITS_PER_S)),
        least=around / 64,
        precision=_PRECISION,
        max_steps=_MAX_STEPS,
        growth=1.02,
    )
    while (rate_or_none := search.next_rate()) is not None:
        newest = await step(rate_or_none, _STEP_S)
        if on_step(newest):
            return ended(None, "stopped")
        search.record(is_met=newest.has_met, offered=newest.offered_bits_per_s)
    if search.found is None:
        return ended(None, "no rate meets the goal")
    rate = search.found
    for _ in range(_MAX_HOLDS):
        newest = await step(rate, hold_s)
        if on_step(newest):
            return ended(None, "stopped")
        if newest.has_met:
            return ended(newest, str(search.end))
        rate *= _HOLD_BACKOFF
    return ended(None, "no rate meets the goal for long")


def _is_offered(step: CapacityStep) -> bool:
    return step.offered_bits_per_s >= step.rate_bits_per_s * _OFFERED_RATIO


def _judged(told: dict[str, int], rate: float, duration_s: float, goal: Goal, stretch: float) -> CapacityStep:
    sent, received = told["sent"], min(told["received"], told["sent"])
    elapsed_s = max(told["elapsed_us"] / 1e6, 1e-6)
    each = told["received_bytes"] / max(1, told["received"] + told.get("duplicates", 0))
    dropped = min(told["receiver_dropped"], sent - received)
    loss = (sent - received - dropped) / sent if sent else 1.0
    span_s = told["span_us"] / 1e6
    arrived = told["received_bytes"] - told["head_bytes"]
    jitter_s = told["jitter_ns"] / 1e9
    # The last packets leave before the time is over, by one packet's share of it.
    is_queueing = span_s > min(elapsed_s, duration_s) * stretch + _STRETCH_S
    return CapacityStep(
        rate_bits_per_s=rate,
        offered_bits_per_s=sent * each * 8 / elapsed_s,
        received_bits_per_s=arrived * 8 / span_s if span_s > 0 and arrived > 0 else None,
        sent=sent,
        received=received,
        receiver_dropped=dropped,
        reordered=told["reordered"],
        loss_ratio=loss,
        jitter_s=jitter_s,
        duration_s=elapsed_s,
        has_met=sent > 0 and goal.is_met({"loss": loss, "jitter": jitter_s}) and not is_queueing,
    )
