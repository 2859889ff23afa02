"""From when on a transfer was steady, and its intervals. Pure.

A transfer begins with what says nothing about the path: slow start, a shaper's burst, a buffer that fills.
By default the beginning goes until the rate of half a second is within a tenth of what the second half of the
test holds; at most half of the test goes. No rates are averaged: every figure is bytes over time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Steadiness", "interval_bounds", "rate_bits_per_s", "steadiness"]

#: A rate within this share of the later one is the same rate.
STEADY_RATIO: Final = 0.10
#: A rate that is not steady, and by this share faster in its later half, rises.
_RISEN_RATIO = 0.05
_WINDOW_S = 0.5
#: In a short test, a window is this share of it.
_WINDOWS = 8
_LEAST_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Which part of a test counts.

    Attributes:
        first: The sample at which it begins.
        is_steady: The two halves of what is left agree, and so do most of its half seconds.
        spread_ratio: The standard deviation of the rates of half seconds, as a share of the mean.
        is_rising: It is not steady, and slow start aside the second half of what is left is the faster one.
    """

    first: int
    is_steady: bool
    spread_ratio: float | None
    is_rising: bool = False


def rate_bits_per_s(t_us: Sequence[int], counted: Sequence[int], first: int, last: int) -> float | None:
    """Return the bits per second between two samples; None where no time lies between them."""
    elapsed_us = t_us[last] - t_us[first]
    return (counted[last] - counted[first]) * 8e6 / elapsed_us if elapsed_us > 0 else None


def steadiness(t_us: Sequence[int], counted: Sequence[int], *, omit_s: float | None = None) -> Steadiness:
    """Judge a transfer.

    Args:
        t_us: When the samples were taken, ascending, from the start of the test.
        counted: Bytes until then.
        omit_s: Leave out so much, whatever the rate did; None finds it.
    """
    if len(t_us) < 2:
        return Steadiness(0, False, None)
    if omit_s is not None:
        first = next((at for at, time in enumerate(t_us) if time >= omit_s * 1e6), 0)
        first = first if first < len(t_us) - 1 else 0
    else:
        first = _first_steady(t_us, counted)
    slow_start = first if omit_s is None else max(first, _first_steady(t_us, counted))
    rates = [rate for *_, rate in _windows(t_us, counted, first)]
    mean = rate_bits_per_s(t_us, counted, first, len(t_us) - 1) or 0.0
    if len(rates) < _LEAST_WINDOWS or mean <= 0:
        return Steadiness(first, False, None, _has_risen(t_us, counted, slow_start))
    spread = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates)) / mean
    middle = len(rates) // 2
    early, late = sum(rates[:middle]) / middle, sum(rates[middle:]) / (len(rates) - middle)
    is_steady = abs(early - late) <= STEADY_RATIO * mean and spread <= 2 * STEADY_RATIO
    return Steadiness(first, is_steady, spread, not is_steady and _has_risen(t_us, counted, slow_start))


def _has_risen(t_us: Sequence[int], counted: Sequence[int], first: int) -> bool:
    last = len(t_us) - 1
    middle_us = (t_us[first] + t_us[last]) / 2
    middle = next((at for at in range(first, last) if t_us[at] >= middle_us), first)
    early = rate_bits_per_s(t_us, counted, first, middle)
    late = rate_bits_per_s(t_us, counted, middle, last)
    return early is not None and late is not None and late > early * (1 + _RISEN_RATIO)


def interval_bounds(t_us: Sequence[int], period_s: float) -> Iterator[tuple[int, int]]:
    """Cut a test, or a part of it, into intervals; each is the numbers of its first and last sample."""
    first, due_us = 0, (t_us[0] if t_us else 0) + period_s * 1e6
    for at in range(1, len(t_us)):
        # Half a sample's time early is that sample.
        slack_us = (t_us[at] - t_us[at - 1]) / 2
        is_last = at == len(t_us) - 1
        if t_us[at] >= due_us - slack_us or is_last:
            yield first, at
            first = at
            due_us = max(due_us + period_s * 1e6, t_us[at] + slack_us)


def _first_steady(t_us: Sequence[int], counted: Sequence[int]) -> int:
    last = len(t_us) - 1
    half = next(at for at, time in enumerate(t_us) if time >= t_us[last] / 2 or at == last)
    later = rate_bits_per_s(t_us, counted, half, last)
    if not later:
        return 0
    for first, _, rate in _windows(t_us, counted, 0, step=1):
        if first >= half:
            break
        if abs(rate - later) <= STEADY_RATIO * later:
            return first
    return half if half < last else 0


def _windows(
    t_us: Sequence[int], counted: Sequence[int], first: int, *, step: int | None = None
) -> Iterator[tuple[int, int, float]]:
    """Yield half seconds and their rates; one after the other, or beginning at every sample."""
    last = len(t_us) - 1
    window_us = min(_WINDOW_S * 0.95e6, (t_us[last] - t_us[first]) / _WINDOWS) if first < last else 0.0
    while first < last:
        end = next((at for at in range(first + 1, last + 1) if t_us[at] - t_us[first] >= window_us), None)
        if end is None:
            return
        rate = rate_bits_per_s(t_us, counted, first, end)
        if rate is not None:
            yield first, end, rate
        first = end if step is None else first + step
