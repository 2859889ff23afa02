"""`Job`: one test from the moment it is asked for, and what has happened to it so far. No I/O; time is given.

    queued ──> running ──> done | failed | cancelled
       └──────────────────────────────> cancelled

Who watches reads `events_after`; who comes late, or was too slow, reads `so_far`: the state, the newest
progress and the result, if there is one. Of progress that comes too fast to be told the newest is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from qudag_node.nettests.requests import Options, TestType
from qudag_node.nettests.results import Target, plain
from qudag_node.nettests.turns import Turn, Weight

__all__ = ["Job", "JobState", "Watch"]

#: Progress is told at most so often; the eye wants no more, and a slow client could not take it.
_PROGRESS_INTERVAL_S = 0.1
_MAX_EVENTS = 64

Event = Mapping[str, object]


class JobState(StrEnum):
    """Where a test is in its life."""

    #: It waits for its turn.
    QUEUED = "queued"
    #: It measures.
    RUNNING = "running"
    #: It has ended and has a result, good or bad.
    DONE = "done"
    #: It was ended early; what was measured until then is its result.
    CANCELLED = "cancelled"
    #: It could not be made.
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen any more."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


class Watch:
    """What has happened to one test, in order.

    Args:
        unix_s: Reads the wall clock.
        monotonic: Reads the other one.
    """

    def __init__(self, unix_s: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._unix_s = unix_s
        self._monotonic = monotonic
        self._seq = count(1)
        self._events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._newest_by_kind: dict[str, Event] = {}
        self._waiting: dict[str, object] | None = None
        self._progress_mono_s = float("-inf")

    def state(self, state: JobState) -> None:
        """Tell a new state."""
        self._tell_waiting()
        self._add("state", {"state": state.value})

    def progress(self, fields: Mapping[str, object]) -> None:
        """Tell progress, now or, where the last is too fresh, instead of what waits."""
        told = plain(fields)
        assert isinstance(told, dict)  # noqa: S101  # a map stays one
        self._waiting = told
        if self._is_due:
            self._tell_waiting()

    def result(self, document: Mapping[str, object]) -> None:
        """Tell the result."""
        self._tell_waiting()
        self._add("result", {"result": document})

    def events_after(self, seq: int) -> list[Event]:
        """Return what happened after a number, oldest first; of many the newest."""
        if self._is_due:
            self._tell_waiting()
        return [event for event in self._events if _seq_of(event) > seq]

    def so_far(self) -> list[Event]:
        """Return all that who comes now has to know, oldest first."""
        self._tell_waiting()
        return sorted(self._newest_by_kind.values(), key=_seq_of)

    @property
    def _is_due(self) -> bool:
        return self._monotonic() - self._progress_mono_s >= _PROGRESS_INTERVAL_S

    def _tell_waiting(self) -> None:
        if self._waiting is not None:
            fields, self._waiting = self._waiting, None
            self._progress_mono_s = self._monotonic()
            self._add("progress", fields)

    def _add(self, kind: str, fields: Mapping[str, object]) -> None:
        event: Event = {**fields, "seq": next(self._seq), "event": kind, "unix_s": self._unix_s()}
        self._events.append(event)
        self._newest_by_kind[kind] = event


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One test.

    Attributes:
        owner: Whose leaving ends it; None: nobody's.
        created_unix_s: When it was asked for, ``started_unix_s`` when its turn came.
        stopping: Set when it is to end early.
        document: Its result, once there is one.
        is_interrupted: Somebody has cancelled it, or the node stops.
        loaded_by: The heavy tests that ran beside it: "a bandwidth test of this node".
    """

    test_id: str
    test_type: TestType
    target: Target | None
    options: Options
    turn: Turn
    watch: Watch
    created_unix_s: float
    owner: object | None = None
    state: JobState = JobState.QUEUED
    started_unix_s: float | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    document: Mapping[str, object] | None = None
    is_interrupted: bool = False
    loaded_by: set[str] = field(default_factory=set[str])

    @property
    def weight(self) -> Weight:
        """What it does to others."""
        return self.turn.weight

    def go_to(self, state: JobState) -> None:
        """Enter a state, and tell it."""
        self.state = state
        self.watch.state(state)


def _seq_of(event: Event) -> int:
    seq = event["seq"]
    assert isinstance(seq, int)  # noqa: S101  # it was counted here
    return seq
