"""Golden text of every panel, at the sizes that the screens give it. ``make snapshots`` accepts a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_tui.model.events import ConnectionLost, FilterTyped, PauseToggled, SortBy, TimePassed
from qudag_tui.model.fields import BY_KEY
from qudag_tui.model.order import arrange
from qudag_tui.model.reduce import reduce
from qudag_tui.model.state import PeerDetail, UiState
from qudag_tui.model.trail import Window
from qudag_tui.views.connections import connections
from qudag_tui.views.events import events
from qudag_tui.views.glyphs import ASCII, UNICODE, Glyphs
from qudag_tui.views.header import header, waiting_page
from qudag_tui.views.help_page import help_page
from qudag_tui.views.latency import latency
from qudag_tui.views.messages import messages
from qudag_tui.views.overview import overview
from qudag_tui.views.peer_columns import columns_at, layout_columns, peer_row, peers_head
from qudag_tui.views.peer_detail import peer_detail
from qudag_tui.views.peers_bar import peers_bar
from qudag_tui.views.spans import Box, Line, cut_lines, line_width, plain
from qudag_tui.views.throughput import throughput
from tests.qudag_tui.examples import state_after
from tests.snapshots import TextSnapshot

STATE = state_after()

View = Callable[[UiState, Box, Glyphs], Sequence[Line]]


def peers_table(state: UiState, box: Box, glyphs: Glyphs, skipped: int = 0) -> list[Line]:
    assert state.seen.sample is not None
    peers, at = state.seen.sample.peers, state.node_unix_s
    layout = layout_columns(box.width, skipped)
    window = Window(state.seen.trail.tracks, layout.history)
    rows = arrange(peers, state.sort, state.wanted, at)
    return [
        peers_bar(state, len(rows), layout, box.width, glyphs),
        peers_head(layout, state.sort, glyphs),
        *(peer_row(peers, row, layout, window, at, glyphs) for row in rows),
    ]


PANELS: dict[str, tuple[View, Sequence[tuple[int, int]]]] = {
    "throughput": (throughput, [(58, 3), (78, 5), (78, 7), (118, 6), (118, 9), (198, 16)]),
    "connections": (connections, [(78, 2), (78, 4), (78, 9), (52, 5), (52, 11), (20, 12)]),
    "latency": (latency, [(58, 5), (78, 6), (65, 11), (143, 16)]),
    "messages": (messages, [(58, 5), (78, 8), (57, 14), (97, 22)]),
    "events": (events, [(78, 3), (57, 14), (97, 22)]),
    "peers": (peers_table, [(77, 8), (117, 8), (197, 8)]),
}


@pytest.mark.parametrize("name", PANELS)
def test_panels_look_the_same(name: str, snapshot: SnapshotAssertion) -> None:
    view, sizes = PANELS[name]
    pages: list[str] = []
    for glyphs in (UNICODE, ASCII):
        for width, height in sizes:
            lines = view(STATE, Box(width, height), glyphs)
            assert all(line_width(line) <= width for line in lines)
            pages.append(f"== {width}x{height}\n" + "\n".join(plain(line).rstrip() for line in lines))
    assert "\n".join(pages) + "\n" == snapshot(extension_class=TextSnapshot)


def test_columns_of_tcp_are_marked_where_a_relay_ends_it() -> None:
    assert STATE.live.sample is not None
    node = replace(STATE.live.sample.node, tcp_info="not-of-path")
    state = replace(STATE, live=replace(STATE.live, sample=replace(STATE.live.sample, node=node)))
    skipped = columns_at(117).index("tcp_rtt") - 2
    for of, offset, is_marked in ((state, skipped, True), (state, 0, False), (STATE, skipped, False)):
        bar, head, *_ = map(plain, peers_table(of, Box(117, 8), UNICODE, offset))
        assert ("TCP's figures not of the path" in bar) is is_marked
        assert (BY_KEY["tcp_rtt"].title in head) is (offset > 0)


@pytest.mark.parametrize("name", PANELS)
def test_no_size_breaks_a_panel(name: str) -> None:
    view, _ = PANELS[name]
    for state in (STATE, UiState()) if name != "peers" else (STATE,):
        for width in (0, 1, 2, 7, 20, 40, 61, 300):
            for height in (0, 1, 2, 3, 7, 80):
                lines = cut_lines(view(state, Box(width, height), UNICODE), Box(width, height))
                assert [line_width(line) for line in lines] == [width] * height


@pytest.mark.parametrize("name", PANELS)
def test_ascii_means_ascii(name: str) -> None:
    view, sizes = PANELS[name]
    for width, height in sizes:
        for line in view(STATE, Box(width, height), ASCII):
            # What is cut ends in the sign that the last step before the screen replaces.
            assert plain(line).replace("…", "~").isascii(), plain(line)


def test_the_header_says_how_we_stand_to_the_node(snapshot: SnapshotAssertion) -> None:
    now = STATE.now_mono_s
    lost = reduce(STATE, ConnectionLost("no node answers at unix:/x: Connection refused", now, 8.0))
    states = {
        "connecting": UiState(link=replace(STATE.link, phase=UiState().link.phase)),
        "live": STATE,
        "late": reduce(STATE, TimePassed(now + 9.0)),
        "lost": reduce(lost, TimePassed(now + 4.0)),
        "paused": reduce(reduce(STATE, PauseToggled()), TimePassed(now + 7.0)),
        "paused and lost": reduce(reduce(lost, PauseToggled()), TimePassed(now + 61.0)),
    }
    pages = [
        f"== {name}\n" + "\n".join(plain(line).rstrip() for line in header(state, width, glyphs))
        for name, state in states.items()
        for width, glyphs in ((60, UNICODE), (80, ASCII), (120, UNICODE))
    ]
    assert "\n".join(pages) + "\n" == snapshot(extension_class=TextSnapshot)
    for state in states.values():
        for width in (60, 80, 120):
            assert [line_width(line) for line in header(state, width, UNICODE)] == [width, width]


def test_the_right_of_the_header_does_not_move_when_the_state_changes() -> None:
    lost = reduce(STATE, ConnectionLost("x", STATE.now_mono_s, 8.0))
    at = [plain(header(state, 120, UNICODE)[0]).index("  up ") for state in (STATE, lost)]
    assert at[0] == at[1]


def test_before_the_first_sample_the_page_says_why(snapshot: SnapshotAssertion) -> None:
    waiting = UiState(link=replace(STATE.link, phase=UiState().link.phase))
    lost = reduce(reduce(waiting, ConnectionLost("connection refused", 5.0, 3.0)), TimePassed(6.0))
    text = "\n".join(plain(line) for state in (waiting, lost) for line in waiting_page(state, 76, UNICODE))
    assert text + "\n" == snapshot(extension_class=TextSnapshot)


def test_one_peer_on_one_page(snapshot: SnapshotAssertion) -> None:
    sample = STATE.seen.sample
    assert sample is not None
    peer_id = sample.peers.ids[1]
    detail = PeerDetail(
        peer_id=peer_id,
        by_type=dict(list(sample.messages.by_type.items())[:4]),
        events=STATE.seen.events[:2],
        extra={"aliases": "lossy", "tcp.mss_bytes": 1448.0},
    )
    known = replace(STATE, live=replace(STATE.live, detail=detail))
    refused = replace(
        STATE, live=replace(STATE.live, detail=PeerDetail(peer_id=peer_id, error="not allowed"))
    )
    pages = [
        f"== {width}\n" + "\n".join(plain(line).rstrip() for line in peer_detail(state, who, width, glyphs))
        for state, who, width, glyphs in (
            (known, peer_id, 117, UNICODE),
            (known, peer_id, 77, ASCII),
            (refused, peer_id, 117, UNICODE),
            (STATE, peer_id, 117, UNICODE),
            (STATE, "12D3KooWgone", 77, UNICODE),
        )
    ]
    assert "\n".join(pages) + "\n" == snapshot(extension_class=TextSnapshot)


def test_the_overview_as_one_text(snapshot: SnapshotAssertion) -> None:
    text = "\n".join(plain(line).rstrip() for line in overview(STATE, 100, UNICODE))
    assert text + "\n" == snapshot(extension_class=TextSnapshot)
    assert all(line_width(line) <= 60 for line in overview(STATE, 60, UNICODE))


def test_a_filter_and_an_order_are_told_above_the_table() -> None:
    state = reduce(reduce(STATE, FilterTyped("dir:in")), SortBy("p95"))
    bar, *_, last = [plain(line) for line in peers_table(state, Box(117, 9), UNICODE)]
    assert bar.startswith("2 of 5 peers  sorted by p95 ▼   /dir:in ")
    assert last.startswith("peer2")


@pytest.mark.parametrize("width", [52, 78, 197])
def test_the_figures_of_the_node_have_words_that_the_help_explains(width: int) -> None:
    shown = "\n".join(plain(line) for line in connections(STATE, Box(width, 20), UNICODE))
    explained = "\n".join(plain(line) for line in help_page({}, width, UNICODE))
    for word in ("vertices", "queue", "processing", "propagation", "loop lag"):
        assert word in shown
        assert word in explained
    assert "31.8 ms ±1.10 ms" in shown
    assert "27 msgs 11.1 KiB" in shown
