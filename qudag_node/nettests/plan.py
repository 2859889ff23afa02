"""What a test would send, and how long it would take: for who asks first, and for its time limit. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from qudag_node.nettests.capacity import search_length_s
from qudag_node.nettests.requests import (
    BandwidthOptions,
    ConnectivityOptions,
    LatencyOptions,
    Options,
    PingOptions,
    RoutingOptions,
    StressOptions,
    TracerouteOptions,
)
from qudag_node.nettests.stamp.packets import AUTHENTICATED_BYTES, UDP_AND_IP_BYTES
from qudag_node.nettests.stamp.tlvs import EXTENSION_BYTES

__all__ = ["Plan", "limit_s", "plan_map", "plan_of"]

# An authenticated STAMP packet with the extensions that every one of ours has.
_LEAST_PACKET_BYTES = AUTHENTICATED_BYTES + EXTENSION_BYTES
# A signed envelope round a body that goes through relays, and the frame round it.
_ENVELOPE_BYTES = 180
_TRACE_BYTES = 154
_LATENCY_PHASES = 4
# A load waits for pings of the idle link, and for processes at both ends that begin and report.
_IDLE_PINGS_S, _BULK_AROUND_S = 1.0, 4.0
# However large the goal, a search for a rate ends.
_MOST_SEARCH_S = 60.0
_CONNECTIVITY_STEPS = 7
# What no test may exceed, however it was asked for: a day, and what it takes to begin and to end.
_LONGEST_S, _SLACK_S = 86_400.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a test would do; None: that depends on the network.

    Attributes:
        duration_s: How long, as far as it can be said; None: until it is cancelled.
        packets: Packets or messages sent from here.
        sent_bytes: Bytes of them, headers included.
        rate_bits_per_s: How fast, at most.
        line: The same for a person.
    """

    duration_s: float | None
    packets: int | None
    sent_bytes: int | None
    rate_bits_per_s: float | None
    line: str


def plan_of(options: Options, *, hops: int, peers: int) -> Plan:
    """Return the plan of a test.

    Args:
        options: What was asked for.
        hops: To its target; 1 for a neighbour.
        peers: How many nodes a test of the whole network would reach.
    """
    hops = max(1, hops)
    match options:
        case PingOptions():
            size = _packet_bytes(options, hops)
            paced_s = options.count * options.interval_s
            line = f"{options.count} packets of {size} bytes, {1 / options.interval_s:.6g} each second"
            return _paced(line, paced_s, options.count, size, options.timeout_s)
        case TracerouteOptions(count=0):
            rate = hops * _TRACE_BYTES * 8 / options.interval_s
            hops = min(hops, options.max_hops)
            line = f"{hops} traces every {options.interval_s:g} s, until it is cancelled"
            return Plan(duration_s=None, packets=None, sent_bytes=None, rate_bits_per_s=rate, line=line)
        case TracerouteOptions():
            hops = min(hops, options.max_hops)
            line = f"{options.count} rounds of {hops} traces"
            paced_s = options.count * options.interval_s
            return _paced(line, paced_s, options.count * hops, _TRACE_BYTES, options.timeout_s)
        case BandwidthOptions():
            around_s = _BULK_AROUND_S + (_IDLE_PINGS_S if options.loaded_latency else 0.0)
            length_s = _search_s(options) if _is_search(options) else options.duration_s
            return _bulk(length_s, options.rate_bits_per_s, _bandwidth_line(options), around_s)
        case LatencyOptions(load=True):
            line = f"{_LATENCY_PHASES} phases of {options.duration_s:g} s: idle, up, down, both ways"
            around_s = _BULK_AROUND_S * (_LATENCY_PHASES - 1)
            return _bulk(_LATENCY_PHASES * options.duration_s, options.rate_bits_per_s, line, around_s)
        case LatencyOptions():
            packets = max(1, round(options.duration_s / options.interval_s))
            line = f"{packets} packets in {options.duration_s:g} s"
            size = _LEAST_PACKET_BYTES + UDP_AND_IP_BYTES
            return _paced(line, options.duration_s, packets, size, options.timeout_s)
        case RoutingOptions():
            line = f"{options.count} rounds of traces to {peers} peers"
            paced_s = options.count * options.interval_s
            return _paced(line, paced_s, options.count * peers, _TRACE_BYTES, options.timeout_s)
        case StressOptions():
            size = options.size_bytes + _ENVELOPE_BYTES
            most = options.rate_per_s if options.find is None else options.max_rate_per_s
            packets = round(most * options.duration_s)
            line = f"up to {packets} messages of {options.size_bytes} bytes in {options.duration_s:g} s"
            if options.find is not None:
                begin = min(options.rate_per_s, options.max_rate_per_s)
                line += f", searching from {begin:g} to at most {options.max_rate_per_s:g} each second"
            return _paced(line, options.duration_s, packets, size, options.timeout_s)
        case ConnectivityOptions():
            duration_s = _CONNECTIVITY_STEPS * options.timeout_s
            line = f"up to {_CONNECTIVITY_STEPS} steps of {options.timeout_s:g} s at most"
            return Plan(duration_s=duration_s, packets=None, sent_bytes=None, rate_bits_per_s=None, line=line)


