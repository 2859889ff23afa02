"""Peer-supplied text cannot move a cursor, hide or reorder what stands beside it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.text import clean_text


@pytest.mark.parametrize(
    "text", ["peer1", "qudag-ops/0.1.0", "[2001:db8::1]:8000", "Zürich", "東京", "a [b] c"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u202egnirts",
        "a\u200bb",
        "\u2066x",
        "\x9b1m",
        "a\u2028b",
        "\ud800",
    ],
)
def test_unsafe_characters_are_replaced(text: str) -> None:
    cleaned = clean_text(text)
    assert "\N{REPLACEMENT CHARACTER}" in cleaned
    assert len(cleaned) == len(text)


@given(st.text())
def test_the_result_is_short_and_safe(text: str) -> None:
    cleaned = clean_text(text, 20)
    assert len(cleaned) <= 20
    assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
