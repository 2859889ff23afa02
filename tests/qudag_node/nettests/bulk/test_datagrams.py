from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.bulk.datagrams import (
    HEADER_BYTES,
    Arrivals,
    StepArrivals,
    gaps_of,
    pack_burst,
    unpack_burst,
)

TAG = b"qudagtag"


def burst(first: int, count: int, size: int = 100) -> bytearray:
    buffer = bytearray(size * count)
    pack_burst(buffer, TAG, 3, first, count, size, 12345)
    return buffer


def test_a_header_is_as_it_is_drawn() -> None:
    assert bytes(burst(7, 1)[:HEADER_BYTES]) == struct.pack("!8sHHIQ", TAG, 3, 0, 7, 12345)


@pytest.mark.parametrize("count", [1, 2, 45])
def test_what_is_packed_is_unpacked(count: int) -> None:
    assert unpack_burst(memoryview(burst(7, count)), 100, TAG) == (3, tuple(range(7, 7 + count)), 12345)


def test_the_last_packet_of_a_burst_may_be_shorter() -> None:
    assert unpack_burst(memoryview(burst(7, 2)[:-60]), 100, TAG) == (3, (7, 8), 12345)
    assert unpack_burst(memoryview(burst(7, 2)[: 100 + HEADER_BYTES - 1]), 100, TAG) is None


def test_a_stranger_s_packet_is_none_of_ours() -> None:
    assert unpack_burst(memoryview(b"hello"), 5, TAG) is None
    assert unpack_burst(memoryview(burst(7, 1)), 100, b"othertag") is None
    mixed = burst(7, 1) + bytearray(100)
    assert unpack_burst(memoryview(mixed), 100, TAG) is None


def test_all_in_order() -> None:
    arrivals = Arrivals()
    arrivals.take((0, 1, 2), 0, 0)
    arrivals.take((3,), 0, 0)
    assert (arrivals.received, arrivals.missing, arrivals.reordered, arrivals.duplicates) == (4, 0, 0, 0)


def test_a_gap_that_is_filled_late_is_reordering() -> None:
    arrivals = Arrivals()
    arrivals.take((0, 1), 0, 0)
    arrivals.take((5, 6), 0, 0)
    assert arrivals.missing == 3
    arrivals.take((3,), 0, 0)
    assert (arrivals.received, arrivals.missing, arrivals.reordered) == (5, 2, 1)
    arrivals.take((3,), 0, 0)
    assert (arrivals.received, arrivals.duplicates) == (5, 1)
    arrivals.take((2, 4), 0, 0)
    assert (arrivals.received, arrivals.missing, arrivals.reordered, arrivals.duplicates) == (7, 0, 3, 1)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=200))
def test_every_order_of_arrival_is_counted_exactly(numbers: list[int]) -> None:
    arrivals = Arrivals()
    for number in numbers:
        arrivals.take((number,), 0, 0)
    highest, reordered, seen = -1, 0, set[int]()
    for number in numbers:
        reordered += number < highest and number not in seen
        highest = max(highest, number)
        seen.add(number)
    assert arrivals.received == len(seen)
    assert arrivals.duplicates == len(numbers) - len(seen)
    assert arrivals.missing == highest + 1 - len(seen)
    assert arrivals.reordered == reordered


@given(st.permutations(range(30)), st.integers(1, 7))
def test_how_packets_come_in_bursts_does_not_matter(order: list[int], cut: int) -> None:
    arrivals = Arrivals()
    for at in range(0, len(order), cut):
        arrivals.take(tuple(order[at : at + cut]), 0, 0)
    assert (arrivals.received, arrivals.missing, arrivals.duplicates) == (30, 0, 0)


def test_gaps_are_bounded() -> None:
    arrivals = Arrivals()
    for number in range(0, 40_000, 2):
        arrivals.take((number,), 0, 0)
    assert (arrivals.received, arrivals.missing) == (20_000, 19_999)
    arrivals.take((39_997,), 0, 0)
    assert arrivals.reordered == 1


def test_gaps_that_are_split_are_bounded_too() -> None:
    arrivals = Arrivals(max_gaps=8)
    arrivals.take((1000,), 0, 0)
    for number in range(999, 0, -2):
        arrivals.take((number,), 0, 0)
        assert arrivals.gaps <= 8


def test_all_streams_share_the_gaps() -> None:
    assert gaps_of(1) == gaps_of(4) == 4096
    assert gaps_of(64) * 64 == gaps_of(4) * 4


def test_a_test_of_one_step_takes_no_other() -> None:
    steps = StepArrivals(is_single=True, max_gaps=8)
    assert steps.take(0, (0,), 0, 0, 100)
    assert not steps.take(1, (0,), 0, 0, 100)
    assert steps.take(0, (1,), 0, 0, 100)
    assert (list(steps.by_step), steps.received) == ([0], 2)


def test_of_a_search_the_newest_step_and_the_one_before_are_taken() -> None:
    steps = StepArrivals(is_single=False, max_gaps=8)
    assert all(steps.take(step, (0, 2), 0, 0, 100) for step in (3, 4, 4, 3, 6, 4))
    assert not steps.take(3, (1,), 0, 0, 100)
    assert not steps.take(5, (1,), 0, 0, 100)
    assert [(step, each.received, each.gaps) for step, each in steps.by_step.items()] == [
        (3, 2, 0),
        (4, 2, 1),
        (6, 2, 1),
    ]


def test_a_sender_that_invents_steps_and_gaps_takes_little() -> None:
    steps = StepArrivals(is_single=False, max_gaps=gaps_of(64))
    for step in range(0, 4096, 16):
        for number in range(0, 1200, 2):
            assert steps.take(step, (number,), 0, 0, 100)
        assert sum(each.gaps for each in steps.all) <= 2 * gaps_of(64)
    assert list(steps.by_step) == list(range(4096 - 32 * 16, 4096, 16))
    assert steps.received == 256 * 600


def test_what_had_no_room_is_of_the_step_that_goes_on() -> None:
    steps = StepArrivals(is_single=True, max_gaps=8)
    steps.take(0, (0,), 0, 0, 100)
    steps.take(0, (5,), 0, 0, 100, dropped=3)
    assert steps.by_step[0].receiver_dropped == 3


def test_what_the_receiver_had_no_room_for_is_at_most_what_is_missing() -> None:
    arrivals = Arrivals()
    arrivals.take((0, 1, 2, 3), 0, 0)
    arrivals.take_overflow(2, 8)
    assert arrivals.receiver_dropped == 8
    arrivals.take_overflow(5, 3)
    assert arrivals.receiver_dropped == 11


def test_the_span_is_from_the_first_arrival_to_the_last() -> None:
    arrivals = Arrivals()
    arrivals.take((0, 1), 0, 5_000, 2800)
    arrivals.take((2,), 0, 9_000, 1400)
    arrivals.take((2,), 0, 11_000, 1400)
    assert (arrivals.span_ns, arrivals.head_bytes, arrivals.received_bytes) == (6_000, 2800, 5600)


def test_jitter_is_the_smoothed_difference_of_transit_times() -> None:
    arrivals = Arrivals()
    for number, transit in enumerate((1000, 1160, 1160)):
        arrivals.take((number,), number * 50, number * 50 + transit)
    assert arrivals.jitter_ns == pytest.approx(10 - 10 / 16)
