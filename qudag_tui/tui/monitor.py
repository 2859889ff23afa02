"""What the monitor knows and shows: the state, fed through ``reduce``; the screens; the questions asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.containers import Container

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
from qudag_tui.model.state import Link, PeerDetail, ScreenName, UiState
from qudag_tui.model.trail import MAX_POINTS
from qudag_tui.tui.keymap import DETAIL, EVERYWHERE, FILTER, PEERS, Key, hints
from qudag_tui.tui.screens.overview import OverviewScreen
from qudag_tui.tui.source import SourceFactory, events_of
from qudag_tui.tui.theme import Look
from qudag_tui.tui.widgets.bars import HeaderBar, KeyBar
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.header import header, tab_at, too_small, waiting_page
from qudag_tui.views.key_line import Hint, hint_at, key_line
from qudag_tui.views.spans import Box

if TYPE_CHECKING:
    from qudag_tui.client.updates import Update
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.screens.peers import PeersScreen

__all__ = ["Monitor"]

HEARTBEAT_S = 1.0
#: The page of a peer asks the node again this often.
DETAIL_EVERY_S = 2.0
#: Pressing + five times asks the node once.
SETTLE_S = 0.3


class Monitor:
    """Between the state and the screens. ``dispatch`` is the only way to change the one."""

    def __init__(self, app: QudagTop, connect: SourceFactory, address: str, interval_s: float) -> None:
        self.app = app
        self.state = UiState(link=Link(address=address), interval_s=interval_s, now_mono_s=app.clock())
        self._source = connect(self.receive)
        self._draw_due = False
        self._drawn_mono_s = 0.0
        self._detail_mono_s = 0.0
        self._wants_past = True
        self._overview: OverviewScreen | None = None
        self._peers: PeersScreen | None = None

    @property
    def look(self) -> Look:
        """The theme in force."""
        return self.app.look

    @property
    def glyphs(self) -> Glyphs:
        """The signs to draw with."""
        return self.app.glyphs

    async def begin(self) -> None:
        """Build the first screen, then ask the node."""
        await self._build(self.state.screen)
        self.draw()
        self.app.run_worker(self._source.run(), name="client", group="client")
        if self.app.is_live:
            self.app.leaving.listen()
            self.app.set_interval(HEARTBEAT_S, self._beat, name="heartbeat")

    async def _build(self, screen: ScreenName) -> None:
        body = self.app.query_one("#body", Container)
        if screen is ScreenName.OVERVIEW and self._overview is None:
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
        for event in events_of(update, self.app.clock(), self.state.live.sample):
            self.dispatch(event)
            if isinstance(event, Connected):
                self._wants_past = True
            elif isinstance(event, SampleArrived):
                self._sampled(event)

    def _sampled(self, event: SampleArrived) -> None:
        if self._wants_past:
            self._wants_past = False
            past = self._ask_past(event.sample.node.sampled_unix_s)
            self.app.run_worker(past, name="past", group="past", exclusive=True)
        is_open = self._peers is not None and self._peers.is_detailed
        if is_open and event.now_mono_s - self._detail_mono_s >= DETAIL_EVERY_S:
            self.ask_detail()

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
            self.app.log(f"no history: {error}")
            return
        self.dispatch(PastArrived(read_past(answer)))

    def ask_detail(self) -> None:
        """Ask the node about the peer whose page is open."""
        if self._peers is not None:
            self._detail_mono_s = self.app.clock()
            asked = self._ask_detail(self._peers.detailed_id)
            self.app.run_worker(asked, name="detail", group="detail", exclusive=True)

    async def _ask_detail(self, peer_id: str) -> None:
        try:
            detail = read_detail(peer_id, await self._source.call("peer", {"peer": peer_id}))
        except QudagError as error:
            detail = PeerDetail(peer_id=peer_id, error=str(error))
        self.dispatch(DetailArrived(detail))

    def _beat(self) -> None:
        self.app.leaving.leave_if_terminal_is_gone()
        now = self.app.clock()
        # While samples come each second they are the heartbeat; a second one would draw everything twice.
        is_fed = self.state.interval_s <= HEARTBEAT_S and not self.state.is_paused
        if now - self._drawn_mono_s > HEARTBEAT_S * (1.4 if is_fed else 0.9):
            self.dispatch(TimePassed(now))

    # --- drawing --------------------------------------------------------------------------------------

    def dispatch(self, event: UiEvent, *, is_drawn: bool = False) -> None:
        """Change the state, the only way there is, and draw it soon, unless the caller draws it himself."""
        self.state = reduce(self.state, event)
        if not is_drawn:
            self.draw_soon()

    def draw_soon(self) -> None:
        """Draw once, however often it was asked for until then."""
        if not self._draw_due:
            self._draw_due = True
            self.app.call_later(self.draw)

    def draw(self) -> None:
        """Draw the state as it is."""
        self._draw_due = False
        if len(self.app.screen_stack) > 1 and not self.app.screen.is_modal:
            return  # the help page covers everything
        self._drawn_mono_s = self.app.clock()
        box = Box(*self.app.size)
        small = too_small(box)
        if small:
            self.app.query_one("#too-small", Painted).show(small)
            return
        self.app.query_one(HeaderBar).show(header(self.state, box.width, self.glyphs))
        self.app.query_one(KeyBar).show([key_line(self.hints, box.width)])
        self._draw_body(box)

    def _draw_body(self, box: Box) -> None:
        state = self.state
        waiting = self.app.query_one("#waiting", Painted)
        has_data = state.seen.sample is not None
        waiting.display = not has_data
        screens = {ScreenName.OVERVIEW: self._overview, ScreenName.PEERS: self._peers}
        for name, screen in screens.items():
            if screen is not None:
                screen.display = has_data and name is state.screen
        current = screens[state.screen]
        if not has_data:
            waiting.show(waiting_page(state, max(1, box.width - 4), self.glyphs))
        elif current is not None:
            current.draw(state)

    @property
    def hints(self) -> list[Hint]:
        """The keys that matter now."""
        # However narrow the terminal: how to learn the rest, and how to leave.
        keys: tuple[Key, ...] = tuple(sorted(EVERYWHERE, key=lambda key: key.id not in {"help", "quit"}))
        if self.state.screen is ScreenName.PEERS and self._peers is not None:
            own = FILTER if self._peers.is_filtering else DETAIL if self._peers.is_detailed else PEERS
            keys = own + keys
        return [hint for hint in hints(keys, self.app.own_keys) if hint.label]

    # --- what keys and the mouse do -------------------------------------------------------------------

    async def show(self, screen: str) -> None:
        """Go to a screen."""
        name = ScreenName(screen)
        await self._build(name)
        self.dispatch(ScreenShown(name))
        # At once, and the keys with it: what is typed next belongs to the new screen.
        self.draw()
        if name is ScreenName.PEERS and self._peers is not None:
            self._peers.take_focus()
        else:
            self.app.set_focus(None)

    async def open_peer(self, peer_id: str) -> None:
        """Show everything about one peer."""
        await self.show(ScreenName.PEERS)
        if self._peers is not None:
            self._peers.show_peer(peer_id)
            self.ask_detail()

    async def begin_filter(self) -> None:
        """Open the filter line of the peers."""
        await self.show(ScreenName.PEERS)
        if self._peers is not None:
            self._peers.begin_filter()

    def back(self) -> None:
        """Leave a page, or clear the filter."""
        if self.state.screen is ScreenName.PEERS and self._peers is not None:
            self._peers.back()
        else:
            self.app.set_focus(None)

    async def click(self, bar: HeaderBar | KeyBar, x: int, y: int) -> None:
        """Do what stands in a bar at this place."""
        if isinstance(bar, HeaderBar):
            screen = tab_at(x) if y == 1 else None
            if screen is not None:
                await self.show(screen)
            return
        hint = hint_at(self.hints, x, self.app.size.width)
        if hint is not None:
            await self.app.do(hint.action)

    def toggle_pause(self) -> None:
        """Hold the display still, or let it go."""
        self.dispatch(PauseToggled())

    def step_interval(self, by: int) -> None:
        """Look less or more often."""
        self.dispatch(IntervalStepped(by))
        self.app.run_worker(self._set_interval(), name="interval", group="interval", exclusive=True)

    async def _set_interval(self) -> None:
        await asyncio.sleep(SETTLE_S)
        try:
            await self._source.set_interval(self.state.interval_s)
        except QudagError as error:
            self.app.notify(str(error), severity="warning", markup=False)

    def copy_id(self, peer_id: str) -> None:
        """Put a peer's id on the clipboard."""
        self.app.copy_id(peer_id)
