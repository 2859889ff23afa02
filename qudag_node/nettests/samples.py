"""What a row of measured times says: percentiles, jitter, and whether there are enough of them.

Times are whole nanoseconds, every one of them is kept, and a percentile is nearest-rank: the value at rank
ceil(q · n), hence one that was measured. Pure, and without numpy: workers use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, isqrt, log, sqrt
from typing import NamedTuple

from qudag_node.nettests.hdr import hdr_blob

__all__ = [
    "MIN_SAMPLES",
    "Sufficiency",
    "TimeStatistics",
    "hdr_blob",
    "jitter_ns",
    "percentile",
    "samples_needed",
    "sufficiency",
    "time_statistics",
]

_PERCENTILES = (("p50_s", 500), ("p90_s", 900), ("p95_s", 950), ("p99_s", 990), ("p999_s", 999))
_SECOND_NS = 1e9
#: A percentile is believed when fewer than one run in forty would show nothing above it: 95 % on both sides.
_DOUBT = 0.025
#: 97.5 % of a normal distribution lie below so many standard deviations.
_SPREAD = 1.96

TimeStatistics = dict[str, "int | float | None"]


def percentile(ordered: Sequence[int], per_mille: int) -> int:
    """Return the nearest-rank percentile of values in ascending order, of which there is at least one."""
    return ordered[max(-(-len(ordered) * per_mille // 1000), 1) - 1]


def time_statistics(times_ns: Iterable[int]) -> TimeStatistics:
    """Return samples, min_s … max_s and stddev_s; every figure is None where there is no sample.

    ``p999_s`` is there only where the samples carry it.
    """
    ordered = sorted(times_ns)
    count = len(ordered)
    names = [name for name, share in _PERCENTILES if share < 999 or count >= samples_needed(share)]
    if not count:
        empty: TimeStatistics = {"samples": 0, "min_s": None, "avg_s": None}
        return empty | dict.fromkeys([*names, "max_s", "stddev_s"])
    total = sum(ordered)
    statistics: TimeStatistics = {
        "samples": count,
        "min_s": ordered[0] / _SECOND_NS,
        "avg_s": total / count / _SECOND_NS,
    }
    for name, share in _PERCENTILES:
        if name in names:
            statistics[name] = percentile(ordered, share) / _SECOND_NS
    statistics["max_s"] = ordered[-1] / _SECOND_NS
    # Whole numbers to the end: nothing cancels out, however far the values are from zero.
    spread = count * sum(value * value for value in ordered) - total * total
    statistics["stddev_s"] = isqrt(spread) / count / _SECOND_NS
    return statistics


def jitter_ns(transits_ns: Iterable[int]) -> float | None:
    """Return the smoothed difference between neighbouring transit times; None for fewer than two.

    The clocks of the two ends need not agree. Source: RFC 3550 section 6.4.1.
    """
    jitter, previous = 0.0, None
    count = 0
    for transit in transits_ns:
        if previous is not None:
            jitter += (abs(transit - previous) - jitter) / 16
            count += 1
        previous = transit
    return jitter if count else None


def samples_needed(per_mille: int) -> int:
    """Return how many samples carry a percentile: one of them lies above it, in all but 2.5 % of runs."""
    return ceil(log(_DOUBT) / log(per_mille / 1000))


#: What p99 takes.
MIN_SAMPLES = samples_needed(990)


class Sufficiency(NamedTuple):
    """Whether the samples carry what is said of them.

    Attributes:
        enough: They carry the 99th percentile.
        text: One sentence for people.
    """

    enough: bool
    text: str


def sufficiency(times_ns: Iterable[int]) -> Sufficiency:
    """Judge a row of samples: between which of its values do the median and the 99th percentile lie?

    95 % confidence, by order statistics (the binomial distribution, approximated by a normal one): nothing is
    supposed of how the times are distributed.
    """
    ordered = sorted(times_ns)
    count = len(ordered)
    if count >= MIN_SAMPLES:
        low, high = _bounds(ordered, 990)
        between = f"p99 lies between {_text(low)} and {_text(high)} (95 % confidence)"
        return Sufficiency(True, f"{count} samples carry p99: {between}")
    carried = [
        name for name, share in (("p50", 500), ("p90", 900), ("p95", 950)) if count >= samples_needed(share)
    ]
    if not carried:
        return Sufficiency(
            False, f"{count} samples carry no percentile; p50 takes {samples_needed(500)}, p99 {MIN_SAMPLES}"
        )
    low, high = _bounds(ordered, 500)
    return Sufficiency(
        False,
        f"{count} samples carry percentiles up to {carried[-1]}, p99 takes {MIN_SAMPLES}; "
        f"p50 lies between {_text(low)} and {_text(high)} (95 % confidence)",
    )


def _bounds(ordered: Sequence[int], per_mille: int) -> tuple[int, int]:
    count, share = len(ordered), per_mille / 1000
    spread = _SPREAD * sqrt(count * share * (1 - share))
    low = max(int(count * share - spread), 1)
    high = min(ceil(count * share + spread) + 1, count)
    return ordered[low - 1], ordered[high - 1]


def _text(time_ns: int) -> str:
    return f"{time_ns / 1e6:.3f} ms"
