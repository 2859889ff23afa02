"""The lines above and below every screen: the header with its tabs, and the keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events

from qudag_tui.model.state import UiState
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.views.header import header, tab_at
from qudag_tui.views.help_page import Hint, hint_at, key_line

__all__ = ["HeaderBar", "KeyBar"]


class HeaderBar(Painted):
    """Who the node is and how we stand to it; a click on a tab goes there."""

    DEFAULT_CSS = "HeaderBar { height: 2; dock: top; background: $surface; }"

    def draw(self, state: UiState) -> None:
        """Draw this state; the header is never faded, it says that the rest is old."""
        if self.size.width > 0:
            self.show(header(state, self.size.width, self.monitor.glyphs))

    def on_resize(self) -> None:
        """Draw for the new size."""
        super().on_resize()
        self.draw(self.monitor.state)

    async def on_click(self, event: events.Click) -> None:
        """Go to the tab under the mouse."""
        screen = tab_at(event.x) if event.y == 1 else None
        if screen is not None:
            await self.monitor.action_show(str(screen))


class KeyBar(Painted):
    """The keys that matter here; a click presses one."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; background: $surface; }"

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._hints: Sequence[Hint] = ()

    def draw(self, hints: Sequence[Hint]) -> None:
        """Draw these keys."""
        self._hints = hints
        self.show([key_line(hints, self.size.width)])

    def on_resize(self) -> None:
        """Draw for the new size."""
        super().on_resize()
        self.draw(self._hints)

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        hint = hint_at(self._hints, event.x, self.size.width)
        if hint is not None:
            await self.monitor.do(hint.action)
