import pytest

from qudag_node.lab.forwarding import Waiting


def test_sleep_ends_early_and_the_rest_is_polled() -> None:
    waiting = Waiting()
    assert waiting.timeout_s(10.0, 10.5) == pytest.approx(0.4999)
    assert waiting.timeout_s(10.49995, 10.5) == 0.0


def test_what_is_overdue_is_not_slept_on() -> None:
    assert Waiting().timeout_s(10.0, 9.0) == 0.0


def test_polling_ends_at_a_twentieth_of_a_processor_until_the_next_window() -> None:
    waiting, now_s, polled_s = Waiting(), 10.0, 0.0
    while now_s < 10.2:
        due_s = now_s + 90e-6
        timeout_s = waiting.timeout_s(now_s, due_s)
        assert timeout_s in (0.0, pytest.approx(90e-6))
        polled_s += 0.0 if timeout_s else 90e-6
        now_s = due_s
    assert polled_s == pytest.approx(0.0125, rel=0.02)
    assert waiting.timeout_s(10.26, 10.2601) == 0.0
