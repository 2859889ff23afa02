"""What `network stats` and `peer list` print, frozen."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_node.wire import PeerRows
from qudag_tui.views.peer_info import peer_info
from qudag_tui.views.peers_text import peers_detailed, peers_table, short_id
from qudag_tui.views.redact import redact, redact_address
from qudag_tui.views.selection import Figures, parse_selection
from qudag_tui.views.stats_csv import SCALARS, csv_head, csv_rows
from qudag_tui.views.stats_json import stats_json
from qudag_tui.views.stats_text import line_head, sample_line, stats_detailed, stats_table
from qudag_tui.views.text import cell_width
from tests.qudag_tui import examples
from tests.qudag_tui.client.documents import peer_rows
from tests.snapshots import TextSnapshot


def figures(*filters: str, sort: str | None = None, count: int = 5) -> Figures:
    return parse_selection(filters, sort).apply(examples.document(), peer_rows(count=count))


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("width", [None, 80, 60], ids=["pipe", "80", "60"])
def test_the_overview_is_frozen(width: int | None, snapshot: SnapshotAssertion) -> None:
    assert text(stats_table(figures(), width=width)) == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize(
    "filters",
    [("peer=peer3",), ("type=data",), ("section=latency",), ("section=peers", "section=bandwidth")],
    ids=["peer", "type", "section", "sections"],
)
def test_filtered_overviews_are_frozen(filters: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
    assert text(stats_table(figures(*filters))) == snapshot(extension_class=TextSnapshot)


def test_every_figure_is_frozen(snapshot: SnapshotAssertion) -> None:
    assert text(stats_detailed(figures())) == snapshot(extension_class=TextSnapshot)


def test_lines_of_a_stream_are_frozen(snapshot: SnapshotAssertion) -> None:
    lines = [line_head(), *(sample_line(examples.document(tick)) for tick in range(598, 601))]
    assert text(lines) == snapshot(extension_class=TextSnapshot)


def test_csv_is_frozen(snapshot: SnapshotAssertion) -> None:
    chosen = figures()
    assert text([csv_head(chosen), *csv_rows(chosen)]) == snapshot(extension_class=TextSnapshot, name="node")
    chosen = figures("section=peers")
    assert text([csv_head(chosen), *csv_rows(chosen)]) == snapshot(extension_class=TextSnapshot, name="peers")


def test_a_redacted_overview_is_frozen(snapshot: SnapshotAssertion) -> None:
    assert text(stats_table(redact(figures()))) == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_unless_its_figures_are(width: int) -> None:
    wide = [line for line in stats_table(figures(), width=width) if cell_width(line) > width]
    # What is never left out of the rates table, and the title, have this width.
    assert all(cell_width(line) <= 80 for line in wide)
    assert all(cell_width(line) <= width for line in peers_table(figures(), width=width))


def test_colour_says_nothing_that_words_do_not() -> None:
    plain, painted = (peers_table(figures(), colour=colour) for colour in (False, True))
    assert plain != painted
    stripped = list(painted)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
        stripped = [line.replace(code, "") for line in stripped]
    assert [line.rstrip() for line in stripped] == plain


def test_a_stream_keeps_its_columns() -> None:
    widths = {cell_width(sample_line(examples.document(tick))) for tick in range(1, 5000, 37)}
    assert widths == {cell_width(line_head())}


def test_a_node_that_says_little_is_shown_all_the_same() -> None:
    little = Figures(
        {
            "node": {"id": "x", "name": "n"},
            "messages": {},
            "latency": {},
            "bandwidth": {},
            "performance": {},
            "connections": {},
            "resources": {},
        },
        PeerRows(),
        [],
        selection=parse_selection([]),
    )
    assert "no peers" in stats_table(little)
    assert "no peers" in stats_detailed(little)
    assert sample_line(little.document).split() == ["-"] * 12
    assert sample_line({}).split() == ["-"] * 12


def test_json_is_the_public_document_with_the_chosen_peers() -> None:
    document = stats_json(figures("peer=peer3"))
    assert list(document)[:2] == ["schema", "node"]
    assert [peer["name"] for peer in document["peers"]] == ["peer3"]
    assert document["peers"][0]["rtt_p50_s"] == 0.0412
    assert "peers" not in stats_json(figures("section=latency"))
    assert stats_json(figures(sort="-rtt"))["peers"][-1]["rtt_p50_s"] is None


def test_csv_keeps_its_columns_when_figures_come_and_go() -> None:
    full, little = figures(), figures()
    little.document = {**little.document, "performance": {}, "bandwidth": {"sent_peak": None}}
    assert csv_head(full) == csv_head(little)
    assert [row.count(",") for row in csv_rows(little)] == [len(SCALARS) - 1]


def test_detailed_peers_show_every_column_of_the_document() -> None:
    shown = "\n".join(peers_detailed(figures("peer=peer3")))
    assert "unconfirmed" in shown
    assert "retransmits" in shown


def test_tcp_figures_that_are_not_of_the_path_are_marked() -> None:
    relayed = figures("peer=peer3")
    assert "not of the path" not in "\n".join(peers_detailed(relayed))
    relayed.document = {**relayed.document, "node": {**relayed.document["node"], "tcp_info": "not-of-path"}}
    for lines in (
        peers_detailed(relayed),
        stats_detailed(relayed),
        peer_info({"row": relayed.peers.row(1), "tcp_info": "not-of-path"}, at_unix_s=examples.NOON),
    ):
        assert any(line.startswith("  tcp") and "(not of the path)  rtt" in line for line in lines)
        assert not any(line.startswith("tcp_info") for line in lines)


def test_redaction_leaves_no_address_and_no_whole_id() -> None:
    hidden = redact(figures())
    for lines in (stats_table(hidden), stats_detailed(hidden), csv_rows(hidden), [str(stats_json(hidden))]):
        shown = "\n".join(lines)
        assert "198.18" not in shown
        assert examples.peer_id(0) not in shown
        assert examples.peer_id(1)[:14] not in shown
        assert "peer1" in shown


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ("198.18.0.1:7000", "ipv4"),
        ("[2001:db8::1]:7000", "ipv6"),
        ("2001:db8::1", "ipv6"),
        ("node.example.org:7000", "name"),
        ("", ""),
    ],
)
def test_an_address_is_redacted_to_its_kind(address: str, hidden: str) -> None:
    assert redact_address(address) == hidden


def test_short_ids_keep_what_differs() -> None:
    assert short_id(examples.peer_id(1)) == "12D3KooW…4pdHYD"
    assert short_id("short") == "short"
    assert short_id("") == "-"
