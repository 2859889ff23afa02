from __future__ import annotations

from math import nan

import pytest

from qudag_tui.model.fields import BY_KEY, FIELDS, Kind
from qudag_tui.model.state import ScreenName
from qudag_tui.views.figures import (
    cell_text,
    format_bits,
    format_ms,
    format_per_s,
    format_share,
    format_short_age,
    loss_role,
)
from qudag_tui.views.glyphs import UNICODE
from qudag_tui.views.header import tab_at
from qudag_tui.views.key_line import Hint, hint_at, key_line
from qudag_tui.views.peer_columns import TRAFFIC_HISTORY, columns_at, layout_columns, state_mark
from qudag_tui.views.peer_detail import GROUPS
from qudag_tui.views.spans import Role, plain


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (nan, "-"),
        (0.0, "0.000"),
        (0.000_31, "0.310"),
        (0.000_999_6, "1.00"),
        (0.009_996, "10.0"),
        (0.0412, "41.2"),
        (0.099_96, "100"),
        (1.2, "1200"),
        (999.0, "999000"),
        (5000.0, ">1e6"),
    ],
)
def test_milliseconds_fit_six_cells(seconds: float | None, text: str) -> None:
    assert format_ms(seconds) == text
    assert len(text) <= 6


def test_nothing_at_all_is_a_plain_zero() -> None:
    assert (format_per_s(0.0), format_share(0.0), format_per_s(None), format_share(None)) == (
        "0",
        "0 %",
        "-",
        "-",
    )
    assert format_bits(125.0) == "1.00k"
    assert format_bits(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (59.9, "59s"), (60, "1m"), (7200, "2h"), (86_400 * 2000, "999d")]
)
def test_an_age_fits_four_cells(seconds: float, text: str) -> None:
    assert format_short_age(seconds) == text


def test_loss_is_remarkable_then_bad() -> None:
    assert [loss_role(ratio) for ratio in (None, 0.0, 0.01, 0.011, 0.051)] == [
        Role.TEXT,
        Role.TEXT,
        Role.TEXT,
        Role.WARN,
        Role.BAD,
    ]


def test_every_kind_has_its_format() -> None:
    shown = {kind: cell_text(90.0, kind, 100.0) for kind in Kind}
    assert shown == {
        Kind.TEXT: "90",
        Kind.SECONDS: "90000",
        Kind.SINCE: "10s",
        Kind.BITS_PER_S: "720",
        Kind.BYTES: "90 B",
        Kind.PER_S: "90.0",
        Kind.COUNT: "90",
        Kind.RATIO: "9000 %",
    }
    assert cell_text("", Kind.TEXT, 0.0) == "-"
    assert cell_text(0.0, Kind.SINCE, 100.0) == "-"


def test_every_field_has_a_column_and_a_place_on_the_page_of_a_peer() -> None:
    for width in (80, 200):
        assert set(columns_at(width)) == {field.key for field in FIELDS} | {"history", "traffic"}
    on_page = [key for keys in GROUPS.values() for key in keys]
    assert sorted(on_page) == sorted(set(BY_KEY) - {"name", "id"})


def test_columns_are_never_cut_in_the_middle() -> None:
    for width in range(20, 260):
        for skipped in (0, 5, 60):
            layout = layout_columns(width, skipped)
            last = layout.columns[-1]
            assert layout.columns[0].key == "name"
            assert last.left + last.width <= max(width, 12)
            assert layout.before + len(layout.columns) + layout.after == len(columns_at(width))


def test_scrolling_reaches_every_column() -> None:
    seen: set[str] = set()
    skipped = 0
    while True:
        layout = layout_columns(80, skipped)
        seen |= {column.key for column in layout.columns}
        if not layout.after:
            break
        skipped += 1
    assert seen == set(columns_at(80))


def test_a_column_is_found_by_where_it_stands() -> None:
    layout = layout_columns(80, 0)
    rtt = next(column for column in layout.columns if column.key == "rtt")
    assert layout.at(rtt.left) == rtt
    assert layout.at(rtt.left + rtt.width) is None
    assert TRAFFIC_HISTORY not in layout.keys


def test_every_state_has_a_sign_of_its_own() -> None:
    states = ("connected", "connecting", "backoff", "banned", "known")
    assert len({state_mark(state, UNICODE)[0] for state in states}) == len(states)


def test_keys_and_tabs_are_found_by_where_they_stand() -> None:
    hints = [Hint("? h", "help", "", "help"), Hint("q", "quit", "", "quit")]
    line = plain(key_line(hints, 40))
    assert line.startswith(" ? help  q quit")
    assert hint_at(hints, line.index("q quit"), 40) == hints[1]
    assert hint_at(hints, 0, 40) is None
    assert hint_at(hints, line.index("q quit"), 12) is None
    assert [tab_at(x) for x in (0, 1, 12, 13, 14, 60)] == [
        None,
        ScreenName.OVERVIEW,
        ScreenName.OVERVIEW,
        None,
        ScreenName.PEERS,
        None,
    ]
