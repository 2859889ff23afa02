"""The round trips of single links, taken from traces to several peers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qudag_node.nettests.hops import Answer, HopTable, PathReport
from qudag_node.nettests.linkrtts import LinkRtts


def traced(*rounds: Sequence[tuple[str, float]]) -> PathReport:
    """What rounds of traces say: of each who answered at each hop, and after how long; "" is nobody."""
    table = HopTable(max_hops=8, expected_hops=len(rounds[0]))
    for number, answers in enumerate(rounds):
        for ttl, (source, rtt_s) in enumerate(answers, start=1):
            table.sent(number, ttl, 0.0)
            reason = "reached" if ttl == len(answers) else "ttl"
            if source:
                assert table.answered(
                    number, ttl, Answer(source=source, reason=reason, hops=ttl, rtt_s=rtt_s)
                )
        table.close(number)
    return table.report()


def test_the_links_of_a_way_that_nobody_traced_as_a_whole_add_up() -> None:
    rtts = LinkRtts(
        "a",
        [
            traced([("b", 0.010)]),
            traced([("c", 0.005), ("d", 0.035)]),
            traced([("b", 0.012), ("d", 0.040)]),
        ],
    )
    assert rtts.rtt_s("ab") == pytest.approx(0.010), "the median, nearest rank, of two"
    assert rtts.rtt_s("abd") == pytest.approx(0.010 + 0.028)
    assert rtts.rtt_s("abdc") == pytest.approx(0.010 + 0.028 + 0.030), "links are the same in both directions"
    assert rtts.rtt_s("abc") is None, "b to c was not traced"
    assert rtts.rtt_s([]) is None


def test_a_link_is_known_only_where_both_ends_answered_on_a_way_that_did_not_change() -> None:
    silent = traced([("b", 0.01), ("", 0.0), ("d", 0.03), ("e", 0.04)])
    rtts = LinkRtts("a", [silent])
    assert rtts.rtt_s("ab") == pytest.approx(0.01)
    assert rtts.rtt_s("bd") is None
    assert rtts.rtt_s("de") == pytest.approx(0.01)
    changed = traced([("b", 0.01), ("d", 0.03)], [("c", 0.01), ("d", 0.03)])
    assert LinkRtts("a", [changed]).rtt_s("ab") is None


def test_the_best_that_is_known_is_never_more_than_what_was_taken() -> None:
    rtts = LinkRtts("a", [traced([("b", 0.010), ("d", 0.030)])])
    assert rtts.best_known_s("acd", 0.090, "abd") == pytest.approx(0.030)
    assert rtts.best_known_s("acd", 0.020, "abd") == 0.020, "the map was wrong"
    assert rtts.best_known_s("abd", 0.033, "abd") == 0.033, "the way taken is the best: its own round trip"
    assert rtts.best_known_s("abd", 0.033, "acd") is None, "nobody traced the way over c"
    assert rtts.best_known_s("a", None, "abd") == pytest.approx(0.030)
    assert rtts.best_known_s("a", None, []) is None
