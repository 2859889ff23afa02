"""A page of lines that may be taller than the screen: the detail of a peer, the help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qudag_tui.tui.widgets.painted import Brush
from qudag_tui.views.spans import Line

if TYPE_CHECKING:
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.monitor import Monitor

__all__ = ["Page"]


class Page(ScrollView, can_focus=True):
    """Scrolls over lines; repaints those that changed and are on the screen."""

    DEFAULT_CSS = "Page { overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 — Textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._brush: Brush | None = None
        self._is_faded = False

    @property
    def monitor(self) -> Monitor:
        """What there is to show."""
        return cast("QudagTop", self.app).monitor

    @property
    def room(self) -> int:
        """The cells of one line, beside the scrollbar."""
        return self.scrollable_content_region.width

    def show(self, lines: Sequence[Line], *, faded: bool = False) -> None:
        """Draw these lines; ``faded`` when what they say is old."""
        before, self._lines = self._lines, lines
        if faded != self._is_faded or len(lines) != len(before):
            self._is_faded, self._brush = faded, None
            self.virtual_size = Size(self.room, len(lines))
            self.refresh()
            return
        top, height = self.scroll_offset.y, self.size.height
        for y in range(top, min(len(lines), top + height)):
            if before[y] != lines[y]:
                self.refresh(Region(0, y - top, self.size.width, 1))

    def notify_style_update(self) -> None:
        """Textual's: the theme or a class changed."""
        self._brush = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Textual's: one line of the widget."""
        if self._brush is None:
            self._brush = Brush(self.rich_style, self.monitor.look, self.monitor.glyphs, faded=self._is_faded)
        at = self.scroll_offset.y + y
        line = self._lines[at] if at < len(self._lines) else ()
        return self._brush.strip(line, self.size.width)
