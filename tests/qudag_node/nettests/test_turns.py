from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.config import TestsConfig
from qudag_node.nettests.requests import TestType, options_of
from qudag_node.nettests.turns import MOST_PER_PEER, Turn, Weight, next_turns, weight_of


def turns(weights: Iterable[Weight]) -> list[Turn]:
    return [Turn(weight) for weight in weights]


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
    assert next_turns(turns(queue), turns(running), most=8) == chosen


def test_no_more_than_the_most_run() -> None:
    assert next_turns(turns([D, C, D]), turns([D, C]), most=4) == [0, 1]
    assert next_turns(turns([C]), turns([D, D]), most=2) == []


def test_a_peer_gets_no_more_at_once_than_it_takes_and_nobody_waits_for_those_of_another() -> None:
    of_b, of_c, of_nobody = Turn(D, "b"), Turn(D, "c"), Turn(D)

    assert TestsConfig().max_sessions_per_peer == MOST_PER_PEER == 4
    assert next_turns([of_b] * 6, [], most=8) == [0, 1, 2, 3]
    assert next_turns([of_b, of_c, of_b, Turn(C, "b"), of_nobody], [of_b] * 3, most=8) == [0, 1, 4]
    assert next_turns([of_nobody] * 6, [], most=8) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("test_type", "peer"),
    [
        (TestType.PING, "b"),
        (TestType.STRESS, "b"),
        (TestType.CONNECTIVITY, "b"),
        (TestType.TRACEROUTE, None),
        (TestType.ROUTING, None),
    ],
)
def test_whom_a_test_asks_for_a_session(test_type: TestType, peer: str | None) -> None:
    assert Turn.of(test_type, options_of(test_type, {}), "b").peer == peer


weights = st.lists(st.sampled_from(Weight), max_size=12)


@given(queue=weights, running=st.lists(st.sampled_from([D, C]), max_size=4), most=st.integers(1, 8))
def test_no_heavy_test_ever_runs_beside_one_that_it_spoils_and_everybody_gets_a_turn(
    queue: list[Weight], running: list[Weight], most: int
) -> None:
    waiting, together, rounds = list(queue), list(running)[:most], 0
    while waiting:
        chosen = next_turns(turns(waiting), turns(together), most=most)
        together += [waiting[place] for place in chosen]
        waiting = [weight for place, weight in enumerate(waiting) if place not in chosen]
        assert len(together) <= most
        if H in together:
            assert together.count(H) == 1
            assert D not in together
        if together:
            together.pop(0)
        rounds += 1
        assert rounds < 100
