"""The monitor's composition root: it holds the state, feeds ``reduce``, and has the screens drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.strip import Strip

from qudag_tui.errors import QudagError
from qudag_tui.model.answers import HISTORY_SERIES, read_detail, read_past
from qudag_tui.model.events import (
    Connected,
    DetailArrived,
    IntervalStepped,
    PastArrived,
    PauseToggled,
    SampleArrived,
    ScreenShown,
    TimePassed,
    UiEvent,
)
from qudag_tui.model.reduce import reduce
from qudag_tui.model.state import PeerDetail, ScreenName, UiState
from qudag_tui.model.trail import MAX_POINTS
from qudag_tui.tui.commands import Commands, commands_of
from qudag_tui.tui.keymap import DETAIL, EVERYWHERE, FILTER, PEERS, bindings, hints
from qudag_tui.tui.leaving import Leaving
from qudag_tui.tui.source import Source, SourceFactory, events_of
from qudag_tui.tui.theme import THEMES, Look, theme_named
from qudag_tui.tui.widgets.bars import HeaderBar, KeyBar
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.tui.widgets.panel import PeerChosen
from qudag_tui.views.glyphs import UNICODE, Glyphs
from qudag_tui.views.header import LEAST, too_small, waiting_page
from qudag_tui.views.help_page import Hint

if TYPE_CHECKING:
    from qudag_tui.client.updates import Update
    from qudag_tui.tui.screens.overview import OverviewScreen
    from qudag_tui.tui.screens.peers import PeersScreen

__all__ = ["QudagTop"]

HEARTBEAT_S = 1.0
#: The page of a peer asks the node again this often.
DETAIL_EVERY_S = 2.0
#: Pressing + five times asks the node once.
SETTLE_S = 0.3


class QudagTop(App[None]):
    """``qudag-top``."""

    TITLE = "qudag-top"
    AUTO_FOCUS = None
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {Commands}  # noqa: RUF012 — Textual's declaration
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EVERYWHERE)]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 — Textual's declaration
        (0, "-tiny"),
        (LEAST.width, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 — Textual's declaration
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
        state: UiState | None = None,
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
            state: What to begin with, for instance the interval.
            theme: The name of one of ``THEMES``.
            glyphs: The signs to draw with.
            own_keys: Binding id to keys, from the user's configuration.
            is_colourless: ``NO_COLOR``: whatever the theme, no colour is sent.
            clock: The monotonic clock.
            is_live: Whether time passes by itself; tests drive it.
        """
        super().__init__(ansi_color=True if is_colourless else None)
        self.state = state or UiState()
        self.glyphs = glyphs
        self.own_keys = dict(own_keys or {})
        self.kept_screen = ""
        self._clock = clock
        self._is_live = is_live
        self.leaving = Leaving(self)
        self._draw_due = False
        self._drawn_mono_s = 0.0
        self._detail_mono_s = 0.0
        self._wants_past = True
        self._overview: OverviewScreen | None = None
        self._peers: PeersScreen | None = None
        for look in THEMES:
            self.register_theme(look.theme)
        self.theme = theme
        self.set_keymap(self.own_keys)
        self._source: Source = connect(self.receive)

    # --- building -------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The frame first: the panels follow when it is on the screen."""
        yield HeaderBar()
        with Container(id="body"):
            yield Painted(id="waiting")
        yield KeyBar()
        yield Painted(id="too-small")

    def on_mount(self) -> None:
        """Begin: the frame is drawn, then the first screen is built and the node is asked."""
        self.state = reduce(self.state, TimePassed(self._clock()))
        self._draw()
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        await self._build(self.state.screen)
        self.run_worker(self._source.run(), name="client", group="client")
        if self._is_live:
            self.leaving.listen()
            self.set_interval(HEARTBEAT_S, self._beat, name="heartbeat")
        self._draw()

    async def _build(self, screen: ScreenName) -> None:
        body = self.query_one("#body", Container)
        if screen is ScreenName.OVERVIEW and self._overview is None:
            from qudag_tui.tui.screens.overview import OverviewScreen

            self._overview = OverviewScreen()
            self._overview.display = False
            await body.mount(self._overview)
        elif screen is ScreenName.PEERS and self._peers is None:
            from qudag_tui.tui.screens.peers import PeersScreen

            self._peers = PeersScreen()
            self._peers.display = False
            await body.mount(self._peers)

    # --- news -----------------------------------------------------------------------------------------

    def receive(self, update: Update) -> None:
        """Take what the client delivers."""
        for event in events_of(update, self._clock(), self.state.live.sample):
            self.dispatch(event)
            if isinstance(event, Connected):
                self._wants_past = True
            elif isinstance(event, SampleArrived):
                self._sampled(event)

    def _sampled(self, event: SampleArrived) -> None:
        if self._wants_past:
            self._wants_past = False
            self.run_worker(self._ask_past(event.sample.node.sampled_unix_s), name="past", group="past")
        is_open = self._peers is not None and self._peers.is_detailed
        if is_open and event.now_mono_s - self._detail_mono_s >= DETAIL_EVERY_S:
            self._ask_detail_soon()

    async def _ask_past(self, now_unix_s: float) -> None:
        step_s = max(1.0, self.state.interval_s)
        asked = {
            "series": list(HISTORY_SERIES),
            "from_unix_s": now_unix_s - MAX_POINTS * step_s,
            "to_unix_s": now_unix_s,
            "step_s": step_s,
        }
        try:
            answer = await self._source.call("history", asked)
        except QudagError as error:
            # The charts then begin with now, which they show; nobody has to act on it.
            self.log(f"no history: {error}")
            return
        self.dispatch(PastArrived(read_past(answer)))

    def _ask_detail_soon(self) -> None:
        if self._peers is not None:
            self._detail_mono_s = self._clock()
            peer_id = self._peers.detailed_id
            self.run_worker(self._ask_detail(peer_id), name="detail", group="detail", exclusive=True)

    async def _ask_detail(self, peer_id: str) -> None:
        try:
            detail = read_detail(peer_id, await self._source.call("peer", {"peer": peer_id}))
        except QudagError as error:
            detail = PeerDetail(peer_id=peer_id, error=str(error))
        self.dispatch(DetailArrived(detail))

    def _beat(self) -> None:
        self.leaving.leave_if_terminal_is_gone()
        now = self._clock()
        # While samples come each second they are the heartbeat; a second one would draw everything twice.
        is_fed = self.state.interval_s <= HEARTBEAT_S and not self.state.is_paused
        if now - self._drawn_mono_s > HEARTBEAT_S * (1.4 if is_fed else 0.9):
            self.dispatch(TimePassed(now))

    # --- state and drawing ----------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        """The theme in force."""
        return theme_named(self.theme)

    def dispatch(self, event: UiEvent) -> None:
        """Change the state, the only way there is, and draw it soon."""
        self.state = reduce(self.state, event)
        self.draw_soon()

    def draw_soon(self) -> None:
        """Draw once, however often it was asked for until then."""
        if not self._draw_due:
            self._draw_due = True
            self.call_later(self._draw)

    def _draw(self) -> None:
        self._draw_due = False
        if len(self.screen_stack) > 1 and not self.screen.is_modal:
            return  # the help page covers everything
        state = self.state
        self._drawn_mono_s = self._clock()
        width, height = self.size
        if width < LEAST.width or height < LEAST.height:
            self.query_one("#too-small", Painted).show(too_small(width, height))
            return
        self.query_one(HeaderBar).draw(state)
        self.query_one(KeyBar).draw(self._hints())
        self._draw_body(state)

    def _draw_body(self, state: UiState) -> None:
        waiting = self.query_one("#waiting", Painted)
        has_data = state.seen.sample is not None
        waiting.display = not has_data
        screens = {ScreenName.OVERVIEW: self._overview, ScreenName.PEERS: self._peers}
        for name, screen in screens.items():
            if screen is not None:
                screen.display = has_data and name is state.screen
        current = screens[state.screen]
        if not has_data:
            waiting.show(waiting_page(state, max(1, self.size.width - 4), self.glyphs))
        elif current is not None:
            current.draw(state)

    def _hints(self) -> list[Hint]:
        # However narrow the terminal: how to learn the rest, and how to leave.
        keys = tuple(sorted(EVERYWHERE, key=lambda key: key.id not in {"help", "quit"}))
        if self.state.screen is ScreenName.PEERS and self._peers is not None:
            own = FILTER if self._peers.is_filtering else DETAIL if self._peers.is_detailed else PEERS
            keys = own + keys
        return [hint for hint in hints(keys, self.own_keys) if hint.label]

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw_soon()

    def on_screen_resume(self) -> None:
        """Draw what was covered."""
        self.draw_soon()

    # --- what keys do ---------------------------------------------------------------------------------

    async def do(self, action: str) -> None:
        """Do what a key would do: in the part of the screen that has the keys, else everywhere."""
        name = action.partition("(")[0]
        focused = self.focused
        here = focused if focused is not None and hasattr(focused, f"action_{name}") else self
        await self.run_action(action, default_namespace=here)

    async def action_show(self, screen: str) -> None:
        """Go to a screen."""
        name = ScreenName(screen)
        await self._build(name)
        self.dispatch(ScreenShown(name))
        # At once, and the keys with it: what is typed next belongs to the new screen.
        self._draw()
        if name is ScreenName.PEERS and self._peers is not None:
            self._peers.take_focus()
        else:
            self.set_focus(None)

    async def open_peer(self, peer_id: str) -> None:
        """Show everything about one peer."""
        await self.action_show(ScreenName.PEERS)
        if self._peers is not None:
            self._peers.show_peer(peer_id)
            self._ask_detail_soon()

    async def on_peer_chosen(self, message: PeerChosen) -> None:
        """Somebody chose a peer, in whichever panel."""
        await self.open_peer(message.peer_id)

    def action_help(self) -> None:
        """Show every key."""
        from qudag_tui.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    async def action_filter(self) -> None:
        """Open the filter line of the peers."""
        await self.action_show(ScreenName.PEERS)
        if self._peers is not None:
            self._peers.begin_filter()

    async def action_back(self) -> None:
        """Leave a page, or clear the filter. Never quits."""
        if self.state.screen is ScreenName.PEERS and self._peers is not None:
            self._peers.back()
        else:
            self.set_focus(None)

    def action_pause(self) -> None:
        """Hold the display still, or let it go."""
        self.dispatch(PauseToggled())

    def action_interval(self, by: int) -> None:
        """Look less or more often."""
        self.dispatch(IntervalStepped(by))
        self.run_worker(self._set_interval(), name="interval", group="interval", exclusive=True)

    async def _set_interval(self) -> None:
        await asyncio.sleep(SETTLE_S)
        try:
            await self._source.set_interval(self.state.interval_s)
        except QudagError as error:
            self.notify(str(error), severity="warning", markup=False)

    def action_next_theme(self) -> None:
        """Go through the themes."""
        names = [look.name for look in THEMES]
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

    def strips(self) -> list[Strip]:
        """The lines of the screen as they are now."""
        # Private, but what Textual's own screenshot does.
        return self.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]

    def copy_id(self, peer_id: str) -> None:
        """Put a peer's id on the clipboard of the person's own terminal."""
        self.copy_to_clipboard(peer_id)
        self.notify(f"copied {peer_id}", timeout=2, markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Textual's: the commands of the palette."""
        del screen
        return commands_of(self)
