from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from qudag_node.errors import ConfigError
from qudag_node.nettests.capacity import (
    DEFAULT_GOAL,
    Capacity,
    CapacityStep,
    find_capacity,
    goal_of,
    search_length_s,
)

SIZE = 1400


@dataclass
class Path:
    """A sender, a queue, a rate, and a receiver, in figures.

    Attributes:
        queue_s: What the queue holds, at the path's rate.
        most: What the sender can offer.
        faults: Steps in which everything is late, whatever the rate.
    """

    rate: float
    queue_s: float = 0.0
    most: float = 1e12
    loss: float = 0.0
    faults: set[int] = field(default_factory=set[int])
    cap_bits_per_s: float = 1e9
    numbers: list[int] = field(default_factory=list[int])

    async def step(self, way: str, number: int, rate_bits_per_s: float, duration_s: float) -> dict[str, int]:
        assert way == "forward"
        assert rate_bits_per_s <= self.cap_bits_per_s
        self.numbers.append(number)
        offered = min(rate_bits_per_s, self.most)
        sent = max(1, int(offered * duration_s / 8 / SIZE))
        through = min(sent, int(self.rate * (duration_s + self.queue_s) / 8 / SIZE))
        received = int(through * (1 - self.loss))
        span_s = max(duration_s, through * SIZE * 8 / self.rate)
        if number in self.faults:
            span_s += duration_s
        return {
            "sent": sent,
            "elapsed_us": int(duration_s * 1e6),
            "received": received,
            "duplicates": 0,
            "reordered": 0,
            "receiver_dropped": 0,
            "jitter_ns": 1000,
            "received_bytes": received * SIZE,
            "head_bytes": 0,
            "span_us": int(span_s * 1e6),
        }


async def found(path: Path, goal: str | None = None, stop_after: int = 10**9) -> Capacity:
    seen: list[CapacityStep] = []

    def on_step(step: CapacityStep) -> bool:
        seen.append(step)
        return len(seen) >= stop_after

    capacity = await find_capacity(
        path, "forward", goal=goal_of(goal), hold_s=3.0, first_number=5, on_step=on_step
    )
    assert list(capacity.steps) == seen
    assert path.numbers == list(range(5, 5 + len(seen)))
    return capacity


@pytest.mark.parametrize("rate", [1.5e6, 9.6e6, 48.5e6, 480e6])
@pytest.mark.parametrize("queue_s", [0.0, 0.05, 1.0])
async def test_the_rate_of_a_path_is_found_whatever_its_queue(rate: float, queue_s: float) -> None:
    capacity = await found(Path(rate, queue_s))
    assert capacity.held is not None
    assert capacity.held.has_met
    assert capacity.held.received_bits_per_s == pytest.approx(rate, rel=0.03)
    # What a queue takes for a while is not carried.
    assert capacity.held.rate_bits_per_s <= rate * 1.03
    doubled = [step.rate_bits_per_s for step in capacity.steps if step.duration_s < 0.5]
    assert [doubled.count(each) for each in sorted(set(doubled))] == [1] * (len(set(doubled)) - 1) + [2]


async def test_the_cap_may_be_the_limit() -> None:
    capacity = await found(Path(10e9, cap_bits_per_s=20e6))
    assert capacity.held is not None
    assert capacity.held.rate_bits_per_s == 20e6
    assert capacity.end == "most"


async def test_the_sender_may_be_the_limit() -> None:
    capacity = await found(Path(10e9, most=30e6))
    assert capacity.held is not None
    assert capacity.held.received_bits_per_s == pytest.approx(30e6, rel=0.01)


async def test_one_bad_moment_is_no_limit() -> None:
    capacity = await found(Path(48e6, faults={5, 9}))
    assert capacity.held is not None
    assert capacity.held.received_bits_per_s == pytest.approx(48e6, rel=0.03)


async def test_a_path_that_loses_at_every_rate_has_none_that_meets_the_goal() -> None:
    capacity = await found(Path(48e6, loss=0.02))
    assert capacity.held is None
    assert "no rate" in capacity.end
    lenient = await found(Path(48e6, loss=0.02), "loss<5%")
    assert lenient.held is not None
    assert 0 < lenient.held.loss_ratio < 0.05


async def test_a_path_through_which_nothing_comes() -> None:
    capacity = await found(Path(48e6, loss=1.0))
    assert (capacity.held, capacity.end) == (None, "nothing arrives")


@pytest.mark.parametrize("steps", [1, 3, 8, 12])
async def test_a_search_that_is_stopped_tells_its_steps(steps: int) -> None:
    capacity = await found(Path(48e6), stop_after=steps)
    assert (capacity.held, capacity.end, len(capacity.documents())) == (None, "stopped", steps)


async def test_a_search_lasts_no_longer_than_is_asked_for() -> None:
    for rate in (1.2e6, 48e6, 10e9):
        for queue_s in (0.0, 3.0):
            capacity = await found(Path(rate, queue_s))
            assert sum(step.duration_s + 0.5 for step in capacity.steps) <= search_length_s(3.0) + 4


def test_what_a_goal_may_speak_of() -> None:
    assert str(goal_of(None)) == DEFAULT_GOAL
    assert goal_of("loss<1%,jitter<5ms").is_met({"loss": 0.0, "jitter": 0.001})
    with pytest.raises(ConfigError, match="p50 is not one of loss, jitter"):
        goal_of("p50<1ms")
