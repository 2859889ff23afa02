"""The throughput panel: both directions as figures and braille areas over the last minutes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from qudag_tui.model.sample import Peak, Rates
from qudag_tui.model.state import UiState
from qudag_tui.model.trail import resample
from qudag_tui.views.charts import area, nice_top, steps_of
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import title
from qudag_tui.views.spans import Box, Line, Role, Span, beside, cut_lines, fitted
from qudag_tui.views.text import fit, format_age, format_bits_per_s, format_clock, format_rate, format_ratio

__all__ = ["throughput"]

#: A chart's scale never ends below this: noise should look like noise.
LEAST_TOP_BITS_PER_S = 1000.0

GAP = 3


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the traffic, ready to be drawn."""

    label: str
    role: Role
    rates: Rates
    messages: Rates
    peak: Peak | None
    values: list[float | None]


def throughput(state: UiState, box: Box, glyphs: Glyphs) -> list[Line]:
    """Draw the panel; side by side from 100 columns on, else under each other."""
    is_wide = box.width >= 100
    width = (box.width - GAP) // 2 if is_wide else box.width
    height = box.height - 1 if is_wide else (box.height - 1) // 2
    is_small = height < 5
    chart_width = max(0, width - 36) if is_small else width
    directions = _directions(state, chart_width, glyphs)
    bits = [value * 8 for one in directions for value in one.values if value is not None]
    top_bits = nice_top(bits, LEAST_TOP_BITS_PER_S)
    top = top_bits / 8
    span = format_age(steps_of(chart_width, glyphs) * state.interval_s)
    lines = [title("Throughput", f"last {span}, scale {format_bits_per_s(top_bits)}", box.width, glyphs)]
    blocks = [
        _small(one, Box(width, height), top, glyphs)
        if is_small
        else _large(one, Box(width, height), top, glyphs)
        for one in directions
    ]
    if is_wide:
        lines += beside(blocks[0], blocks[1], (width, box.width - GAP - width), GAP)
    else:
        lines += [*blocks[0], *blocks[1]]
    return cut_lines(lines, box)


def _directions(state: UiState, chart_width: int, glyphs: Glyphs) -> tuple[Direction, Direction]:
    sample, points = state.seen.sample, state.seen.trail.points
    received: tuple[Rates, Rates, Peak | None]
    sent: tuple[Rates, Rates, Peak | None]
    if sample is None:
        received = sent = (Rates(), Rates(), None)
    else:
        bandwidth, messages = sample.bandwidth, sample.messages
        received = (bandwidth.received_rate, messages.received_rate, bandwidth.received_peak)
        sent = (bandwidth.sent_rate, messages.sent_rate, bandwidth.sent_peak)
    count = steps_of(chart_width, glyphs)
    return (
        Direction(
            f"{glyphs.incoming} in",
            Role.INCOMING,
            *received,
            resample(points, "received_bytes_per_s", count, state.interval_s),
        ),
        Direction(
            f"{glyphs.outgoing} out",
            Role.OUTGOING,
            *sent,
            resample(points, "sent_bytes_per_s", count, state.interval_s),
        ),
    )


def _now(one: Direction) -> Line:
    """The label and the present figures: always 35 cells."""
    return (
        fitted(one.label, 6, one.role),
        fitted(_bits(one.rates.per_s_1), 11, Role.STRONG, right=True),
        fitted(format_rate(one.messages.per_s_1), 8, right=True),
        Span(" msg/s    ", Role.DIM),
    )


def _small(one: Direction, box: Box, top: float, glyphs: Glyphs) -> list[Line]:
    chart = area(one.values, max(0, box.width - 36), max(1, box.height), top, glyphs)
    lines: list[Line] = []
    for y, row in enumerate(chart):
        head = (_now(one), _averages(one), _peak(one))[y] if y < 3 else (Span(" " * 35),)
        lines.append((*head, Span(" "), Span(row, one.role)))
    return lines


def _averages(one: Direction) -> Line:
    text = f"      {_bits(one.rates.per_s_10):>11} over 10 s"
    return (Span(fit(text, 35), Role.DIM),)


def _large(one: Direction, box: Box, top: float, glyphs: Glyphs) -> list[Line]:
    figures = [*_now(one)[:2], Span("  "), Span(fit(format_rate(one.messages.per_s_1), 6, right=True))]
    figures += [Span(" msg/s", Role.DIM)]
    if box.width >= 56:
        figures += [
            Span("   10 s ", Role.DIM),
            Span(fit(_bits(one.rates.per_s_10), 9, right=True)),
        ]
    if box.width >= 76:
        figures += [
            Span("   60 s ", Role.DIM),
            Span(fit(_bits(one.rates.per_s_60), 9, right=True)),
        ]
    rows = area(one.values, box.width, box.height - 2, top, glyphs)
    return [tuple(figures), *[(Span(row, one.role),) for row in rows], _peak(one)]


def _peak(one: Direction) -> Line:
    if one.peak is None:
        return (Span(" " * 35),)
    at = format_clock(one.peak.at_unix_s, utc=True)
    return (Span(fit(f"      {_bits(one.peak.per_s):>11} peak, {at}", 35), Role.DIM),)


def _bits(bytes_per_s: float | None) -> str:
    return format_bits_per_s(None if bytes_per_s is None else bytes_per_s * 8)


def utilization(state: UiState) -> str:
    """The busier direction against the known capacity, or nothing without one."""
    sample = state.seen.sample
    if sample is None or sample.bandwidth.utilization_ratio is None:
        return ""
    capacity = format_bits_per_s(sample.bandwidth.capacity_bits_per_s)
    return f"{format_ratio(sample.bandwidth.utilization_ratio)} of {capacity}"
