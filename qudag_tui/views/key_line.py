"""The key line: the keys that matter on the screen that is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qudag_tui.views.spans import Line, Role, Span
from qudag_tui.views.text import cell_width

__all__ = ["Hint", "hint_at", "key_line"]


class Hint(NamedTuple):
    """One binding: its keys as a person writes them, its short name, what it does, its action."""

    keys: str
    label: str
    meaning: str
    action: str = ""

    @property
    def key(self) -> str:
        """The first of its keys."""
        return self.keys.split()[0]


def key_line(hints: Sequence[Hint], width: int) -> Line:
    """The last line of the screen: as many whole hints as fit."""
    spans: list[Span] = [Span(" ")]
    used = 1
    for hint in hints:
        cells = cell_width(hint.key) + cell_width(hint.label) + 3
        if used + cells > width:
            break
        spans += [Span(hint.key, Role.KEY), Span(f" {hint.label}  ", Role.DIM)]
        used += cells
    return tuple(spans)


def hint_at(hints: Sequence[Hint], x: int, width: int) -> Hint | None:
    """Which hint of the key line stands at column ``x``."""
    used = 1
    for hint in hints:
        cells = cell_width(hint.key) + cell_width(hint.label) + 3
        if used + cells > width:
            return None
        if used <= x < used + cells - 2:
            return hint
        used += cells
    return None
