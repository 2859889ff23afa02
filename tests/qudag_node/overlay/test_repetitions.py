"""What strangers repeat is told once in a while, with how often, and takes bounded memory."""

from __future__ import annotations

from qudag_node.overlay.repetitions import Repetitions


def test_the_first_is_told_and_the_next_one_after_10_s_says_how_many_were_not() -> None:
    repetitions = Repetitions()
    assert repetitions.admit("closed", "a", "one", 0.0) == ("a", "one")
    assert [repetitions.admit("closed", "a", "two", at) for at in (0.1, 5.0, 9.9)] == [None] * 3
    assert repetitions.admit("closed", "b", "one", 1.0) == ("b", "one")
    assert repetitions.admit("refused", "a", "one", 1.0) == ("a", "one")
    told = repetitions.admit("closed", "a", "three", 10.0)
    assert told == ("a", "three (and 3 times since the last such line)")
    assert repetitions.admit("closed", "a", "four", 25.0) == ("a", "four")


def test_many_subjects_become_one_and_are_forgotten() -> None:
    repetitions = Repetitions()
    told = [repetitions.admit("closed", str(number), "x", 0.0) for number in range(1000)]
    assert [each for each in told if each is not None][-1] == ("*", "x")
    assert sum(each is not None for each in told) == 257
    assert len(repetitions) == 257
    told_later = repetitions.admit("closed", "new", "x", 11.0)
    assert told_later == ("*", "x (and 743 times since the last such line)")
    assert len(repetitions) == 1
