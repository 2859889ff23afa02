"""History as table, CSV, JSON and chart; answers of a node as facts; CSV cells."""

from __future__ import annotations

from math import inf, nan, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from qudag_tui.views.csv import csv_line
from qudag_tui.views.facts import fact, facts, records
from qudag_tui.views.history_chart import history_chart, runs
from qudag_tui.views.history_text import History, figure_of, history_csv, history_json, history_table
from qudag_tui.views.text import cell_width
from tests.qudag_tui.examples import NOON
from tests.snapshots import TextSnapshot


def history(points: int = 90) -> History:
    return History(
        NOON,
        10.0,
        {
            "messages.sent_rate.1s": [100.0 + 50.0 * sin(i / 9) for i in range(points)],
            "latency.links.p99": [
                nan if i in {30, 31, 50} else 0.02 + 0.005 * sin(i / 5) for i in range(points)
            ],
            "peers.x.loss_ratio": [nan] * points,
        },
    )


def test_a_table_leaves_out_moments_of_which_nothing_is_known() -> None:
    lines = history_table(History(NOON, 60.0, {"bandwidth.sent_rate.1s": [125_000.0, nan, 0.0]}))
    assert lines == [
        "time                  bandwidth.sent_rate.1s",
        "2026-01-31T12:30:00Z               1.00 Mb/s",
        "2026-01-31T12:32:00Z                0.00 b/s",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("messages.sent", 1234, "1.23k"),
        ("messages.sent_rate.10s", 12.5, "12.5"),
        ("bandwidth.sent_peak.per_s", 125_000, "1.00 Mb/s"),
        ("bandwidth.sent_bytes", 1536, "1.50 KiB"),
        ("messages.by_type.data.size_bytes.p99", 1536, "1.50 KiB"),
        ("latency.links.p99", 0.02, "20.0 ms"),
        ("latency.links.samples", 20, "20"),
        ("performance.processing_time_s.max", 0.02, "20.0 ms"),
        ("performance.tps.1s", 0.02, "0.02"),
        ("peers.12D3KooW.rtt_p50_s", 0.02, "20.0 ms"),
        ("peers.12D3KooW.sent_bytes_per_s", 125_000, "1.00 Mb/s"),
        ("resources.cpu_ratio", 0.5, "50.0 %"),
        ("node.uptime_s", 3700, "1h 01m"),
    ],
)
def test_a_series_has_the_unit_of_its_name(name: str, value: float, expected: str) -> None:
    assert figure_of(name, value) == expected


def test_csv_and_json_have_every_point() -> None:
    short = History(NOON, 0.5, {"a": [1.0, nan, 0.1 + 0.2]})
    assert history_csv(short) == ["unix_s,a", "1769862600.0,1.0", "1769862600.5,", "1769862601.0,0.3"]
    assert history_json(short) == {
        "schema": "qudag.history/1",
        "from_unix_s": NOON,
        "step_s": 0.5,
        "series": {"a": [1.0, None, 0.3]},
    }


def test_a_chart_is_frozen(snapshot: SnapshotAssertion) -> None:
    lines = history_chart(history(), width=79, rows=14, utc=True)
    assert "\n".join(lines) + "\n" == snapshot(extension_class=TextSnapshot)


def test_a_chart_of_letters_has_no_others() -> None:
    lines = history_chart(history(), width=60, rows=10, utc=True, ascii_only=True)
    assert "*" in "".join(lines)
    assert not any("\u2800" <= character <= "\u28ff" for line in lines for character in line)


@pytest.mark.parametrize(
    "values",
    [[], [nan], [inf, -inf], [1.0], [0.0, 0.0], [nan, 1.0, nan], [-1.0, 1.0], [1e300, 1e-300], [5.0] * 1000],
    ids=["none", "nan", "infinite", "one", "zero", "alone", "negative", "extreme", "many"],
)
def test_a_chart_survives_any_series(values: list[float]) -> None:
    # The library ends the process when it is given NaN: nothing must reach it.
    lines = history_chart(History(NOON, 1.0, {"x": values}), width=40, rows=8, utc=True)
    assert lines[0] == "x"
    assert all(cell_width(line) <= 40 for line in lines)


def test_a_day_and_more_is_labelled_with_its_date() -> None:
    lines = history_chart(History(NOON, 3600.0, {"x": [1.0] * 48}), width=79, rows=8, utc=True)
    assert "01-31 12:30" in lines[-1]


@given(st.lists(st.floats(width=32), max_size=40))
def test_runs_hold_every_finite_value_at_its_place(values: list[float]) -> None:
    found = {first + i: v for first, run in runs(values) for i, v in enumerate(run)}
    assert found == {i: v for i, v in enumerate(values) if v - v == 0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("uptime_s", 3700, "1h 01m"),
        ("created_unix_s", NOON, "2026-01-31T12:30:00Z"),
        ("rtt_p50_s", 0.0212, "21.2 ms"),
        ("sent_bytes_per_s", 125_000, "1.00 Mb/s"),
        ("sent_bytes", 1536, "1.50 KiB"),
        ("bytes_sent", 1536, "1.50 KiB"),
        ("loss_ratio", 0.01, "1.00 %"),
        ("pid", 123456, "123456"),
        ("peers", 123456, "123k"),
        ("lab", True, "yes"),
        ("listen", ["a", "b"], "a, b"),
        ("listen", [], "-"),
        ("name", "", "-"),
        ("name", None, "-"),
    ],
)
def test_a_fact_has_the_unit_of_its_name(name: str, value: object, expected: str) -> None:
    assert fact(name, value) == expected


def test_facts_show_what_nobody_listed() -> None:
    tree = {
        "schema": "x",
        "name": "peer1",
        "tcp": {"rtt_s": 0.02, "new": {"deep": 1}},
        "rows": [{"a": 1}],
        "e": {},
    }
    assert facts(tree) == ["name  peer1", "tcp", "  rtt_s  20.0 ms", "  new", "    deep  1"]


def test_records_are_a_table() -> None:
    rows: list[dict[str, object]] = [{"name": "a", "created_unix_s": NOON}, {"name": "bcd"}]
    assert records(rows, ["name", "created_unix_s"]) == [
        "name  created",
        "a     2026-01-31T12:30:00Z",
        "bcd   -",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["a", 1, 1.5, None], "a,1,1.5,"),
        (["a,b", 'say "x"', "two\nlines"], '"a,b","say ""x""","two\nlines"'),
        (["=cmd|' /C calc'!A0", "+1", "-x", "@y"], "'=cmd|' /C calc'!A0,'+1,'-x,'@y"),
        ([-1, -0.5], "-1,-0.5"),
    ],
)
def test_csv_cells_are_quoted_and_no_formula_survives(values: list[object], line: str) -> None:
    assert csv_line(values) == line


@given(st.lists(st.text(max_size=20) | st.integers(), min_size=2, max_size=5))
def test_csv_reads_back(values: list[object]) -> None:
    import csv
    import io

    (row,) = csv.reader(io.StringIO(csv_line(values) + "\n", newline=""))
    assert [cell.removeprefix("'") for cell in row] == [str(value).removeprefix("'") for value in values]
