from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import CONTROL_TYPES, FrameType
from qudag_node.overlay.queue import DropCause, Queued, QueueLimits, SendQueue

LIMITS = QueueLimits(data_bytes=100, data_messages=5, control_bytes=50, control_messages=3)
offers = st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=60)), max_size=40)


def test_control_goes_before_data_and_each_in_its_order() -> None:
    queue = SendQueue()
    for kind, frame in [
        (FrameType.DATA, b"d1"),
        (FrameType.PING, b"p1"),
        (FrameType.ROUTED, b"r1"),
        (FrameType.ADVERT, b"a1"),
    ]:
        assert queue.offer(kind, frame, 1.0) is None
    assert [entry.frame for entry in queue.take(1000)] == [b"p1", b"a1", b"d1", b"r1"]


def test_a_full_queue_says_what_it_is_full_of() -> None:
    queue = SendQueue(LIMITS)
    assert queue.offer(FrameType.DATA, bytes(99), 0.0) is None
    assert queue.offer(FrameType.DATA, bytes(2), 0.0) is DropCause.BYTES
    for _ in range(4):
        assert queue.offer(FrameType.DATA, b"", 0.0) is None
    assert queue.offer(FrameType.DATA, b"", 0.0) is DropCause.MESSAGES
    assert (str(DropCause.BYTES), str(DropCause.MESSAGES)) == ("queue_full_bytes", "queue_full_messages")


def test_data_cannot_take_the_room_of_control() -> None:
    queue = SendQueue(LIMITS)
    while queue.offer(FrameType.DATA, bytes(10), 0.0) is None:
        pass
    assert queue.offer(FrameType.PONG, bytes(50), 0.0) is None
    assert queue.offer(FrameType.PONG, bytes(1), 0.0) is DropCause.BYTES


def test_entries_remember_when_they_were_queued() -> None:
    queue = SendQueue()
    queue.offer(FrameType.DATA, b"x", 12.5)
    assert queue.take(1) == [Queued(FrameType.DATA, b"x", 12.5)]


def test_a_frame_larger_than_the_batch_is_still_sent() -> None:
    queue = SendQueue()
    queue.offer(FrameType.DATA, bytes(1000), 0.0)
    queue.offer(FrameType.DATA, bytes(1000), 0.0)
    assert [len(entry.frame) for entry in queue.take(10)] == [1000]
    assert len(queue) == 1


def test_data_waits_until_no_control_is_left() -> None:
    queue = SendQueue()
    queue.offer(FrameType.DATA, b"d", 0.0)
    queue.offer(FrameType.PING, bytes(8), 0.0)
    queue.offer(FrameType.PING, bytes(8), 0.0)
    assert [entry.kind for entry in queue.take(10)] == [FrameType.PING]
    assert [entry.kind for entry in queue.take(10)] == [FrameType.PING, FrameType.DATA]


def test_clearing_returns_what_was_never_sent() -> None:
    queue = SendQueue()
    queue.offer(FrameType.DATA, b"d", 0.0)
    queue.offer(FrameType.PING, b"p", 0.0)
    assert [entry.frame for entry in queue.clear()] == [b"p", b"d"]
    assert (len(queue), queue.size_bytes, queue.take(10)) == (0, 0, [])


@given(offers=offers, batch=st.integers(1, 80))
def test_the_queue_stays_within_its_limits_and_loses_nothing(
    offers: list[tuple[FrameType, bytes]], batch: int
) -> None:
    queue = SendQueue(LIMITS)
    accepted: list[tuple[FrameType, bytes]] = []
    taken: list[tuple[FrameType, bytes]] = []
    for turn, (kind, frame) in enumerate(offers):
        if queue.offer(kind, frame, float(turn)) is None:
            accepted.append((kind, frame))
        # Tests come on top, up to half, the last one whole.
        assert len(queue) <= LIMITS.data_messages * 1.5 + 1 + LIMITS.control_messages
        assert queue.size_bytes <= LIMITS.data_bytes * 1.5 + 60 + LIMITS.control_bytes
        if turn % 3 == 2:
            taken += [(entry.kind, entry.frame) for entry in queue.take(batch)]
        assert queue.size_bytes == sum(len(f) for _, f in accepted) - sum(len(f) for _, f in taken)
    while entries := queue.take(batch):
        assert len(entries) == 1 or sum(len(entry.frame) for entry in entries) <= batch
        taken += [(entry.kind, entry.frame) for entry in entries]
    for lane in (CONTROL_TYPES, frozenset(FrameType) - CONTROL_TYPES):
        assert [f for f in taken if f[0] in lane] == [f for f in accepted if f[0] in lane]


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        QueueLimits(data_messages=0)


def filled(queue: SendQueue, kind: FrameType, frame: bytes = b"x") -> tuple[int, DropCause]:
    """Offer frames until one is refused; return how many were taken, and why no more."""
    taken = 0
    while (cause := queue.offer(kind, frame, 0.0)) is None:
        taken += 1
    return taken, cause


def test_tests_wait_among_the_data_and_take_no_room_from_them() -> None:
    queue = SendQueue(QueueLimits(data_messages=200))
    assert filled(queue, FrameType.TEST) == (100, DropCause.TESTS)
    assert filled(queue, FrameType.DATA) == (200, DropCause.MESSAGES)
    assert queue.offer(FrameType.ROUTED, b"x", 0.0) is DropCause.MESSAGES
    assert [entry.kind for entry in queue.take(150)] == [FrameType.TEST] * 100 + [FrameType.DATA] * 50
    assert filled(queue, FrameType.DATA) == (50, DropCause.MESSAGES)


def test_of_a_queue_that_others_fill_tests_have_a_twentieth() -> None:
    queue = SendQueue(QueueLimits(data_messages=200))
    for _ in range(100):
        queue.offer(FrameType.DATA, b"x", 0.0)
    assert filled(queue, FrameType.TEST) == (10, DropCause.TESTS)
    filled(queue, FrameType.DATA)
    sent = 0
    for _ in range(2100):
        sent += sum(entry.kind is FrameType.TEST for entry in queue.take(1))
        queue.offer(FrameType.DATA, b"x", 0.0)
        queue.offer(FrameType.TEST, b"x", 0.0)
    # Neither starved nor more than their part, which is 10 of 210.
    assert 90 <= sent <= 110


def test_the_bytes_of_tests_are_bounded_too() -> None:
    queue = SendQueue(QueueLimits(data_bytes=1000))
    assert filled(queue, FrameType.TEST, bytes(100)) == (5, DropCause.TESTS)
    assert filled(queue, FrameType.DATA, bytes(100)) == (10, DropCause.BYTES)
    queue.clear()
    assert filled(queue, FrameType.TEST, bytes(100)) == (5, DropCause.TESTS)
    assert filled(queue, FrameType.DATA, bytes(100)) == (10, DropCause.BYTES)
    # What was sent takes no room: a twentieth beside five frames of data.
    assert len(queue.take(1000)) == 10
    assert filled(queue, FrameType.TEST, bytes(10)) == (5, DropCause.TESTS)
