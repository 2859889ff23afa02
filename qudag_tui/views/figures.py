"""Figures as cells of a column: fixed width, three digits, the unit in the head. ``-`` is "not known"."""

from __future__ import annotations

from qudag_tui.model.fields import Kind
from qudag_tui.model.peers import Value
from qudag_tui.model.quality import retransmit_grade
from qudag_tui.model.sample import Summary
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.spans import Role
from qudag_tui.views.text import (
    UNKNOWN,
    format_age,
    format_bytes,
    format_count,
    format_rate,
    format_ratio,
    format_seconds,
)

__all__ = [
    "cell_text",
    "format_bits",
    "format_ms",
    "format_per_s",
    "format_share",
    "format_short_age",
    "loss_role",
    "percentiles",
]

_ROLES = {"": Role.TEXT, "warn": Role.WARN, "bad": Role.BAD}


def format_ms(seconds: float | None) -> str:
    """A latency in milliseconds without its unit: ``0.310``, ``41.2``, ``1204``; at most six cells."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    ms = seconds * 1000
    if ms < 0.9995:
        return f"{ms:.3f}"
    if ms < 9.995:
        return f"{ms:.2f}"
    return f"{ms:.1f}" if ms < 99.95 else f"{ms:.0f}" if ms < 999_999.5 else ">1e6"


def format_bits(bytes_per_s: float | None) -> str:
    """A throughput in bits per second without its unit: ``1.23M``."""
    return format_rate(None if bytes_per_s is None else bytes_per_s * 8)


def format_per_s(value: float | None) -> str:
    """A rate without its unit; nothing at all is ``0``."""
    return "0" if value == 0 else format_rate(value)


def format_short_age(seconds: float) -> str:
    """How long ago, in one unit and at most four cells: ``12s``, ``3m``, ``5h``, ``12d``."""
    whole = max(0, int(seconds))
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h")):
        if whole < limit:
            return f"{whole // size}{unit}"
    return f"{min(whole // 86_400, 999)}d"


def format_share(ratio: float | None) -> str:
    """A ratio in per cent; nothing at all is ``0 %``."""
    return "0 %" if ratio == 0 else format_ratio(ratio)


def loss_role(ratio: float | None) -> Role:
    """How much unanswered probes, or bytes sent again, ask of the reader; the figure is beside it."""
    return _ROLES[retransmit_grade(ratio)]


def percentiles(summary: Summary, glyphs: Glyphs) -> str:
    """A distribution in one remark: ``p50 21.2 ms  p95 33.9 ms  p99 50.9 ms``."""
    figures = (("p50", summary.p50), ("p95", summary.p95), ("p99", summary.p99))
    return "  ".join(
        f"{name} {format_seconds(value, ascii_only=glyphs.is_ascii)}"
        for name, value in figures
        if value is not None
    )


def cell_text(value: Value, kind: Kind, at_unix_s: float) -> str:
    """One value of a peer as the table shows it."""
    if isinstance(value, str):
        return value or UNKNOWN
    match kind:
        case Kind.SECONDS:
            return format_ms(value)
        case Kind.SINCE:
            return format_age(None if value is None or value <= 0 else at_unix_s - value)
        case Kind.BITS_PER_S:
            return format_bits(value)
        case Kind.BYTES:
            return format_bytes(value)
        case Kind.PER_S:
            return format_per_s(value)
        case Kind.RATIO:
            return format_share(value)
        case _:
            return format_count(value)
