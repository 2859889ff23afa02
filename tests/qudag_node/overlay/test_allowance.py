from __future__ import annotations

import pytest

from qudag_node.overlay.allowance import Allowance

PEER, STRANGER, NEIGHBOUR, OTHER = b"peer", b"stranger", b"neighbour", b"other"


def taken(allowance: Allowance, source: bytes, came_from: bytes, count: int, now_s: float = 0.0) -> int:
    return sum(allowance.take(source, came_from, now_s) for _ in range(count))


def test_strangers_have_little_and_a_neighbour_a_part_of_it() -> None:
    allowance = Allowance()
    assert taken(allowance, STRANGER, NEIGHBOUR, 1000) == 400
    assert taken(allowance, PEER, NEIGHBOUR, 10) == 0
    assert taken(allowance, PEER, OTHER, 1000) == 400
    assert taken(allowance, PEER, b"third", 10) == 0
    assert taken(allowance, STRANGER, NEIGHBOUR, 1000, 1.0) == 100


def test_what_was_agreed_is_taken_and_costs_others_nothing() -> None:
    allowance = Allowance()
    expected = allowance.expect(PEER, 1000.0, 0.0)
    assert taken(allowance, PEER, NEIGHBOUR, 1250) == 1250
    assert taken(allowance, STRANGER, NEIGHBOUR, 1000) == 400
    assert taken(allowance, PEER, NEIGHBOUR, 2000, 1.0) == 1250 + 100
    allowance.forget(PEER, expected)
    assert taken(allowance, PEER, NEIGHBOUR, 1000, 2.0) == 100


def test_two_tests_with_one_peer_add_up_and_end_apart() -> None:
    allowance = Allowance()
    one, other = allowance.expect(PEER, 100.0, 0.0), allowance.expect(PEER, 200.0, 0.0)
    taken(allowance, STRANGER, NEIGHBOUR, 1000)
    assert taken(allowance, PEER, NEIGHBOUR, 1000) == 125 + 250
    allowance.forget(PEER, one)
    taken(allowance, STRANGER, NEIGHBOUR, 1000, 10.0)
    assert taken(allowance, PEER, NEIGHBOUR, 1000, 10.0) == 250
    allowance.forget(PEER, other)


def test_a_slow_test_may_come_in_a_burst() -> None:
    allowance = Allowance()
    allowance.expect(PEER, 1.0, 0.0)
    taken(allowance, STRANGER, NEIGHBOUR, 1000)
    assert taken(allowance, PEER, NEIGHBOUR, 1000) == 64


def test_what_is_expected_is_bounded_and_positive() -> None:
    allowance = Allowance()
    with pytest.raises(ValueError, match="positive"):
        allowance.expect(PEER, 0.0, 0.0)
    for number in range(4096):
        allowance.expect(number.to_bytes(2), 1.0, 0.0)
    with pytest.raises(ValueError, match="4096"):
        allowance.expect(PEER, 1.0, 0.0)
