"""Plain tables: aligned by cells, squeezed by rank, painted last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.views.table import Column, paint, render_table
from qudag_tui.views.text import cell_width, clean

COLUMNS = [
    Column("peer", least=4),
    Column("rtt", right=True),
    Column("address", rank=1),
    Column("agent", rank=2),
]
ROWS = [
    ["peer1", "1.23 ms", "10.0.0.1:9000", "qudag"],
    ["日本語", "12.3 ms", "[::1]:9000", "other"],
]


def test_cells_are_aligned_whatever_their_script() -> None:
    assert render_table(COLUMNS, ROWS) == [
        "peer        rtt  address        agent",
        "peer1   1.23 ms  10.0.0.1:9000  qudag",
        "日本語  12.3 ms  [::1]:9000     other",
    ]


def test_what_does_not_fit_is_left_out_by_rank_and_then_cut() -> None:
    assert render_table(COLUMNS, ROWS, width=33) == [
        "peer        rtt  address",
        "peer1   1.23 ms  10.0.0.1:9000",
        "日本語  12.3 ms  [::1]:9000",
    ]
    assert render_table(COLUMNS, ROWS, width=13) == [
        "peer      rtt",
        "pee…  1.23 ms",
        "日…   12.3 ms",
    ]


def test_colour_does_not_move_a_column() -> None:
    plain = render_table([Column("a"), Column("b")], [["x", "1"], [("long", "bad"), "2"]])
    painted = render_table([Column("a"), Column("b")], [["x", "1"], [("long", "bad"), "2"]], colour=True)
    assert painted[2] == "\x1b[31mlong\x1b[0m  2"
    assert plain[2] == "long  2"
    assert paint("x", "bad", colour=False) == "x"


def test_a_table_without_rows_is_its_head() -> None:
    assert render_table([Column("a"), Column("b")], []) == ["a  b"]
    assert render_table([Column("a")], [], head=False) == []


@given(
    st.lists(st.lists(st.text(max_size=12).map(clean), min_size=4, max_size=4), max_size=6),
    st.integers(20, 80),
)
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    columns = [Column("a", least=2), Column("b", rank=1, least=3), Column("c", rank=2), Column("d", rank=3)]
    assert all(cell_width(line) <= width for line in render_table(columns, rows, width=width))
