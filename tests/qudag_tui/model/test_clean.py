from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.model.clean import LIMIT, clean, clean_column


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("peer1", "peer1"),
        ("", ""),
        ("evil\x1b]0;PWNED\x07", "evil�]0;PWNED�"),
        ("a\r\nb\tc", "a��b�c"),
        ("abc\u202egnp.exe", "abc�gnp.exe"),
        ("c1\x9b31m", "c1�31m"),
        ("zero\u200bwidth\ufeff", "zero�width�"),
        ("line\u2028end", "line�end"),
        ("heart❤\ufe0f", "heart❤�"),
        ("Z" + "\u0301" * 40, "Z\u0301\u0301"),
        ("[bold]markup[/]", "[bold]markup[/]"),
        ("Ñandú 名前", "Ñandú 名前"),
    ],
)
def test_characters_that_do_not_print_become_visible(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_long_text_is_cut() -> None:
    assert len(clean("x" * 10_000)) == LIMIT
    assert clean("abcdef", limit=3) == "abc"


@given(st.lists(st.text(max_size=300), max_size=20))
def test_a_column_is_cleaned_like_its_texts(texts: list[str]) -> None:
    assert clean_column(texts) == tuple(clean(text) for text in texts)


@given(st.text())
def test_clean_text_prints_and_stays_clean(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned
