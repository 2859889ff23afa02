"""What is wrong with a link, and the text that says so: ``peer1-peer2:delay=20ms,loss=1%``. Pure.

    A-B:KEY=VALUE,…    both directions, each with these values (a delay of 20ms adds 40ms to the RTT)
    A>B:KEY=VALUE,…    only from A to B

    delay=20ms      added to every packet         us, ms, s; at most 30s
    jitter=2ms      delay varies by ± this much, uniformly; the order is kept
    loss=1%         dropped at random
    rate=10mbit     bits of IP packets per second: bit, kbit, mbit, gbit
    queue=64kB      what may wait for the rate, beyond it packets are dropped: B, kB, MB, KiB, MiB
    outage=on       nothing passes                on, off
    reorder=on      jitter may change the order   on, off

Keys that are not named keep their value; ``none`` takes one back.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

from qudag_node.errors import ConfigError
from qudag_node.lab.topology import Direction, Link

__all__ = [
    "CLEAN",
    "UDP_LOSS_ONLY",
    "Impairment",
    "ImpairmentChange",
    "ImpairmentOrder",
    "find_directions",
    "impairment_from_json",
    "parse_order",
    "warnings_of",
]

MAX_DELAY_S = 30.0
MIN_RATE_BITS_PER_S = 1_000.0
#: What may wait when no queue is named: a tenth of a second at the rate, as a home router has, but
#: never less than ten full packets.
DEFAULT_QUEUE_S = 0.1
DEFAULT_QUEUE_MIN_BYTES = 15_000

UDP_LOSS_ONLY = "the relay engine loses no TCP bytes: loss applies to UDP only; use --engine netns"

_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_RATES = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_SIZES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "kib": 1024.0, "mib": 1048576.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-zµ%]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """Everything that one direction of a link does to packets.

    Attributes:
        queue_bytes: What may wait for the rate; None means a tenth of a second's worth.
        reorder: Let jitter change the order of packets.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss_ratio: float = 0.0
    rate_bits_per_s: float | None = None
    queue_bytes: int | None = None
    outage: bool = False
    reorder: bool = False

    @property
    def queue_limit_bytes(self) -> float:
        """The bound of the queue before the rate; infinite without a rate."""
        if self.rate_bits_per_s is None:
            return float("inf")
        if self.queue_bytes is not None:
            return self.queue_bytes
        return max(DEFAULT_QUEUE_MIN_BYTES, self.rate_bits_per_s / 8 * DEFAULT_QUEUE_S)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        """The text that would ask for this, or ``clean``."""
        return self._text()

    def over(self, engine: str) -> str:
        """The same, with a remark where this engine does less: ``loss=1% (UDP only)``."""
        return self._text(" (UDP only)" if engine == "relay" else "")

    def _text(self, loss_remark: str = "") -> str:
        parts = [
            _time_text("delay", self.delay_s),
            _time_text("jitter", self.jitter_s),
            f"loss={self.loss_ratio * 100:.6g}%{loss_remark}" if self.loss_ratio else "",
            _rate_text(self.rate_bits_per_s),
            "" if self.queue_bytes is None else f"queue={self.queue_bytes}B",
            "outage=on" if self.outage else "",
            "reorder=on" if self.reorder else "",
        ]
        return ",".join(part for part in parts if part) or "clean"


CLEAN = Impairment()


def warnings_of(impairments: Iterable[Impairment], engine: str) -> list[str]:
    """What was asked for and this engine does not do, one line each."""
    is_lossy = any(impairment.loss_ratio for impairment in impairments)
    return [UDP_LOSS_ONLY] if is_lossy and engine == "relay" else []


class ImpairmentChange(TypedDict, total=False):
    """The fields of an ``Impairment`` that an order names."""

    delay_s: float
    jitter_s: float
    loss_ratio: float
    rate_bits_per_s: float | None
    queue_bytes: int | None
    outage: bool
    reorder: bool


@dataclass(frozen=True, slots=True)
class ImpairmentOrder:
    """A change, and the directions it is for."""

    directions: tuple[Direction, ...]
    change: ImpairmentChange

    def apply(self, current: Impairment) -> Impairment:
        """``current`` with the named fields changed."""
        return replace(current, **self.change)


def impairment_from_json(fields: Mapping[str, Any]) -> Impairment:
    """The reverse of ``Impairment.to_json``."""
    return Impairment(**fields)


def parse_order(text: str, links: Sequence[Link]) -> ImpairmentOrder:
    """Read ``A-B:KEY=VALUE,…`` or ``A>B:…`` for a network with these links.

    Raises:
        ConfigError: In one line: what is wrong, where, and the nearest spelling.
    """
    where = f"impair {text!r}"
    ends, colon, settings = text.partition(":")
    if not colon or not settings.strip():
        raise ConfigError(where, "write it as A-B:delay=20ms,loss=1%")
    directions = find_directions(ends.strip(), links, where=where)
    change = ImpairmentChange()
    for setting in settings.split(","):
        key, equals, value = setting.partition("=")
        key, value = key.strip().lower(), value.strip()
        _check_key(key, where)
        if not equals or not value:
            raise ConfigError(where, f"{key} has no value; for instance {_EXAMPLES[key]}")
        _READERS[key](change, value, where)
    return ImpairmentOrder(directions, change)


