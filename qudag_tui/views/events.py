"""The event log: newest first, each with its age, a sign for its severity, and its words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from qudag_tui.model.state import NodeEvent, Severity, UiState
from qudag_tui.views.figures import format_short_age
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import title
from qudag_tui.views.spans import Box, Line, Role, Span, fit_line, fitted
from qudag_tui.views.text import cell_width, format_clock

__all__ = ["event_lines", "events"]

_ROLES = {Severity.INFO: Role.DIM, Severity.WARNING: Role.WARN, Severity.ERROR: Role.BAD}


def events(
    state: UiState, box: Box, glyphs: Glyphs, skipped: int = 0, *, has_keys: bool = False
) -> list[Line]:
    """Draw the panel, ``skipped`` lines scrolled away; ``has_keys`` when the arrows scroll it."""
    log = state.seen.events
    last = min(len(log), skipped + box.height - 1)
    note = f"{skipped + 1} to {last} of {len(log)}" if log else ""
    if has_keys:
        note = f"up, down: {note}"
    lines = [title("Events", note, box.width, glyphs)]
    if not log:
        lines.append((Span("nothing has happened yet", Role.DIM),))
    shown = log[skipped : skipped + box.height - 1]
    lines += event_lines(shown, state.node_unix_s, box.width, glyphs)
    return [fit_line(line, box.width) for line in lines[: box.height]]


def event_lines(log: Sequence[NodeEvent], now_unix_s: float, width: int, glyphs: Glyphs) -> list[Line]:
    """One line for each event."""
    signs = {Severity.INFO: glyphs.info, Severity.WARNING: glyphs.caution, Severity.ERROR: glyphs.trouble}
    subject_width = min(14, max([cell_width(event.subject) for event in log], default=0))
    kind_width = min(16, max([cell_width(event.kind) for event in log], default=0))
    lines: list[Line] = []
    for event in log:
        role = _ROLES[event.severity]
        spans = [fitted(format_short_age(now_unix_s - event.unix_s), 4, Role.DIM, right=True)]
        if width >= 70:
            spans.append(Span(f"  {format_clock(event.unix_s, utc=True)}", Role.DIM))
        spans += [Span(f"  {signs[event.severity]} ", role), fitted(event.kind, kind_width, role), Span(" ")]
        if subject_width:
            spans += [fitted(event.subject, subject_width), Span(" ")]
        spans.append(Span(event.text, Role.DIM))
        lines.append(tuple(spans))
    return lines
