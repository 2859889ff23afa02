"""Which tests may run beside which, and whose turn it is. Pure.

A test that loads the network spoils the figures of every other; one that counts delays spoils none, and is
spoiled by it; the rest neither harms nor minds. Tests take their turns in the order in which they were asked
for, except that what minds nothing need not wait behind what does, and nobody behind those of a peer that
has as many already as it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from qudag_node.nettests.requests import LatencyOptions, Options, TestType, TracerouteOptions

__all__ = ["MOST_PER_PEER", "Turn", "Weight", "next_turns", "weight_of"]

#: As many sessions as a peer lets one node open at once, where its operator has set nothing else.
MOST_PER_PEER = 4


class Weight(Enum):
    """What a test does to others, and they to it."""

    #: It loads the network: nothing that counts delays may run beside it.
    HEAVY = "heavy"
    #: Its figures are worth something only while nobody loads the network.
    DELICATE = "delicate"
    #: It sends little and its figures bear company.
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a test's turn depends on.

    Attributes:
        peer: Whom it asks for a session; None where it asks nobody for one.
    """

    weight: Weight
    peer: str | None = None

    @classmethod
    def of(cls, test_type: TestType, options: Options, target: str | None) -> Turn:
        """Return the turn of a test."""
        # Traces are answered as messages that are passed on are: no session is opened for them.
        is_agreed = test_type not in {TestType.TRACEROUTE, TestType.ROUTING}
        return cls(weight_of(test_type, options), target if is_agreed else None)


def weight_of(test_type: TestType, options: Options) -> Weight:
    """Return the weight of a test."""
    match test_type, options:
        case (TestType.BANDWIDTH | TestType.STRESS, _) | (_, LatencyOptions(load=True)):
            return Weight.HEAVY
        case TestType.CONNECTIVITY, _:
            return Weight.CALM
        case _, TracerouteOptions(count=0):
            # It goes on until somebody ends it: nobody can wait for that.
            return Weight.CALM
        case _:
            return Weight.DELICATE


def next_turns(queue: Sequence[Turn], running: Iterable[Turn], *, most: int) -> list[int]:
    """Return who may start now, as places in the queue, which is in the order of arrival."""
    beside = list(running)
    together = [turn.weight for turn in beside]
    of_peer = Counter(turn.peer for turn in beside)
    chosen: list[int] = []
    is_blocked = False
    for place, turn in enumerate(queue):
        weight = turn.weight
        if len(together) >= most:
            break
        if turn.peer is not None and of_peer[turn.peer] >= MOST_PER_PEER:
            continue
        if weight is not Weight.CALM and (is_blocked or not _bear(weight, together)):
            # Who cannot start yet blocks those behind it, or it might never get its turn.
            is_blocked = True
            continue
        chosen.append(place)
        together.append(weight)
        of_peer[turn.peer] += 1
    return chosen


def _bear(weight: Weight, running: Iterable[Weight]) -> bool:
    others = {Weight.HEAVY, Weight.DELICATE} if weight is Weight.HEAVY else {Weight.HEAVY}
    return others.isdisjoint(running)
