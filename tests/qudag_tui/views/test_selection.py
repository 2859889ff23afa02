"""Filters and sorting: what they choose, and what they say to what is misspelt."""

from __future__ import annotations

import pytest

from qudag_node.wire import PeerRows
from qudag_tui.errors import UsageError
from qudag_tui.views.selection import Figures, find_peer, parse_selection
from tests.qudag_tui import examples
from tests.qudag_tui.client.documents import peer_rows


def figures(*filters: str, sort: str | None = None, rows: PeerRows | None = None) -> Figures:
    return parse_selection(filters, sort).apply(examples.document(), peer_rows() if rows is None else rows)


def names(chosen: Figures) -> list[str]:
    return [chosen.peers.text["name"][row] for row in chosen.rows]


def test_without_filters_everything_is_chosen_linked_peers_first() -> None:
    chosen = figures()
    assert set(chosen.document) == {*examples.document()}
    assert names(chosen) == ["peer2", "peer3", "peer4", "peer5", "peer9"]
    assert chosen.has_peers


def test_peer10_follows_peer9() -> None:
    assert names(figures(rows=peer_rows(count=12)))[-4:] == ["peer10", "peer11", "peer12", "peer13"]


def test_sections_add_up_and_the_node_always_stays() -> None:
    chosen = figures("section=latency", "section=messages", "section=latency")
    assert list(chosen.document) == ["schema", "node", "messages", "latency"]
    assert not chosen.has_peers
    assert chosen.selection.wire_sections == ["messages", "latency"]


def test_types_are_rows_of_messages_and_latency() -> None:
    chosen = figures("type=data", "type=routed")
    assert list(chosen.document["messages"]["by_type"]) == ["data", "routed"]
    assert list(chosen.document["latency"]["by_type"]) == ["data"]
    assert chosen.document["messages"]["sent"] == examples.document()["messages"]["sent"]  # type: ignore[index]


def test_peers_are_found_by_name_address_and_the_beginning_of_an_id() -> None:
    rows = peer_rows()
    assert names(figures("peer=peer4")) == ["peer4"]
    assert names(figures("peer=198.18.0.3:7000")) == ["peer3"]
    assert names(figures(f"peer={rows.ids[3][:20]}")) == ["peer5"]
    assert names(figures("peer=peer4", "peer=peer2")) == ["peer4", "peer2"]


def test_an_alias_goes_before_a_name() -> None:
    rows = peer_rows()
    text = {**rows.text, "alias": ["peer3", "", "", "", ""]}
    assert find_peer(PeerRows(rows.slots, text, dict(rows.numbers)), "peer3") == 0


def test_two_peers_of_one_name_are_told_apart_by_id() -> None:
    rows = peer_rows()
    text = {**rows.text, "name": ["twin", "twin", "a", "b", "c"]}
    with pytest.raises(UsageError, match=r"'twin' fits 2 peers: twin .12D3KooW"):
        find_peer(PeerRows(rows.slots, text, dict(rows.numbers)), "twin")
    with pytest.raises(UsageError, match=r"'12D3KooW' fits 5 peers: .*; use more of the id"):
        find_peer(rows, "12D3KooW")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("rtt", ["peer2", "peer4", "peer3", "peer5", "peer9"]),
        ("-rtt", ["peer5", "peer3", "peer4", "peer2", "peer9"]),
        ("rtt_p99_s", ["peer2", "peer4", "peer3", "peer5", "peer9"]),
        ("-loss", ["peer5", "peer3", "peer2", "peer4", "peer9"]),
        ("-name", ["peer9", "peer5", "peer4", "peer3", "peer2"]),
        ("state", ["peer9", "peer2", "peer3", "peer4", "peer5"]),
    ],
)
def test_sorting_puts_what_is_not_known_last_either_way(sort: str, expected: list[str]) -> None:
    assert names(figures(sort=sort)) == expected


@pytest.mark.parametrize(
    ("filters", "sort", "complaint"),
    [
        (["sektion=latency"], None, "unknown filter 'sektion'; did you mean 'section'"),
        (["section=latenzy"], None, "unknown section 'latenzy'; did you mean 'latency'"),
        (["section"], None, "nothing behind 'section'; write section=VALUE"),
        (["peer="], None, "nothing behind 'peer'"),
        (["peer=per2"], None, "no peer is called 'per2'; did you mean 'peer2'"),
        (["type=dta"], None, "this node has no message type 'dta'; did you mean 'data'"),
        (["type=dta", "section=latency"], None, "this node has no message type 'dta'"),
        (
            ["type=data", "section=peers"],
            None,
            "messages and latency, which are left out; add --filter section",
        ),
        (
            ["peer=peer2", "section=latency"],
            None,
            "rows of peers, which are left out; add --filter section=peers",
        ),
        ([], "rtt_mim_s", "peers have no column 'rtt_mim_s'; did you mean 'rtt_min_s'"),
        ([], "-", "--sort -: no column is named; write --sort=COLUMN"),
        ([], "", "no column is named"),
    ],
)
def test_what_names_nothing_is_told_with_the_nearest(
    filters: list[str], sort: str | None, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        figures(*filters, sort=sort)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("filters", [(), ("section=latency",)])
def test_a_node_without_peers_sorts_nothing_by_a_column_that_there_is(filters: tuple[str, ...]) -> None:
    assert figures(*filters, sort="rtt", rows=PeerRows()).rows == []
    assert figures(*filters, sort="-agent", rows=PeerRows()).rows == []
    with pytest.raises(UsageError, match="peers have no column 'bogus'"):
        figures(*filters, sort="bogus", rows=PeerRows())


def test_a_column_that_only_the_node_knows_will_do() -> None:
    rows = peer_rows()
    newer = PeerRows(rows.slots, dict(rows.text), {**rows.numbers, "luck_ratio": rows.numbers["rtt_p50_s"]})
    assert figures(sort="luck_ratio", rows=newer).rows == figures(sort="rtt", rows=rows).rows


def test_the_types_of_one_section_are_checked_with_those_of_another() -> None:
    chosen = figures("type=data", "section=latency")
    assert list(chosen.document) == ["schema", "node", "latency"]
    assert chosen.selection.wire_sections == ["latency", "messages"]
