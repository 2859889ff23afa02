from __future__ import annotations

import time

import pytest

from qudag_node.nettests.pacing import Schedule, wait_until

MS = 1_000_000


@pytest.mark.parametrize("ahead_ns", [-1000 * MS, 0, 100_000, 5 * MS])
def test_a_moment_is_never_met_too_early(ahead_ns: int) -> None:
    due_mono_ns = time.monotonic_ns() + ahead_ns
    now = wait_until(due_mono_ns)
    assert now >= due_mono_ns
    assert time.monotonic_ns() >= now


def test_moments_are_equal_distances_apart_whoever_is_late() -> None:
    schedule = Schedule(0, 10 * MS)
    late = (0, 50 * MS, 60 * MS, 61 * MS)
    assert [schedule.next_due(now) for now in late] == [0, 10 * MS, 20 * MS, 30 * MS]
    assert schedule.moved_ns == 0


def test_after_a_stall_of_its_own_the_schedule_moves_and_says_so() -> None:
    schedule = Schedule(0, 10 * MS, most_behind_ns=100 * MS)
    schedule.next_due(0)
    assert schedule.next_due(110 * MS) == 10 * MS
    assert schedule.next_due(1020 * MS) == 1020 * MS
    assert schedule.moved_ns == 1000 * MS
    assert schedule.next_due(1021 * MS) == 1030 * MS
