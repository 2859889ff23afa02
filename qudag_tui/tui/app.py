"""The app as Textual sees it: its frame, its keys, its themes. What it shows is the business of ``monitor``.

Only what the first frame needs is imported here; the model, the views and the client follow when that
frame is on the screen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Event, Key
from textual.screen import Screen
from textual.strip import Strip

from qudag_tui.tui.keymap import EVERYWHERE, bindings
from qudag_tui.tui.leaving import Leaving
from qudag_tui.tui.theme import Look, theme_named, themes
from qudag_tui.tui.widgets.bars import Bar, HeaderBar, KeyBar
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.views.glyphs import UNICODE, Glyphs
from qudag_tui.views.layout import LEAST
from qudag_tui.views.spans import Role, Span

if TYPE_CHECKING:
    from textual.command import Provider

    from qudag_tui.tui.monitor import Monitor
    from qudag_tui.tui.source import SourceFactory
    from qudag_tui.tui.widgets.panel import PeerChosen

__all__ = ["QudagTop"]


def _commands() -> type[Provider]:
    from qudag_tui.tui.commands import Commands

    return Commands


class QudagTop(App[None]):
    """``qudag-top``.

    Attributes:
        kept_screen: What the key ``Q`` leaves on the terminal.
    """

    TITLE = "qudag-top"
    AUTO_FOCUS = None
    COMMANDS = {_commands}  # noqa: RUF012 — Textual's declaration
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EVERYWHERE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (LEAST.width, "-narrow"), (100, "-wide")]  # noqa: RUF012 — the same
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 — the same
        (0, "-flat"),
        (LEAST.height, "-low"),
        (24, "-short"),
        (36, "-medium"),
        (54, "-tall"),
    ]
    CSS = """
    Screen { overflow: hidden; }
    #too-small { display: none; }
    #waiting { padding: 1 2; }
    .-tiny #too-small, .-flat #too-small { display: block; }
    .-tiny HelpPage, .-flat HelpPage { display: none; }
    .-tiny HeaderBar, .-tiny #body, .-tiny KeyBar { display: none; }
    .-flat HeaderBar, .-flat #body, .-flat KeyBar { display: none; }
    """

    def __init__(
        self,
        connect: SourceFactory,
        *,
        address: str = "",
        interval_s: float = 1.0,
        theme: str = "dark",
        glyphs: Glyphs = UNICODE,
        own_keys: Mapping[str, str] | None = None,
        is_colourless: bool = False,
        clock: Callable[[], float] = time.monotonic,
        is_live: bool = True,
    ) -> None:
        """Prepare.

        Args:
            connect: Makes the source of the data, given where to deliver updates.
            address: Where the node is, as ``--node`` would take it.
            interval_s: Seconds between figures.
            theme: The name of a theme.
            glyphs: The signs to draw with.
            own_keys: Binding id to keys, from the user's configuration.
            is_colourless: ``NO_COLOR``: whatever the theme, no colour is sent.
            clock: The monotonic clock.
            is_live: Whether time passes by itself; tests drive it.
        """
        super().__init__(ansi_color=True if is_colourless else None)
        self.glyphs = glyphs
        self.own_keys = dict(own_keys or {})
        self.kept_screen = ""
        self.clock = clock
        self.is_live = is_live
        self.leaving = Leaving(self)
        self._monitor: Monitor | None = None
        self._begin_with = (connect, address, interval_s)
        self.register_theme(theme_named(theme).theme)
        self.theme = theme
        self.set_keymap(self.own_keys)

    @property
    def monitor(self) -> Monitor:
        """What the screens show; there from the first frame on."""
        assert self._monitor is not None, "asked for before the first frame"  # noqa: S101 — our own mistake
        return self._monitor

    @property
    def look(self) -> Look:
        """The theme in force."""
        return theme_named(self.theme)

    def compose(self) -> ComposeResult:
        """The header: the rest follows when it is on the screen."""
        yield HeaderBar()

    def on_mount(self) -> None:
        """Draw the frame first, begin then."""
        name, what = Span(" qudag-top", Role.STRONG), Span(f"  connecting to {self._begin_with[1]}", Role.DIM)
        self.query_one(HeaderBar).show([(name, what)])
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        from qudag_tui.tui.monitor import Monitor

        for look in themes():
            self.register_theme(look.theme)
        await self.mount(Container(Painted(id="waiting"), id="body"), KeyBar(), Painted(id="too-small"))
        self._monitor = Monitor(self, *self._begin_with)
        await self._monitor.begin()

    def on_resize(self) -> None:
        """Draw for the new size."""
        if self._monitor is not None:
            self._monitor.draw_soon()

    def on_screen_resume(self) -> None:
        """Draw what was covered."""
        self.on_resize()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Textual's: its own palette is not asked, ours is."""
        del screen
        return ()

    # --- what keys and the mouse do -------------------------------------------------------------------

    async def on_event(self, event: Event) -> None:
        """Textual's: do what a key does before the next key is looked at.

        Textual hands a key to the part that has the keys and does what it is bound to when nobody there
        wanted it, several queues later: keys that come at once, as from a paste, would overtake it.
        """
        if isinstance(event, Key) and self.app_focus and await self._take_key(event):
            return
        await super().on_event(event)

    async def _take_key(self, event: Key) -> bool:
        """Whether it was bound to something, or typed into a line."""
        if event.is_forwarded:
            return False
        if await self._check_bindings(event.key, priority=True):
            return True
        focused = self.focused
        if focused is not None and focused.check_consume_key(event.key, event.character):
            from textual.widgets import Input

            if isinstance(focused, Input):
                focused.replace(event.character or "", *focused.selection)
                return True
        return await self._check_bindings(event.key)

    async def on_bar_clicked(self, message: Bar.Clicked) -> None:
        """Somebody clicked on the header or on a key."""
        if self._monitor is not None and isinstance(message.bar, (HeaderBar, KeyBar)):
            await self._monitor.click(message.bar, message.x, message.y)

    async def on_peer_chosen(self, message: PeerChosen) -> None:
        """Somebody chose a peer, in whichever panel."""
        await self.monitor.open_peer(message.peer_id)

    async def do(self, action: str) -> None:
        """Do what a key would do: in the part of the screen that has the keys, else everywhere."""
        name = action.partition("(")[0]
        focused = self.focused
        here = focused if focused is not None and hasattr(focused, f"action_{name}") else self
        await self.run_action(action, default_namespace=here)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Textual's: until there is something to show, keys can only leave."""
        del parameters
        return self._monitor is not None or action.startswith("quit")

    async def action_show(self, screen: str) -> None:
        """Go to a screen."""
        await self.monitor.show(screen)

    async def action_filter(self) -> None:
        """Open the filter line of the peers."""
        await self.monitor.begin_filter()

    async def action_back(self) -> None:
        """Leave a page, or clear the filter. Never quits."""
        self.monitor.back()

    def action_pause(self) -> None:
        """Hold the display still, or let it go."""
        self.monitor.toggle_pause()

    def action_interval(self, by: int) -> None:
        """Look less or more often."""
        self.monitor.step_interval(by)

    async def action_help(self) -> None:
        """Show every key."""
        from qudag_tui.tui.screens.help import HelpScreen

        await self.push_screen(HelpScreen())

    def action_next_theme(self) -> None:
        """Go through the themes."""
        names = [look.name for look in themes()]
        self.choose_theme(names[(names.index(self.look.name) + 1) % len(names)])

    def choose_theme(self, name: str) -> None:
        """Draw in this theme."""
        self.theme = name

    def action_redraw(self) -> None:
        """Draw the whole screen anew, whatever another program wrote over it."""
        self.refresh(repaint=True, layout=True)
        self.screen.refresh(repaint=True, layout=True)

    def action_quit_keeping(self) -> None:
        """Leave, and leave this screen on the terminal."""
        self.kept_screen = "\n".join(strip.render(self.console) for strip in self.strips())
        self.exit()

    async def action_export(self) -> None:
        """Write this screen to the working directory."""
        from qudag_tui.tui.export import write_screen

        stem = time.strftime("qudag-top-%Y%m%d-%H%M%S")
        text = "".join(f"{strip.text.rstrip()}\n" for strip in self.strips())
        picture = self.export_screenshot(simplify=True)
        try:
            path = await asyncio.to_thread(write_screen, Path.cwd(), stem, text, picture)
        except OSError as exc:
            where = exc.filename or "the working directory"
            self.notify(f"{where}: {exc.strerror or exc}", severity="warning", markup=False)
            return
        self.notify(f"written: {path} and .svg", markup=False)

    def strips(self) -> list[Strip]:
        """The lines of the screen as they are now."""
        # Private, but what Textual's own screenshot does.
        return self.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]

    def copy_id(self, peer_id: str) -> None:
        """Put a peer's id on the clipboard of the person's own terminal."""
        self.copy_to_clipboard(peer_id)
        self.notify(f"copied {peer_id}", timeout=2, markup=False)
