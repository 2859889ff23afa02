"""The summaries, progress lines and comparisons as they look on a terminal of 80 columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from syrupy.assertion import SnapshotAssertion

from qudag_tui.views.nettests.comparison import compare
from qudag_tui.views.nettests.metrics import KEY_METRICS, METRICS, find_metric
from qudag_tui.views.nettests.parts import Style, ascii_text
from qudag_tui.views.nettests.progress import progress_line
from qudag_tui.views.nettests.summary import many_table, summary_lines, worst_first
from qudag_tui.views.nettests.thresholds import Verdict, parse_thresholds
from qudag_tui.views.text import cell_width
from tests.conftest import REPO
from tests.qudag_tui import results
from tests.snapshots import TextSnapshot

SCHEMA = json.loads((REPO / "docs" / "test-results.json").read_text("utf-8"))


@pytest.mark.parametrize("name", results.EXAMPLES)
def test_a_summary_fits_80_columns(name: str, snapshot: SnapshotAssertion) -> None:
    lines = summary_lines(results.EXAMPLES[name](), Style(80))
    assert max(map(cell_width, lines)) <= 80
    assert "\n".join(lines) == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize("name", results.EXAMPLES)
def test_the_verdict_comes_first_and_colour_moves_nothing(name: str) -> None:
    document = results.EXAMPLES[name]()
    bare = summary_lines(document, Style(80))
    painted = summary_lines(document, Style(80, colour=True))
    assert str(document["declined"] or document["verdict"])[:40] in bare[0]
    stripped = [line.replace("\x1b[0m", "") for line in painted]
    for code in ("1", "2", "31", "32", "33"):
        stripped = [line.replace(f"\x1b[{code}m", "") for line in stripped]
    assert [line.rstrip() for line in stripped] == bare


def test_what_was_left_out_is_said_of_a_rate_that_still_moved_too() -> None:
    text = " ".join(" ".join(summary_lines(results.bandwidth(steady=False), Style(80))).split())
    assert "run longer" in text
    assert "the first 2.0 s left out" in text


def test_a_test_that_measured_nothing_has_nothing_to_say_of_the_host() -> None:
    environment = results.noisy()["environment"]
    document = results.result(
        "ping", "none", "there is no way to peer2", {"success": False, "environment": environment}
    )
    assert summary_lines(document, Style(80)) == [
        "FAILED  there is no way to peer2",
        "ping peer2  12D3KooW…UVQoco  1 hop  10.0 s  id k3j5xq2a7b6c",
    ]


@pytest.mark.parametrize("name", results.EXAMPLES)
def test_an_example_is_of_the_schema(name: str) -> None:
    Draft202012Validator(SCHEMA).validate(results.EXAMPLES[name]())


@pytest.mark.parametrize("test_type", METRICS)
@pytest.mark.parametrize("broken", [{}, {"rtt": 3, "hops": "x", "steps": [1], "peers": None, "drops": [{}]}])
def test_a_document_without_figures_is_shown_too(test_type: str, broken: dict[str, Any]) -> None:
    document = results.result(test_type, "stamp-udp", "it failed", {"success": False, **broken})
    assert summary_lines(document, Style(80))[0] == "FAILED  it failed"
    assert [metric.name for metric in METRICS[test_type] if metric.of({}) is not None] == []


@pytest.mark.parametrize("test_type", METRICS)
def test_the_figures_of_tables_are_figures_of_the_test(test_type: str) -> None:
    assert KEY_METRICS[test_type].keys() <= {metric.name for metric in METRICS[test_type]}
    document = results.EXAMPLES[test_type]()
    assert any(metric.of(document) is not None for metric in METRICS[test_type] if metric.name != "duration")


@pytest.mark.parametrize(
    ("word", "name"),
    [("p99", "p99"), ("P99.9", "p999"), ("median", "p50"), ("rtt.p95_s", "p95"), ("loss_ratio", "loss"),
     ("forward-loss", "forward_loss"), ("rtt", "p50")],
)  # fmt: skip
def test_a_figure_has_the_names_that_people_use(word: str, name: str) -> None:
    assert find_metric("ping", word).name == name


@pytest.mark.parametrize(
    ("written", "is_crossed"),
    [
        ("p99>58ms", True),
        ("p99>59ms", False),
        ("p99>=0.0581s", True),
        ("p50<60ms", True),
        ("loss>3.9%", False),
        ("loss>=3.9%", True),
        ("loss>0", True),
        ("loss>0.03", True),
        ("forward_loss>2%", False),
        ("reordered>1", True),
        ("sent<1k", False),
        ("jitter>300us", True),
        ("jitter > 313µs", False),
        ("p999>1s", True),
    ],
)
def test_thresholds_are_read_with_their_units(written: str, *, is_crossed: bool) -> None:
    (threshold,) = parse_thresholds("ping", [written])
    assert threshold.judge(results.ping()).is_crossed is is_crossed


def test_rates_are_read_with_their_units() -> None:
    for written in (
        "goodput<50mbit",
        "goodput<0.05gbit/s",
        "goodput<50Mb/s",
        "goodput<50mbps",
        "goodput<50000k",
    ):
        (threshold,) = parse_thresholds("bandwidth", [written])
        assert threshold.limit == pytest.approx(50e6)
        assert threshold.judge(results.bandwidth()).is_crossed


def test_more_is_better_of_goodput_and_worse_of_delay() -> None:
    before, now = (
        results.bandwidth(goodput_bits_per_s=40e6),
        results.bandwidth(rtt_loaded=results.summary(0.09)),
    )
    words = {of.metric.name: of.word for of in compare(before, now)}
    assert (words["goodput"], words["p50"], words["retransmits"]) == ("better", "worse", "same")


def test_what_hardly_differs_is_the_same() -> None:
    before = results.ping(rtt=results.summary(0.0510), loss_ratio=0.0385)
    words = {of.metric.name: of.word for of in compare(before, results.ping())}
    assert (words["p50"], words["loss"]) == ("same", "same")


def test_figures_of_one_run_alone_are_named_so() -> None:
    words = {of.metric.name: of.word for of in compare(results.ping(forward_delay=None), results.ping())}
    assert words["forward_p50"] == "only now"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 132])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("done", [None, 0.0, 0.42, 1.0])
def test_a_progress_line_never_wraps(width: int, *, ascii_only: bool, done: float | None) -> None:
    progress = {
        "done": done,
        "line": "420 of 1000, p50 50.1 ms, 1.90 % lost there, 2.00 % lost back, and more",
    }
    line = progress_line("ping peer2", progress, elapsed_s=4.2, width=width, ascii_only=ascii_only)
    assert cell_width(line) < width
    assert line.isascii() or not ascii_only
    if width >= 60 and done is not None:
        assert f"{done * 100:.0f} %" in line


def test_many_peers_are_ordered_by_what_is_worst() -> None:
    good, lossy = results.ping(loss_ratio=0.0), results.ping(loss_ratio=0.5)
    rows: list[tuple[str, results.Result | None, str, list[Verdict]]] = [
        ("a", good, "", []),
        ("b", None, "no way to it", []),
        ("c", lossy, "", []),
    ]
    assert [row[0] for row in worst_first(rows, "ping")] == ["b", "c", "a"]
    lines = many_table(rows, "ping", Style(80))
    assert max(map(cell_width, lines)) <= 80
    assert "b: no way to it" in lines


def test_ascii_has_a_likeness_for_every_letter_of_ours() -> None:
    for name in results.EXAMPLES:
        for line in summary_lines(results.EXAMPLES[name](), Style(None)):
            assert ascii_text(line).isascii()
