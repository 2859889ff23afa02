"""The traceroute: every hop of the overlay's way to a peer, continuously, and the IP path below each hop.

Method ``overlay-trace``: signed traces whose ttl ends at each hop; delays are counted from when a trace
should have left, without the time the answering node says it took to answer.
"""

from __future__ import annotations

from qudag_node.errors import PeerUnreachableError
from qudag_node.nettests.context import Context
from qudag_node.nettests.hops import Hop, HopVerdict, PathReport
from qudag_node.nettests.requests import TracerouteOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.samples import percentile
from qudag_node.nettests.ticker import Ticker
from qudag_node.nettests.tracing import (
    LEAST_ROUND_INTERVAL_S,
    PathTracer,
    hop_document,
    name_of,
    route_document,
    settle,
)
from qudag_node.nettests.underlay import underlay_of_path
from qudag_node.nettests.words import count_of, delay, listed, percent
from qudag_node.peerid import PeerId

__all__ = ["METHOD", "require_a_way", "run"]

METHOD = "overlay-trace"
_PROGRESS_S = 0.25


async def run(context: Context, options: TracerouteOptions) -> Measured:
    """Trace the way to a peer.

    Raises:
        PeerUnreachableError: There is no way to it, or it is banned.
    """
    require_a_way(context)
    interval_s = max(options.interval_s, LEAST_ROUND_INTERVAL_S)
    errors: list[str] = []
    if interval_s > options.interval_s:
        errors.append(f"a round every {delay(interval_s)}: relays answer no more traces than that")
    tracer = PathTracer(
        context.port, context.peer, context.clock, timeout_s=options.timeout_s, max_hops=options.max_hops
    )
    with tracer:
        await _trace(context, tracer, interval_s, options.count or None)
        await settle(context, [tracer])
    report = tracer.table.report()
    if tracer.unsent:
        errors.append(f"{count_of(tracer.unsent, 'trace')} could not be sent: {tracer.why_unsent}")
    fields = _fields(context, report)
    if options.underlay:
        fields["underlay"] = await underlay_of_path(context, _path_of(context, report))
    return Measured(
        success=report.is_reached,
        verdict=_verdict(context, report),
        method=METHOD,
        fields=fields,
        errors=tuple(errors),
        timestamps="user",
    )


def require_a_way(context: Context) -> None:
    """Refuse to test a peer that nothing can be sent to.

    Raises:
        PeerUnreachableError: One line that says why.
    """
    facts = context.port.facts(context.peer)
    if facts.is_banned:
        raise PeerUnreachableError(
            f"{facts.name} is banned by this node, nothing is exchanged with it; to lift the ban: "
            f"qudag peer unban {facts.name}"
        )
    if not facts.hops:
        raise PeerUnreachableError(
            f"{facts.name} cannot be reached: it is not linked, and the map knows no way to it; "
            f"qudag network test connectivity {facts.name} says where it ends"
        )


async def _trace(context: Context, tracer: PathTracer, interval_s: float, count: int | None) -> None:
    told_mono_s, number = context.clock.monotonic(), 0
    async with Ticker(interval_s=interval_s, count=count, stopping=context.stopping) as ticker:
        async for due_mono_s in ticker:
            tracer.send_round(number, due_mono_s)
            number += 1
            now_mono_s = context.clock.monotonic()
            if now_mono_s - told_mono_s >= _PROGRESS_S:
                told_mono_s = now_mono_s
                _tell(context, tracer, number, count)


def _tell(context: Context, tracer: PathTracer, rounds: int, count: int | None) -> None:
    fields = _fields(context, tracer.table.report())
    line = f"{count_of(rounds, 'round')}, {count_of(tracer.table.length, 'hop')}"
    context.progress(line, None if count is None else rounds / count, **fields)


def _fields(context: Context, report: PathReport) -> dict[str, object]:
    return {
        "hops": [hop_document(hop, lambda source: _name(context, source)) for hop in report.hops],
        "destination_reached": report.is_reached,
        "routes": [route_document(route, lambda source: _name(context, source)) for route in report.routes],
        "route_changes": report.route_changes,
        "underlay": None,
    }


def _path_of(context: Context, report: PathReport) -> list[PeerId]:
    """Return the way most rounds went, its gaps filled from the map."""
    by_map = context.port.path(context.peer)
    if not report.routes:
        return by_map
    route = max(report.routes, key=lambda route: route.count).path
    path: list[PeerId] = [context.port.own_id]
    for number, source in enumerate(route, start=1):
        if source is not None:
            path.append(PeerId(source))
        elif number < len(by_map):
            path.append(by_map[number])
        else:
            break
    return path


def _verdict(context: Context, report: PathReport) -> str:
    name = context.peer_name
    if not report.hops or not any(hop.received for hop in report.hops):
        return f"{name} does not answer, nor does any hop on the way"
    if not report.is_reached:
        return _where_it_ends(context, name, report)
    last = report.hops[-1]
    parts = [f"{name} answers over {count_of(last.ttl, 'hop')} in {_median(last)} (median)"]
    slow, lossy = report.named(HopVerdict.DELAY), report.named(HopVerdict.LOSS)
    if slow is not None and slow.added_s is not None:
        parts.append(f"hop {slow.ttl} ({_named(context, slow)}) adds {delay(slow.added_s)} of it")
    parts.append(_loss(context, last, lossy))
    silent = [_named(context, hop) for hop in report.hops if hop.verdict is HopVerdict.SILENT]
    if silent:
        parts.append(f"{listed(silent)} does not answer, which is no loss")
    if last.return_hops is not None and last.return_hops != last.ttl:
        parts.append(f"its answers come back over {count_of(last.return_hops, 'hop')}")
    if report.route_changes:
        parts.append(f"the route changed {count_of(report.route_changes, 'time')}")
    return "; ".join(parts)


def _where_it_ends(context: Context, name: str, report: PathReport) -> str:
    refuses = report.named(HopVerdict.REFUSES)
    if refuses is not None:
        why = {
            "no-route": "has no route to it",
            "not-relaying": "is a leaf and relays nothing",
            "loop": "would send it back: the maps differ",
        }.get(str(refuses.reason), "does not pass on")
        return f"{name} was not reached: hop {refuses.ttl} ({_named(context, refuses)}) {why}"
    last = max((hop for hop in report.hops if hop.received), key=lambda hop: hop.ttl)
    return (
        f"{name} was not reached: hop {last.ttl} ({_named(context, last)}) is the last that answers; "
        "it, the link behind it or the next node drops everything"
    )


def _loss(context: Context, last: Hop, lossy: Hop | None) -> str:
    if last.loss_ratio is None or not last.loss_ratio:
        return "no loss"
    lost = f"{percent(last.loss_ratio)} lost"
    if lossy is None:
        return f"{lost}, no single hop stands out"
    return f"{lost}, from hop {lossy.ttl} ({_named(context, lossy)}) on"


def _median(hop: Hop) -> str:
    return delay(percentile(sorted(round(rtt_s * 1e9) for rtt_s in hop.rtts_s), 500) / 1e9)


def _named(context: Context, hop: Hop) -> str:
    return "unknown" if hop.source is None else _name(context, hop.source)


def _name(context: Context, source: str) -> str:
    return name_of(context.port, source)
