from __future__ import annotations

from array import array
from math import nan

from qudag_node.wire import pack_column
from qudag_tui.model.answers import HISTORY_SERIES, read_detail, read_events, read_past
from qudag_tui.model.state import NodeEvent, Severity
from qudag_tui.model.trail import MAX_POINTS, Point


def test_events_are_read_and_cleaned() -> None:
    found = [
        {"seq": 3, "unix_s": 5.5, "kind": "link-up", "severity": "warning", "subject": "a\x1b", "text": None},
        {"seq": "x", "severity": "unheard of"},
        "nonsense",
    ]
    assert read_events(found) == (
        NodeEvent(seq=3, unix_s=5.5, kind="link-up", severity=Severity.WARNING, subject="a�"),
        NodeEvent(seq=0, unix_s=0.0, kind=""),
    )
    assert read_events({"no": "list"}) == ()
    assert len(read_events([{}] * 10_000)) == 2000


def test_a_peer_is_read_with_what_nobody_listed() -> None:
    detail = read_detail(
        "me",
        {
            "row": {"rtt_p50_s": 0.5, "new_figure": 7},
            "by_type": {"data\x1b": {"sent": 3, "dropped_out": 1}, "odd": 5},
            "tcp": {"rtt_s": 0.1, "mss_bytes": 1448},
            "events": [{"seq": 1, "kind": "old"}, {"seq": 2, "kind": "new"}],
            "aliases": [],
            "path": ["a", "b\n", 7],
        },
    )
    assert detail.by_type["data�"].dropped == 1
    assert detail.by_type["odd"].sent == 0
    assert [event.kind for event in detail.events] == ["new", "old"]
    assert detail.path == ("a", "b�")
    assert detail.extra == {"tcp.mss_bytes": 1448, "new_figure": 7}


def test_an_empty_answer_is_an_empty_page() -> None:
    assert read_detail("me", {}).by_type == {}
    assert read_detail("me", {"by_type": None, "row": None, "path": None}).path == ()


def test_the_past_leaves_gaps_where_nothing_is_known() -> None:
    received, sent = HISTORY_SERIES
    answer = {
        "from_unix_s": 100.0,
        "step_s": 2.0,
        "series": {
            received: pack_column("f4", array("f", [1.0, nan, 3.0])),
            sent: pack_column("f4", array("f", [nan, nan])),
        },
    }
    assert read_past(answer) == (
        Point(at_unix_s=101.0, interval_s=2.0, received_bytes_per_s=1.0, sent_bytes_per_s=None),
        Point(at_unix_s=105.0, interval_s=2.0, received_bytes_per_s=3.0, sent_bytes_per_s=None),
    )


def test_a_malformed_past_is_none() -> None:
    assert read_past({}) == ()
    assert read_past({"series": {}, "step_s": 0}) == ()
    assert read_past({"series": {HISTORY_SERIES[0]: "x"}, "step_s": 1.0}) == ()
    long = {
        "series": {HISTORY_SERIES[0]: pack_column("f4", array("f", [1.0]) * 5000)},
        "step_s": 1.0,
        "from_unix_s": 0,
    }
    assert len(read_past(long)) == MAX_POINTS
