from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.ratelimit import FairBudget, PeerRateLimiter, RateLimits, RefusalCause, TokenBucket


@given(
    rate=st.floats(0.5, 1000),
    burst=st.floats(1, 1000),
    turns=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 20)), max_size=60),
)
def test_a_bucket_never_gives_more_than_its_burst_and_rate(
    rate: float, burst: float, turns: list[tuple[float, float]]
) -> None:
    bucket = TokenBucket(rate, burst, now_mono_s=100.0)
    now, taken = 100.0, [(100.0, 0.0)]
    for wait_s, amount in turns:
        now += wait_s
        if bucket.take(amount, now):
            taken.append((now, amount))
    for i, (start, _) in enumerate(taken):
        total = sum(amount for _, amount in taken[i:])
        assert total <= burst + rate * (now - start) + 1e-6


def test_a_bucket_fills_again_with_time() -> None:
    bucket = TokenBucket(10, 5, now_mono_s=0.0)
    assert bucket.take(5, 0.0)
    assert not bucket.take(1, 0.0)
    assert not bucket.take(1, 0.09)
    assert bucket.take(1, 0.1)
    assert bucket.take(5, 60.0)
    assert not bucket.take(1, 60.0)


def test_a_peer_over_its_message_rate_is_refused_with_the_cause() -> None:
    limiter = PeerRateLimiter(RateLimits(messages_per_s=10, burst_s=0.2), 0.0)
    verdicts = [limiter.admit(FrameType.DATA, 100, 0.0) for _ in range(3)]
    assert verdicts == [None, None, RefusalCause.MESSAGES]
    assert limiter.admit(FrameType.DATA, 100, 0.1) is None


def test_a_peer_over_its_byte_rate_is_refused_with_the_cause() -> None:
    limiter = PeerRateLimiter(RateLimits(bytes_per_s=1024 * 1024), 0.0)
    verdicts = {limiter.admit(FrameType.DATA, 65_536, 0.0) for _ in range(17)}
    assert verdicts == {None, RefusalCause.BYTES}


def test_a_refusal_for_bytes_costs_no_message() -> None:
    limiter = PeerRateLimiter(RateLimits(messages_per_s=2, bytes_per_s=1), 0.0)
    assert limiter.admit(FrameType.DATA, 128 * 1024, 0.0) is None
    assert limiter.admit(FrameType.DATA, 10, 0.0) is RefusalCause.BYTES
    assert limiter.admit(FrameType.DATA, 0, 0.0) is None
    assert limiter.admit(FrameType.DATA, 0, 0.0) is RefusalCause.MESSAGES


def test_data_over_the_limit_does_not_cost_a_peer_its_pongs() -> None:
    limiter = PeerRateLimiter(RateLimits(messages_per_s=1, control_per_s=1, control_burst=1), 0.0)
    limiter.admit(FrameType.DATA, 1, 0.0)
    assert limiter.admit(FrameType.DATA, 1, 0.0) is RefusalCause.MESSAGES
    assert limiter.admit(FrameType.PONG, 1, 0.0) is None
    assert limiter.admit(FrameType.PONG, 1, 0.0) is RefusalCause.CONTROL


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="control_per_s"):
        RateLimits(control_per_s=0)
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(0, 1, 0.0)


def test_nobody_alone_uses_up_a_shared_budget() -> None:
    budget = FairBudget(10, 6, each_per_s=1, each_burst=2)
    assert [budget.take("greedy", 0.0) for _ in range(4)] == [True, True, False, False]
    assert [budget.take(name, 0.0) for name in "abcde"] == [True, True, True, True, False]
    # What all together did not get costs nobody its own part.
    assert not budget.take("e", 0.0)
    assert [budget.take("e", 0.1), budget.take("greedy", 0.1)] == [True, False]
    assert budget.take("greedy", 1.0)


def test_a_shared_budget_remembers_so_many_and_is_bounded_all_the_same() -> None:
    budget = FairBudget(1, 100, each_per_s=1, each_burst=1, capacity=8)
    taken = sum(budget.take(number, 0.0) for number in range(1000))
    assert (taken, len(budget)) == (100, 8)


def test_who_shares_often_is_remembered_longest() -> None:
    budget = FairBudget(1000, 1000, each_per_s=0.001, each_burst=2, capacity=2)
    assert [budget.take(name, 0.0) for name in ("often", "once", "often", "new")] == [True] * 4
    assert not budget.take("often", 0.0)
    assert budget.take("once", 0.0)


def test_tests_over_the_limit_cost_a_peer_no_data() -> None:
    limiter = PeerRateLimiter(RateLimits(messages_per_s=2), 0.0)
    verdicts = [limiter.admit(FrameType.TEST, 1, 0.0) for _ in range(3)]
    assert verdicts == [None, None, RefusalCause.MESSAGES]
    assert [limiter.admit(FrameType.DATA, 1, 0.0) for _ in range(3)] == verdicts
    narrow = PeerRateLimiter(RateLimits(bytes_per_s=1), 0.0)
    assert narrow.admit(FrameType.TEST, 128 * 1024, 0.0) is None
    assert narrow.admit(FrameType.TEST, 10, 0.0) is RefusalCause.BYTES
    assert narrow.admit(FrameType.DATA, 128 * 1024, 0.0) is None
