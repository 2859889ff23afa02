"""The help page, over the screen it was asked from."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from qudag_tui.tui.keymap import ALL_KEYS, HELP, bindings, hints
from qudag_tui.tui.widgets.page import Page
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.views.header import too_small
from qudag_tui.views.help_page import help_page
from qudag_tui.views.spans import Box

__all__ = ["HelpScreen"]


class HelpPage(Page):
    """Every key, the filter language, the fields, the signs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(HELP)]

    def on_resize(self) -> None:
        """Draw for the new width."""
        groups = {name: hints(keys, self.monitor.app.own_keys) for name, keys in ALL_KEYS.items()}
        self.show(help_page(groups, self.room, self.monitor.glyphs))

    def action_close(self) -> None:
        """Go back to where the question came from."""
        self.app.pop_screen()


class HelpScreen(Screen[None]):
    """Opaque: what is below costs nothing while it is open."""

    DEFAULT_CSS = "HelpScreen Page { padding: 1 2; height: 1fr; }"

    def compose(self) -> ComposeResult:
        """One page, or what stands where none can be read."""
        yield HelpPage(id="help-page")
        yield Painted(id="too-small")

    def on_resize(self) -> None:
        """Say how large the terminal must be; it is seen where it is too small."""
        self.query_one("#too-small", Painted).show(too_small(Box(*self.app.size)))

    def on_mount(self) -> None:
        """Give the keys to the page, at once: the next one may already be on its way."""
        self.set_focus(self.query_one(HelpPage))
