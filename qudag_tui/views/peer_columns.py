"""The columns of the peers table: which there are at a width, and how one peer's row is drawn. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from qudag_tui.model.fields import BY_KEY, FIELDS, Field, Kind
from qudag_tui.model.order import Sort
from qudag_tui.model.peers import Peers
from qudag_tui.model.trail import Past, Window
from qudag_tui.views.charts import sparkline
from qudag_tui.views.figures import cell_text, loss_role
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.latency import link_mark, trend
from qudag_tui.views.spans import Line, Role, Span, fitted
from qudag_tui.views.text import UNKNOWN

__all__ = ["Layout", "TableColumn", "columns_at", "layout_columns", "peer_row", "peers_head", "state_mark"]

#: The inline histories: of round-trip times and of traffic. They are drawn, not sorted by.
RTT_HISTORY, TRAFFIC_HISTORY = "history", "traffic"

_WIDTHS = {
    Kind.SECONDS: 6,
    Kind.SINCE: 7,
    Kind.BITS_PER_S: 6,
    Kind.BYTES: 8,
    Kind.PER_S: 6,
    Kind.COUNT: 6,
    Kind.RATIO: 6,
}
_TEXT_WIDTHS = {
    "name": 12,
    "state": 12,
    "dir": 4,
    "method": 11,
    "address": 24,
    "agent": 16,
    "alias": 14,
    "id": 52,
}
_LOSS_FIELDS = frozenset({"loss", "resent", "loss_all", "drop_in", "drop_out", "failed", "lost"})

# These begin with one; nought is a node that does not know.
_UNKNOWN_AT_ZERO = frozenset({"hops", "proto"})

# What an operator wants first; the other fields follow in their own order.
_NARROW = ("name", "state", "dir", "rtt", "p95", "loss", "resent", RTT_HISTORY, "in", "out", "p99", "jitter")
_WIDE = (
    "name",
    "state",
    "dir",
    "rtt",
    "p95",
    "p99",
    "loss",
    "resent",
    RTT_HISTORY,
    "in",
    "out",
    TRAFFIC_HISTORY,
)
WIDE_FROM = 110

# The cells of a history by the width of the table: enough to see a trend, then the more figures the better.
_HISTORY_WIDTHS = ((170, 24), (WIDE_FROM, 16), (0, 7))
MOST_HISTORY = 60
MOST_NAME = 24
GAP = 1


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column at its place on the screen; ``field`` is None for a history."""

    key: str
    title: str
    left: int
    width: int
    field: Field | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that a width shows; ``before`` and ``after`` count those scrolled away."""

    columns: tuple[TableColumn, ...]
    before: int
    after: int

    @property
    def history(self) -> int:
        """How many ticks the widest history shows."""
        return max([column.width for column in self.columns if column.field is None], default=0)

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields on the screen that can be sorted by."""
        return tuple([column.key for column in self.columns if column.field is not None])

    def at(self, x: int) -> TableColumn | None:
        """The column at screen column ``x``."""
        return next((c for c in self.columns if c.left <= x < c.left + c.width), None)


def columns_at(width: int) -> tuple[str, ...]:
    """All columns in the order that suits this width; the name comes first and stays."""
    first = _WIDE if width >= WIDE_FROM else _NARROW
    rest = [field.key for field in FIELDS if field.key not in first]
    if TRAFFIC_HISTORY not in first:
        rest.append(TRAFFIC_HISTORY)
    return (*first, *rest)


def layout_columns(width: int, skipped: int) -> Layout:
    """Place the columns: the name, then as many whole ones as fit after ``skipped``.

    A figure is never cut in the middle; the room that is left widens the history, or else the name.
    """
    keys = columns_at(width)
    skipped = max(0, min(skipped, len(keys) - 2))
    placed = [keys[0]]
    history = next(cells for least, cells in _HISTORY_WIDTHS if width >= least)
    used = _width(keys[0], history)
    for key in keys[1 + skipped :]:
        if used + GAP + _width(key, history) > width:
            break
        placed.append(key)
        used += GAP + _width(key, history)
    spare = max(0, width - used)
    widths = {key: _width(key, history) for key in placed}
    widths["name"] += (more := min(spare, 4))
    spare -= more
    if RTT_HISTORY in widths:
        more = min(spare, MOST_HISTORY - history)
        widths[RTT_HISTORY] += more
        spare -= more
    widths["name"] += min(spare, MOST_NAME - widths["name"])
    columns: list[TableColumn] = []
    left = 0
    for key in placed:
        field = BY_KEY.get(key)
        columns.append(TableColumn(key, field.title if field else key, left, widths[key], field))
        left += widths[key] + GAP
    return Layout(tuple(columns), before=skipped, after=len(keys) - skipped - len(placed))


