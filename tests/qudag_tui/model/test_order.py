from __future__ import annotations

from array import array
from math import nan

import pytest

from qudag_tui.model.fields import BY_KEY, FIELDS
from qudag_tui.model.filters import Filter, parse_filter
from qudag_tui.model.order import Sort, arrange, worst_first
from qudag_tui.model.peers import Peers
from qudag_tui.model.quality import grade
from qudag_tui.views.glyphs import UNICODE
from qudag_tui.views.latency import link_mark
from tests.qudag_tui.examples import NOON, sample

PEERS = sample().peers


def shown(sort: Sort, wanted: str = "") -> str:
    return " ".join(PEERS.labels[row] for row in arrange(PEERS, sort, parse_filter(wanted), NOON))


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        (Sort(), "peer2 peer3 peer4 peer5 peer9"),
        (Sort("name", descending=True), "peer9 peer5 peer4 peer3 peer2"),
        (Sort("rtt", descending=True), "peer5 peer3 peer4 peer2 peer9"),
        (Sort("rtt"), "peer2 peer4 peer3 peer5 peer9"),
        (Sort("up", descending=True), "peer5 peer4 peer3 peer2 peer9"),
        (Sort("up"), "peer2 peer3 peer4 peer5 peer9"),
        (Sort("dir"), "peer2 peer4 peer9 peer3 peer5"),
        (Sort("dir", descending=True), "peer3 peer5 peer9 peer2 peer4"),
        (Sort("alias"), "peer2 peer3 peer4 peer5 peer9"),
        (Sort("drop_out", descending=True), "peer5 peer2 peer3 peer4 peer9"),
    ],
)
def test_rows_come_in_order_with_the_unknown_last(sort: Sort, names: str) -> None:
    assert shown(sort) == names


def test_a_filter_and_a_sort_together() -> None:
    assert shown(Sort("rtt", descending=True), "dir:in") == "peer4 peer2"


def test_words_sort_from_a_and_figures_from_the_largest() -> None:
    assert Sort.by(BY_KEY["agent"]) == Sort("agent", descending=False)
    assert Sort.by(BY_KEY["p95"]) == Sort("p95", descending=True)


def test_every_field_can_be_sorted_by() -> None:
    for field in FIELDS:
        assert sorted(arrange(PEERS, Sort.by(field), Filter(), NOON)) == [0, 1, 2, 3, 4]


def test_loss_is_worse_than_distance() -> None:
    assert [PEERS.labels[row] for row in worst_first(PEERS, 3)] == ["peer5", "peer4", "peer3"]


def test_a_peer_known_by_hearsay_is_not_among_the_worst() -> None:
    peers = Peers(
        ("a", "b"),
        {"state": ("known", "connected")},
        {"rtt_p95_s": array("f", [9.0, nan]), "loss_ratio": array("f", [nan, nan])},
    )
    assert worst_first(peers, 5) == [1]


def test_a_link_whose_packets_are_lost_is_bad_though_its_probes_are_answered() -> None:
    peers = Peers(
        ("far", "lossy", "fine"),
        {"state": ("connected",) * 3},
        {
            "rtt_p95_s": array("f", [0.2, 0.1, 0.1]),
            "loss_ratio": array("f", [0.0] * 3),
            "tcp_retransmit_ratio": array("f", [0.002, 0.051, nan]),
        },
    )
    assert worst_first(peers, 3) == [1, 0, 2]
    grades = [grade(0.0, ratio) for ratio in peers.numbers("tcp_retransmit_ratio")]
    assert grades == ["", "bad", ""]
    assert (grade(0.0, 0.011), grade(0.06, None), grade(None, 0.01)) == ("warn", "bad", "")
    assert [link_mark(peers, row, UNICODE)[0] for row in range(3)] == ["●", "✗", "●"]
