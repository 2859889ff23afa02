import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.requests import TestType, options_of
from qudag_node.nettests.turns import Weight, next_turns, weight_of

H, D, C = Weight.HEAVY, Weight.DELICATE, Weight.CALM


@pytest.mark.parametrize(
    ("test_type", "options", "weight"),
    [
        (TestType.PING, {}, D),
        (TestType.TRACEROUTE, {}, D),
        (TestType.TRACEROUTE, {"count": 0}, C),
        (TestType.BANDWIDTH, {}, H),
        (TestType.LATENCY, {}, D),
        (TestType.LATENCY, {"load": True}, H),
        (TestType.ROUTING, {}, D),
        (TestType.STRESS, {}, H),
        (TestType.CONNECTIVITY, {}, C),
    ],
)
def test_the_weight_of_a_test(test_type: TestType, options: dict[str, object], weight: Weight) -> None:
    assert weight_of(test_type, options_of(test_type, options)) is weight


@pytest.mark.parametrize(
    ("queue", "running", "chosen"),
    [
        ([], [], []),
        ([D, D, C], [], [0, 1, 2]),
        ([H], [], [0]),
        ([H, H], [], [0]),
        ([H], [D], []),
        ([H], [C], [0]),
        ([H], [H], []),
        ([D], [H], []),
        ([C], [H], [0]),
        ([D, H], [], [0]),
        ([H, D, C], [], [0, 2]),
        ([H, D, C], [D], [2]),
        ([D, H, D, C], [D], [0, 3]),
    ],
)
def test_whose_turn_it_is(queue: list[Weight], running: list[Weight], chosen: list[int]) -> None:
    assert next_turns(queue, running, most=8) == chosen


def test_no_more_than_the_most_run() -> None:
    assert next_turns([D, C, D], [D, C], most=4) == [0, 1]
    assert next_turns([C], [D, D], most=2) == []


weights = st.lists(st.sampled_from(Weight), max_size=12)


@given(queue=weights, running=st.lists(st.sampled_from([D, C]), max_size=4), most=st.integers(1, 8))
def test_no_heavy_test_ever_runs_beside_one_that_it_spoils_and_everybody_gets_a_turn(
    queue: list[Weight], running: list[Weight], most: int
) -> None:
    waiting, together, turns = list(queue), list(running)[:most], 0
    while waiting:
        chosen = next_turns(waiting, together, most=most)
        together += [waiting[place] for place in chosen]
        waiting = [weight for place, weight in enumerate(waiting) if place not in chosen]
        assert len(together) <= most
        if H in together:
            assert together.count(H) == 1
            assert D not in together
        if together:
            together.pop(0)
        turns += 1
        assert turns < 100
