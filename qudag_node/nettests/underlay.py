"""The IP path below each link of an overlay path: traced here for our own, asked of the relays for theirs.

    underlay.trace  {to: PeerId, rounds, max_hops}  ->  {sent, answers, path_mtu_bytes, local_address}

A node traces only to the other end of a link that it has, and seldom; who asks is proved by the overlay. What
it tells are the routers' addresses: an operator who does not want that switches tests off.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, NodeError, PeerUnreachableError
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.hops import Answer, HopTable
from qudag_node.nettests.params import Params
from qudag_node.nettests.tracing import hop_document, name_of
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.ratelimit import FairBudget
from qudag_node.overlay.testport import TestPort
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId

__all__ = ["METHOD", "UnderlayService", "read_path", "underlay_of_path"]

METHOD = "underlay.trace"
_MAX_ROUNDS, _MAX_HOPS = 5, 32
_ROUNDS = 3
# Five rounds of 32 silent hops of which five in a row end a round, and the MTU.
_TIMEOUT_S = 25.0
# A trace is a process and some seconds of packets; each asker gets one for each of a few links, then waits.
_TRACES_PER_S, _TRACES_BURST = 0.5, 16.0
_TRACES_PER_S_EACH, _TRACES_BURST_EACH = 0.1, 4.0


class UnderlayService:
    """This node's part in the traceroutes of others.

    Args:
        control: Where requests come in.
        dscp: What the packets are marked with.
    """

    def __init__(
        self,
        *,
        port: TestPort,
        control: Control,
        workers: Workers,
        consent: Consent,
        clock: Clock,
        config: TestsConfig,
    ) -> None:
        self._port = port
        self._workers = workers
        self._consent = consent
        self._clock = clock
        self._config = config
        self._traces = FairBudget(
            _TRACES_PER_S, _TRACES_BURST, each_per_s=_TRACES_PER_S_EACH, each_burst=_TRACES_BURST_EACH
        )
        control.serve(METHOD, self._trace)

    async def _trace(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        self._consent.require_enabled()
        read = Params(params)
        to = PeerId(read.text("to", longest=64))
        rounds = read.whole("rounds", _ROUNDS, least=1, most=_MAX_ROUNDS)
        max_hops = read.whole("max_hops", _MAX_HOPS, least=1, most=_MAX_HOPS)
        if to not in self._port.neighbours():
            raise DeclinedError("only the other end of a link of this node's is traced")
        if not self._traces.take(asker.peer, self._clock.monotonic()):
            raise DeclinedError("IP paths were traced often enough for now: again in 10 s")
        return await _trace_link(
            self._port, self._workers, to, rounds=rounds, max_hops=max_hops, dscp=self._config.dscp
        )


async def underlay_of_path(context: Context, path: Sequence[PeerId]) -> list[dict[str, object]]:
    """Trace the IP path below each link of an overlay path, all at the same time.

    Returns:
        For each link its document; one that could not be traced has its reason in ``error``.
    """
    return list(await asyncio.gather(*(_section(context, a, b) for a, b in itertools.pairwise(path))))


async def _section(context: Context, a: PeerId, b: PeerId) -> dict[str, object]:
    port = context.port
    try:
        if a == port.own_id:
            found = await _trace_link(
                port, context.workers, b, rounds=_ROUNDS, max_hops=_MAX_HOPS, dscp=context.config.dscp
            )
        else:
            params: dict[str, object] = {"to": b, "rounds": _ROUNDS, "max_hops": _MAX_HOPS}
            found = await context.control.ask(a, METHOD, params, timeout_s=_TIMEOUT_S)
        section = read_path(found)
    except NodeError as exc:
        section = {"hops": [], "path_mtu_bytes": None, "is_reached": False, "error": str(exc)}
    return {"between": [a, b], "names": [name_of(port, a), name_of(port, b)], **section}


def read_path(found: Mapping[str, Any]) -> dict[str, object]:
    """Return the document of one IP path from what the job, perhaps a stranger's, has found.

    Raises:
        PeerUnreachableError: It is not what a job finds.
    """
    table = HopTable(max_hops=_MAX_HOPS)
    try:
        for number, ttl, at_unix_s in found["sent"]:
            table.sent(int(number), _within_hops(ttl), float(at_unix_s))
        for number, ttl, address, reason, rtt_s, back in found["answers"]:
            answer = Answer(
                source=clean_text(str(address), 64),
                reason=clean_text(str(reason), 32),
                hops=_within_hops(ttl),
                rtt_s=max(0.0, min(float(rtt_s), _TIMEOUT_S)),
                return_hops=None if back is None else int(back),
            )
            table.answered(int(number), _within_hops(ttl), answer)
        for number in {int(number) for number, *_ in found["sent"]}:
            table.close(number)
        mtu = found.get("path_mtu_bytes")
        path_mtu_bytes = None if mtu is None else int(mtu)
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise PeerUnreachableError(f"what it tells of its IP path cannot be read: {exc}") from exc
    report = table.report()
    hops: list[dict[str, object]] = []
    for hop in report.hops:
        document = hop_document(hop, str)
        del document["name"]
        document["address"] = document.pop("peer")
        hops.append(document)
    return {
        "hops": hops,
        "path_mtu_bytes": path_mtu_bytes,
        "is_reached": report.is_reached,
        "error": None if report.is_reached else _why_not([hop.reason for hop in report.hops]),
    }


async def _trace_link(
    port: TestPort, workers: Workers, to: PeerId, *, rounds: int, max_hops: int, dscp: int
) -> dict[str, Any]:
    """Trace to the other end of a link of ours.

    Raises:
        NodeError: There is no such link, or this system cannot do it.
    """
    facts = port.facts(to)
    if facts.link is None:
        raise PeerUnreachableError(f"{facts.name}: there is no link to it any more")
    address, local = facts.link.remote[0], facts.link.local[0]
    params = {
        "address": address,
        "local": local,
        "rounds": rounds,
        "max_hops": max_hops,
        # Linux answers six times at once, then once a second; three rounds and the MTU are six packets.
        "interval_s": 0.2,
        "dscp": dscp,
    }
    async with await workers.start("ip.trace", params) as worker:
        return await worker.result(_TIMEOUT_S)


def _within_hops(ttl: object) -> int:
    if isinstance(ttl, int) and 1 <= ttl <= _MAX_HOPS:
        return ttl
    raise ValueError(f"a ttl of {ttl!r}"[:40])


def _why_not(reasons: Sequence[str | None]) -> str:
    answered = [reason for reason in reasons if reason is not None]
    if not answered:
        return "nothing answers: a firewall drops UDP or ICMP on the way"
    if answered[-1] == "ttl":
        return "the end does not answer: a firewall before it drops UDP or ICMP"
    return f"the path ends: {answered[-1]}"
