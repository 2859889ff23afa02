"""The message types panel: counts, rates and drops of every type. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qudag_tui.model.sample import MessageType
from qudag_tui.model.state import UiState
from qudag_tui.views.connections import causes
from qudag_tui.views.figures import format_per_s
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import Column, table_head, table_width, title
from qudag_tui.views.spans import Box, Line, Role, Span, cut_lines, fitted
from qudag_tui.views.text import format_bytes, format_count

__all__ = ["messages", "type_rates"]

TYPE_WIDTH = 9


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages of one type per second, between the last two samples."""

    sent_per_s: float | None = None
    received_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the panel."""

    column: Column
    text: Callable[[MessageType, Rate], str]
    is_loss: bool = False


FIGURES = (
    Figure(Column("sent", 7), lambda counts, _: format_count(counts.sent)),
    Figure(Column("/s", 5), lambda _, rate: format_per_s(rate.sent_per_s)),
    Figure(Column("received", 8), lambda counts, _: format_count(counts.received)),
    Figure(Column("/s", 5), lambda _, rate: format_per_s(rate.received_per_s)),
    Figure(Column("dropped", 7), lambda counts, _: format_count(counts.dropped), is_loss=True),
    Figure(Column("failed", 6), lambda counts, _: format_count(counts.failed), is_loss=True),
    Figure(Column("queued", 6), lambda counts, _: format_count(counts.queued_in + counts.queued_out)),
    Figure(Column("sent B", 9), lambda counts, _: format_bytes(counts.sent_bytes)),
    Figure(Column("recv B", 9), lambda counts, _: format_bytes(counts.received_bytes)),
)


def messages(state: UiState, box: Box, glyphs: Glyphs) -> list[Line]:
    """Draw the panel: the total first, then the busiest types; the rest in one line when it is short."""
    sample = state.seen.sample
    if sample is None:
        return cut_lines([title("Messages", "", box.width, glyphs)], box)
    figures = _columns(box.width)
    counts, rates = sample.messages, type_rates(state)
    note = causes(counts.dropped_by_cause)
    lines = [
        title("Messages", f"dropped: {note}" if note else "", box.width, glyphs),
        table_head([Column("type", TYPE_WIDTH, right=False), *(figure.column for figure in figures)]),
    ]
    total_rate = Rate(counts.sent_rate.per_s_1, counts.received_rate.per_s_1)
    lines.append(_row("all", counts.total, total_rate, figures, Role.STRONG))
    # The node's own order of types: a row keeps its place while its figures move.
    names = list(counts.by_type)
    room = box.height - len(lines)
    if len(names) > room:
        names = _busiest(state, names, room)
    lines += [_row(name, counts.by_type[name], rates.get(name, Rate()), figures, Role.TEXT) for name in names]
    return cut_lines(lines, box)


def type_rates(state: UiState) -> dict[str, Rate]:
    """The rates by type, from the last two samples; nothing where there is only one."""
    now, before = state.seen.sample, state.seen.before
    if now is None or before is None:
        return {}
    elapsed_s = now.node.sampled_unix_s - before.node.sampled_unix_s
    if elapsed_s <= 0:
        return {}
    rates: dict[str, Rate] = {}
    for name, counts in now.messages.by_type.items():
        then = before.messages.by_type.get(name, MessageType())
        rates[name] = Rate(
            max(0, counts.sent - then.sent) / elapsed_s, max(0, counts.received - then.received) / elapsed_s
        )
    return rates


def _columns(width: int) -> Sequence[Figure]:
    count = len(FIGURES)
    while count > 1 and TYPE_WIDTH + 1 + table_width([figure.column for figure in FIGURES[:count]]) > width:
        count -= 1
    return FIGURES[:count]


def _busiest(state: UiState, names: Sequence[str], count: int) -> list[str]:
    """The types with the most messages, in the node's order."""
    sample = state.seen.sample
    if sample is None or count <= 0:
        return []
    by_type = sample.messages.by_type
    most = sorted(names, key=lambda name: by_type[name].sent + by_type[name].received, reverse=True)[:count]
    return [name for name in names if name in most]


def _row(name: str, counts: MessageType, rate: Rate, figures: Sequence[Figure], role: Role) -> Line:
    spans = [fitted(name, TYPE_WIDTH, role)]
    for figure in figures:
        text = figure.text(counts, rate)
        is_loss = figure.is_loss and text != "0"
        spans += [
            Span(" "),
            fitted(text, figure.column.width, Role.WARN if is_loss else Role.TEXT, right=True),
        ]
    return tuple(spans)
