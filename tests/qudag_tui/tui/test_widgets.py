"""What the widgets do beyond keys: the mouse, strangers' names, and painting only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual import events
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input

from qudag_tui.errors import RefusedError
from qudag_tui.model.events import TimePassed
from qudag_tui.model.order import Sort
from qudag_tui.model.state import ScreenName
from qudag_tui.tui.screens.peers import PeersScreen
from qudag_tui.tui.theme import theme_named, themes
from qudag_tui.tui.theme_names import THEME_NAMES
from qudag_tui.tui.widgets.bars import HeaderBar, KeyBar
from qudag_tui.tui.widgets.panel import EventPanel, LatencyPanel
from qudag_tui.tui.widgets.peer_table import PeerTable
from qudag_tui.views.glyphs import ASCII
from tests.qudag_tui.examples import peer_id
from tests.qudag_tui.tui.frozen import FrozenTop, settle, text_of

Drive = Callable[[FrozenTop, Pilot[None]], Awaitable[None]]


def run(
    drive: Drive, *, size: tuple[int, int] = (120, 40), count: int = 5, app: FrozenTop | None = None
) -> None:
    async def main() -> None:
        top = app or FrozenTop()
        async with top.run_test(size=size, notifications=True) as pilot:
            await settle(pilot)
            top.see(5, count)
            await settle(pilot)
            await drive(top, pilot)

    asyncio.run(main())


def test_tabs_and_keys_can_be_clicked() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        seen: list[object] = []
        await pilot.click(HeaderBar, offset=(16, 1))
        await settle(pilot)
        seen.append(app.state.screen)
        await pilot.click(HeaderBar, offset=(3, 1))
        await settle(pilot)
        seen.append(app.state.screen)
        await pilot.click(KeyBar, offset=(text_of(app).splitlines()[-1].index("pause"), 0))
        await settle(pilot)
        seen.append(app.state.is_paused)
        assert seen == [ScreenName.PEERS, ScreenName.OVERVIEW, True]

    run(drive)


def test_the_head_sorts_and_rows_are_selected_and_opened() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await settle(pilot)
        table = app.query_one(PeerTable)
        p95 = next(column for column in table.layout_now.columns if column.key == "p95")
        sorts: list[Sort] = []
        for _ in range(2):
            await pilot.click(PeerTable, offset=(p95.left + 1, 0))
            await settle(pilot)
            sorts.append(app.state.sort)
        assert sorts == [Sort("p95", descending=True), Sort("p95", descending=False)]
        await pilot.click(PeerTable, offset=(3, 3))
        await settle(pilot)
        assert app.state.selected == table.peers.ids[table.order[2]]
        await pilot.click(PeerTable, offset=(3, 30))
        await pilot.click(PeerTable, offset=(3, 2), times=2)
        await settle(pilot)
        assert app.query_one(PeersScreen).is_detailed

    run(drive)


def test_a_click_on_one_of_the_worst_peers_opens_it() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.click(LatencyPanel, offset=(5, 2))
        await settle(pilot)
        assert app.state.screen is ScreenName.PEERS
        assert app.state.selected == peer_id(4)
        assert "peer5  12D3KooW" in text_of(app)
        assert ("peer", {"peer": peer_id(4)}) in app.source.calls

    run(drive)


def test_the_wheel_scrolls_the_log() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        log = app.query_one(EventPanel)
        log.post_message(events.MouseScrollDown(log, 3, 2, 0, 1, 0, False, False, False))
        await settle(pilot)
        scrolled = log.skipped
        log.post_message(events.MouseScrollUp(log, 3, 2, 0, -1, 0, False, False, False))
        await settle(pilot)
        assert (scrolled, log.skipped) == (3, 0)

    run(drive, size=(80, 24))


def test_the_selection_stays_with_its_peer_when_the_rows_move() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down", "down", "down")
        await settle(pilot)
        table = app.query_one(PeerTable)
        chosen = table.selected
        for key in ("S", "s", "s", "s", "s"):
            await pilot.press(key)
            app.now += 1.0
            app.source.sample(600 + int(app.now) % 50 + 50, 40)
            await settle(pilot)
            assert table.selected == chosen
        line = next(line for line in text_of(app).splitlines() if chosen and "peer5 " in line)
        assert line

    run(drive, count=40)


def test_a_filter_hides_the_selected_peer_and_gives_it_back() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down", "/", *"peer4", "enter")
        await settle(pilot)
        table = app.query_one(PeerTable)
        found = [table.selected]
        await pilot.press("escape")
        await settle(pilot)
        found.append(table.selected)
        assert found == [peer_id(3), peer_id(2)]

    run(drive)


def test_no_peers_is_an_empty_table_in_which_keys_do_nothing() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down", "enter", "y", "end", "pageup")
        await settle(pilot)
        assert app.query_one(PeerTable).selected is None
        assert "0 peers" in text_of(app)

    run(drive, count=0)


HOSTILE = [
    "evil\x1b]0;PWNED\x07\x1b[31m",
    "[bold red]markup[/]",
    "[/oops]",
    "two\nlines\r\tand a tab",
    "right\u202eto left",
    "宽字符的名字很长很长很长很长很长很长",
    "Z\u0301\u0301\u0301\u0301\u0301\u0301algo",
    "x" * 4000,
    "❤\ufe0f\u200d🔥 emoji",
    "",
]


@pytest.mark.parametrize(
    "keys", [(), ("2",), ("2", "enter"), ("/", *"evil"), (":", *"evil"), ("2", "y")], ids=str
)
def test_a_hostile_name_is_only_ever_text(keys: tuple[str, ...]) -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        app.now += 1.0
        app.source.sample(601, len(HOSTILE), HOSTILE)
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        await pilot.pause(0.3)
        width = app.size.width
        for strip in app.strips():
            assert strip.cell_length == width
            text = strip.text
            # Segments are what goes to the terminal: nothing in them but what prints.
            assert all(character.isprintable() for character in text), repr(text)
        if "2" in keys and "enter" not in keys:
            assert "[bold red]marku" in text_of(app) or "(bold red)marku" in text_of(app)

    run(drive)


def test_ascii_screens_hold_no_strangers_letters() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        app.source.sample(601, len(HOSTILE), HOSTILE)
        await pilot.press("2")
        await settle(pilot)
        assert text_of(app).isascii()

    run(drive, app=FrozenTop(glyphs=ASCII))


def test_the_palette_finds_commands_and_peers() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press(":")
        await settle(pilot)
        assert isinstance(app.screen, CommandPalette)
        app.screen.query_one(Input).value = "peer4"
        await pilot.pause(0.6)
        await settle(pilot)
        await pilot.press("enter")
        await pilot.pause(0.2)
        await settle(pilot)
        assert "peer4  12D3KooW" in text_of(app)

    run(drive)


@pytest.mark.parametrize(("typed", "look"), [("theme contrast", "theme"), ("sort by cwnd", "sort")])
def test_the_palette_does_what_it_offers(typed: str, look: str) -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await settle(pilot)
        app.screen.query_one(Input).value = typed
        await pilot.pause(0.6)
        await pilot.press("enter")
        await pilot.pause(0.2)
        await settle(pilot)
        done = {"theme": app.theme, "sort": app.state.sort}[look]
        assert done == {"theme": "contrast", "sort": Sort("cwnd", descending=True)}[look]

    run(drive)


def test_what_the_node_refuses_is_said_on_the_page_of_the_peer() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        app.source.failure = RefusedError("a viewer may not see this")
        await pilot.press("2", "enter")
        await settle(pilot)
        assert "▲ a viewer may not see this" in text_of(app)

    run(drive)


def test_an_interval_that_the_node_refuses_is_told() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        app.source.failure = RefusedError("too fast [/]")
        await pilot.press("minus")
        await pilot.pause(0.6)
        await settle(pilot)
        assert "too fast [/]" in text_of(app)

    run(drive)


def test_only_changed_lines_are_painted_and_hidden_screens_are_not() -> None:
    async def drive(app: FrozenTop, pilot: Pilot[None]) -> None:
        await pilot.press("2", "1")
        await settle(pilot)
        panel, table = app.query_one(EventPanel), app.query_one(PeerTable)
        painted: list[str] = []
        for widget in (panel, table):
            original = widget.render_line

            def counted(
                y: int, name: str = widget.id or "", original: Callable[[int], Strip] = original
            ) -> Strip:
                painted.append(f"{name} {y}")
                return original(y)

            widget.render_line = counted  # type: ignore[method-assign]
        app.now += 1.0
        app.dispatch(TimePassed(app.now))
        await settle(pilot)
        # Of five events two are younger than a minute; their ages have changed, nothing else has.
        assert sorted(painted) == ["events 1", "events 2"]

    run(drive)


def test_every_theme_styles_every_role_and_the_command_line_knows_them() -> None:
    assert tuple(look.name for look in themes()) == THEME_NAMES
    assert theme_named("nonsense") == themes()[0]
    for look in themes():
        assert len(set(look.styles)) == len(look.styles)
    none = theme_named("none")
    assert all(style.color is None and style.bgcolor is None for style in none.styles.values())
