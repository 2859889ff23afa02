"""The ping: STAMP to a neighbour (``stamp-udp``), or echoes over the link or through relays.

Packets leave at equal distances whatever comes back, and a reply counts whenever it comes. In the end the
peer is asked what arrived, so that every loss has its direction, that of the last packets included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qudag_node.errors import PeerUnreachableError
from qudag_node.nettests.context import Context
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.echoround import EchoRound
from qudag_node.nettests.ping_statistics import Silence, ping_statistics, silence_of
from qudag_node.nettests.ping_verdict import has_stopped_answering, verdict_of, why_nothing_came_back
from qudag_node.nettests.requests import PingOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.stampsession import StampPlan, open_stamp
from qudag_node.nettests.words import count_of, delay
from qudag_node.overlay.testport import Way

__all__ = ["run"]

_LEAST_ECHO_INTERVAL_S = 0.001


async def run(context: Context, options: PingOptions) -> Measured:
    """Ping a peer.

    Raises:
        PeerUnreachableError: It cannot be reached on that way, or does not answer requests.
        DeclinedError: It will not be pinged.
        WorkerError: The sender's process failed.
    """
    facts = context.port.facts(context.peer)
    if facts.is_banned:
        raise PeerUnreachableError(f"{facts.name} is banned here: nothing is sent to it")
    if not facts.hops:
        raise PeerUnreachableError(f"{facts.name} cannot be reached: there is no way to it now")
    via = options.via
    if via == "auto":
        via = "udp" if facts.link is not None else "overlay"
    if via != "overlay" and facts.link is None:
        raise PeerUnreachableError(
            f"{facts.name} is no neighbour but {count_of(facts.hops, 'hop')} away: "
            "without --via it is pinged through the overlay"
        )
    if via == "udp":
        return await _over_udp(context, options)
    return await _over_echoes(context, options, Way.LINK if via == "link" else Way.OVERLAY)


async def _over_udp(context: Context, options: PingOptions) -> Measured:
    plan = StampPlan(
        count=options.count,
        interval_s=options.interval_s,
        size_bytes=options.size_bytes,
        timeout_s=options.timeout_s,
    )
    async with await open_stamp(context, context.peer, plan) as session:
        await session.sent(lambda event: _tell(context, event, options.count))
        measured = await session.result()
    statistics = measured.statistics
    silence = _end_of(
        context,
        measured.silence,
        is_told=measured.has_reached is not None,
        is_all_sent=_is_all_sent(context, statistics, options),
    )
    return Measured(
        success=statistics["received"] > 0 and silence is None,
        verdict=verdict_of(
            context.peer_name,
            statistics,
            "by STAMP over UDP",
            why_nothing=why_nothing_came_back(measured.has_reached, session.port),
            silence=silence,
        ),
        method="stamp-udp",
        fields=statistics,
        errors=measured.errors,
        timestamps=measured.timestamps,
        notes=measured.notes,
    )


async def _over_echoes(context: Context, options: PingOptions, way: Way) -> Measured:
    interval_s = max(options.interval_s, _LEAST_ECHO_INTERVAL_S)
    echoes = EchoRound(
        context,
        _service_of(context),
        context.peer,
        way=way,
        count=options.count,
        interval_s=interval_s,
        size=options.size_bytes,
        timeout_s=options.timeout_s,
    )
    counts = await echoes.run()
    if interval_s > options.interval_s:
        echoes.errors.append(f"an echo every {delay(interval_s)}: a node sends no more through its own loop")
    if echoes.probes.impossible:
        echoes.errors.append(f"{echoes.probes.impossible} answers had times of the peer's that cannot be")
    statistics = ping_statistics(
        echoes.probes, counts=counts, dropped=0, timeout_ns=round(options.timeout_s * 1e9)
    )
    timestamps = str(statistics.pop("timestamps"))
    by = "over the link" if way is Way.LINK else f"through the overlay, {count_of(echoes.hops, 'hop')}"
    silence = _end_of(
        context,
        silence_of(echoes.probes),
        is_told=counts is not None,
        is_all_sent=_is_all_sent(context, statistics, options),
    )
    return Measured(
        success=statistics["received"] > 0 and silence is None,
        verdict=verdict_of(context.peer_name, statistics, by, silence=silence),
        method="link-echo" if way is Way.LINK else "overlay-echo",
        fields=statistics,
        errors=tuple(echoes.errors),
        timestamps=timestamps,
    )


def _is_all_sent(context: Context, statistics: Mapping[str, Any], options: PingOptions) -> bool:
    return statistics["sent"] >= options.count or context.stopping.is_set()


def _end_of(context: Context, silence: Silence, *, is_told: bool, is_all_sent: bool) -> Silence | None:
    """Return the silence in which the ping ended, if the peer went away; None when it is there."""
    is_reached = context.port.facts(context.peer).hops > 0
    has_stopped = has_stopped_answering(
        silence, is_told=is_told, is_reached=is_reached, is_all_sent=is_all_sent
    )
    return silence if has_stopped else None


def _service_of(context: Context) -> EchoService:
    if context.echoes is None:
        raise PeerUnreachableError("this node takes no part in echoes")
    return context.echoes


def _tell(context: Context, event: Mapping[str, Any], count: int) -> None:
    sent, received, rtt_s = event["sent"], event["received"], event["rtt_s"]
    line = f"{received} of {sent} answered" + ("" if rtt_s is None else f", {delay(rtt_s)}")
    context.progress(line, sent / count, sent=sent, received=received, rtt_s=rtt_s)
