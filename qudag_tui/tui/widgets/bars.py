"""The lines above and below every screen. They know only lines: the first frame needs nothing else."""

from __future__ import annotations

from textual import events
from textual.message import Message

from qudag_tui.tui.widgets.painted import Painted

__all__ = ["Bar", "HeaderBar", "KeyBar"]


class Bar(Painted):
    """Lines across the whole terminal."""

    class Clicked(Message):
        """Somebody clicked on a line."""

        def __init__(self, bar: Bar, x: int, y: int) -> None:
            super().__init__()
            self.bar = bar
            self.x = x
            self.y = y

    def on_click(self, event: events.Click) -> None:
        """Tell who knows what stands there."""
        self.post_message(self.Clicked(self, event.x, event.y))


class HeaderBar(Bar):
    """Who the node is and how we stand to it, and the tabs."""

    DEFAULT_CSS = "HeaderBar { height: 2; dock: top; background: $surface; }"


class KeyBar(Bar):
    """The keys that matter here."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; background: $surface; }"
