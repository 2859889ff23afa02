"""Which tests may run beside which, and whose turn it is. Pure.

A test that loads the network spoils the figures of every other; one that counts delays spoils none, and is
spoiled by it; the rest neither harms nor minds. Tests take their turns in the order in which they were asked
for, except that what minds nothing need not wait behind what does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from qudag_node.nettests.requests import LatencyOptions, Options, TestType, TracerouteOptions

__all__ = ["Weight", "next_turns", "weight_of"]


class Weight(Enum):
    """What a test does to others, and they to it."""

    #: It loads the network: nothing that counts delays may run beside it.
    HEAVY = "heavy"
    #: Its figures are worth something only while nobody loads the network.
    DELICATE = "delicate"
    #: It sends little and its figures bear company.
    CALM = "calm"


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


def next_turns(queue: Sequence[Weight], running: Iterable[Weight], *, most: int) -> list[int]:
    """Return who may start now, as places in the queue, which is in the order of arrival."""
    together = list(running)
    chosen: list[int] = []
    is_blocked = False
    for place, weight in enumerate(queue):
        if len(together) >= most:
            break
        if weight is not Weight.CALM and (is_blocked or not _bear(weight, together)):
            # Who cannot start yet blocks those behind it, or it might never get its turn.
            is_blocked = True
            continue
        chosen.append(place)
        together.append(weight)
    return chosen


def _bear(weight: Weight, running: Iterable[Weight]) -> bool:
    others = {Weight.HEAVY, Weight.DELICATE} if weight is Weight.HEAVY else {Weight.HEAVY}
    return others.isdisjoint(running)
