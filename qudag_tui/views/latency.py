"""The latency panel: the worst peers first, with percentiles, loss and history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qudag_tui.model.order import worst_first
from qudag_tui.model.peers import Peers
from qudag_tui.model.quality import grade
from qudag_tui.model.sample import Summary
from qudag_tui.model.state import UiState
from qudag_tui.model.trail import Past, Window
from qudag_tui.views.charts import sparkline
from qudag_tui.views.figures import format_ms, format_share, loss_role
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import Column, table_head, table_width, title
from qudag_tui.views.spans import Box, Line, Role, Span, cut_lines, fitted

__all__ = ["latency", "latency_peers", "link_mark", "method_note", "trend"]

NAME_WIDTH = 14
#: A history shorter than this says nothing.
LEAST_TREND = 8
MOST_TREND = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the panel: its head, and where its value comes from."""

    column: Column
    name: str
    of_summary: str = ""


FIGURES = (
    Figure(Column("p50", 6), "rtt_p50_s", "p50"),
    Figure(Column("p95", 6), "rtt_p95_s", "p95"),
    Figure(Column("unanswered", 10), "loss_ratio"),
    Figure(Column("resent", 6), "tcp_retransmit_ratio"),
    Figure(Column("p99", 6), "rtt_p99_s", "p99"),
    Figure(Column("jitter", 6), "rtt_jitter_s"),
    Figure(Column("max", 6), "rtt_max_s", "max"),
    Figure(Column("last", 6), "rtt_last_s"),
)


def latency(state: UiState, box: Box, glyphs: Glyphs) -> list[Line]:
    """Draw the panel: as many of the worst peers as fit, then all links and routed probes together."""
    sample = state.seen.sample
    if sample is None:
        return cut_lines([title("Latency", "ms", box.width, glyphs)], box)
    figures, trend_width = _columns(box.width)
    columns = [Column("worst peers", NAME_WIDTH, right=False), *(figure.column for figure in figures)]
    if trend_width:
        columns.append(Column("history", trend_width, right=False))
    lines = [
        title("Latency", f"ms round trip, {method_note(sample.peers)}", box.width, glyphs),
        table_head(columns),
    ]
    room = box.height - 2
    totals = [("all links", sample.latency.links), ("routed", sample.latency.routing)]
    totals = [(name, summary) for name, summary in totals if summary.samples][: max(0, room - 3)]
    window = Window(state.seen.trail.tracks, trend_width)
    rows = worst_first(sample.peers, room - len(totals))
    lines += [_peer(sample.peers, row, figures, window, trend_width, glyphs) for row in rows]
    lines += [_total(name, summary, figures, trend_width) for name, summary in totals]
    return cut_lines(lines, box)


def latency_peers(state: UiState, box: Box) -> Sequence[str]:
    """The ids of the peers in the panel, from its third line on: what a click on it means."""
    sample = state.seen.sample
    if sample is None:
        return ()
    return [sample.peers.ids[row] for row in worst_first(sample.peers, box.height - 2)]


def method_note(peers: Peers) -> str:
    """How the figures were measured, in one word where all peers agree."""
    methods = sorted({method for method in peers.text("rtt_method") if method})
    return methods[0] if len(methods) == 1 else "several methods" if methods else "no method"


def _columns(width: int) -> tuple[tuple[Figure, ...], int]:
    """The figures that fit, and the cells left for the history; the history comes before the last figures."""
    for count in range(len(FIGURES), 2, -1):
        used = table_width([Column("", NAME_WIDTH), *(figure.column for figure in FIGURES[:count])])
        left = width - used - 2
        if left >= (LEAST_TREND if count <= 4 else 2 * LEAST_TREND):
            return FIGURES[:count], min(MOST_TREND, left)
    return FIGURES[:3], 0


def _peer(
    peers: Peers,
    row: int,
    figures: Sequence[Figure],
    window: Window,
    trend_width: int,
    glyphs: Glyphs,
) -> Line:
    mark, mark_role = link_mark(peers, row, glyphs)
    spans = [Span(f"{mark} ", mark_role), fitted(peers.labels[row], NAME_WIDTH - 2)]
    for figure in figures:
        value = peers.number(figure.name, row)
        role = Role.TEXT
        text = format_ms(value)
        if figure.name in {"loss_ratio", "tcp_retransmit_ratio"}:
            text, role = format_share(value), loss_role(value)
        spans += [Span(" "), fitted(text, figure.column.width, role, right=True)]
    if trend_width:
        spans += [Span("  "), *trend(window.past(peers.ids[row]), trend_width, glyphs)]
    return tuple(spans)


def _total(name: str, summary: Summary, figures: Sequence[Figure], room: int) -> Line:
    spans = [fitted(name, NAME_WIDTH, Role.DIM)]
    for figure in figures:
        value: float | None = getattr(summary, figure.of_summary) if figure.of_summary else None
        text = format_ms(value) if figure.of_summary else ""
        spans += [Span(" "), fitted(text, figure.column.width, right=True)]
    # Half a remark says less than none.
    remarks = (f"{summary.samples} samples, {summary.method}", f"{summary.samples} samples")
    remark = next((text for text in remarks if len(text) <= room), "")
    return (*spans, Span(f"  {remark}", Role.DIM))


def link_mark(peers: Peers, row: int, glyphs: Glyphs) -> tuple[str, Role]:
    """The sign of a link: whether it stands, and how much of it has to be repaired."""
    if peers.text("state")[row] != "connected":
        return glyphs.trouble, Role.BAD
    match grade(peers.number("loss_ratio", row), peers.number("tcp_retransmit_ratio", row)):
        case "bad":
            return glyphs.trouble, Role.BAD
        case "warn":
            return glyphs.caution, Role.WARN
        case _:
            return glyphs.live, Role.GOOD


def trend(past: Past, width: int, glyphs: Glyphs) -> list[Span]:
    """A peer's round-trip times as a line of cells; a lost probe breaks the line with a mark."""
    values, losses = past.rtt_s[-width:], past.lost[-width:]
    top = max([value for value in values if value is not None], default=0.0)
    cells = sparkline(values, width, top, glyphs)
    pad = width - len(values)
    spans: list[Span] = []
    start = 0
    for place, lost in enumerate(losses):
        if lost:
            at = pad + place
            if at > start:
                spans.append(Span(cells[start:at], Role.TREND))
            spans.append(Span(glyphs.lost, Role.BAD))
            start = at + 1
    if start < width:
        spans.append(Span(cells[start:], Role.TREND))
    return spans
