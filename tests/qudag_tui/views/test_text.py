"""Units, cells and cleaning, by table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.views import text

NAN = float("nan")


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("peer1", "peer1"),
        ("", ""),
        ("evil\x1b]0;PWNED\x07", "evil\ufffd)0;PWNED\ufffd"),
        ("a\nb\tc", "a\ufffdb\ufffdc"),
        ("\u202eright to left", "\ufffdright to left"),
        ("zero\u200bwidth", "zero\ufffdwidth"),
        ("soft\u00adhyphen", "soft\ufffdhyphen"),
        ("line\u2028separator", "line\ufffdseparator"),
        ("lone\ud800surrogate", "lone\ufffdsurrogate"),
        ("[bold red]x[/bold red]", "(bold red)x(/bold red)"),
        ("[link=http://evil]x", "(link=http://evil)x"),
        ("[::1]:9000", "[::1]:9000"),
        ("[fe80::1%eth0]:9000", "[fe80::1%eth0]:9000"),
        ("[fe80::1%eth0 bold]", "(fe80::1%eth0 bold)"),
        ("dial [2001:db8::7]:1 [/b]", "dial [2001:db8::7]:1 (/b)"),
        ("[[[", "((("),
        ("]][", "))("),
        ("[@click=app.quit]q[/]", "(@click=app.quit)q(/)"),
        ("日本語", "日本語"),
        ("e\u0301", "e\u0301"),
        ("z" + "\u0301" * 50, "z\u0301\u0301"),
        ("a\ufe0fb", "a\ufffdb"),
        ("x" * 300, "x" * 256),
    ],
)
def test_a_strangers_text_becomes_safe(given_text: str, expected: str) -> None:
    assert text.clean(given_text) == expected


@given(st.text(max_size=400))
def test_cleaning_leaves_nothing_dangerous_and_is_idempotent(stranger: str) -> None:
    safe = text.clean(stranger)
    assert safe.isprintable()
    assert len(safe) <= text.MAX_TEXT
    assert text.clean(safe) == safe


@given(st.text(alphabet="[]/a:b1%@= ", max_size=40))
def test_cleaned_text_reads_the_same_through_rich_markup(stranger: str) -> None:
    from rich.text import Text

    safe = text.clean(stranger)
    if "[" not in safe:
        assert Text.from_markup(safe, emoji=False).plain == safe


def test_a_tree_is_cleaned_to_its_leaves_and_keys() -> None:
    tree = {"agent": {"\x1b[31m": 3}, "rows": ["a\nb", b"\x00", 4, None]}
    assert text.clean_tree(tree) == {"agent": {"\ufffd(31m": 3}, "rows": ["a\ufffdb", b"\x00", 4, None]}


@pytest.mark.parametrize(
    ("given_text", "width", "right", "expected"),
    [
        ("ab", 4, False, "ab  "),
        ("ab", 4, True, "  ab"),
        ("abcdef", 4, False, "abc…"),
        ("abcdef", 1, False, "…"),
        ("abcdef", 0, False, ""),
        ("日本語", 6, False, "日本語"),
        ("日本語", 5, False, "日本…"),
        ("日本語", 4, False, "日… "),
        ("日本語", 7, True, " 日本語"),
        ("e\u0301x", 3, False, "e\u0301x "),
    ],
)
def test_text_is_fitted_by_cells(given_text: str, width: int, right: bool, expected: str) -> None:
    assert text.fit(given_text, width, right=right) == expected


@given(st.text(max_size=30).map(text.clean), st.integers(0, 20), st.booleans())
def test_a_fitted_text_has_exactly_its_width(stranger: str, width: int, right: bool) -> None:
    assert text.cell_width(text.fit(stranger, width, right=right)) == width


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (text.format_count, None, "-"),
        (text.format_count, NAN, "-"),
        (text.format_count, float("inf"), "-"),
        (text.format_count, 0, "0"),
        (text.format_count, 999, "999"),
        (text.format_count, 1000, "1.00k"),
        (text.format_count, 12_345, "12.3k"),
        (text.format_count, 999_499, "999k"),
        (text.format_count, 999_500, "1.00M"),
        (text.format_count, -5, "-5"),
        (text.format_rate, 0, "0.00"),
        (text.format_rate, 9.994, "9.99"),
        (text.format_rate, 9.996, "10.0"),
        (text.format_rate, 99.96, "100"),
        (text.format_rate, 999.6, "1.00k"),
        (text.format_bytes, 512, "512 B"),
        (text.format_bytes, 1536, "1.50 KiB"),
        (text.format_bytes, 3 << 30, "3.00 GiB"),
        (text.format_bits_per_s, 10_000_000, "10.0 Mb/s"),
        (text.format_bits_per_s, 0, "0.00 b/s"),
        (text.format_seconds, 0.000412, "412 µs"),
        (text.format_seconds, 0.0012345, "1.23 ms"),
        (text.format_seconds, 0.9996, "1.00 s"),
        (text.format_seconds, 0.00099951, "1.00 ms"),
        (text.format_seconds, -0.002, "-2.00 ms"),
        (text.format_ratio, 0.125, "12.5 %"),
        (text.format_ratio, 1, "100 %"),
        (text.format_ratio, None, "-"),
        (text.format_age, 9.9, "9s"),
        (text.format_age, 187, "3m 07s"),
        (text.format_age, 18_720, "5h 12m"),
        (text.format_age, 1_051_200, "12d 04h"),
        (text.format_age, -3, "0s"),
        (text.format_timestamp, 1_769_862_601.4, "2026-01-31T12:30:01Z"),
        (text.format_timestamp, None, "-"),
    ],
)
def test_units(function: Callable[[float | None], str], value: float | None, expected: str) -> None:
    assert function(value) == expected


def test_a_clock_is_local_unless_asked() -> None:
    assert text.format_clock(1_769_862_601, utc=True) == "12:30:01"
    assert text.format_clock(None) == "-"


def test_ascii_only_terminals_get_us() -> None:
    assert text.format_seconds(0.000412, ascii_only=True) == "412 us"


@given(st.floats(min_value=0, max_value=1e17))
def test_figures_keep_their_width(value: float) -> None:
    assert len(text.format_rate(value)) <= 5
    assert len(text.format_bytes(value)) <= 8
    assert len(text.format_bits_per_s(min(value, 9e14))) <= 9
