"""What the pings of a link tell, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import Ping, Pong, RemoteFault
from qudag_node.overlay.ping import PingTracker

MS = 1_000_000


def answer(ping: Ping, *, wall_unix_ns: int = 0, messages: int = 0, size_bytes: int = 0) -> Pong:
    return Pong(
        nonce=ping.nonce,
        sender_mono_ns=ping.sender_mono_ns,
        wall_unix_ns=wall_unix_ns,
        received_messages=messages,
        received_bytes=size_bytes,
    )


def asked(tracker: PingTracker, now_mono_ns: int) -> Ping:
    ping = tracker.ping(now_mono_ns)
    assert ping is not None
    return ping


def test_an_answer_gives_the_round_trip_time_and_what_was_received() -> None:
    tracker = PingTracker(timeout_s=1)
    ping = asked(tracker, 100 * MS)
    measurement = tracker.pong(answer(ping, messages=7, size_bytes=700), 125 * MS, 0)
    assert measurement is not None
    assert measurement.rtt_s == pytest.approx(0.025)
    assert (measurement.confirmed_messages, measurement.confirmed_bytes) == (7, 700)
    assert tracker.last_rtt_s == pytest.approx(0.025)
    assert tracker.expire(10_000 * MS) == 0


def test_a_second_answer_tells_nothing() -> None:
    tracker = PingTracker(timeout_s=1)
    pong = answer(asked(tracker, 0))
    assert tracker.pong(pong, MS, 0) is not None
    assert tracker.pong(pong, 2 * MS, 0) is None


@pytest.mark.parametrize("nonce", [0, 2, 2**64 - 1])
def test_an_answer_to_no_question_is_the_peers_fault(nonce: int) -> None:
    tracker = PingTracker(timeout_s=1)
    asked(tracker, 0)
    with pytest.raises(RemoteFault, match="pong_unasked"):
        tracker.pong(answer(Ping(nonce, 0)), MS, 0)


def test_an_answer_with_another_time_is_the_peers_fault() -> None:
    tracker = PingTracker(timeout_s=1)
    ping = asked(tracker, 5)
    with pytest.raises(RemoteFault):
        tracker.pong(answer(Ping(ping.nonce, 4)), MS, 0)


def test_an_unanswered_ping_is_lost_once_and_its_late_answer_ignored() -> None:
    tracker = PingTracker(timeout_s=0.010)
    ping = asked(tracker, 0)
    assert tracker.expire(9 * MS) == 0
    assert tracker.expire(10 * MS) == 1
    assert tracker.expire(11 * MS) == 0
    assert tracker.pong(answer(ping), 12 * MS, 0) is None


def test_pings_are_sent_whether_or_not_the_last_was_answered_up_to_a_limit() -> None:
    tracker = PingTracker(timeout_s=1, max_outstanding=3)
    assert [tracker.ping(0) is not None for _ in range(4)] == [True, True, True, False]
    assert tracker.abandon() == 3
    assert tracker.ping(0) is not None


@given(
    there_ns=st.integers(0, 1000 * MS),
    back_ns=st.integers(0, 1000 * MS),
    offset_ns=st.integers(-(10**15), 10**15),
)
def test_the_clocks_offset_is_within_its_error_bound(there_ns: int, back_ns: int, offset_ns: int) -> None:
    tracker = PingTracker(timeout_s=10)
    ping = asked(tracker, 0)
    tracker.pong(answer(ping, wall_unix_ns=there_ns + offset_ns), there_ns + back_ns, there_ns + back_ns)
    estimate = tracker.clock_offset
    assert estimate is not None
    assert abs(estimate.offset_s - offset_ns / 1e9) <= estimate.error_bound_s + 1e-9
    assert estimate.error_bound_s == pytest.approx((there_ns + back_ns) / 2e9)


def test_there_is_no_offset_before_an_answer() -> None:
    assert PingTracker(timeout_s=10).clock_offset is None


def test_the_quickest_answer_gives_the_offset() -> None:
    tracker = PingTracker(timeout_s=10)
    for rtt_ns, wall_unix_ns in ((40 * MS, 40 * MS), (2 * MS, 6 * MS), (50 * MS, 0)):
        tracker.pong(answer(asked(tracker, 0), wall_unix_ns=wall_unix_ns), rtt_ns, rtt_ns)
    estimate = tracker.clock_offset
    assert estimate is not None
    assert (estimate.offset_s, estimate.error_bound_s) == pytest.approx((0.005, 0.001))
    assert tracker.clock_offset is estimate
