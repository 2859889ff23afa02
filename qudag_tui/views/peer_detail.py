"""Everything that is known of one peer, on one page. Pure."""

from __future__ import annotations

from qudag_tui.model.fields import BY_KEY, Field, Kind
from qudag_tui.model.peers import Peers
from qudag_tui.model.quality import tcp_note
from qudag_tui.model.sample import Sample
from qudag_tui.model.state import PeerDetail, UiState
from qudag_tui.model.trail import Past, Window
from qudag_tui.views.charts import area, histogram, nice_top, steps_of
from qudag_tui.views.events import event_lines
from qudag_tui.views.figures import cell_text, loss_role
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.header import short_id
from qudag_tui.views.layout import Column, table_head, title
from qudag_tui.views.peer_columns import state_mark
from qudag_tui.views.spans import Line, Role, Span, beside, fitted, stacked
from qudag_tui.views.text import (
    UNKNOWN,
    format_bits_per_s,
    format_bytes,
    format_count,
    format_seconds,
)

__all__ = ["GROUPS", "peer_detail"]

#: Every field once, in the groups that the page shows.
GROUPS: dict[str, tuple[str, ...]] = {
    "Link": ("state", "dir", "address", "agent", "alias", "up", "reconnects", "hops", "proto", "util"),
    "Round trip": ("last", "min", "avg", "rtt", "p95", "p99", "max", "jitter", "samples", "method"),
    "Probes": ("probes", "lost", "loss", "loss_all"),
    "Traffic": ("in", "out", "in_msgs", "out_msgs", "recv", "sent", "recv_bytes", "sent_bytes"),
    "Trouble": (
        "queue",
        "queue_bytes",
        "unconf",
        "unconf_bytes",
        "drop_out",
        "drop_in",
        "failed",
    ),
    "TCP": (
        "tcp_rtt",
        "tcp_var",
        "tcp_min",
        "retrans",
        "resent",
        "cwnd",
        "delivery",
        "tcp_in",
        "tcp_out",
    ),
}

TWO_COLUMNS_FROM = 100
GAP = 3
LABEL_WIDTH = 12
#: The facts need no more; what is left is for the charts.
MOST_FACTS = 60
VALUE_WIDTH = 11
CHART_HEIGHT = 5
BINS = 8


