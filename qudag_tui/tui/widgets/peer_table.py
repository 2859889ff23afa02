"""The table of every peer: only the rows on the screen are drawn, and of those only what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qudag_tui.model.events import PeerSelected, SortBy, SortReversed, SortStepped
from qudag_tui.model.order import arrange
from qudag_tui.model.peers import Peers
from qudag_tui.model.state import UiState
from qudag_tui.model.trail import Window
from qudag_tui.tui.keymap import PEERS, bindings
from qudag_tui.tui.widgets.painted import Brush
from qudag_tui.tui.widgets.panel import PeerChosen
from qudag_tui.views.peer_columns import Layout, layout_columns, peer_row, peers_head
from qudag_tui.views.spans import Line, difference

if TYPE_CHECKING:
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.monitor import Monitor

__all__ = ["PeerTable"]


class PeerTable(ScrollView, can_focus=True):
    """Rows by sort and filter of the state; the selection is a peer, not a row."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PEERS)]
    DEFAULT_CSS = """
    PeerTable { overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    class Drawn(Message):
        """The table shows other rows or columns than before."""

    def __init__(self) -> None:
        super().__init__(id="peer-table")
        self.order: Sequence[int] = ()
        self.layout_now: Layout = layout_columns(80, 0)
        self.peers = Peers()
        self._place = 0
        self._skipped = 0
        self._head: Line = ()
        self._lines: list[Line] = []
        self._cursor_line = -1
        self._brush: Brush | None = None
        self._is_faded = False

    @property
    def monitor(self) -> Monitor:
        """What there is to show."""
        return cast("QudagTop", self.app).monitor

    @property
    def rows_visible(self) -> int:
        """How many rows fit under the head."""
        return max(1, self.scrollable_content_region.height - 1)

    def draw(self, state: UiState) -> None:
        """Arrange the rows of this state and repaint the lines that changed."""
        sample = state.seen.sample
        self.peers = sample.peers if sample is not None else Peers()
        self.order = arrange(self.peers, state.sort, state.wanted, state.node_unix_s)
        size = Size(self.size.width, len(self.order) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self._place = self._place_of(state.selected)
        self._paint(state)

    def _place_of(self, peer_id: str | None) -> int:
        """The place of the selection in the order; a peer that is not shown leaves it where it was."""
        row = self.peers.index_of(peer_id)
        if row is not None and row in self.order:
            return self.order.index(row)
        return max(0, min(self._place, len(self.order) - 1))

    def _paint(self, state: UiState) -> None:
        region = self.scrollable_content_region
        if region.width <= 0 or region.height <= 0:
            return
        glyphs, top = self.monitor.glyphs, self.scroll_offset.y
        self.layout_now = layout_columns(region.width, self._skipped)
        self._skipped = self.layout_now.before
        head = peers_head(self.layout_now, state.sort, glyphs)
        window = Window(state.seen.trail.tracks, self.layout_now.history)
        lines = [
            peer_row(self.peers, row, self.layout_now, window, state.node_unix_s, glyphs)
            for row in self.order[top : top + region.height - 1]
        ]
        cursor = self._place - top
        before, head_before, cursor_before = self._lines, self._head, self._cursor_line
        self._head, self._lines, self._cursor_line = head, lines, cursor
        if state.is_stale != self._is_faded or len(lines) != len(before):
            self._is_faded, self._brush = state.is_stale, None
            self.refresh()
            return
        if head != head_before:
            self.refresh(Region(0, 0, region.width, 1))
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if cursor != cursor_before and y in {cursor, cursor_before}:
                self.refresh(Region(0, y + 1, region.width, 1))
            elif old != new:
                left, right = difference(old, new, region.width)
                self.refresh(Region(left, y + 1, right - left, 1))

    def notify_style_update(self) -> None:
        """Textual's: the theme or a class changed."""
        self._brush = None
        super().notify_style_update()

    def on_resize(self) -> None:
        """Draw for the new size, the selection in sight."""
        self.draw(self.monitor.state)
        self._keep_in_sight()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Textual's: other rows are in sight."""
        super().watch_scroll_y(old_value, new_value)
        self._paint(self.monitor.state)

    def render_line(self, y: int) -> Strip:
        """Textual's: one line of the widget."""
        if self._brush is None:
            look, glyphs = self.monitor.look, self.monitor.glyphs
            self._brush = Brush(self.rich_style, look, glyphs, faded=self._is_faded)
        width = self.scrollable_content_region.width
        if y == 0:
            return self._brush.strip(self._head, width)
        if y > len(self._lines):
            return self._brush.strip((), width)
        return self._brush.strip(self._lines[y - 1], width, cursor=y - 1 == self._cursor_line)

    @property
    def selected(self) -> str | None:
        """The id of the peer under the cursor."""
        return self.peers.ids[self.order[self._place]] if self.order else None

    def select(self, place: int) -> None:
        """Put the cursor on a row, within the table."""
        if not self.order:
            return
        self._place = max(0, min(place, len(self.order) - 1))
        self.monitor.dispatch(PeerSelected(self.selected), is_drawn=True)
        # Two lines change, not the whole screen.
        before, self._cursor_line = self._cursor_line, self._place - self.scroll_offset.y
        for y in {before, self._cursor_line}:
            if 0 <= y < len(self._lines):
                self.refresh(Region(0, y + 1, self.scrollable_content_region.width, 1))
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        top, visible = self.scroll_offset.y, self.rows_visible
        if self._place < top:
            self.scroll_to(y=self._place, animate=False)
        elif self._place >= top + visible:
            self.scroll_to(y=self._place - visible + 1, animate=False)

    def action_move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.select(self._place + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.select(self._place + pages * max(1, self.rows_visible - 1))

    def action_jump(self, end: int) -> None:
        """Move the cursor to the first or the last row."""
        self.select(0 if end < 0 else len(self.order) - 1)

    def action_columns(self, by: int) -> None:
        """Show other columns."""
        layout = self.layout_now
        if by > 0 and not layout.after:
            return
        self._skipped = max(0, layout.before + by)
        self._paint(self.monitor.state)
        self.post_message(self.Drawn())

    def action_sort(self) -> None:
        """Sort by the next column on the screen."""
        self.monitor.dispatch(SortStepped(self.layout_now.keys))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.monitor.dispatch(SortReversed())

    def action_detail(self) -> None:
        """Show everything about the selected peer."""
        if self.selected is not None:
            self.post_message(PeerChosen(self.selected))

    def action_copy(self) -> None:
        """Copy the id of the selected peer."""
        if self.selected is not None:
            self.monitor.copy_id(self.selected)

    def on_click(self, event: events.Click) -> None:
        """The head sorts, a row is selected, the selected row or a double click opens."""
        if event.y == 0:
            column = self.layout_now.at(event.x)
            if column is not None and column.field is not None:
                self.monitor.dispatch(SortBy(column.key))
            return
        place = self.scroll_offset.y + event.y - 1
        if place >= len(self.order):
            return
        if event.chain > 1:
            self.action_detail()
        else:
            self.select(place)