def find_directions(ends: str, links: Sequence[Link], *, where: str) -> tuple[Direction, ...]:
    """The directions that ``A-B`` (two) or ``A>B`` (one) names.

    Raises:
        ConfigError: There is no such link.
    """
    separator = ">" if ">" in ends else "-"
    source, _, target = (part.strip() for part in ends.partition(separator))
    for link in links:
        for direction in link.directions:
            if (direction.source, direction.target) == (source, target):
                return (direction,) if separator == ">" else link.directions
    raise ConfigError(where, f"no link {ends!r}{_nearest(f'{source}-{target}', map(str, links))}")


def _nearest(word: str, words: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def _check_key(key: str, where: str) -> None:
    if key not in _READERS:
        hint = _nearest(key, _READERS) or f"; known are {', '.join(_READERS)}"
        raise ConfigError(where, f"unknown key {key!r}{hint}")


def _quantity(key: str, text: str, units: Mapping[str, float], where: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ConfigError(where, f"{key}={text} is not a number with a unit; for instance {_EXAMPLES[key]}")
    number, unit = match.groups()
    if not unit:
        raise ConfigError(where, f"{key}={text} has no unit; write {key}={text}{_EXAMPLE_UNITS[key]}")
    unit = unit.lower().replace("µs", "us")
    if unit not in units:
        hint = _nearest(unit, units) or f"; known are {', '.join(units)}"
        raise ConfigError(where, f"{key}={text}: unknown unit {unit!r}{hint}")
    return float(number) * units[unit]


def _time_of(key: str, text: str, where: str) -> float:
    value_s = 0.0 if text.lower() in {"none", "0"} else _quantity(key, text, _TIMES, where)
    if value_s > MAX_DELAY_S:
        raise ConfigError(where, f"{key}={text} is more than {MAX_DELAY_S:g}s")
    return value_s


def _read_delay(change: ImpairmentChange, text: str, where: str) -> None:
    change["delay_s"] = _time_of("delay", text, where)


def _read_jitter(change: ImpairmentChange, text: str, where: str) -> None:
    change["jitter_s"] = _time_of("jitter", text, where)


def _read_loss(change: ImpairmentChange, text: str, where: str) -> None:
    percent = 0.0 if text.lower() in {"none", "0"} else _quantity("loss", text, {"%": 1.0}, where)
    if percent > 100:
        raise ConfigError(where, f"loss={text} is more than 100%")
    change["loss_ratio"] = percent / 100


def _read_rate(change: ImpairmentChange, text: str, where: str) -> None:
    if text.lower() == "none":
        change["rate_bits_per_s"] = None
        return
    rate = _quantity("rate", text, _RATES, where)
    if rate < MIN_RATE_BITS_PER_S:
        raise ConfigError(where, f"rate={text} is less than 1kbit; outage=on lets nothing pass")
    change["rate_bits_per_s"] = rate


def _read_queue(change: ImpairmentChange, text: str, where: str) -> None:
    if text.lower() == "none":
        change["queue_bytes"] = None
        return
    change["queue_bytes"] = round(_quantity("queue", text, _SIZES, where))


def _switch(key: str, text: str, where: str) -> bool:
    try:
        return {"on": True, "off": False, "none": False}[text.lower()]
    except KeyError:
        raise ConfigError(where, f"{key}={text} is neither on nor off") from None


def _read_outage(change: ImpairmentChange, text: str, where: str) -> None:
    change["outage"] = _switch("outage", text, where)


def _read_reorder(change: ImpairmentChange, text: str, where: str) -> None:
    change["reorder"] = _switch("reorder", text, where)


_READERS = {
    "delay": _read_delay,
    "jitter": _read_jitter,
    "loss": _read_loss,
    "rate": _read_rate,
    "queue": _read_queue,
    "outage": _read_outage,
    "reorder": _read_reorder,
}
_EXAMPLE_UNITS = {"delay": "ms", "jitter": "ms", "loss": "%", "rate": "mbit", "queue": "kB"}
_EXAMPLES = {
    "delay": "delay=20ms",
    "jitter": "jitter=2ms",
    "loss": "loss=1%",
    "rate": "rate=10mbit",
    "queue": "queue=64kB",
    "outage": "outage=on",
    "reorder": "reorder=on",
}


def _time_text(key: str, value_s: float) -> str:
    if not value_s:
        return ""
    if value_s >= 1:
        return f"{key}={value_s:.6g}s"
    if value_s >= 1e-3:
        return f"{key}={value_s * 1e3:.6g}ms"
    return f"{key}={value_s * 1e6:.6g}us"


def _rate_text(rate_bits_per_s: float | None) -> str:
    if rate_bits_per_s is None:
        return ""
    for unit in ("gbit", "mbit", "kbit"):
        if rate_bits_per_s >= _RATES[unit]:
            return f"rate={rate_bits_per_s / _RATES[unit]:.9g}{unit}"
    return f"rate={rate_bits_per_s:.9g}bit"