def peer_detail(state: UiState, peer_id: str, width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the page; it may be taller than the screen."""
    sample = state.seen.sample
    peers = sample.peers if sample is not None else Peers()
    row = peers.index_of(peer_id)
    name = peers.labels[row] if row is not None else peer_id[:14]
    head: list[Line] = [(Span(name, Role.STRONG), Span("  "), Span(peer_id, Role.DIM))]
    if row is None:
        return [*head, (), (Span(f"{glyphs.caution} the node no longer knows this peer", Role.WARN),)]
    detail = state.seen.detail
    if detail is not None and detail.peer_id != peer_id:
        detail = None
    is_wide = width >= TWO_COLUMNS_FROM
    left_width = min(MOST_FACTS, (width - GAP) // 2) if is_wide else width
    right_width = width - GAP - left_width if is_wide else width
    facts = stacked(_group(state, peers, row, name, left_width, glyphs) for name in GROUPS)
    charts = stacked(
        [
            _rtt_chart(state, peer_id, right_width, glyphs),
            _distribution(state, peer_id, right_width, glyphs),
            _way(peers, sample, detail, right_width, glyphs),
            _by_type(detail, right_width, glyphs),
            _extra(detail, right_width, glyphs),
            _events(state, detail, right_width, glyphs),
        ]
    )
    if is_wide:
        return [*head, (), *beside(facts, charts, (left_width, right_width), GAP)]
    return [*head, (), *charts, (), *facts]


def _group(state: UiState, peers: Peers, row: int, name: str, width: int, glyphs: Glyphs) -> list[Line]:
    note = ""
    sample = state.seen.sample
    if name == "TCP" and sample is not None:
        note = tcp_note(sample.node.tcp_info)
    lines = [title(name, note, width, glyphs)]
    for key in GROUPS[name]:
        field = BY_KEY[key]
        value = peers.value(field.column, row)
        role = Role.TEXT
        if field.kind is Kind.RATIO and key != "util" and isinstance(value, (int, float)):
            role = loss_role(value)
        text = _text(field, value, state.node_unix_s, glyphs)
        if key == "state":
            mark, role = state_mark(text, glyphs)
            text = f"{mark} {text}"
        spans = [fitted(field.key, LABEL_WIDTH, Role.DIM), Span(" ")]
        if field.kind is Kind.TEXT:
            spans.append(Span(text, role))
        else:
            spans += [fitted(text, VALUE_WIDTH, role, right=True), Span(f"  {field.meaning}", Role.DIM)]
        lines.append(tuple(spans))
    return lines


def _text(field: Field, value: str | float | None, at_unix_s: float, glyphs: Glyphs) -> str:
    if isinstance(value, str) or value is None:
        return value or UNKNOWN
    match field.kind:
        case Kind.SECONDS:
            return format_seconds(value, ascii_only=glyphs.is_ascii)
        case Kind.BITS_PER_S:
            return format_bits_per_s(value * 8)
        case Kind.COUNT:
            return f"{value:,.0f}"
        case _:
            return cell_text(value, field.kind, at_unix_s)


def _rtt_chart(state: UiState, peer_id: str, width: int, glyphs: Glyphs) -> list[Line]:
    past = Window(state.seen.trail.tracks, steps_of(width, glyphs)).past(peer_id)
    top = nice_top(past.rtt_s, 1e-5)
    lost = sum(past.lost)
    note = f"{len(past)} ticks, {lost} lost, scale {format_seconds(top, ascii_only=glyphs.is_ascii)}"
    lines = [title("History", note, width, glyphs)]
    lines += [(Span(text, Role.TREND),) for text in area(past.rtt_s, width, CHART_HEIGHT, top, glyphs)]
    if lost:
        lines.append(_loss_line(past, width, glyphs))
    return lines


def _loss_line(past: Past, width: int, glyphs: Glyphs) -> Line:
    """Marks under the chart where probes were lost."""
    per_cell = steps_of(width, glyphs) // width
    pad = width * per_cell - len(past)
    cells = [" "] * width
    for place, lost in enumerate(past.lost):
        if lost:
            cells[(pad + place) // per_cell] = glyphs.lost
    return (Span("".join(cells), Role.BAD),)


def _distribution(state: UiState, peer_id: str, width: int, glyphs: Glyphs) -> list[Line]:
    tracks = state.seen.trail.tracks
    values = [rtt_s for rtt_s in Window(tracks, len(tracks)).past(peer_id).rtt_s if rtt_s is not None]
    lines = [title("Distribution", f"{len(values)} seen here", width, glyphs)]
    bins = histogram(values, BINS)
    most = max((count for _, _, count in bins), default=0)
    bar_width = max(4, width - 26)
    for low, high, count in bins:
        edges = f"{_ms(low):>6} to {_ms(high):>6} ms"
        bar = glyphs.bar * round(count / most * bar_width) if count else ""
        spans = (Span(edges, Role.DIM), Span(f"{count:>5} "), Span(bar, Role.TREND))
        lines.append(spans)
    return lines


def _ms(seconds: float) -> str:
    ms = seconds * 1000
    return f"{ms:.3f}" if ms < 10 else f"{ms:.1f}" if ms < 1000 else f"{ms:.0f}"


def _way(
    peers: Peers, sample: Sample | None, detail: PeerDetail | None, width: int, glyphs: Glyphs
) -> list[Line]:
    if detail is None or not detail.path or sample is None:
        return []
    names: list[str] = []
    for peer_id in detail.path:
        row = peers.index_of(peer_id)
        own = sample.node.name if peer_id == sample.node.id else short_id(peer_id, glyphs)
        names.append(own if row is None else peers.labels[row])
    way = f" {glyphs.step} ".join(names)
    return [title("Way", "", width, glyphs), (Span(way),)]


def _by_type(detail: PeerDetail | None, width: int, glyphs: Glyphs) -> list[Line]:
    lines = [title("Messages by type", "", width, glyphs)]
    if detail is None:
        return [*lines, (Span("asking the node", Role.DIM),)]
    if detail.error:
        return [*lines, (Span(f"{glyphs.caution} {detail.error}", Role.WARN),)]
    columns = [Column("type", 9, right=False), Column("sent", 7), Column("received", 8), Column("dropped", 7)]
    columns += [Column("sent B", 9), Column("recv B", 9)]
    lines.append(table_head(columns))
    for name, counts in detail.by_type.items():
        if not (counts.sent or counts.received or counts.dropped):
            continue
        texts = (
            format_count(counts.sent),
            format_count(counts.received),
            format_count(counts.dropped),
            format_bytes(counts.sent_bytes),
            format_bytes(counts.received_bytes),
        )
        spans = [fitted(name, 9)]
        for column, text in zip(columns[1:], texts, strict=True):
            is_loss = column.head == "dropped" and text != "0"
            spans += [Span(" "), fitted(text, column.width, Role.WARN if is_loss else Role.TEXT, right=True)]
        lines.append(tuple(spans))
    return lines


def _extra(detail: PeerDetail | None, width: int, glyphs: Glyphs) -> list[Line]:
    """What the node says beyond the fields that are known here."""
    if detail is None or not detail.extra:
        return []
    lines = [title("Also", "", width, glyphs)]
    for name, value in detail.extra.items():
        text = value if isinstance(value, str) else f"{value:,.6g}"
        lines.append((fitted(name, 20, Role.DIM), Span(f" {text}")))
    return lines


def _events(state: UiState, detail: PeerDetail | None, width: int, glyphs: Glyphs) -> list[Line]:
    if detail is None or not detail.events:
        return []
    lines = [title("Events of this peer", "", width, glyphs)]
    return lines + event_lines(detail.events[:12], state.node_unix_s, width, glyphs)
