"""Figures in sentences."""

from __future__ import annotations

import pytest

from qudag_node.nettests.words import count_of, delay, listed, percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.000 ms"),
        (0.0000123, "0.012 ms"),
        (0.000999, "0.999 ms"),
        (0.0009996, "1.00 ms"),
        (0.00123, "1.23 ms"),
        (0.0251, "25.1 ms"),
        (0.25149, "251 ms"),
        (1.239, "1.24 s"),
        (75.0, "75.0 s"),
        (-0.0021, "-2.10 ms"),
    ],
)
def test_delays(seconds: float, text: str) -> None:
    assert delay(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0, "0 %"),
        (0.00001, "under 0.01 %"),
        (0.0125, "1.25 %"),
        (0.5, "50 %"),
        (0.9951, "99.51 %"),
        (0.99995, "over 99.99 %"),
        (1.0, "100 %"),
    ],
)
def test_shares(ratio: float, text: str) -> None:
    assert percent(ratio) == text


def test_counts_and_names() -> None:
    assert count_of(1, "hop") == "1 hop"
    assert count_of(1200, "hop") == "1,200 hops"
    assert count_of(2, "reply", "replies") == "2 replies"
    assert listed(["a", "b"]) == "a, b"
    assert listed([*"abcdef"]) == "a, b, c, d and 2 more"
