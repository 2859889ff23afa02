"""The latency profile: round trips of a link while it is idle, loaded up, loaded down, and both ways at once.

One STAMP session goes on through all phases; TCP loads them. Only packets that were due while the load was
there in full count for a loaded phase.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qudag_node.nettests.bandwidth import MovingRates, lost_peer
from qudag_node.nettests.bottleneck import rate_text
from qudag_node.nettests.bufferbloat import added_latency_s, grade, rfc6349
from qudag_node.nettests.bulksession import BulkPlan, link_to, open_bulk
from qudag_node.nettests.context import Context
from qudag_node.nettests.loadedpings import LoadedPings
from qudag_node.nettests.requests import LatencyOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.samples import hdr_blob, jitter_ns, sufficiency, time_statistics
from qudag_node.nettests.transfers import Figures, figures_of
from qudag_node.nettests.words import delay

__all__ = ["run"]

_DIRECTION_BY_PHASE = {"up": "forward", "down": "reverse", "both": "bidir"}
#: From the start of a load, at most this share of a phase is left out while buffers fill.
_FILLING_RATIO = 0.25
_FILLING_S = 1.0
#: Opening and ending each of the sessions, while the pings go on.
_AROUND_S = 25.0


@dataclass(slots=True)
class _Phase:
    """One phase as it was: when its round trips count, and what its load moved."""

    begin_mono_s: float
    end_mono_s: float
    figures_by_way: dict[str, Figures] = field(default_factory=dict[str, Figures])

    @property
    def has_lost_peer(self) -> bool:
        return any(each.has_lost_peer for each in self.figures_by_way.values())


async def run(context: Context, options: LatencyOptions) -> Measured:
    """Profile the link to a neighbour.

    Raises:
        PeerUnreachableError: The target is no neighbour, or cannot be reached.
        DeclinedError: It declines.
        WorkerError: A process failed, or a firewall lets the test not through.
    """
    link_to(context, "a latency profile")
    names = list(_DIRECTION_BY_PHASE) if options.load else []
    length_s = options.duration_s * (1 + len(names)) + _AROUND_S * (1 + len(names))
    phases: dict[str, _Phase] = {}
    async with LoadedPings(
        context, length_s=length_s, interval_s=options.interval_s, timeout_s=options.timeout_s, is_needed=True
    ) as pings:
        phases["idle"] = await _idle(context, options, 1 / (1 + len(names)))
        for number, name in enumerate(names, 1):
            if context.stopping.is_set():
                break
            phases[name] = await _loaded(context, options, name, number)
            if phases[name].has_lost_peer:
                break
        await pings.finish()
    statistics = {name: _statistics(pings, phase) for name, phase in phases.items()}
    errors = [
        line for phase in phases.values() for each in phase.figures_by_way.values() for line in each.errors
    ]
    fields, verdict = _result(phases, statistics)
    for name, phase in phases.items():
        if phase.has_lost_peer:
            verdict = f"in the phase {name} it {lost_peer(phase.figures_by_way)}; {verdict}"
    has_all = len(phases) == 1 + len(names) and all(each["samples"] for each in statistics.values())
    is_stopped = context.stopping.is_set()
    return Measured(
        success=(has_all or (is_stopped and bool(statistics["idle"]["samples"])))
        and not (errors and not is_stopped),
        verdict=f"{context.peer_name}: {verdict}",
        method="stamp-udp",
        fields=fields,
        errors=(*errors, *pings.errors),
        timestamps=pings.timestamps,
        notes=tuple(pings.notes),
    )


async def _idle(context: Context, options: LatencyOptions, share: float) -> _Phase:
    context.progress("idle", 0.0, phase="idle")
    begin_mono_s = time.monotonic()
    await context.pause(options.duration_s)
    context.progress("idle: done", share, phase="idle")
    return _Phase(begin_mono_s, time.monotonic())


async def _loaded(context: Context, options: LatencyOptions, name: str, number: int) -> _Phase:
    direction = _DIRECTION_BY_PHASE[name]
    plan = BulkPlan(
        protocol="tcp",
        direction=direction,
        duration_s=options.duration_s,
        streams=options.streams,
        rate_bits_per_s=options.rate_bits_per_s,
    )
    phases = 1 + len(_DIRECTION_BY_PHASE)
    rates = MovingRates(
        context, options.duration_s, f"{name}: ", done_from=number / phases, done_share=1 / phases
    )
    async with await open_bulk(context, plan) as session:
        await session.moved(rates.take)
        ended_mono_s = time.monotonic()
        transfers = await session.result()
    filling_s = min(_FILLING_S, options.duration_s * _FILLING_RATIO)
    begun_mono_s = session.begun_mono_s
    is_stopped = context.stopping.is_set()
    return _Phase(
        begun_mono_s + filling_s,
        min(begun_mono_s + options.duration_s, ended_mono_s),
        {
            transfer.way: figures_of(
                transfer,
                protocol="tcp",
                duration_s=options.duration_s,
                omit_s=None,
                is_stopped=is_stopped,
            )
            for transfer in transfers
        },
    )


def _statistics(pings: LoadedPings, phase: _Phase) -> dict[str, Any]:
    """The statistics of one phase, its histogram, and what its load moved."""
    round_trips_ns = pings.round_trips_ns(phase.begin_mono_s, phase.end_mono_s)
    enough, text = sufficiency(round_trips_ns)
    jitter = jitter_ns(round_trips_ns)
    forward, reverse = (phase.figures_by_way.get(way) for way in ("forward", "reverse"))
    return {
        **time_statistics(round_trips_ns),
        "jitter_s": None if jitter is None else jitter / 1e9,
        "hdr": hdr_blob(round_trips_ns) if round_trips_ns else None,
        "sufficiency": {"enough": enough, "text": text},
        "up_bits_per_s": None if forward is None else forward.goodput_bits_per_s,
        "down_bits_per_s": None if reverse is None else reverse.goodput_bits_per_s,
        "bottleneck": {way: each.document["bottleneck"] for way, each in phase.figures_by_way.items()},
    }


def _result(
    phases: Mapping[str, _Phase], statistics: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, object], str]:
    idle = statistics["idle"]
    added_by_phase = {
        name: added_latency_s(idle["p95_s"], statistics[name]["p95_s"]) if name in statistics else None
        for name in _DIRECTION_BY_PHASE
    }
    known = [added for added in added_by_phase.values() if added is not None]
    letter = grade(max(known)) if known else None
    fields: dict[str, object] = {name: statistics.get(name) for name in ("idle", *_DIRECTION_BY_PHASE)}
    fields["grade"] = letter
    fields["added_p95_s"] = added_by_phase
    fields["rfc6349"] = _rfc6349(phases, statistics)
    if idle["p50_s"] is None:
        return fields, "no packet was answered"
    text = f"{delay(idle['p50_s'])} idle (median round trip, p99 {delay(idle['p99_s'])})"
    loaded = [
        f"{delay(statistics[name]['p50_s'])} {name}"
        for name in _DIRECTION_BY_PHASE
        if name in statistics and statistics[name]["p50_s"] is not None
    ]
    if loaded:
        text += f", loaded {', '.join(loaded)}"
    if letter is not None:
        text += f"; bufferbloat grade {letter}: load adds {delay(max(known))} at p95"
    rates = [
        f"{rate_text(rate)} {name}"
        for name in ("up", "down")
        if name in statistics and (rate := statistics[name][f"{name}_bits_per_s"])
    ]
    return fields, text + (f"; {', '.join(rates)}" if rates else "")


def _rfc6349(
    phases: Mapping[str, _Phase], statistics: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float | None]] | None:
    """The ratios of each direction alone. The bottleneck's bandwidth is the best second of the transfer."""
    found: dict[str, dict[str, float | None]] = {}
    for name in ("up", "down"):
        figures = phases[name].figures_by_way.get(_DIRECTION_BY_PHASE[name]) if name in phases else None
        if figures is None:
            continue
        best = max((each["bits_per_s"] or 0.0 for each in figures.document["intervals"]), default=0.0)
        found[name] = rfc6349(
            goodput_bits_per_s=figures.goodput_bits_per_s,
            bottleneck_bits_per_s=max(best, figures.goodput_bits_per_s or 0.0) or None,
            sent_bytes=figures.sent_bytes,
            resent_bytes=figures.resent_bytes,
            idle_rtt_s=statistics["idle"]["avg_s"],
            loaded_rtt_s=statistics[name]["avg_s"],
        )
    return found or None
