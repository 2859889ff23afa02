"""What a test may be asked to do: one frozen dataclass of options for each type, read strictly. Pure.

    options = options_of(TestType.PING, {"count": 100, "interval_s": 0.01})

A name that is misspelt, a number that is out of range or a value of another kind is a ``ConfigError`` that
says which; nothing is ever guessed or silently cut down.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar, cast

from qudag_node.errors import ConfigError
from qudag_node.nettests.capacity import goal_of
from qudag_node.nettests.search import parse_goal

__all__ = [
    "BandwidthOptions",
    "ConnectivityOptions",
    "LatencyOptions",
    "Options",
    "PingOptions",
    "RoutingOptions",
    "StressOptions",
    "TestType",
    "TracerouteOptions",
    "option_map",
    "options_of",
]

T = TypeVar("T")

_MAX_S = 86_400.0
_MAX_BITS_PER_S = 1e12
_MAX_RATE_PER_S = 1e6
_MAX_TEXT_CHARS = 256


class TestType(StrEnum):
    """What can be tested."""

    #: pytest looks at the name.
    __test__ = False

    #: Round trips, their delays, and loss by direction.
    PING = "ping"
    #: The same hop by hop.
    TRACEROUTE = "traceroute"
    #: How much a link carries, and what limits it.
    BANDWIDTH = "bandwidth"
    #: Delays of an idle and a loaded link.
    LATENCY = "latency"
    #: Who can be reached, on which path, and which relays fail.
    ROUTING = "routing"
    #: What messages through the overlay bear.
    STRESS = "stress"
    #: Step by step, whether a peer can be reached, or this node from outside.
    CONNECTIVITY = "connectivity"


def _option(default: T, meaning: str, **limits: object) -> T:
    """Return a field with its sentence; ``least`` and ``most``, or ``choices``, typed as what it holds."""
    return field(default=default, metadata={"help": meaning, **limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class PingOptions:
    """How to ping."""

    count: int = _option(200, "packets to send", least=1, most=1_000_000)
    interval_s: float = _option(0.01, "seconds from one to the next", least=0.0001, most=60.0)
    size_bytes: int = _option(0, "payload of a packet; 0: the smallest there is", least=0, most=16_000)
    via: str = _option(
        "auto",
        "udp (STAMP), link (the TLS link), overlay (relayed); auto: udp to a neighbour, overlay to others",
        choices=("auto", "udp", "link", "overlay"),
    )
    timeout_s: float = _option(1.0, "seconds after which a packet counts as lost", least=0.01, most=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracerouteOptions:
    """How to trace."""

    max_hops: int = _option(16, "hops to go at most", least=1, most=255)
    count: int = _option(10, "rounds; 0: until cancelled", least=0, most=1_000_000)
    interval_s: float = _option(0.2, "seconds from one round to the next", least=0.01, most=60.0)
    timeout_s: float = _option(1.0, "seconds after which a probe counts as lost", least=0.01, most=60.0)
    underlay: bool = _option(False, "trace the IP path below each overlay hop, too")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthOptions:
    """How to load a link."""

    duration_s: float = _option(10.0, "seconds to measure", least=0.5, most=3_600.0)
    protocol: str = _option("tcp", "tcp or udp", choices=("tcp", "udp"))
    streams: int = _option(1, "connections in parallel", least=1, most=64)
    direction: str = _option(
        "forward",
        "forward (from here), reverse (to here) or bidir",
        choices=("forward", "reverse", "bidir"),
    )
    rate_bits_per_s: float | None = _option(
        None, "send no faster; unset: tcp as fast as it can, udp searches", least=1_000, most=_MAX_BITS_PER_S
    )
    omit_s: float | None = _option(
        None, "seconds at the start to leave out; unset: until the rate is steady", least=0.0, most=600.0
    )
    find: str | None = _option(None, "udp: the highest rate that meets a goal, such as loss<0.1%", goal=True)
    packet_bytes: int = _option(0, "udp: payload of a packet; 0: what the path carries", least=0, most=65_000)
    loaded_latency: bool = _option(True, "ping while loading")
    congestion_control: str | None = _option(None, "tcp: the algorithm, such as cubic; unset: the system's")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyOptions:
    """How to profile the latency of a link."""

    load: bool = _option(False, "load the link up, down and both ways; else it is measured idle only")
    duration_s: float = _option(5.0, "seconds of each phase", least=0.5, most=600.0)
    interval_s: float = _option(0.01, "seconds from one ping to the next", least=0.001, most=60.0)
    streams: int = _option(4, "connections that load it", least=1, most=64)
    rate_bits_per_s: float | None = _option(
        None, "load no faster; unset: as fast as it can", least=1_000, most=_MAX_BITS_PER_S
    )
    timeout_s: float = _option(2.0, "seconds after which a packet counts as lost", least=0.01, most=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingOptions:
    """How to examine the routing."""

    count: int = _option(5, "probes to each peer", least=1, most=1_000)
    interval_s: float = _option(0.2, "seconds from one round to the next", least=0.01, most=60.0)
    timeout_s: float = _option(2.0, "seconds after which a probe counts as lost", least=0.01, most=60.0)
    max_hops: int = _option(16, "hops to go at most", least=1, most=255)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOptions:
    """How to load the overlay with messages."""

    rate_per_s: float = _option(
        1_000.0, "messages per second; with find, where to begin", least=0.1, most=_MAX_RATE_PER_S
    )
    duration_s: float = _option(30.0, "seconds; with find, of the whole search", least=0.5, most=3_600.0)
    size_bytes: int = _option(512, "payload of a message", least=32, most=16_000)
    find: str | None = _option(
        None, "the highest rate that meets a goal, such as p99<500ms,loss<1%", goal=True
    )
    max_rate_per_s: float = _option(
        10_000.0, "never go above, when searching", least=0.1, most=_MAX_RATE_PER_S
    )
    timeout_s: float = _option(2.0, "seconds after which a message counts as lost", least=0.01, most=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityOptions:
    """How to examine whether a peer can be reached."""

    timeout_s: float = _option(5.0, "seconds that each step gets", least=0.1, most=60.0)
    outside: bool = _option(False, "have a peer dial back: can this node be reached from outside?")
    address: str = _option("", "HOST:PORT to dial; empty: those known of the peer")


Options = (
    PingOptions
    | TracerouteOptions
    | BandwidthOptions
    | LatencyOptions
    | RoutingOptions
    | StressOptions
    | ConnectivityOptions
)

_OPTIONS: Mapping[TestType, type[Options]] = {
    TestType.PING: PingOptions,
    TestType.TRACEROUTE: TracerouteOptions,
    TestType.BANDWIDTH: BandwidthOptions,
    TestType.LATENCY: LatencyOptions,
    TestType.ROUTING: RoutingOptions,
    TestType.STRESS: StressOptions,
    TestType.CONNECTIVITY: ConnectivityOptions,
}


def options_of(test_type: TestType, values: Mapping[str, object]) -> Options:
    """Return the options of a test; what is not given, or nil, takes its default.

    Raises:
        ConfigError: A name is unknown, or a value is of the wrong kind or out of range.
    """
    made = _OPTIONS[test_type]
    known = {each.name: each for each in fields(made)}
    for name in values:
        if name not in known:
            raise ConfigError(_where(test_type, name), "no such option" + _nearest(name, known))
    given: dict[str, Any] = {
        name: _checked(test_type, known[name], value) for name, value in values.items() if value is not None
    }
    options = replace(made(), **given)
    _check_together(test_type, options)
    return options


def option_map(options: Options) -> dict[str, object]:
    """Return options as the map that they can be made of again."""
    return asdict(options)


def _checked(test_type: TestType, option: Field[Any], value: object) -> object:
    where = _where(test_type, option.name)
    default, limits = option.default, option.metadata
    assert default is not MISSING  # noqa: S101  # every option has one
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(where, f"{_short(value)} is neither true nor false")
        return value
    if "least" in limits:
        return _number(where, value, limits, is_whole=isinstance(default, int))
    if not isinstance(value, str) or len(value) > _MAX_TEXT_CHARS or not value.isprintable():
        raise ConfigError(where, f"{_short(value)} is no text of at most {_MAX_TEXT_CHARS} characters")
    if "choices" in limits and value not in limits["choices"]:
        raise ConfigError(where, f"{_short(value)} is not one of {', '.join(limits['choices'])}")
    if "goal" in limits:
        try:
            parse_goal(value)
        except ConfigError as exc:
            raise ConfigError(where, exc.problem) from exc
    return value


def _number(where: str, value: object, limits: Mapping[str, Any], *, is_whole: bool) -> float:
    kinds: tuple[type, ...] = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ConfigError(where, f"{_short(value)} is not a {'whole ' if is_whole else ''}number")
    number = cast("float", value)
    if not limits["least"] <= number <= limits["most"]:  # which NaN is not, either
        raise ConfigError(
            where, f"{_short(value)} is not from {limits['least']:.15g} to {limits['most']:.15g}"
        )
    return number if is_whole else float(number)


def _check_together(test_type: TestType, options: Options) -> None:
    """Refuse what is right alone and senseless together."""
    if isinstance(options, BandwidthOptions) and options.protocol == "udp" and options.find is not None:
        goal_of(options.find)  # of fewer figures than other goals speak of
    match options:
        case PingOptions() if options.count * options.interval_s > _MAX_S:
            raise ConfigError(_where(test_type, "count"), "with this interval it would last over a day")
        case BandwidthOptions() if options.find is not None and options.protocol != "udp":
            raise ConfigError(_where(test_type, "find"), "only udp searches for a rate; tcp finds its own")
        case BandwidthOptions() if options.packet_bytes and options.protocol != "udp":
            raise ConfigError(_where(test_type, "packet_bytes"), "only udp has a size of packets (--size)")
        case BandwidthOptions() if options.omit_s is not None and options.omit_s >= options.duration_s:
            raise ConfigError(_where(test_type, "omit_s"), "nothing would be left of the duration")
        case StressOptions() if options.find is None and options.rate_per_s * options.duration_s > 1e8:
            raise ConfigError(_where(test_type, "rate_per_s"), "over 100 million messages in all")
        case _:
            return


def _where(test_type: TestType, name: str) -> str:
    return f"{test_type}.{name[:40]}"


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name[:40], known, n=1)
    return f"; {close[0]}?" if close else f"; there are: {', '.join(known)}"


def _short(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number of over 18 digits"
    if isinstance(value, str):
        return repr(value[:40])
    return repr(value)[:40] if isinstance(value, int | float) else f"a {type(value).__name__}"
