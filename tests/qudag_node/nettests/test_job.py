import math
from collections.abc import Mapping

import pytest

from qudag_node.nettests.job import JobState, Watch


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def watch(self) -> Watch:
        return Watch(lambda: 1e9 + self.now, lambda: self.now)


def told(events: list[Mapping[str, object]]) -> list[object]:
    return [event.get("state") or event.get("line") or event.get("result") for event in events]


def test_events_are_numbered_timed_and_in_order() -> None:
    clock = Clock()
    watch = clock.watch()
    watch.state(JobState.QUEUED)
    clock.now += 1
    watch.state(JobState.RUNNING)
    watch.result({"a": 1})

    events = watch.events_after(0)

    assert [(event["seq"], event["event"], event["unix_s"]) for event in events] == [
        (1, "state", 1e9 + 100),
        (2, "state", 1e9 + 101),
        (3, "result", 1e9 + 101),
    ]
    assert told(watch.events_after(1)) == ["running", {"a": 1}]
    assert watch.events_after(3) == []


def test_of_progress_that_comes_too_fast_the_newest_is_told_in_time() -> None:
    clock = Clock()
    watch = clock.watch()
    for number in range(1000):
        clock.now += 0.001
        watch.progress({"line": str(number)})

    events = watch.events_after(0)

    assert 9 <= len(events) <= 11
    clock.now += 0.1
    assert told(watch.events_after(0))[-1] == "999"
    assert told(watch.so_far()) == ["999"]


def test_progress_is_told_before_the_end_that_follows_it() -> None:
    watch = Clock().watch()
    watch.progress({"line": "one"})
    watch.progress({"line": "two"})
    watch.state(JobState.DONE)
    watch.result({"a": 1})

    assert told(watch.events_after(0)) == ["one", "two", "done", {"a": 1}]


def test_progress_is_told_before_a_result_that_no_state_precedes() -> None:
    watch = Clock().watch()
    watch.progress({"line": "one"})
    watch.progress({"line": "two"})
    watch.result({"a": 1})

    assert told(watch.events_after(0)) == ["one", "two", {"a": 1}]


def test_who_comes_late_gets_the_newest_of_each() -> None:
    clock = Clock()
    watch = clock.watch()
    watch.state(JobState.QUEUED)
    for number in range(500):
        clock.now += 1
        watch.progress({"line": str(number)})
    watch.state(JobState.RUNNING)

    assert told(watch.so_far()) == ["499", "running"]
    assert len(watch.events_after(0)) == 64


def test_a_run_cannot_pass_off_its_progress_as_something_else() -> None:
    watch = Clock().watch()
    watch.progress({"line": "x", "event": "result", "seq": 99, "result": {}})

    (event,) = watch.events_after(0)
    assert (event["seq"], event["event"]) == (1, "progress")


def test_progress_holds_what_json_can_say() -> None:
    watch = Clock().watch()
    watch.progress({"line": "x", "loss_ratio": math.nan, "hops": ({"rtt_s": math.inf},)})
    (event,) = watch.events_after(0)
    assert event["loss_ratio"] is None
    assert event["hops"] == [{"rtt_s": None}]
    with pytest.raises(TypeError, match="holds a bytes"):
        watch.progress({"line": b"x"})


def test_what_is_final() -> None:
    assert [state for state in JobState if not state.is_final] == [JobState.QUEUED, JobState.RUNNING]
