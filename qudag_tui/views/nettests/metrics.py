"""The figures of each test by the names that ``--fail-if`` and ``--compare`` use. Pure.

A figure that the test did not measure is None, never 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from qudag_tui.errors import UsageError, did_you_mean
from qudag_tui.model.units import parse_bits_per_s, parse_number, parse_ratio, parse_seconds
from qudag_tui.views.nettests.documents import Document, count_of, maps, number
from qudag_tui.views.text import (
    UNKNOWN,
    format_bits_per_s,
    format_count,
    format_ratio,
    format_seconds,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEY_METRICS", "METRICS", "Kind", "Metric", "find_metric", "show_value"]


#: As many samples as should lie beyond a percentile, before two of them are compared.
SAMPLES_BEYOND = 3.68


def _never(_document: Document) -> float | None:
    return None


class Kind(NamedTuple):
    """A unit: how a figure of it is read and shown.

    Attributes:
        name: What it measures.
        parse: Reads a figure with its unit; raises ValueError.
        show: A figure as text.
        floor: Two figures that differ by no more than this are the same.
    """

    name: str
    parse: Callable[[str], float]
    show: Callable[[float | None], str]
    floor: float


def _count(value: float | None) -> str:
    """To the last digit: what was lost is not rounded."""
    return UNKNOWN if value is None else f"{value:.0f}"


def _factor(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}x"


SECONDS = Kind("time", parse_seconds, format_seconds, 20e-6)
RATIO = Kind("share", parse_ratio, format_ratio, 0.001)
BITS = Kind("bit rate", parse_bits_per_s, format_bits_per_s, 1000.0)
RATE = Kind("rate", parse_number, format_count, 0.5)
COUNT = Kind("count", parse_number, _count, 0.0)
FACTOR = Kind("factor", parse_number, _factor, 0.005)


class Metric(NamedTuple):
    """One figure.

    Attributes:
        name: What people call it.
        kind: Its unit.
        better: ``less`` or ``more``; empty when neither is.
        of: Finds it in a result.
        needs: How many samples it takes to say anything; 0 where it is no percentile.
        samples: How many there were.
    """

    name: str
    kind: Kind
    better: str
    of: Callable[[Document], float | None]
    needs: int = 0
    samples: Callable[[Document], float | None] = _never

    def has_enough(self, document: Document) -> bool:
        """Whether the samples carry it."""
        count = self.samples(document) if self.needs else None
        return count is None or count >= self.needs


def _at(*path: str) -> Callable[[Document], float | None]:
    return lambda document: number(document, *path)


_EVERY = ("min", "avg", "p50", "p90", "p95", "p99", "p999", "max", "stddev")
_MAIN = ("min", "avg", "p50", "p95", "p99", "max")
_WAYS = ("min", "p50", "p95", "p99", "max")
_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def _delays(
    *path: str,
    names: tuple[str, ...] = _MAIN,
    prefix: str = "",
    within: Callable[..., Callable[[Document], float | None]] = _at,
) -> list[Metric]:
    """The figures of a summary. A single sample, such as the longest, is neither better nor worse."""
    return [
        Metric(
            prefix + name,
            SECONDS,
            "" if name == "max" else "less",
            within(*path, f"{name}_s"),
            math.ceil(SAMPLES_BEYOND / (1 - _SHARES[name])) if name in _SHARES else 0,
            within(*path, "samples"),
        )
        for name in names
    ]


def _share(part: str, *whole: str) -> Callable[[Document], float | None]:
    """The part of what could have been lost: the first name less the others."""

    def of(document: Document) -> float | None:
        lost = number(document, part)
        counts = [number(document, name) for name in whole]
        if lost is None or None in counts:
            return None
        base = (counts[0] or 0) - sum(count or 0 for count in counts[1:])
        return lost / base if base > 0 else None

    return of


def _last_hop(*path: str) -> Callable[[Document], float | None]:
    def of(document: Document) -> float | None:
        hops = maps(document, "hops")
        return number(hops[-1], *path) if hops and document.get("destination_reached") else None

    return of


def _hops(document: Document) -> float | None:
    return float(len(maps(document, "hops"))) if "hops" in document else None


def _most(rows: str, name: str) -> Callable[[Document], float | None]:
    def of(document: Document) -> float | None:
        return max(
            (value for row in maps(document, rows) if (value := number(row, name)) is not None), default=None
        )

    return of


def _most_of(name: str) -> Callable[[Document], float | None]:
    """The most of a map of figures."""

    def of(document: Document) -> float | None:
        figures = document.get(name)
        known = [number(figures, key) for key in figures] if isinstance(figures, dict) else []
        return max((value for value in known if value is not None), default=None)

    return of


def _sum(rows: str, name: str) -> Callable[[Document], float | None]:
    def of(document: Document) -> float | None:
        values = [count_of(row, name) for row in maps(document, rows)]
        return sum(value or 0.0 for value in values) if rows in document else None

    return of


def _share_of(rows: str, name: str) -> Callable[[Document], float | None]:
    def of(document: Document) -> float | None:
        found = [row.get(name) for row in maps(document, rows)]
        return sum(map(bool, found)) / len(found) if found else None

    return of


def _failed_steps(document: Document) -> float | None:
    return (
        float(sum(row.get("ok") is False for row in maps(document, "steps"))) if "steps" in document else None
    )


def _step_time(step: str) -> Callable[[Document], float | None]:
    def of(document: Document) -> float | None:
        times = [number(row, "duration_s") for row in maps(document, "steps") if row.get("step") == step]
        return times[0] if times else None

    return of


_LOSS = Metric("loss", RATIO, "less", _at("loss_ratio"))
_JITTER = Metric("jitter", SECONDS, "less", _at("jitter_s"))
_DURATION = Metric("duration", SECONDS, "", _at("duration_s"))

_PING = [
    _LOSS,
    *_delays("rtt", names=_EVERY),
    _JITTER,
    Metric("forward_loss", RATIO, "less", _share("forward_lost", "sent")),
    Metric("backward_loss", RATIO, "less", _share("backward_lost", "sent", "forward_lost")),
    Metric("sent", COUNT, "", _at("sent")),
    Metric("received", COUNT, "", _at("received")),
    *(
        Metric(name, COUNT, "less", _at(name))
        for name in ("forward_lost", "backward_lost", "local_dropped", "duplicates", "reordered", "late")
    ),
    *_delays("forward_delay", names=_WAYS, prefix="forward_"),
    *_delays("backward_delay", names=_WAYS, prefix="backward_"),
]

_TRACEROUTE = [
    Metric("loss", RATIO, "less", _last_hop("loss_ratio")),
    *_delays("rtt", within=_last_hop),
    Metric("hops", COUNT, "less", _hops),
    Metric("added", SECONDS, "less", _most("hops", "added_s")),
    Metric("route_changes", COUNT, "less", _at("route_changes")),
]

_BANDWIDTH = [
    Metric("goodput", BITS, "more", _at("goodput_bits_per_s")),
    Metric("reverse_goodput", BITS, "more", _at("reverse", "goodput_bits_per_s")),
    Metric("retransmits", COUNT, "less", _at("retransmits")),
    _LOSS,
    _JITTER,
    *_delays("rtt_loaded"),
    *_delays("rtt_idle", names=("p50", "p99"), prefix="idle_"),
    Metric("receiver_dropped", COUNT, "less", _at("receiver_dropped")),
    Metric("cpu", RATIO, "less", _at("cpu", "local_ratio")),
    Metric("remote_cpu", RATIO, "less", _at("cpu", "remote_ratio")),
]

_LATENCY = [
    *_delays("idle", names=_EVERY),
    *_delays("up", names=_WAYS[1:], prefix="up_"),
    *_delays("down", names=_WAYS[1:], prefix="down_"),
    *_delays("both", names=_WAYS[1:], prefix="both_"),
    Metric("added", SECONDS, "less", _most_of("added_p95_s")),
    Metric("jitter", SECONDS, "less", _at("idle", "jitter_s")),
    Metric("goodput_up", BITS, "more", _at("up", "up_bits_per_s")),
    Metric("goodput_down", BITS, "more", _at("down", "down_bits_per_s")),
]

_ROUTING = [
    Metric("reachable", RATIO, "more", _share_of("peers", "reachable")),
    Metric("loss", RATIO, "less", _most("peers", "loss_ratio")),
    Metric("stretch", FACTOR, "less", _most("peers", "stretch")),
    Metric("hops", COUNT, "less", _most("peers", "hops")),
    Metric("misroutes", COUNT, "less", _sum("relays", "misroutes")),
    Metric("dropped", COUNT, "less", _sum("relays", "dropped")),
]

_STRESS = [
    Metric("throughput", RATE, "more", _at("throughput_per_s")),
    Metric("goodput", BITS, "more", _at("goodput_bits_per_s")),
    _LOSS,
    *_delays("latency", names=_EVERY),
    Metric("offered", COUNT, "", _at("offered")),
    Metric("delivered", COUNT, "", _at("delivered")),
    Metric("drops", COUNT, "less", _sum("drops", "count")),
    Metric("found_rate", RATE, "more", _at("found_rate_per_s")),
]

_CONNECTIVITY = [
    Metric("failed", COUNT, "less", _failed_steps),
    *(
        Metric(step.replace("-", "_"), SECONDS, "less", _step_time(step))
        for step in ("resolve", "tcp", "tls", "identity", "protocol", "ping-udp", "ping-link")
    ),
]

#: By test type; the order is that of a comparison.
METRICS: dict[str, tuple[Metric, ...]] = {
    "ping": (*_PING, _DURATION),
    "traceroute": (*_TRACEROUTE, _DURATION),
    "bandwidth": (*_BANDWIDTH, _DURATION),
    "latency": (*_LATENCY, _DURATION),
    "routing": (*_ROUTING, _DURATION),
    "stress": (*_STRESS, _DURATION),
    "connectivity": (*_CONNECTIVITY, _DURATION),
}

#: What tables of several peers and of two runs show, with what is left out first where there is little room.
KEY_METRICS: dict[str, dict[str, int]] = {
    "ping": {
        "sent": 4,
        "received": 3,
        "loss": 0,
        "forward_loss": 5,
        "backward_loss": 5,
        "min": 6,
        "p50": 0,
        "p95": 2,
        "p99": 0,
        "max": 1,
        "jitter": 1,
    },
    "traceroute": {"hops": 0, "loss": 0, "p50": 0, "p95": 2, "max": 1, "added": 0, "route_changes": 3},
    "bandwidth": {
        "goodput": 0,
        "reverse_goodput": 3,
        "retransmits": 1,
        "loss": 2,
        "idle_p50": 1,
        "p50": 0,
        "p99": 0,
    },
    "latency": {"p50": 0, "p95": 1, "p99": 0, "up_p95": 0, "down_p95": 0, "both_p95": 2},
    "routing": {"reachable": 0, "stretch": 0, "misroutes": 0, "dropped": 0},
    "stress": {"offered": 3, "delivered": 2, "loss": 0, "throughput": 0, "p50": 1, "p99": 0, "drops": 0},
    "connectivity": {"failed": 0, "tcp": 1, "tls": 2, "ping_udp": 1, "ping_link": 1},
}

_SAME = {
    "median": "p50",
    "mean": "avg",
    "rtt": "p50",
    "p99.9": "p999",
    "loss_ratio": "loss",
    "throughput_bits": "goodput",
    "rate": "throughput",
    "latency": "p50",
    "jitter_s": "jitter",
}


def find_metric(test_type: str, word: str) -> Metric:
    """The figure that a word names; ``-`` and ``.`` are as good as ``_``.

    Raises:
        UsageError: The test measures none of this name.
    """
    plain = word.strip().lower()
    plain = _SAME.get(plain, plain).replace("-", "_").replace(".", "_")
    known = {metric.name: metric for metric in METRICS[test_type]}
    found = known.get(plain) or known.get(
        plain.removeprefix("rtt_").removeprefix("latency_").removesuffix("_s")
    )
    if found is None:
        near = did_you_mean(plain, known)
        hint = near if near.startswith("did") else f"it measures {', '.join(known)}"
        raise UsageError(f"a {test_type} test measures no {word.strip()!r}", hint)
    return found


def show_value(metric: Metric, value: Any) -> str:
    """A figure with its unit; ``-`` when it was not measured."""
    return metric.kind.show(value)
