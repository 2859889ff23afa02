from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.views.spans import (
    Role,
    Span,
    beside,
    blank,
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
