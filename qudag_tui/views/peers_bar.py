"""The line above the peers table: how many are shown, by which order and filter, and what is off screen."""

from __future__ import annotations

from qudag_tui.model.fields import BY_KEY
from qudag_tui.model.quality import TCP_COLUMNS, tcp_note
from qudag_tui.model.state import UiState
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.peer_columns import Layout
from qudag_tui.views.spans import Line, Role, Span, fit_line, spread
from qudag_tui.views.text import cell_width

__all__ = ["filter_problem", "peers_bar"]


def peers_bar(state: UiState, shown: int, layout: Layout, width: int, glyphs: Glyphs) -> Line:
    """Describe what the table shows."""
    sample = state.seen.sample
    total = len(sample.peers) if sample is not None else 0
    count = f"{shown:,} of {total:,} peers" if state.wanted.terms else f"{total:,} peers"
    arrow = glyphs.descending if state.sort.descending else glyphs.ascending
    field = BY_KEY[state.sort.key]
    spans = [Span(count, Role.STRONG), Span("  sorted by ", Role.DIM), Span(f"{field.key} {arrow}")]
    if state.filter_text:
        spans += [Span("  "), Span(f" /{state.filter_text} ", Role.BANNER)]
    right = [Span("times in ms", Role.DIM)]
    note = tcp_note(sample.node.tcp_info) if sample is not None else ""
    if note and any(BY_KEY[key].column in TCP_COLUMNS for key in layout.keys):
        right.insert(0, Span(f"TCP's figures {note}  ", Role.DIM))
    if layout.before or layout.after:
        before = f"{glyphs.more_left} {layout.before}" if layout.before else ""
        after = f"{layout.after} {glyphs.more_right}" if layout.after else ""
        right.append(Span(f"  {before:>4} more columns {after:<4}", Role.DIM))
    return spread(tuple(spans), tuple(right), width)


def filter_problem(state: UiState, left: int, width: int, glyphs: Glyphs) -> Line:
    """Point at what cannot be read, under the text whose first character stands at column ``left``.

    Without a problem: how to write a filter.
    """
    if state.filter_problem is None:
        hint = "dir:in  -name:peer3  rtt>50ms  loss>1%  state:backoff,banned   enter keeps it, esc clears it"
        return fit_line((Span(" " * left), Span(hint, Role.DIM)), width)
    problem, position = state.filter_problem
    at = left + cell_width(state.filter_text[:position])
    text = f"{glyphs.ascending} {problem}"
    if at + cell_width(text) > width:
        # No room to its right: the sign stays under the mistake, the words go to its left.
        words = f"{problem} "
        start = max(0, at - cell_width(words))
        return fit_line((Span(" " * start), Span(f"{words}{glyphs.ascending}", Role.BAD)), width)
    return fit_line((Span(" " * at), Span(text, Role.BAD)), width)
