from __future__ import annotations

from qudag_node.overlay.gauges import Turns


def test_few_are_all_picked_every_time() -> None:
    turns: Turns[str] = Turns(3)
    assert turns.next_of([]) == []
    assert turns.next_of(["a", "b", "c"]) == turns.next_of(["a", "b", "c"]) == ["a", "b", "c"]


def test_many_are_picked_in_turn() -> None:
    turns: Turns[int] = Turns(3)
    assert [turns.next_of([0, 1, 2, 3, 4]) for _ in range(3)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]


def test_turns_survive_a_change_of_number() -> None:
    turns: Turns[int] = Turns(2)
    for number in (5, 3, 100, 2, 7):
        assert len(turns.next_of(list(range(number)))) == 2