def _width(key: str, history: int) -> int:
    field = BY_KEY.get(key)
    if field is None:
        return history
    # One cell beside the title for the sign of the order.
    return max(_TEXT_WIDTHS.get(key) or _WIDTHS[field.kind], len(field.title) + 1)


def peers_head(layout: Layout, sort: Sort, glyphs: Glyphs) -> Line:
    """The heads of the columns; the one that sorts is marked with the direction."""
    spans: list[Span] = []
    for column in layout.columns:
        if spans:
            spans.append(Span(" " * GAP, Role.HEAD))
        text, role = column.title, Role.HEAD
        if column.key == sort.key:
            text += glyphs.descending if sort.descending else glyphs.ascending
            role = Role.HEAD_SORTED
        spans.append(fitted(text, column.width, role, right=_is_right(column)))
    return tuple(spans)


def peer_row(
    peers: Peers, row: int, layout: Layout, window: Window, at_unix_s: float, glyphs: Glyphs
) -> Line:
    """One peer."""
    spans: list[Span] = []
    past: Past | None = None
    for column in layout.columns:
        if spans:
            spans.append(Span(" " * GAP))
        if column.field is None:
            past = past or window.past(peers.ids[row])
            spans += _history(column, past, glyphs)
        elif column.key == "state":
            spans += _state(peers, row, column.width, glyphs)
        else:
            spans.append(_cell(peers, row, column, column.field, at_unix_s, glyphs))
    return tuple(spans)


def _cell(
    peers: Peers, row: int, column: TableColumn, field: Field, at_unix_s: float, glyphs: Glyphs
) -> Span:
    value = peers.labels[row] if field.key == "name" else peers.value(field.column, row)
    text = cell_text(value, field.kind, at_unix_s)
    role = Role.TEXT
    if field.key in _LOSS_FIELDS and isinstance(value, (int, float)) and value > 0:
        role = loss_role(value) if field.kind is Kind.RATIO else Role.WARN
    elif field.key in _UNKNOWN_AT_ZERO and value == 0:
        text = UNKNOWN
    return fitted(text, column.width, role, right=_is_right(column))


def _state(peers: Peers, row: int, width: int, glyphs: Glyphs) -> list[Span]:
    state = peers.text("state")[row]
    is_up = state == "connected"
    mark, role = link_mark(peers, row, glyphs) if is_up else state_mark(state, glyphs)
    # What is as it should be is told in an even voice.
    word = Role.TEXT if role is Role.GOOD else role
    return [Span(f"{mark} ", role), fitted(state, width - 2, word)]


def _history(column: TableColumn, past: Past, glyphs: Glyphs) -> list[Span]:
    if column.key == RTT_HISTORY:
        return trend(past, column.width, glyphs)
    values = past.bytes_per_s[-column.width :]
    top = max([value for value in values if value is not None], default=0.0)
    return [Span(sparkline(values, column.width, top, glyphs), Role.TREND)]


def state_mark(state: str, glyphs: Glyphs) -> tuple[str, Role]:
    """The sign and the meaning of a peer's state; the word stands beside it."""
    match state:
        case "connected":
            return glyphs.live, Role.GOOD
        case "connecting":
            return glyphs.waiting, Role.WARN
        case "backoff":
            return glyphs.trouble, Role.BAD
        case "banned":
            return glyphs.banned, Role.BAD
        case _:
            return glyphs.info, Role.DIM


def _is_right(column: TableColumn) -> bool:
    return column.field is not None and column.field.kind is not Kind.TEXT
