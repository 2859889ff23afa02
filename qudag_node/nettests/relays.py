"""Which relays pass on what they are given: the evidence of many traces put together. Pure.

A relay is seen at work by what is beyond it: an answer from there has passed it. One that passes on what is
for some destinations and not what is for others is told apart from one that passes on nothing, and from one
of which nothing can be said because nobody's way leads through it. When nothing comes back from beyond a
relay, the relay or the link behind it may be at fault: its own count of what it dropped decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qudag_node.nettests.hops import HopVerdict, PathReport
from qudag_node.nettests.routemap import RouteMap, Step

__all__ = ["Forwarding", "Relay", "Trace", "judge_relays"]


class Forwarding(StrEnum):
    """Whether a relay passes on."""

    #: For every destination beyond it.
    YES = "yes"
    #: For some destinations, or not all of it.
    PARTLY = "partly"
    #: Nothing has come back from beyond it.
    NO = "no"
    #: It says itself that it does not.
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What was traced to one destination, from ``source``."""

    source: str
    destination: str
    report: PathReport


@dataclass(slots=True)
class Relay:
    """One relay.

    Attributes:
        passed: Probes that were answered from beyond it, of ``offered``.
        blocked: Destinations of which nothing came back through it.
        refusals: What it said why it did not pass on, and how often.
        misroutes: Steps it took that lead away from the destination.
        dropped: What it dropped during the test by its own count, by cause; None when it does not say.
    """

    peer: str
    offered: int = 0
    passed: int = 0
    served: list[str] = field(default_factory=list[str])
    blocked: list[str] = field(default_factory=list[str])
    refusals: dict[str, int] = field(default_factory=dict[str, int])
    misroutes: list[Step] = field(default_factory=list[Step])
    dropped: Mapping[str, int] | None = None

    @property
    def forwarding(self) -> Forwarding:
        """Whether it passes on."""
        if self.blocked and not self.served:
            return Forwarding.REFUSES if self.refusals else Forwarding.NO
        return Forwarding.PARTLY if self.blocked else Forwarding.YES

    @property
    def drops(self) -> int:
        """How much it dropped by its own count."""
        return sum((self.dropped or {}).values())


def judge_relays(
    traces: Iterable[Trace], route_map: RouteMap, dropped: Mapping[str, Mapping[str, int]]
) -> list[Relay]:
    """Return every relay that is on somebody's way, in the order of their ids.

    Args:
        traces: What was traced.
        route_map: Where each step should lead.
        dropped: By relay, what it says it has dropped during the test.
    """
    relays: dict[str, Relay] = {}
    for trace in traces:
        _watch(trace, relays, route_map)
        for route in trace.report.routes:
            for step in route_map.misrouted([trace.source, *route.path], trace.destination):
                relay = relays.setdefault(step.relay, Relay(step.relay))
                if step.relay != trace.source and step not in relay.misroutes:
                    relay.misroutes.append(step)
    for peer, relay in relays.items():
        relay.dropped = dropped.get(peer)
    return [relays[peer] for peer in sorted(relays) if _has_worked(relays[peer])]


def _watch(trace: Trace, relays: dict[str, Relay], route_map: RouteMap) -> None:
    """Note what one trace shows of each relay on its way."""
    hops = trace.report.hops
    for at, hop in enumerate(hops):
        # A hop that never answered is whoever the map says, as long as all before it is as the map says.
        peer = hop.source or _expected_at(trace, route_map, hop.ttl)
        if peer is None or peer == trace.destination:
            continue
        beyond = hops[at + 1 :]
        relay = relays.setdefault(peer, Relay(peer))
        for reason, count in hop.refusals.items():
            relay.refusals[reason] = relay.refusals.get(reason, 0) + count
        if hop.verdict is HopVerdict.REFUSES:
            relay.blocked.append(trace.destination)
            continue
        best = max(beyond, key=lambda later: later.received / max(later.sent, 1), default=None)
        if best is None or not best.sent:
            continue
        if not hop.received and not best.received:
            continue  # nothing has reached it, as far as is known
        relay.offered += best.sent
        relay.passed += best.received
        (relay.served if best.received else relay.blocked).append(trace.destination)


def _expected_at(trace: Trace, route_map: RouteMap, ttl: int) -> str | None:
    path = route_map.path(trace.source, trace.destination)
    known = [hop.source for hop in trace.report.hops]
    fits = all(seen in {None, expected} for seen, expected in zip(known, path[1:], strict=False))
    return path[ttl] if fits and ttl < len(path) else None


def _has_worked(relay: Relay) -> bool:
    return bool(relay.served or relay.blocked or relay.misroutes)
