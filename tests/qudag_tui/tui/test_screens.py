"""Golden pictures of the screens: the real app over frozen data. ``make snapshots`` accepts a change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_tui.model.events import TimePassed
from qudag_tui.tui.theme import themes
from qudag_tui.views.glyphs import ASCII, UNICODE, Glyphs
from tests.qudag_tui.tui.frozen import FrozenTop, picture_of, settle, text_of
from tests.snapshots import SvgSnapshot, TextSnapshot

SIZES = ((80, 24), (120, 40), (200, 60))

After = Callable[[FrozenTop], Awaitable[None]]


def drawn(
    size: tuple[int, int],
    keys: Sequence[str] = (),
    *,
    theme: str = "dark",
    glyphs: Glyphs = UNICODE,
    count: int = 5,
    then: Callable[[FrozenTop], None] | None = None,
) -> tuple[str, str]:
    """The picture and the text of the monitor after 90 s and some keys."""

    async def drive() -> tuple[str, str]:
        app = FrozenTop(theme=theme, glyphs=glyphs)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            app.see(90, count)
            await settle(pilot)
            for key in keys:
                await pilot.press(key)
                await settle(pilot)
            if then is not None:
                then(app)
                await settle(pilot)
            return picture_of(app), text_of(app) + "\n"

    return asyncio.run(drive())


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", ["overview", "peers"])
def test_screens(screen: str, size: tuple[int, int], theme: str, snapshot: SnapshotAssertion) -> None:
    count = 60 if screen == "peers" and size[1] > 24 else 5
    keys = ("2", "down", "down") if screen == "peers" else ()
    picture, text = drawn(size, keys, theme=theme, count=count)
    if theme == "dark":
        assert text == snapshot(extension_class=TextSnapshot)
    assert picture == snapshot(extension_class=SvgSnapshot)


def lose(app: FrozenTop) -> None:
    app.source.lost()
    app.now += 12.0
    app.dispatch(TimePassed(app.now))


def go_on(app: FrozenTop) -> None:
    app.now += 4.0
    app.source.sample(604)


OCCASIONS: dict[str, tuple[Sequence[str], Callable[[FrozenTop], None] | None]] = {
    "detail": (("2", "down", "enter"), None),
    "filter": (("/", *"dir:in rt>5"), None),
    "filtered": (("/", *"-dir:in", "enter"), None),
    "help": (("?",), None),
    "lost": ((), lose),
    "paused": (("space",), go_on),
    "columns": (("2", *["right"] * 8, "s"), None),
}


@pytest.mark.parametrize("name", OCCASIONS)
def test_occasions(name: str, snapshot: SnapshotAssertion) -> None:
    keys, then = OCCASIONS[name]
    picture, text = drawn((120, 40), keys, then=then)
    assert text == snapshot(extension_class=TextSnapshot)
    assert picture == snapshot(extension_class=SvgSnapshot)


@pytest.mark.parametrize("theme", [look.name for look in themes()])
def test_themes_say_the_same(theme: str) -> None:
    _, text = drawn((120, 40), theme=theme)
    _, dark = drawn((120, 40))
    assert text == dark


@pytest.mark.parametrize("screen", ["1", "2"])
def test_ascii_screens(screen: str, snapshot: SnapshotAssertion) -> None:
    _, text = drawn((80, 24), (screen,), glyphs=ASCII)
    assert text.isascii()
    assert text == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize("size", [(60, 16), (80, 38), (80, 60), (100, 24), (60, 60), (300, 20)], ids=str)
def test_between_the_breakpoints_every_panel_has_its_place(size: tuple[int, int]) -> None:
    for keys in ((), ("2",), ("2", "enter")):
        _, text = drawn(size, keys)
        lines = text.rstrip("\n").split("\n")
        assert len(lines) == size[1]
        assert "peer1" in lines[0]
        assert "q quit" in lines[-1]


@pytest.mark.parametrize("size", [(59, 30), (80, 15), (20, 5), (5, 2), (1, 1)], ids=str)
def test_a_terminal_that_is_too_small_says_so(size: tuple[int, int]) -> None:
    _, text = drawn(size)
    said = "qudag-topneeds60x16"
    assert said.startswith("".join(text.split())[: len(said)])
    assert "".join(text.split())


def test_the_help_page_gives_way_to_the_notice_on_a_terminal_that_is_too_small() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            await pilot.press("question_mark")
            await settle(pilot)
            before = text_of(app)
            await pilot.resize_terminal(30, 8)
            await settle(pilot)
            assert "".join(text_of(app).split()).startswith("qudag-topneeds60x16,thisis30x8")
            await pilot.resize_terminal(120, 40)
            await settle(pilot)
            assert text_of(app) == before

    asyncio.run(drive())


def test_growing_again_brings_everything_back() -> None:
    async def drive() -> None:
        app = FrozenTop()
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            app.see(5)
            await settle(pilot)
            before = text_of(app)
            for size in ((1, 1), (80, 24), (300, 90), (59, 16), (120, 40)):
                await pilot.resize_terminal(*size)
                await settle(pilot)
            assert text_of(app) == before

    asyncio.run(drive())
