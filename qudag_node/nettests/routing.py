"""The routing test: is every peer reachable, by which way, how far from the best one, do the relays pass on?

Method ``overlay-trace``. Each peer is traced in every round; the first and the last round trace each hop on
the way as well. What is found is held against the map of this node, and what the peers say of theirs:

    routes  {}  ->  {hops: [[PeerId, hops], …], more: how many are left out}

How far a way is from the best one is told of round trips that were traced in this run, on both sides. What
the map says a link costs is no such figure: it is smoothed, and of another time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from qudag_node.errors import NodeError
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.dropwatch import counts_told, risen
from qudag_node.nettests.hops import PathReport
from qudag_node.nettests.linkrtts import LinkRtts
from qudag_node.nettests.relays import Forwarding, Relay, Trace, judge_relays
from qudag_node.nettests.requests import RoutingOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.routemap import MapEdge, RouteMap
from qudag_node.nettests.samples import time_statistics
from qudag_node.nettests.ticker import Ticker
from qudag_node.nettests.tracing import LEAST_ROUND_INTERVAL_S, PathTracer, name_of, settle
from qudag_node.nettests.words import count_of, delay, listed, percent
from qudag_node.overlay.testport import TestPort
from qudag_node.peerid import PeerId, peer_id_of

__all__ = ["METHOD", "RoutesService", "run"]

METHOD = "overlay-trace"
_ROUTES = "routes"
# A body has 16 KiB, and an entry about 60 bytes.
_MAX_ROUTES = 200
_MAX_PEERS = 128
_ASK_TIMEOUT_S = 3.0
_PROGRESS_S = 0.25
# A way is a detour when it costs so much more than the best one: measured delays vary by less.
_DETOUR_RATIO, _DETOUR_S = 1.25, 0.002


class RoutesService:
    """Tells peers whom this node reaches, and over how many hops."""

    def __init__(self, *, port: TestPort, control: Control, consent: Consent) -> None:
        self._port = port
        self._consent = consent
        control.serve(_ROUTES, self._tell)

    async def _tell(self, _: Asker, __: dict[str, object]) -> dict[str, Any]:
        self._consent.require_enabled()
        peers = self._port.peers()
        told = peers[:_MAX_ROUTES]
        return {
            "hops": [[peer, self._port.facts(peer).hops] for peer in told],
            "more": len(peers) - len(told),
        }


@dataclass(frozen=True, slots=True)
class _Peer:
    """One peer and what was traced to it."""

    id: PeerId
    name: str
    report: PathReport

    @property
    def path(self) -> list[str | None]:
        """The way most rounds went; empty when nothing is known of it."""
        routes = self.report.routes
        return max(routes, key=lambda route: route.count).path if routes else []


async def run(context: Context, options: RoutingOptions) -> Measured:
    """Examine the ways to one peer, or to all that are known."""
    route_map = _read_map(context.port)
    reachable, cut_off, left_out = _whom(context)
    relays = _relays_of(context.port, reachable)
    before = await _counters(context, relays)
    tracers = await _trace(context, options, reachable)
    after = await _counters(context, relays)
    peers = [
        _Peer(peer, context.port.facts(peer).name, tracer.table.report()) for peer, tracer in tracers.items()
    ]
    judged = judge_relays(
        [Trace(source=context.port.own_id, destination=peer.id, report=peer.report) for peer in peers],
        route_map,
        {relay: risen(before[relay], after[relay]) for relay in before.keys() & after.keys()},
    )
    blind = [peer for peer in peers if not peer.report.is_reached]
    silent = {*cut_off, *(peer.id for peer in blind)}
    errors = [f"{count_of(left_out, 'peer')} left out: {_MAX_PEERS} are the limit"] if left_out else []
    errors += [
        f"{count_of(tracer.unsent, 'trace')} could not be sent: {tracer.why_unsent}"
        for tracer in tracers.values()
        if tracer.unsent
    ]
    link_rtts = LinkRtts(context.port.own_id, [peer.report for peer in peers])
    rows = [_peer_document(context.port.own_id, peer, route_map, link_rtts) for peer in peers]
    rows.sort(key=_by_distance)
    rows += [_cut_off_document(context.port, peer) for peer in cut_off]
    return Measured(
        success=bool(peers) and not blind and not cut_off,
        verdict=_verdict(context.port, peers, blind, cut_off, judged, rows),
        method=METHOD,
        fields={
            "matrix": await _matrix(context, route_map, [*reachable, *cut_off], silent),
            "peers": rows,
            "relays": [
                _relay_document(context.port, relay)
                for relay in sorted(judged, key=lambda relay: name_of(context.port, relay.peer))
            ],
        },
        errors=tuple(errors[:_MAX_PEERS]),
        timestamps="user",
    )


def _whom(context: Context) -> tuple[list[PeerId], list[PeerId], int]:
    """Return whom to trace, who is on the map and cannot be reached, and how many are left out."""
    port = context.port
    if context.target is not None:
        is_reachable = port.facts(context.target).hops > 0
        return ([context.target], [], 0) if is_reachable else ([], [context.target], 0)
    facts = sorted(map(port.facts, port.peers()), key=lambda peer: (peer.hops, peer.name))
    reachable = [peer.id for peer in facts]
    known = set(reachable)
    nodes, _ = port.topology()
    cut_off = [peer for node in nodes[1:] if (peer := peer_id_of(node.key)) not in known]
    left_out = max(0, len(reachable) - _MAX_PEERS) + max(0, len(cut_off) - _MAX_PEERS)
    return reachable[:_MAX_PEERS], cut_off[:_MAX_PEERS], left_out


def _read_map(port: TestPort) -> RouteMap:
    nodes, links = port.topology()
    edges = [
        MapEdge(peer_id_of(link.a), peer_id_of(link.b), link.cost_us / 1e6) for link in links if link.is_up
    ]
    return RouteMap(edges, [peer_id_of(node.key) for node in nodes if node.is_leaf])


def _relays_of(port: TestPort, peers: Iterable[PeerId]) -> list[PeerId]:
    """Return the nodes that by the map relay for us, in no particular order."""
    relays: dict[PeerId, None] = {}
    for peer in peers:
        relays.update(dict.fromkeys(port.path(peer)[1:-1]))
    return list(relays)


async def _trace(
    context: Context, options: RoutingOptions, peers: Sequence[PeerId]
) -> dict[PeerId, PathTracer]:
    tracers: dict[PeerId, PathTracer] = {}
    with ExitStack() as stack:
        for peer in peers:
            tracer = PathTracer(
                context.port, peer, context.clock, timeout_s=options.timeout_s, max_hops=options.max_hops
            )
            tracers[peer] = stack.enter_context(tracer)
        if tracers:
            await _send_rounds(context, options, list(tracers.values()))
            await settle(context, tracers.values())
    return tracers


async def _send_rounds(context: Context, options: RoutingOptions, tracers: Sequence[PathTracer]) -> None:
    # Neighbours see the traces to everybody behind them: they are spread so that none of them has to refuse.
    interval_s = max(options.interval_s / len(tracers), LEAST_ROUND_INTERVAL_S)
    count, sent, told_mono_s = options.count * len(tracers), 0, context.clock.monotonic()
    async with Ticker(interval_s=interval_s, count=count, stopping=context.stopping) as ticker:
        async for due_mono_s in ticker:
            number, which = divmod(sent, len(tracers))
            tracer = tracers[which]
            is_whole = number in {0, options.count - 1}
            tracer.send_round(number, due_mono_s, None if is_whole else [tracer.table.length])
            sent += 1
            now_mono_s = context.clock.monotonic()
            if now_mono_s - told_mono_s >= _PROGRESS_S or sent == count:
                told_mono_s = now_mono_s
                line = f"round {number + 1} of {options.count}, {count_of(len(tracers), 'peer')}"
                context.progress(line, sent / count)


# What others say.


async def _counters(context: Context, relays: Sequence[PeerId]) -> dict[PeerId, dict[str, int]]:
    """Return what each relay says that it has dropped so far; those that do not say are left out."""

    async def ask(relay: PeerId) -> dict[str, int] | None:
        try:
            answer = await context.control.ask(relay, "counters", {}, timeout_s=_ASK_TIMEOUT_S)
        except NodeError:
            return None
        return counts_told(answer.get("drops"))

    answers = await asyncio.gather(*(ask(relay) for relay in relays[:_MAX_PEERS]))
    return {relay: answer for relay, answer in zip(relays, answers, strict=False) if answer is not None}


async def _matrix(
    context: Context, route_map: RouteMap, peers: Sequence[PeerId], silent: Container[PeerId]
) -> dict[str, object]:
    """Return who reaches whom over how many hops: each node's own word, or else the map's."""
    port = context.port
    everybody = [port.own_id, *peers]

    async def ask(peer: PeerId) -> dict[str, int] | None:
        if peer in silent:
            return None
        try:
            answer = await context.control.ask(peer, _ROUTES, {}, timeout_s=_ASK_TIMEOUT_S)
        except NodeError:
            return None
        return None if answer.get("more") else _hops_told(answer.get("hops"))

    told = await asyncio.gather(*(ask(peer) for peer in peers))
    own = {peer: hops for peer in peers if (hops := port.facts(peer).hops)}
    rows: list[list[int | None]] = []
    sources: list[str] = []
    for node, word in zip(everybody, [own, *told], strict=True):
        sources.append("map" if word is None else "told" if node != port.own_id else "own")
        rows.append(
            [
                0 if other == node else route_map.hops(node, other) if word is None else word.get(other)
                for other in everybody
            ]
        )
    return {
        "peers": everybody,
        "names": [name_of(port, peer) for peer in everybody],
        "hops": rows,
        "sources": sources,
    }


def _hops_told(told: object) -> dict[str, int]:
    hops: dict[str, int] = {}
    for entry in cast("list[object]", told) if isinstance(told, list) else []:
        match entry:
            case [str(peer), int(count)] if 0 < count <= 255:
                hops[peer] = count
            case _:
                continue
    return hops


# What is said of it.


def _by_distance(row: Mapping[str, object]) -> tuple[float, str]:
    hops = row["hops"]
    return hops if isinstance(hops, int) else math.inf, str(row["name"])


def _peer_document(
    own_id: PeerId, peer: _Peer, route_map: RouteMap, link_rtts: LinkRtts
) -> dict[str, object]:
    report, path = peer.report, peer.path
    last = report.hops[-1] if report.is_reached else None
    rtt = time_statistics(round(rtt_s * 1e9) for rtt_s in (last.rtts_s if last is not None else ()))
    best_cost_s = route_map.cost_s(own_id, peer.id)
    taken_path, median_s = [own_id, *path], rtt["p50_s"]
    taken_cost_s = _cost_of(taken_path, route_map) if report.is_reached else None
    best_s = link_rtts.best_known_s(taken_path, median_s, route_map.path(own_id, peer.id))
    return {
        "peer": peer.id,
        "name": peer.name,
        "reachable": report.is_reached,
        "hops": last.ttl if last is not None else None,
        "best_hops": route_map.least_hops(own_id, peer.id),
        "path": path,
        "rtt": rtt,
        "loss_ratio": last.loss_ratio if last is not None else 1.0 if report.hops else None,
        "best_known_s": best_s,
        "best_cost_s": best_cost_s,
        "path_cost_s": taken_cost_s,
        "stretch": median_s / best_s if median_s and best_s else None,
        "route_changes": report.route_changes,
        "verdict": _peer_verdict(report, best_cost_s, taken_cost_s),
    }


def _cost_of(path: Sequence[str | None], route_map: RouteMap) -> float | None:
    """Return what a way costs by the map; None where a part of it is not on the map."""
    total_s = 0.0
    for a, b in pairwise(path):
        cost_s = None if a is None or b is None else route_map.link_cost_s(a, b)
        if cost_s is None:
            return None
        total_s += cost_s
    return total_s


def _peer_verdict(report: PathReport, best_s: float | None, taken_s: float | None) -> str:
    if not report.is_reached:
        return "does not answer, though the map knows a way"
    if best_s is not None and taken_s is not None and taken_s > best_s * _DETOUR_RATIO + _DETOUR_S:
        return f"a detour: by the map its way costs {delay(taken_s)}, the best one {delay(best_s)}"
    lost = report.hops[-1].loss_ratio
    if lost:
        return f"loses {percent(lost)}"
    return "changes its way" if report.route_changes else "ok"


def _cut_off_document(port: TestPort, peer: PeerId) -> dict[str, object]:
    facts = port.facts(peer)
    verdict = "banned by this node" if facts.is_banned else "no way to it: stopped, dead or cut off"
    unknown = dict.fromkeys(
        ("hops", "best_hops", "loss_ratio", "best_known_s", "best_cost_s", "path_cost_s", "stretch"), None
    )
    return {
        "peer": peer,
        "name": facts.name,
        "reachable": False,
        **unknown,
        "path": [],
        "rtt": time_statistics(()),
        "route_changes": 0,
        "verdict": verdict,
    }


def _relay_document(port: TestPort, relay: Relay) -> dict[str, object]:
    return {
        "peer": relay.peer,
        "name": name_of(port, relay.peer),
        "forwarding": str(relay.forwarding),
        "offered": relay.offered,
        "passed": relay.passed,
        "blocked": relay.blocked,
        "refusals": relay.refusals,
        "misroutes": [{"to": step.next_hop} for step in relay.misroutes],
        "dropped": relay.dropped,
        "verdict": _relay_verdict(port, relay),
    }


def _relay_verdict(port: TestPort, relay: Relay) -> str:
    def names(peers: Sequence[str]) -> str:
        return listed(sorted({name_of(port, peer) for peer in peers}))

    parts: list[str] = []
    match relay.forwarding:
        case Forwarding.YES:
            lost = 1 - relay.passed / relay.offered if relay.offered else 0.0
            parts.append(f"passes on, {percent(lost)} of it lost beyond" if lost else "passes on")
        case Forwarding.PARTLY:
            parts.append(f"passes nothing on to {names(relay.blocked)}")
        case Forwarding.NO:
            parts.append("passes nothing on, or the links behind it are dead")
        case Forwarding.REFUSES:
            parts.append(f"says that it does not pass on: {listed(sorted(relay.refusals))}")
    if relay.misroutes:
        parts.append(f"misroutes to {names([step.next_hop for step in relay.misroutes])}")
    if relay.drops:
        parts.append(f"dropped {count_of(relay.drops, 'test message')} meanwhile by its own count")
    return "; ".join(parts)


def _verdict(
    port: TestPort,
    peers: Sequence[_Peer],
    blind: Sequence[_Peer],
    cut_off: Sequence[PeerId],
    relays: Sequence[Relay],
    rows: Sequence[Mapping[str, object]],
) -> str:
    if not peers and not cut_off:
        return "no other node is known"
    total = len(peers) + len(cut_off)
    parts = [f"{len(peers) - len(blind)} of {count_of(total, 'peer')} reached"]
    if cut_off:
        parts.append(f"no way to {listed([port.facts(peer).name for peer in cut_off])}")
    if blind:
        parts.append(f"{listed([peer.name for peer in blind])} on the map, but silent")
    parts += [
        f"{name_of(port, relay.peer)} {_relay_verdict(port, relay)}"
        for relay in relays
        if relay.forwarding is not Forwarding.YES or relay.misroutes
    ]
    detours = [str(row["name"]) for row in rows if str(row["verdict"]).startswith("a detour")]
    if detours:
        parts.append(f"{listed(detours)} over a detour")
    if len(parts) == 1:
        parts.append("every relay passes on" if relays else "all of them neighbours")
    return "; ".join(parts)
