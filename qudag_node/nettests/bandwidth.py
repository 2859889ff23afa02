"""The bandwidth test: what a link carries by TCP or UDP, what limits it, and round trips meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from qudag_node.nettests.bottleneck import Limit, rate_text
from qudag_node.nettests.bulksession import BulkPlan, BulkSession, link_to, open_bulk
from qudag_node.nettests.capacity import (
    Capacity,
    CapacityStep,
    find_capacity,
    goal_of,
    search_length_s,
)
from qudag_node.nettests.context import Context
from qudag_node.nettests.loadedpings import LoadedPings
from qudag_node.nettests.requests import BandwidthOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.transfers import Figures, figures_of
from qudag_node.nettests.words import count_of, delay, percent

__all__ = ["MovingRates", "lost_peer", "run"]

#: Ten packets a second are 16 kbit/s: on a link of 10 Mbit/s that is within the error of the goodput.
_PING_INTERVAL_S = 0.1
_IDLE_S = 1.0
#: What a peer allows unless it is told otherwise; a search seldom takes half of it.
_MOST_SEARCH_S = 60.0
#: Opening the bandwidth session, and ending it, while the pings go on.
_AROUND_S = 30.0
_WORDS_BY_WAY = {"forward": "there", "reverse": "back"}


async def run(context: Context, options: BandwidthOptions) -> Measured:
    """Load the link to a neighbour.

    Raises:
        ConfigError: The goal of a search speaks of what it does not measure.
        PeerUnreachableError: The target is no neighbour, or cannot be reached.
        DeclinedError: It declines.
        WorkerError: A process failed, or a firewall lets the test's connections not through.
    """
    link_to(context, "bandwidth")
    if options.protocol == "udp" and (options.find is not None or options.rate_bits_per_s is None):
        return await _search(context, options)
    return await _load(context, options)


class MovingRates:
    """What a transfer moves now, from its samples, for whoever watches.

    Args:
        context: Where progress is told.
        duration_s: How long it lasts.
        phase: Said before every line.
        done_from: How much of the test is done before it; ``done_share`` is its part.
    """

    def __init__(
        self,
        context: Context,
        duration_s: float,
        phase: str = "",
        *,
        done_from: float = 0.0,
        done_share: float = 1.0,
    ) -> None:
        self._context = context
        self._duration_s = duration_s
        self._phase = phase
        self._done_from, self._done_share = done_from, done_share
        self._last_by_way: dict[str, tuple[int, int]] = {}
        self._rate_by_way: dict[str, float] = {}

    def take(self, way: str, sample: Mapping[str, Any]) -> None:
        """Tell of a new sample."""
        t_us, count = int(sample["t_us"]), int(sample["bytes"])
        before_us, before = self._last_by_way.get(way, (0, 0))
        self._last_by_way[way] = t_us, count
        if t_us <= before_us:
            return
        self._rate_by_way[way] = (count - before) * 8e6 / (t_us - before_us)
        rates = ", ".join(
            f"{rate_text(rate)} {_WORDS_BY_WAY[each]}" for each, rate in self._rate_by_way.items()
        )
        rtt_us = sample.get("rtt_us")
        self._context.progress(
            f"{self._phase}{rates}",
            self._done_from + self._done_share * t_us / 1e6 / self._duration_s,
            direction=way,
            at_s=t_us / 1e6,
            bits_per_s=self._rate_by_way[way],
            retransmits=sample.get("retransmits"),
            rtt_s=None if rtt_us is None else rtt_us / 1e6,
        )


async def _load(context: Context, options: BandwidthOptions) -> Measured:
    plan = BulkPlan(
        protocol=options.protocol,
        direction=options.direction,
        duration_s=options.duration_s,
        streams=options.streams,
        rate_bits_per_s=options.rate_bits_per_s,
        congestion_control=options.congestion_control,
        packet_bytes=options.packet_bytes,
    )
    async with _pings(context, options, options.duration_s) as pings:
        begun_mono_s = time.monotonic()
        if pings.is_running:
            context.progress("round trips of the idle link", 0.0)
            await context.pause(_IDLE_S)
        idle_end_mono_s = time.monotonic()
        async with await open_bulk(context, plan) as session:
            await session.moved(MovingRates(context, options.duration_s).take)
            transfers = await session.result()
        await pings.finish()
    is_stopped = context.stopping.is_set()
    found = {
        transfer.way: figures_of(
            transfer,
            protocol=options.protocol,
            duration_s=options.duration_s,
            omit_s=options.omit_s,
            is_stopped=is_stopped,
        )
        for transfer in transfers
    }
    main = found.get("forward") or found["reverse"]
    begin_s, end_s = max(each.begin_s for each in found.values()), min(each.end_s for each in found.values())
    idle = pings.between(begun_mono_s, idle_end_mono_s)
    loaded = pings.between(session.begun_mono_s + begin_s, session.begun_mono_s + end_s)
    fields: dict[str, object] = {
        **_common(options),
        **main.document,
        "rtt_idle": idle,
        "rtt_loaded": loaded,
        "capacity_search": [],
    }
    if options.direction == "bidir":
        fields["reverse"] = found["reverse"].document
    errors = [line for each in found.values() for line in each.errors] + pings.errors
    return Measured(
        success=all(each.goodput_bits_per_s for each in found.values())
        and not _has_failed(found, is_stopped),
        verdict=_verdict(context, options, found, idle, loaded),
        method=options.protocol,
        fields=fields,
        errors=tuple(errors),
        timestamps=pings.timestamps,
        notes=tuple(pings.notes),
    )


def _pings(context: Context, options: BandwidthOptions, load_s: float) -> LoadedPings:
    return LoadedPings(
        context,
        length_s=_IDLE_S + load_s + _AROUND_S,
        interval_s=_PING_INTERVAL_S,
        is_wanted=options.loaded_latency,
    )


def _common(options: BandwidthOptions) -> dict[str, object]:
    return {"direction": options.direction, "protocol": options.protocol, "streams": options.streams}


def _has_failed(found: Mapping[str, Figures], is_stopped: bool) -> bool:
    return not is_stopped and any(each.errors for each in found.values())


def _verdict(
    context: Context,
    options: BandwidthOptions,
    found: Mapping[str, Figures],
    idle: Mapping[str, Any] | None,
    loaded: Mapping[str, Any] | None,
) -> str:
    if any(each.has_lost_peer for each in found.values()):
        return f"{context.peer_name} {lost_peer(found)}"
    how = options.protocol.upper()
    if options.streams > 1:
        how += f", {count_of(options.streams, 'stream')}"
    parts = [_moved(way, each) for way, each in found.items()]
    text = f"{context.peer_name}: {'; '.join(parts)} ({how})"
    errors = [line for each in found.values() for line in each.errors]
    if errors and not context.stopping.is_set():
        text += f"; cut short: {errors[0]}"
    if loaded is not None and idle is not None:
        text += f"; {delay(idle['p50_s'])} idle, {delay(loaded['p50_s'])} loaded (median round trips)"
    return text


def lost_peer(found: Mapping[str, Figures]) -> str:
    """Say when a peer went away, and what was moved until then."""
    known = [each for each in found.values() if each.goodput_bits_per_s]
    if not known:
        return "went away during the test: what had arrived until then is not known"
    end_s = max(each.end_s for each in known)
    when = f"went away after {end_s:.1f} s" if any(each.is_short for each in known) else "answers no more"
    rates = [
        f"{rate_text(each.goodput_bits_per_s)} {_WORDS_BY_WAY[way]}"
        for way, each in found.items()
        if each.goodput_bits_per_s
    ]
    return f"{when}; until then {', '.join(rates)}"


def _moved(way: str, figures: Figures) -> str:
    rate = figures.goodput_bits_per_s
    if not rate:
        return f"nothing arrived {_WORDS_BY_WAY[way]}"
    text = f"{rate_text(rate)} {_WORDS_BY_WAY[way]}"
    loss = figures.document["loss_ratio"]
    if loss is not None:
        text += f", {percent(loss)} lost"
    if not figures.document["steady"]:
        text += ", not steady"
    if figures.bottleneck.limit is Limit.CAP:
        return f"{text}: {figures.bottleneck.text}, {rate_text(figures.document['rate_cap_bits_per_s'])}"
    if figures.bottleneck.limit is Limit.PATH and figures.link_bits_per_s is not None:
        return f"{text}: {figures.bottleneck.text}, {rate_text(figures.link_bits_per_s)} with headers"
    return f"{text}: {figures.bottleneck.text}"


# The search of a rate


async def _search(context: Context, options: BandwidthOptions) -> Measured:
    goal = goal_of(options.find)
    hold_s = max(1.0, min(options.duration_s / 2, 15.0))
    ways = ("forward", "reverse") if options.direction == "bidir" else (options.direction,)
    length_s = min(search_length_s(hold_s) * len(ways), _MOST_SEARCH_S)
    plan = BulkPlan(
        protocol="udp",
        direction=options.direction,
        duration_s=length_s,
        streams=options.streams,
        rate_bits_per_s=options.rate_bits_per_s,
        packet_bytes=options.packet_bytes,
        is_search=True,
    )
    capacity_by_way: dict[str, Capacity] = {}
    span_by_way: dict[str, tuple[float, float]] = {}
    async with _pings(context, options, length_s) as pings:
        begun_mono_s = time.monotonic()
        if pings.is_running:
            await context.pause(_IDLE_S)
        idle_end_mono_s = time.monotonic()
        async with await open_bulk(context, plan) as session:
            for way in ways:
                steps = sum(len(each.steps) for each in capacity_by_way.values())
                capacity_by_way[way] = await _search_one(context, session, way, steps, hold_s, goal)
                held = capacity_by_way[way].held
                now_mono_s = time.monotonic()
                span_by_way[way] = now_mono_s - (0.0 if held is None else held.duration_s + 0.3), now_mono_s
        await pings.finish()
    main_way = ways[0]
    documents = {way: _found(each, session.cap_bits_per_s) for way, each in capacity_by_way.items()}
    fields: dict[str, object] = {
        **_common(options),
        **documents[main_way],
        "rtt_idle": pings.between(begun_mono_s, idle_end_mono_s),
        "rtt_loaded": pings.between(*span_by_way[main_way]),
    }
    if options.direction == "bidir":
        fields["reverse"] = documents["reverse"]
    return Measured(
        success=all(each.held is not None for each in capacity_by_way.values()),
        verdict=f"{context.peer_name}: "
        + "; ".join(_told(way, each, str(goal)) for way, each in capacity_by_way.items()),
        method="udp",
        fields=fields,
        errors=tuple(pings.errors),
        timestamps=pings.timestamps,
        notes=tuple(pings.notes),
    )


async def _search_one(
    context: Context, session: BulkSession, way: str, first: int, hold_s: float, goal: Any
) -> Capacity:
    def on_step(step: CapacityStep) -> bool:
        mark = f"{'meets' if step.has_met else 'misses'} {goal}"
        tried = f"{rate_text(step.rate_bits_per_s)} {_WORDS_BY_WAY[way]}"
        context.progress(
            f"{tried}: {percent(step.loss_ratio)} lost, {mark}",
            None,
            direction=way,
            bits_per_s=step.received_bits_per_s,
            loss_ratio=step.loss_ratio,
            rate_bits_per_s=step.rate_bits_per_s,
        )
        return context.stopping.is_set()

    return await find_capacity(session, way, goal=goal, hold_s=hold_s, first_number=first, on_step=on_step)


def _found(capacity: Capacity, cap_bits_per_s: float) -> dict[str, Any]:
    held = capacity.held
    is_cap = held is not None and held.rate_bits_per_s >= cap_bits_per_s * 0.97
    is_sender = capacity.end == "sender"
    limit = Limit.CAP if is_cap else Limit.LOCAL_CPU if is_sender else Limit.PATH if held else Limit.UNKNOWN
    return {
        "goodput_bits_per_s": None if held is None else held.received_bits_per_s,
        "link_bits_per_s": None,
        "intervals": [],
        "retransmits": None,
        "loss_ratio": None if held is None else held.loss_ratio,
        "jitter_s": None if held is None else held.jitter_s,
        "sent": None if held is None else held.sent,
        "received": None if held is None else held.received,
        "lost": None if held is None else held.sent - held.received - held.receiver_dropped,
        "receiver_dropped": None if held is None else held.receiver_dropped,
        "reordered": None if held is None else held.reordered,
        "bottleneck": {
            "verdict": limit.value,
            "text": _END_TEXTS[limit],
            "evidence": [f"the search ended with: {capacity.end}", f"{len(capacity.steps)} rates were tried"],
        },
        "omit_s": 0.0,
        "steady": held is not None,
        "cpu": {"local_ratio": None, "remote_ratio": None},
        "congestion_control": None,
        "rate_cap_bits_per_s": cap_bits_per_s,
        "capacity_search": capacity.documents(),
    }


_END_TEXTS = {
    Limit.CAP: "the agreed rate cap is the limit",
    Limit.LOCAL_CPU: "the sender could not send more",
    Limit.PATH: "the link is the limit",
    Limit.UNKNOWN: "no rate was found",
}


def _told(way: str, capacity: Capacity, goal: str) -> str:
    held = capacity.held
    if held is None:
        return f"no rate {_WORDS_BY_WAY[way]} that meets {goal} was found: {capacity.end}"
    rate = rate_text(held.received_bits_per_s or 0.0)
    lost = f"{percent(held.loss_ratio)} lost, UDP"
    return f"{rate} {_WORDS_BY_WAY[way]} is the highest rate found that meets {goal} ({lost})"