def plan_map(plan: Plan) -> dict[str, object]:
    """Return the plan as it is told."""
    return asdict(plan)


def limit_s(options: Options) -> float:
    """Return after how long a test is ended, whatever it does."""
    plan = plan_of(options, hops=255, peers=1)
    if plan.duration_s is None:
        return _LONGEST_S
    return min(_LONGEST_S + _SLACK_S, 4 * plan.duration_s + _SLACK_S)


def _packet_bytes(options: PingOptions, hops: int) -> int:
    if options.via == "udp" or (options.via == "auto" and hops == 1):
        return max(options.size_bytes, _LEAST_PACKET_BYTES) + UDP_AND_IP_BYTES
    return options.size_bytes + (0 if options.via == "link" else _ENVELOPE_BYTES)


def _is_search(options: BandwidthOptions) -> bool:
    return options.protocol == "udp" and (options.find is not None or options.rate_bits_per_s is None)


def _search_s(options: BandwidthOptions) -> int:
    ways = 2 if options.direction == "bidir" else 1
    hold_s = max(1.0, min(options.duration_s / 2, 15.0))
    return math.ceil(min(_MOST_SEARCH_S, search_length_s(hold_s) * ways))


def _bandwidth_line(options: BandwidthOptions) -> str:
    what = f"{options.streams} {options.protocol} stream{'s' if options.streams > 1 else ''}"
    where = {"forward": "from here", "reverse": "to here", "bidir": "both ways"}[options.direction]
    if _is_search(options):
        cap = options.rate_bits_per_s
        most = "" if cap is None else f", to at most {cap / 1e6:.6g} Mbit/s"
        return f"{what} {where} for {_search_s(options):g} s at most, searching for the highest rate{most}"
    if options.rate_bits_per_s is not None:
        how = f"at {options.rate_bits_per_s / 1e6:.6g} Mbit/s"
    else:
        how = "as fast as the link carries, and the peer allows"
    return f"{what} {where} for {options.duration_s:g} s, {how}"


def _paced(line: str, paced_s: float, packets: int, size: int, timeout_s: float) -> Plan:
    return Plan(
        duration_s=paced_s + timeout_s,
        packets=packets,
        sent_bytes=packets * size,
        rate_bits_per_s=packets * size * 8 / paced_s if paced_s else None,
        line=line,
    )


def _bulk(duration_s: float, rate_bits_per_s: float | None, line: str, around_s: float) -> Plan:
    return Plan(
        duration_s=duration_s + around_s,
        packets=None,
        sent_bytes=None if rate_bits_per_s is None else round(rate_bits_per_s * duration_s / 8),
        rate_bits_per_s=rate_bits_per_s,
        line=line,
    )
