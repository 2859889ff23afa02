"""A widget that draws the lines of a view and repaints only those that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from qudag_tui.tui.theme import Look
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.spans import Box, Line, Role, difference

if TYPE_CHECKING:
    from qudag_tui.tui.app import QudagTop

__all__ = ["Brush", "Painted"]

# What is said in an even voice while the figures are old; titles and rules keep the shape of the screen.
_FADED = frozenset(Role) - {Role.TITLE, Role.RULE, Role.KEY, Role.BANNER, Role.ALARM, Role.CURRENT}


class Brush:
    """Turns lines into strips in the present theme; made anew when the theme changes."""

    def __init__(self, base: Style, look: Look, glyphs: Glyphs, *, faded: bool = False) -> None:
        self._ascii = glyphs.is_ascii
        dim = look.styles[Role.DIM]
        self._styles = {
            role: base + (dim if faded and role in _FADED else style) for role, style in look.styles.items()
        }
        self._bare = {
            style
            for style in self._styles.values()
            if style.bgcolor == base.bgcolor and not style.underline and not style.reverse
        }
        self._cursor = {role: style + look.cursor for role, style in self._styles.items()}
        if not look.cursor.reverse:
            # A history under the cursor keeps its own colour: in that of the text it would shout.
            self._cursor[Role.TREND] = self._styles[Role.TREND] + Style(bgcolor=look.cursor.bgcolor)

    def strip(self, line: Line, width: int, *, cursor: bool = False) -> Strip:
        """Draw one line, exactly ``width`` cells wide whatever a peer's name does to the arithmetic."""
        styles = self._cursor if cursor else self._styles
        segments: list[Segment] = []
        merged, style = "", styles[Role.TEXT]
        for text, role in line:
            # Every change of style costs some forty bytes on the way to the terminal, and a space looks the
            # same in all styles but those that show: one run of text is one segment.
            if styles[role] is style or (role is Role.TEXT and style in self._bare and text.isspace()):
                merged += text
                continue
            if merged:
                segments.append(Segment(self._safe(merged), style))
            merged, style = text, styles[role]
        segments.append(Segment(self._safe(merged), style))
        return Strip(segments).adjust_cell_length(width, styles[Role.TEXT])

    def _safe(self, text: str) -> str:
        if not self._ascii or text.isascii():
            return text
        return text.replace("…", "~").encode("ascii", "replace").decode("ascii")


class Painted(Widget):
    """Shows lines; ``show`` compares them with those on the screen."""

    DEFAULT_CSS = "Painted { width: 1fr; height: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 — Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = ()
        self._strips: dict[int, Strip] = {}
        self._brush: Brush | None = None
        self._is_faded = False

    @property
    def box(self) -> Box:
        """The cells there are to fill."""
        return Box(self.size.width, self.size.height)

    @property
    def top(self) -> QudagTop:
        """The app, by its own type."""
        return cast("QudagTop", self.app)

    def show(self, lines: Sequence[Line], *, faded: bool = False) -> None:
        """Draw these lines; ``faded`` when what they say is old."""
        before, self._lines = self._lines, lines
        if faded != self._is_faded or len(lines) != len(before):
            self._is_faded = faded
            self.repaint()
            return
        width = self.size.width
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                self._strips.pop(y, None)
                left, right = difference(old, new, width)
                self.refresh(Region(left, y, right - left, 1))

    def repaint(self) -> None:
        """Draw every line anew."""
        self._strips.clear()
        self._brush = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Textual's: the theme or a class changed."""
        self._strips.clear()
        self._brush = None
        super().notify_style_update()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """Textual's: one line of the widget."""
        strip, width = self._strips.get(y), self.size.width
        # A new size is painted before on_resize hears of it.
        if strip is None or strip.cell_length != width:
            if self._brush is None:
                self._brush = Brush(self.rich_style, self.top.look, self.top.glyphs, faded=self._is_faded)
            line = self._lines[y] if y < len(self._lines) else ()
            strip = self._strips[y] = self._brush.strip(line, width)
        return strip
