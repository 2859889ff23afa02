"""The peers: a line about the table, the table, the filter line when one is typed, and one peer's page."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from qudag_tui.model.events import FilterTyped, PeerSelected
from qudag_tui.model.filters import MAX_LENGTH
from qudag_tui.model.state import UiState
from qudag_tui.tui.keymap import DETAIL, FILTER, bindings
from qudag_tui.tui.widgets.page import Page
from qudag_tui.tui.widgets.painted import Painted
from qudag_tui.tui.widgets.panel import PeerChosen
from qudag_tui.tui.widgets.peer_table import PeerTable
from qudag_tui.views.peer_detail import peer_detail
from qudag_tui.views.peers_bar import filter_problem, peers_bar
from qudag_tui.views.spans import Role, Span

if TYPE_CHECKING:
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.monitor import Monitor

__all__ = ["DetailPage", "FilterInput", "PeersScreen"]


class Part(Enum):
    """What of the screen is shown, and has the keys."""

    TABLE = auto()
    FILTER = auto()
    DETAIL = auto()


class FilterInput(Input):
    """What is typed here filters the table at once."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FILTER)]

    def __init__(self) -> None:
        super().__init__(id="filter-input", compact=True, max_length=MAX_LENGTH, select_on_focus=False)
        self.cursor_blink = False

    @property
    def _screen(self) -> PeersScreen:
        return next(node for node in self.ancestors if isinstance(node, PeersScreen))

    def action_keep(self) -> None:
        """Keep the filter and go back to the table."""
        self._screen.end_filter()

    def action_clear(self) -> None:
        """Show every peer again."""
        self.value = ""
        self._screen.clear_filter()


class DetailPage(Page):
    """Everything about one peer."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DETAIL)]

    def __init__(self) -> None:
        super().__init__(id="peer-detail")
        self.peer_id = ""

    def draw(self, state: UiState) -> None:
        """Draw the peer as this state knows it."""
        if self.room > 0:
            lines = peer_detail(state, self.peer_id, self.room, self.monitor.glyphs)
            self.show(lines, faded=state.is_stale)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw(self.monitor.state)

    def action_neighbour(self, by: int) -> None:
        """Go to the peer above or below in the table."""
        table = self.app.query_one(PeerTable)
        table.action_move(by)
        if table.selected is not None:
            self.post_message(PeerChosen(table.selected))

    def action_copy(self) -> None:
        """Copy the peer's id."""
        self.monitor.copy_id(self.peer_id)


class PeersScreen(Vertical):
    """The table of every peer, or the page of one."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    PeersScreen { padding: 0 1; }
    #peers-bar, #filter-line, #filter-problem { height: 1; }
    #filter-line { layout: horizontal; }
    #filter-prompt { width: 2; }
    #filter-input { width: 1fr; background: $surface; padding: 0; border: none; }
    #peer-table, #peer-detail { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="peers")
        self._part = Part.TABLE

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Painted(id="peers-bar")
        with Vertical(id="filter-line"):
            yield Painted(id="filter-prompt")
            yield FilterInput()
        yield Painted(id="filter-problem")
        yield PeerTable()
        yield DetailPage()

    def on_mount(self) -> None:
        """Begin with the table."""
        self._arrange(Part.TABLE)

    @property
    def monitor(self) -> Monitor:
        """What there is to show."""
        return cast("QudagTop", self.app).monitor

    @property
    def is_filtering(self) -> bool:
        """Whether the filter line is open."""
        return self._part is Part.FILTER

    @property
    def is_detailed(self) -> bool:
        """Whether one peer's page is shown."""
        return self._part is Part.DETAIL

    def _arrange(self, part: Part) -> None:
        """Show a part and give it the keys, at once: the next key may already be on its way."""
        self._part = part
        is_detail, is_filter = part is Part.DETAIL, part is Part.FILTER
        self.query_one(DetailPage).display = is_detail
        self.query_one(PeerTable).display = not is_detail
        self.query_one("#peers-bar").display = not is_detail
        self.query_one("#filter-line").display = is_filter
        self.query_one("#filter-problem").display = is_filter
        self.take_focus()
        self.monitor.draw_soon()

    @property
    def detailed_id(self) -> str:
        """Whose page is shown."""
        return self.query_one(DetailPage).peer_id

    def draw(self, state: UiState) -> None:
        """Draw this state: the page, or the table with its lines."""
        if self.is_detailed:
            self.query_one(DetailPage).draw(state)
            return
        table = self.query_one(PeerTable)
        table.draw(state)
        self._draw_bars(state, table)

    def _draw_bars(self, state: UiState, table: PeerTable) -> None:
        glyphs, width = self.monitor.glyphs, self.content_size.width
        bar = peers_bar(state, len(table.order), table.layout_now, width, glyphs)
        self.query_one("#peers-bar", Painted).show([bar])
        if self.is_filtering:
            self.query_one("#filter-prompt", Painted).show([(Span(f"{glyphs.prompt} ", Role.KEY),)])
            problem = filter_problem(state, 2, width, glyphs)
            self.query_one("#filter-problem", Painted).show([problem], faded=False)

    def on_peer_table_drawn(self) -> None:
        """Other columns are shown: say so."""
        self._draw_bars(self.monitor.state, self.query_one(PeerTable))

    def on_resize(self) -> None:
        """Draw the lines for the new width."""
        self.call_after_refresh(lambda: self.draw(self.monitor.state))

    def show_peer(self, peer_id: str) -> None:
        """Open the page of one peer."""
        page = self.query_one(DetailPage)
        page.peer_id = peer_id
        page.scroll_home(animate=False)
        self.monitor.dispatch(PeerSelected(peer_id))
        self._arrange(Part.DETAIL)

    def begin_filter(self) -> None:
        """Open the filter line."""
        field = self.query_one(FilterInput)
        field.value = self.monitor.state.filter_text
        field.cursor_position = len(field.value)
        self._arrange(Part.FILTER)

    def end_filter(self) -> None:
        """Close the filter line; the filter stays, unless it cannot be read."""
        # What was typed may not have been told yet.
        self.monitor.dispatch(FilterTyped(self.query_one(FilterInput).value))
        if self.monitor.state.filter_problem is None:
            self._arrange(Part.TABLE)

    def clear_filter(self) -> None:
        """Show every peer and close the filter line."""
        self.monitor.dispatch(FilterTyped(""))
        self._arrange(Part.TABLE)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        if self.is_filtering:
            # More may have been typed since.
            self.monitor.dispatch(FilterTyped(self.query_one(FilterInput).value))

    def back(self) -> None:
        """Leave the page, or clear the filter."""
        if self.is_detailed:
            self._arrange(Part.TABLE)
        elif self.is_filtering or self.monitor.state.filter_text:
            self.clear_filter()

    def take_focus(self) -> None:
        """Give the keys to what is shown."""
        parts = {Part.TABLE: PeerTable, Part.FILTER: FilterInput, Part.DETAIL: DetailPage}
        self.screen.set_focus(self.query_one(parts[self._part]))
