"""A panel of the overview: one view function in its own box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from qudag_tui.model.state import UiState
from qudag_tui.tui.keymap import LOG, bindings
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.views.events import events as draw_events
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.latency import latency, latency_peers
from qudag_tui.views.spans import Box, Line

__all__ = ["EventPanel", "LatencyPanel", "Panel", "PeerChosen"]

View = Callable[[UiState, Box, Glyphs], Sequence[Line]]

WHEEL_LINES = 3


class PeerChosen(Message):
    """Somebody wants to see everything about one peer."""

    def __init__(self, peer_id: str) -> None:
        super().__init__()
        self.peer_id = peer_id


class Panel(Painted):
    """Draws a view whenever the state or its own size changes."""

    def __init__(self, view: View, *, id: str) -> None:  # noqa: A002 — Textual's name
        super().__init__(id=id)
        self._view = view

    def draw(self, state: UiState) -> None:
        """Draw this state."""
        box = self.box
        if box.width > 0 and box.height > 0:
            self.show(self._view(state, box, self.top.glyphs), faded=state.is_stale)

    def on_resize(self) -> None:
        """Draw for the new size."""
        super().on_resize()
        self.draw(self.top.monitor.state)


class LatencyPanel(Panel):
    """The worst peers; a click on one shows it."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 — Textual's name
        super().__init__(latency, id=id)

    def on_click(self, event: events.Click) -> None:
        """Open the peer under the mouse."""
        peers = latency_peers(self.top.monitor.state, self.box)
        if 0 <= event.y - 2 < len(peers):
            self.post_message(PeerChosen(peers[event.y - 2]))


class EventPanel(Panel, can_focus=True):
    """The event log; it scrolls, and stays with the events it shows when new ones come."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LOG)]

    def __init__(self, *, id: str) -> None:  # noqa: A002 — Textual's name
        super().__init__(self._draw_log, id=id)
        self.skipped = 0
        self._newest: object = None

    def _draw_log(self, state: UiState, box: Box, glyphs: Glyphs) -> Sequence[Line]:
        log = state.seen.events
        if self.skipped and self._newest in log:
            self.skipped += log.index(self._newest)
        self._newest = log[0] if log else None
        self.skipped = max(0, min(self.skipped, len(log) - box.height + 1))
        return draw_events(state, box, glyphs, self.skipped, has_keys=self.has_focus)

    def on_focus(self) -> None:
        """Say that the arrows scroll here now."""
        self.draw(self.top.monitor.state)

    def on_blur(self) -> None:
        """Say so no more."""
        self.draw(self.top.monitor.state)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines, towards older events when positive."""
        self.skipped = max(0, self.skipped + lines)
        self.draw(self.top.monitor.state)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.action_scroll(pages * max(1, self.size.height - 2))

    def action_newest(self) -> None:
        """Go to the newest event."""
        self.action_scroll(-self.skipped)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Towards older events."""
        event.stop()
        self.action_scroll(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Towards the newest event."""
        event.stop()
        self.action_scroll(-WHEEL_LINES)
