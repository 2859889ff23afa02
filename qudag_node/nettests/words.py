"""Figures in sentences, for the verdicts of tests."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count_of", "delay", "listed", "percent"]

_MAX_LISTED = 4


def delay(seconds: float) -> str:
    """Write a delay with three digits: 0.123 ms, 25.1 ms, 1.24 s."""
    size = abs(seconds)
    if size < 0.0009995:
        return f"{seconds * 1000:.3f} ms"
    if size < 0.9995:
        return f"{_three_digits(seconds * 1000)} ms"
    return f"{_three_digits(seconds)} s"


def percent(ratio: float) -> str:
    """Write a ratio in percent; what is not nothing never reads as 0, what is not all never as 100."""
    if 0 < ratio < 0.0001:
        return "under 0.01 %"
    if 0.9999 < ratio < 1:
        return "over 99.99 %"
    return f"{ratio * 100:.3g} %" if ratio < 0.995 else f"{ratio * 100:.5g} %"


def count_of(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Write names one after the other; of many the first."""
    shown = ", ".join(names[:_MAX_LISTED])
    return shown if len(names) <= _MAX_LISTED else f"{shown} and {len(names) - _MAX_LISTED} more"


def _three_digits(number: float) -> str:
    size = abs(number)
    return f"{number:.2f}" if size < 9.995 else f"{number:.1f}" if size < 99.95 else f"{number:.0f}"
