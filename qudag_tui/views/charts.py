"""Small charts: filled braille areas, one-line histories, histograms. Pure: numbers in, text out.

A value that is not known (``None``) leaves its place empty: a gap is not a line at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from qudag_tui.views.glyphs import Glyphs

__all__ = ["area", "histogram", "nice_top", "sparkline"]

# One braille cell is two columns of four dots, filled from the bottom: 0 to 4 dots high.
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_CELLS = [[chr(0x2800 | left | right) if left | right else " " for right in _RIGHT] for left in _LEFT]
_ASCII_CELLS = " .:|#"

_NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def nice_top(values: Sequence[float | None], at_least: float) -> float:
    """The smallest round number that holds every value, so that scales seldom change."""
    largest = max([value for value in values if value is not None], default=0.0)
    largest = max(largest, at_least)
    power = 10.0 ** floor(log10(largest))
    return next(step * power for step in _NICE if largest <= step * power * (1 + 1e-9))


def steps_of(width: int, glyphs: Glyphs) -> int:
    """How many values an area of ``width`` cells shows."""
    return width if glyphs.is_ascii else width * 2


def area(values: Sequence[float | None], width: int, height: int, top: float, glyphs: Glyphs) -> list[str]:
    """A filled area, top line first, the newest value at the right edge.

    A value above nothing shows at least one dot, so that little is told from none.
    """
    if width <= 0 or height <= 0:
        return []
    count = steps_of(width, glyphs)
    dots = [_dots(value, top, 4 * height) for value in values[-count:]]
    dots = [0] * (count - len(dots)) + dots
    if glyphs.is_ascii:
        return [
            "".join([_ASCII_CELLS[min(4, max(0, dot - base))] for dot in dots])
            for base in range(4 * height - 4, -1, -4)
        ]
    lefts, rights = dots[0::2], dots[1::2]
    return [
        "".join(
            [
                _CELLS[min(4, max(0, left - base))][min(4, max(0, right - base))]
                for left, right in zip(lefts, rights, strict=True)
            ]
        )
        for base in range(4 * height - 4, -1, -4)
    ]


def _dots(value: float | None, top: float, most: int) -> int:
    if value is None or value <= 0 or top <= 0:
        return 0
    return min(most, max(1, int(value / top * most + 0.5)))


def sparkline(values: Sequence[float | None], width: int, top: float, glyphs: Glyphs) -> str:
    """One line, one cell per value, the newest at the right edge."""
    levels = glyphs.levels
    most = len(levels) - 1
    cells = [
        glyphs.gap
        if value is None
        else levels[min(most, max(1, ceil(value / top * most)))]
        if top > 0
        else levels[1]
        for value in values[-width:]
    ]
    return " " * (width - len(cells)) + "".join(cells)


def histogram(values: Sequence[float], bins: int) -> list[tuple[float, float, int]]:
    """Counts of ``values`` in ``bins`` of equal width: (from, to, how many)."""
    if not values:
        return []
    low, high = min(values), max(values)
    step = (high - low) / bins or max(abs(high), 1e-9) / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / step))] += 1
    return [(low + n * step, low + (n + 1) * step, count) for n, count in enumerate(counts)]
