from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.views.spans import (
    Role,
    Span,
    beside,
    blank,
    difference,
    fit_line,
    fitted,
    line_width,
    plain,
    spread,
    stacked,
    words,
)

TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Mn", "Me")), max_size=12)
)


@given(TEXTS, st.integers(0, 40))
def test_a_fitted_line_is_exactly_as_wide_as_asked(texts: list[str], width: int) -> None:
    assert line_width(fit_line(tuple(Span(text) for text in texts), width)) == width


def test_roles_survive_fitting() -> None:
    line = fit_line(words("ab", Span("cdef", Role.BAD)), 4)
    assert line == (Span("ab"), Span("c…", Role.BAD))
    assert fitted("7", 3, Role.WARN, right=True) == Span("  7", Role.WARN)


def test_the_left_yields_to_the_right() -> None:
    assert plain(spread(words("abcdef"), words("XY"), 6)) == "abc…XY"
    assert plain(spread(words("ab"), words("WXYZ"), 3)) == "WX…"


def test_blocks_stand_beside_and_under_each_other() -> None:
    left, right = [words("a"), words("b")], [words("X")]
    assert [plain(line) for line in beside(left, right, (2, 2), 1)] == ["a  X ", "b    "]
    assert [plain(line) for line in stacked([left, [], right])] == ["a", "b", "", "X"]
    assert plain(blank(3)) == "   "


def test_only_what_differs_is_painted() -> None:
    before, after = words("abc", "12", "xyz", "end"), words("abc", "17", "xyz", "end")
    assert difference(before, after, 11) == (3, 5)
    assert difference(before, before, 11) == (0, 0)
    assert difference(words("ab"), words("ab", "c"), 5) == (2, 5)
    assert difference((), words("a"), 3) == (0, 3)
    assert difference(words("aa", "b"), words("aa", "b", "b"), 4) == (3, 4)
    assert difference(words("宽", "1"), words("宽", "2"), 3) == (2, 3)


SPANS = st.lists(st.sampled_from(["a", "bc", "宽", "", "ddd"]), max_size=8)


@given(SPANS, SPANS)
def test_outside_of_the_difference_two_lines_are_the_same(one: list[str], other: list[str]) -> None:
    width = 30
    before, after = fit_line(words(*one), width), fit_line(words(*other), width)
    left, right = difference(before, after, width)
    assert 0 <= left <= right <= width
    old, new = plain(before).replace("宽", "宽\0"), plain(after).replace("宽", "宽\0")
    assert old[:left] == new[:left]
    assert old[right:] == new[right:]
