"""Every key of every table does what its meaning says, in the real app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.events import Key

from qudag_tui.model.order import Sort
from qudag_tui.model.state import LinkPhase, ScreenName
from qudag_tui.tui.export import write_screen
from qudag_tui.tui.keymap import ALL_KEYS, IDS
from qudag_tui.tui.screens.help import HelpPage
from qudag_tui.tui.screens.peers import DetailPage, FilterInput, PeersScreen
from qudag_tui.tui.widgets.panel import EventPanel
from qudag_tui.tui.widgets.peer_table import PeerTable
from tests.qudag_tui.tui.frozen import FrozenTop, settle, text_of


@dataclass(frozen=True)
class Case:
    """Press ``first``, look; press the key, look again."""

    first: tuple[str, ...]
    look: Callable[[FrozenTop], object]
    change: Callable[[object, object], bool]
    count: int = 60


def becomes(expected: object) -> Callable[[object, object], bool]:
    return lambda before, after: before != after and after == expected


def grows(before: object, after: object) -> bool:
    return isinstance(before, int) and isinstance(after, int) and after > before


def shrinks(before: object, after: object) -> bool:
    return isinstance(before, int) and isinstance(after, int) and after < before


def differs(before: object, after: object) -> bool:
    return before != after


def place(app: FrozenTop) -> int:
    table = app.query_one(PeerTable)
    return [table.peers.ids[row] for row in table.order].index(table.selected or "")


def part(app: FrozenTop) -> str:
    peers = app.query(PeersScreen)
    if not peers or app.state.screen is not ScreenName.PEERS:
        return "overview"
    screen = peers.first()
    return "filter" if screen.is_filtering else "detail" if screen.is_detailed else "table"


def detail_line(app: FrozenTop) -> int:
    return app.query_one(DetailPage).scroll_offset.y


def help_line(app: FrozenTop) -> int:
    return app.screen.query_one(HelpPage).scroll_offset.y


def log_line(app: FrozenTop) -> int:
    return app.query_one(EventPanel).skipped


def top_screen(app: FrozenTop) -> str:
    return type(app.screen).__name__


def exported(_: FrozenTop) -> list[str]:
    return sorted(path.suffix for path in Path.cwd().glob("qudag-top-*"))


def ended(app: FrozenTop) -> bool:
    return app.has_ended


TABLE = ("2",)
DETAIL = ("2", "down", "down", "enter")
MIDDLE = (*TABLE, *["pagedown"] * 2)
HELP = ("?",)
LOG = ("tab",)

CASES: dict[str, Case] = {
    "overview": Case(TABLE, part, becomes("overview")),
    "peers": Case((), part, becomes("table")),
    "help": Case((), top_screen, becomes("HelpScreen")),
    "filter": Case((), part, becomes("filter")),
    "pause": Case((), lambda app: app.state.is_paused, becomes(True)),
    "slower": Case((), lambda app: app.state.interval_s, becomes(2.0)),
    "faster": Case((), lambda app: app.state.interval_s, becomes(0.5)),
    "back": Case(DETAIL, part, becomes("table")),
    "focus-next": Case((), lambda app: app.focused and app.focused.id, becomes("events")),
    "focus-previous": Case((), lambda app: app.focused and app.focused.id, becomes("events")),
    "export": Case((), exported, differs),
    "theme": Case((), lambda app: app.theme, becomes("light")),
    "palette": Case((), top_screen, becomes("CommandPalette")),
    "quit": Case((), ended, becomes(True)),
    "quit-always": Case(("2", "/", "a"), ended, becomes(True)),
    "quit-keeping": Case((), lambda app: "peer1" in app.kept_screen, becomes(True)),
    "up": Case(MIDDLE, place, shrinks),
    "down": Case(TABLE, place, grows),
    "page-up": Case(MIDDLE, place, shrinks),
    "page-down": Case(TABLE, place, grows),
    "top": Case(MIDDLE, place, becomes(0)),
    "bottom": Case(TABLE, place, becomes(59)),
    "columns-left": Case(
        (*TABLE, "right"), lambda app: app.query_one(PeerTable).layout_now.before, becomes(0)
    ),
    "columns-right": Case(TABLE, lambda app: app.query_one(PeerTable).layout_now.before, becomes(1)),
    "sort": Case(TABLE, lambda app: app.state.sort, becomes(Sort("state"))),
    "reverse": Case(TABLE, lambda app: app.state.sort, becomes(Sort("name", descending=True))),
    "detail": Case(TABLE, part, becomes("detail")),
    "copy": Case(TABLE, lambda app: app.clipboard.startswith("12D3KooW"), becomes(True)),
    "detail-up": Case((*DETAIL, "end"), detail_line, shrinks),
    "detail-down": Case(DETAIL, detail_line, grows),
    "detail-page-up": Case((*DETAIL, "end"), detail_line, shrinks),
    "detail-page-down": Case(DETAIL, detail_line, grows),
    "detail-top": Case((*DETAIL, "end"), detail_line, becomes(0)),
    "detail-bottom": Case(DETAIL, detail_line, grows),
    "peer-before": Case(DETAIL, lambda app: app.query_one(DetailPage).peer_id, differs),
    "peer-after": Case(DETAIL, lambda app: app.query_one(DetailPage).peer_id, differs),
    "detail-copy": Case(DETAIL, lambda app: app.clipboard.startswith("12D3KooW"), becomes(True)),
    "filter-keep": Case(("/", "a"), lambda app: (part(app), app.state.filter_text), becomes(("table", "a"))),
    "filter-clear": Case(("/", "a"), lambda app: (part(app), app.state.filter_text), becomes(("table", ""))),
    "log-up": Case((*LOG, "down"), log_line, shrinks),
    "log-down": Case(LOG, log_line, grows),
    "log-page-up": Case((*LOG, "pagedown"), log_line, shrinks),
    "log-page-down": Case(LOG, log_line, grows),
    "log-top": Case((*LOG, "pagedown"), log_line, becomes(0)),
    "help-close": Case(HELP, top_screen, differs),
    "help-up": Case((*HELP, "end"), help_line, shrinks),
    "help-down": Case(HELP, help_line, grows),
    "help-page-up": Case((*HELP, "end"), help_line, shrinks),
    "help-page-down": Case(HELP, help_line, grows),
    "help-top": Case((*HELP, "end"), help_line, becomes(0)),
    "help-bottom": Case(HELP, help_line, grows),
}

#: What a test without a terminal cannot see happen.
ELSEWHERE = {"redraw": "test_redraw_draws_everything_again", "suspend": "test_launcher: stops and comes back"}


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name in CASES for key in IDS[name].keys.split(",")]
)
def test_every_key_does_what_it_says(
    name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]

    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5, case.count)
            await settle(pilot)
            for first in case.first:
                await pilot.press(first)
                await settle(pilot)
            before = case.look(app)
            await pilot.press(key)
            if not app.has_ended:
                await settle(pilot)
            after = case.look(app)
            assert case.change(before, after), f"{before!r} became {after!r}"

    asyncio.run(drive())


def test_every_binding_has_a_test() -> None:
    assert set(CASES) | set(ELSEWHERE) == set(IDS)


def test_every_binding_has_an_id_of_its_own_and_a_meaning() -> None:
    keys = [key for group in ALL_KEYS.values() for key in group]
    assert len({key.id for key in keys}) == len(keys)
    assert all(key.meaning and key.keys for key in keys)


def test_redraw_draws_everything_again() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            await pilot.press("ctrl+l")
            await settle(pilot)
            assert "Throughput" in text_of(app)

    asyncio.run(drive())


def test_a_written_screen_is_never_written_over(tmp_path: Path) -> None:
    assert write_screen(tmp_path, "now", "one", "<svg/>") == tmp_path / "now.txt"
    assert write_screen(tmp_path, "now", "two", "<svg/>") == tmp_path / "now-2.txt"
    assert (tmp_path / "now.txt").read_text(encoding="utf-8") == "one"
    (tmp_path / "half.svg").mkdir()
    with pytest.raises(OSError, match="exists"):
        write_screen(tmp_path, "half", "text", "<svg/>")
    assert not (tmp_path / "half.txt").exists()


async def test_a_screen_is_written_as_text_and_as_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = FrozenTop()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.see(5)
        await settle(pilot)
        await app.action_export()
        [text] = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.txt")]
        [picture] = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")]
        assert text.count("\n") == 24
        assert "Throughput" in text
        assert "peer3" in text
        assert "peer3" in picture
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        await app.action_export()
        await settle(pilot)
        assert app.is_running


def test_escape_never_quits() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            for _ in range(5):
                await pilot.press("escape")
            await pilot.press("2", *["escape"] * 5)
            await settle(pilot)
            assert app.is_running
            assert not app.has_ended

    asyncio.run(drive())


def test_keys_typed_faster_than_the_screen_changes_reach_the_filter() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            await pilot.press("/", *"dir:in q", "enter")
            await settle(pilot)
            assert app.state.filter_text == "dir:in q"
            assert isinstance(app.focused, PeerTable)

    asyncio.run(drive())


SIGNS = {"/": "slash", "?": "question_mark", ":": "colon"}

BURSTS = {
    "a line anew": (("/", *"dir:in", "ctrl+u", *"name:peer3"), "name:peer3"),
    "in the middle": (("/", *"peer", "left", "left", "x", "end", "y"), "pexery"),
    "to the end": (("/", *"dir:in", "enter", "j", "j", "S"), "dir:in"),
    "cleared": (("/", *"dir:in", "escape", "s"), ""),
    "again": (("/", *"dir:in", "enter", "/", "backspace", "backspace", *"out", "enter"), "dir:out"),
    "from the help": (("?", "q", "2", "/", *"q", "enter"), "q"),
}


@pytest.mark.parametrize("name", BURSTS)
def test_keys_that_come_at_once_do_what_they_do_one_by_one(name: str) -> None:
    """As from a paste or a macro: all are there before the first is looked at."""
    keys, expected = BURSTS[name]

    async def drive(*, at_once: bool) -> tuple[object, ...]:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            await pilot.press("2")
            if at_once:
                for key in keys:
                    app.post_message(Key(SIGNS.get(key, key), key if len(key) == 1 else None))
            else:
                await pilot.press(*keys)
            await settle(pilot)
            assert not app.has_ended
            line, table = app.query_one(FilterInput).value, app.query_one(PeerTable)
            return app.state.filter_text, line, app.state.sort, table.selected, type(app.focused), part(app)

    burst = asyncio.run(drive(at_once=True))
    assert burst[0] == expected
    assert burst == asyncio.run(drive(at_once=False))


def test_a_filter_that_cannot_be_read_stays_open_and_says_where() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            await pilot.press("/", *"dir:in rtt>", "enter")
            await settle(pilot)
            assert isinstance(app.focused, FilterInput)
            lines = text_of(app).splitlines()
            typed = next(line for line in lines if "› dir:in rtt>" in line)
            problem = next(line for line in lines if "rtt> needs a value" in line)
            assert problem.index("▲") == typed.index("rtt>") + len("rtt>")

    asyncio.run(drive())


def test_the_users_own_keys_replace_ours() -> None:
    async def drive() -> None:
        app = FrozenTop(own_keys={"pause": "p", "sort": "n"})
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            was_paused: list[bool] = []
            for key in ("space", "p"):
                await pilot.press(key)
                was_paused.append(app.state.is_paused)
            assert was_paused == [False, True]
            await pilot.press("2", "n")
            await settle(pilot)
            assert app.state.sort == Sort("state")
            assert " p pause" in text_of(app)
            await pilot.press("?")
            await settle(pilot)
            assert "p             hold the display still" in text_of(app)

    asyncio.run(drive())


def test_the_state_of_the_link_is_shown_and_the_figures_fade() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            app.source.lost("connection refused")
            await settle(pilot)
            assert "no node answers yet" in text_of(app)
            app.see(5)
            await settle(pilot)
            assert "● live" in text_of(app)
            app.source.lost()
            app.now += 12.0
            app.source.lost()
            await settle(pilot)
            assert app.state.link.phase is LinkPhase.LOST
            assert "✗ figures 12s old, again in 3s: the node closed the connection" in text_of(app)
            app.now += 1.0
            app.source.connected()
            app.source.sample(620)
            await settle(pilot)
            assert "● live" in text_of(app)
            assert "figures" not in text_of(app)

    asyncio.run(drive())


def test_the_interval_reaches_the_source_and_a_refusal_is_told() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            app.see(5)
            await pilot.press("plus", "plus")
            await pilot.pause(0.5)
            assert app.source.interval_s == 5.0

    asyncio.run(drive())
