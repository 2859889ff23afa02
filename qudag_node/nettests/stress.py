"""The stress test: signed messages through the overlay to one peer, at a rate, or up to what meets a goal.

Method ``overlay-messages``. The load is open loop: a message is sent when it is due, whatever became of those
before it, and timed from when it was due. Up to 200 a second are acknowledged by the peer at once: their
round trips are the latency. All are counted there, and what is missing is looked for: in what this node, the
relays on the way and the peer say that they have dropped meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qudag_node.errors import DeclinedError, PeerError, PeerUnreachableError
from qudag_node.nettests.context import Context
from qudag_node.nettests.dropwatch import DropWatch
from qudag_node.nettests.load import MAX_STEPS, Load, LoadAck, LoadService, StepCounts, encode_load
from qudag_node.nettests.params import Params
from qudag_node.nettests.requests import StressOptions
from qudag_node.nettests.responder import SESSION_BYTES
from qudag_node.nettests.results import Measured
from qudag_node.nettests.samples import TimeStatistics, jitter_ns, time_statistics
from qudag_node.nettests.search import Goal, RateSearch, SearchEnd, parse_goal
from qudag_node.nettests.ticker import Ticker
from qudag_node.nettests.traceroute import require_a_way
from qudag_node.nettests.words import count_of, delay, percent
from qudag_node.overlay.testport import TestMessage, Way

__all__ = ["METHOD", "run"]

METHOD = "overlay-messages"
_ACKS_PER_S = 200.0
# Between two moments of sending the loop belongs to everybody else.
_LEAST_TICK_S = 0.001
_SLICE = 16
# So late the last message may be: a moment's stall is no lower rate.
_MOST_LATE_S = 0.25
_OPEN_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.1
# What has not grown in so many polls has ended.
_QUIET_POLLS = 6
_PROGRESS_S = 0.25
_SEARCH_PRECISION = 0.1
_SEARCH_STEPS = 12
_LEAST_STEP_S, _MOST_STEP_S = 0.5, 10.0
_END_WORDS = {
    SearchEnd.PRECISION: "",
    SearchEnd.MOST: "; that is the highest that may be tried",
    SearchEnd.LEAST: "",
    SearchEnd.SENDER: "; this node cannot send more, the network might bear it",
    SearchEnd.STEPS: "; the time was up before it was known better",
}


@dataclass(slots=True)
class _Step:
    """One rate, held for a while.

    Attributes:
        due: Messages that should have been sent.
        sent: Of these, how many were handed to the overlay; ``refused`` had no room there.
        rtts_ns: From when a message was due to its acknowledgement.
    """

    number: int
    rate_per_s: float
    duration_s: float
    due: int = 0
    sent: int = 0
    refused: int = 0
    took_s: float = 0.0
    counts: StepCounts = field(default_factory=StepCounts)
    due_mono_s_by_sequence: dict[int, float] = field(default_factory=dict[int, float])
    rtts_ns: array[int] = field(default_factory=lambda: array("q"))
    acknowledged: int = 0
    is_met: bool | None = None

    @property
    def offered(self) -> int:
        """Messages that were tried."""
        return self.sent + self.refused

    @property
    def offered_per_s(self) -> float:
        """At what rate they were tried."""
        return self.offered / self.took_s if self.took_s else 0.0

    @property
    def lost(self) -> int:
        """Messages that did not arrive."""
        return max(0, self.offered - self.counts.received)

    @property
    def loss_ratio(self) -> float | None:
        """Their share; None when none was tried."""
        return self.lost / self.offered if self.offered else None

    @property
    def throughput_per_s(self) -> float:
        """Messages that arrived in a second."""
        return self.counts.received / self.took_s if self.took_s else 0.0

    @property
    def latency(self) -> TimeStatistics:
        """The round trips."""
        return time_statistics(self.rtts_ns)

    def figures(self) -> dict[str, float | None]:
        """Return what goals speak of."""
        latency = self.latency
        jitter = jitter_ns(self.rtts_ns)
        figures: dict[str, float | None] = {
            name.removesuffix("_s"): value for name, value in latency.items() if name.endswith("_s")
        }
        return {
            **figures,
            "loss": self.loss_ratio,
            "jitter": None if jitter is None else jitter / 1e9,
        }


async def run(context: Context, options: StressOptions) -> Measured:
    """Load the overlay with messages to a peer.

    Raises:
        PeerUnreachableError: There is no way to it.
        DeclinedError: It, or this node's own caps, will not have so much.
    """
    require_a_way(context)
    if context.loads is None:
        raise PeerUnreachableError("this node takes no part in stress tests")
    goal = None if options.find is None else parse_goal(options.find)
    most = options.rate_per_s if goal is None else await _highest(context, options)
    drops = DropWatch(context, context.port.path(context.peer))
    await drops.begin()
    async with _Session(context, context.loads, options, most) as session:
        if goal is None:
            await session.hold(options.rate_per_s, options.duration_s)
            search = None
        else:
            search = await _search(context, session, options, goal, most)
        await session.finish()
    await drops.end()
    return _measured(context, options, session, goal, search, drops)


async def _highest(context: Context, options: StressOptions) -> float:
    """Return the highest rate that may be tried: by what was asked for, this node's caps and the peer's."""
    read = Params(await context.control.ask(context.peer, "caps", {}, timeout_s=_OPEN_TIMEOUT_S))
    bits = options.size_bytes * 8
    most = min(
        options.max_rate_per_s,
        context.config.max_packets_per_s,
        context.config.max_rate_bits_per_s / bits,
        read.number("free_packets_per_s"),
        read.number("free_rate_bits_per_s") / bits,
    )
    if most < 1:
        raise DeclinedError("it has no messages to spare: it is busy with tests of others")
    return most


async def _search(
    context: Context, session: _Session, options: StressOptions, goal: Goal, most: float
) -> RateSearch:
    search = RateSearch(
        start=options.rate_per_s, most=most, precision=_SEARCH_PRECISION, max_steps=MAX_STEPS, least=1.0
    )
    step_s = min(max(options.duration_s / _SEARCH_STEPS, _LEAST_STEP_S), _MOST_STEP_S)
    ends_mono_s = context.clock.monotonic() + options.duration_s
    while (rate := search.next_rate()) is not None:
        step = await session.hold(rate, step_s)
        if context.stopping.is_set() or not step.offered:
            break
        step.is_met = goal.is_met(step.figures())
        search.record(is_met=step.is_met, offered=step.offered_per_s)
        if search.end is None and context.clock.monotonic() + step_s > ends_mono_s:
            search.end = SearchEnd.STEPS
    return search


class _Session:
    """A session with the peer, entered while it is open.

    Attributes:
        steps: What was held so far.
        errors: What went wrong, in lines.
        is_counted: Whether the peer's last word on what arrived is known.
    """

    def __init__(self, context: Context, loads: LoadService, options: StressOptions, most: float) -> None:
        self._context = context
        self._loads = loads
        self._options = options
        self._most = most
        self._session = os.urandom(SESSION_BYTES)
        self._step: _Step | None = None
        self._why_refused = ""
        self._told_mono_s = 0.0
        self._began_mono_s = 0.0
        self.steps: list[_Step] = []
        self.errors: list[str] = []
        self.is_counted = False

    async def __aenter__(self) -> _Session:
        context, options = self._context, self._options
        caps = context.config
        if self._most > caps.max_packets_per_s:
            raise DeclinedError(
                f"this node's own tests.max_packets_per_s is {caps.max_packets_per_s:g}, "
                f"{self._most:g} were asked"
            )
        asked: dict[str, object] = {
            "kind": "stress",
            "session": self._session,
            "duration_s": options.duration_s,
            "packets_per_s": self._most,
            "rate_bits_per_s": self._most * options.size_bytes * 8,
        }
        await context.control.ask(context.peer, "session.open", asked, timeout_s=_OPEN_TIMEOUT_S)
        self._loads.begin(context.peer, self._session, self._take)
        self._began_mono_s = context.clock.monotonic()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loads.end(self._context.peer, self._session)
        if not self.is_counted:
            try:
                await self._ask("session.abort", timeout_s=_END_TIMEOUT_S)
            except PeerError as exc:
                self.errors.append(f"the peer was not told that it is over: {exc}")

    async def hold(self, rate_per_s: float, duration_s: float) -> _Step:
        """Send at a rate, wait for what is under way, and have the peer say what has arrived."""
        step = _Step(len(self.steps), rate_per_s, duration_s)
        self._step = step
        self.steps.append(step)
        with self._context.port.expecting(self._context.peer, _ACKS_PER_S * 2):
            await self._send(step)
            await self._drain(step)
        self._step = None
        self._tell(step, force=True)
        return step

    async def finish(self) -> None:
        """End the session; its counts are the last word."""
        try:
            answer = await self._ask("session.end", timeout_s=_END_TIMEOUT_S)
        except PeerError as exc:
            self.errors.append(f"the peer's last counts are missing: {exc}")
            return
        self.is_counted = True
        told = answer.get("steps")
        for entry in told if isinstance(told, list) else []:
            match entry:
                case [int(number), int(received), int(size), int(reordered), float(span_s)] if (
                    0 <= number < len(self.steps) and min(received, size, reordered) >= 0
                ):
                    self._learn(self.steps[number], StepCounts(received, size, reordered, span_s))
                case _:
                    continue
        if self._why_refused:
            self.errors.append(f"not all could be sent: {self._why_refused}")

    async def _send(self, step: _Step) -> None:
        context, rate = self._context, step.rate_per_s
        total = max(1, round(rate * step.duration_s))
        tick_s = max(_LEAST_TICK_S, 1 / rate)
        ack_every = max(1, math.ceil(rate / _ACKS_PER_S))
        ticks = math.ceil(step.duration_s / tick_s - 1e-9)
        async with Ticker(interval_s=tick_s, count=max(1, ticks), stopping=context.stopping) as ticker:
            number = 0
            last_mono_s = ticker.begin_mono_s
            async for due_mono_s in ticker:
                number += 1
                due = total if number >= ticks else min(total, round(number * tick_s * rate))
                last_mono_s = context.clock.monotonic()
                if last_mono_s - ticker.begin_mono_s > step.duration_s + self._options.timeout_s:
                    break  # what was due before that has not been offered
                await self._send_until(step, due, due_mono_s, ack_every)
                self._tell(step)
            took_s = last_mono_s - ticker.begin_mono_s
            step.took_s = took_s if took_s > number * tick_s + _MOST_LATE_S else number * tick_s

    async def _send_until(self, step: _Step, due: int, due_mono_s: float, ack_every: int) -> None:
        """Send what is due by now."""
        context, size = self._context, self._options.size_bytes
        for sequence in range(step.due, due):
            wants_ack = sequence % ack_every == 0
            if wants_ack:
                step.due_mono_s_by_sequence[sequence] = due_mono_s
            load = Load(self._session, step.number, sequence, wants_ack)
            step.due += 1
            try:
                context.port.send(context.peer, encode_load(load, size), way=Way.OVERLAY)
                step.sent += 1
            except PeerUnreachableError as exc:
                step.refused += 1
                step.due_mono_s_by_sequence.pop(sequence, None)
                self._why_refused = str(exc)
            if sequence % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)

    async def _drain(self, step: _Step) -> None:
        """Wait until all has arrived, or nothing more does."""
        context = self._context
        ends_mono_s = context.clock.monotonic() + self._options.timeout_s
        quiet = 0
        while quiet < _QUIET_POLLS:
            before = step.counts.received, step.acknowledged
            try:
                answer = Params(await self._ask("stress.counts", step=step.number, timeout_s=1.0))
                counts = StepCounts(
                    answer.whole("received"),
                    answer.whole("bytes"),
                    answer.whole("reordered"),
                    answer.number("span_s"),
                )
                self._learn(step, counts)
            except PeerError as exc:
                if context.clock.monotonic() > ends_mono_s:
                    self.errors.append(f"what arrived at {step.rate_per_s:.6g}/s is not known: {exc}")
                    return
            has_all = step.counts.received >= step.sent
            if has_all and len(step.rtts_ns) == len(step.due_mono_s_by_sequence):
                return
            if context.clock.monotonic() > ends_mono_s:
                return
            # Once all has arrived, only acknowledgements are missing, and those are on their way.
            is_still = not has_all and before == (step.counts.received, step.acknowledged)
            quiet = quiet + 1 if is_still else 0
            await asyncio.sleep(_POLL_S)

    def _learn(self, step: _Step, counts: StepCounts) -> None:
        """Counts only grow; and no more can have arrived than was sent."""
        if step.counts.received <= counts.received <= step.sent:
            step.counts = counts

    def _take(self, ack: LoadAck, message: TestMessage) -> None:
        step = self._step
        if step is None or ack.step != step.number:
            return
        due_mono_s = step.due_mono_s_by_sequence.get(ack.sequence)
        if due_mono_s is None or ack.sequence >= step.due:
            return
        # One that is acknowledged twice is counted once.
        step.due_mono_s_by_sequence[ack.sequence] = math.nan
        if not math.isnan(due_mono_s):
            step.rtts_ns.append(max(0, round((message.received_mono_s - due_mono_s) * 1e9)))
        step.acknowledged = max(step.acknowledged, min(ack.received, step.sent))

    async def _ask(self, method: str, *, timeout_s: float, **params: object) -> dict[str, Any]:
        context = self._context
        asked = {"session": self._session, **params}
        return await context.control.ask(context.peer, method, asked, timeout_s=timeout_s)

    def _tell(self, step: _Step, *, force: bool = False) -> None:
        context = self._context
        now_mono_s = context.clock.monotonic()
        if not force and now_mono_s - self._told_mono_s < _PROGRESS_S:
            return
        self._told_mono_s = now_mono_s
        latency = step.latency
        arrived = max(step.counts.received, step.acknowledged)
        line = f"{_rate(step.rate_per_s)}/s: {step.sent:,} sent, {arrived:,} arrived"
        if latency["p99_s"] is not None:
            line += f", p99 {delay(latency['p99_s'])}"
        done = (now_mono_s - self._began_mono_s) / self._options.duration_s
        context.progress(
            line,
            done,
            rate_per_s=step.rate_per_s,
            offered=step.offered,
            delivered=arrived,
            latency=latency,
            steps=[_step_document(each) for each in self.steps[:-1]],
        )


# What is said of it.


def _measured(
    context: Context,
    options: StressOptions,
    session: _Session,
    goal: Goal | None,
    search: RateSearch | None,
    drops: DropWatch,
) -> Measured:
    steps = session.steps
    met = [step for step in steps if step.is_met]
    shown = max(met, key=lambda step: step.rate_per_s) if met else steps[-1]
    found = None if search is None else search.found
    places = drops.places(sum(step.lost for step in steps))
    has_arrived = any(step.counts.received for step in steps)
    return Measured(
        success=has_arrived and session.is_counted and (search is None or found is not None),
        verdict=_verdict(context, shown, goal, search, places),
        method=METHOD,
        fields={
            "rate_per_s": shown.rate_per_s,
            "size_bytes": options.size_bytes,
            "hops": context.port.facts(context.peer).hops or None,
            **_figures(shown),
            "goodput_bits_per_s": shown.counts.bytes * 8 / shown.took_s if shown.took_s else 0.0,
            "reordered": shown.counts.reordered,
            "drops": places,
            "goal": None if goal is None else str(goal),
            "steps": [] if search is None else [_step_document(step) for step in steps],
            "found_rate_per_s": found,
            "search_end": None if search is None or search.end is None else str(search.end),
        },
        errors=tuple(session.errors),
        timestamps="user",
    )


def _figures(step: _Step) -> dict[str, object]:
    return {
        "due": step.due,
        "offered": step.offered,
        "offered_per_s": step.offered_per_s,
        "delivered": step.counts.received,
        "loss_ratio": step.loss_ratio,
        "throughput_per_s": step.throughput_per_s,
        "latency": step.latency,
    }


def _step_document(step: _Step) -> dict[str, object]:
    return {
        "rate_per_s": step.rate_per_s,
        "duration_s": step.took_s,
        **_figures(step),
        "is_met": step.is_met,
    }


def _verdict(
    context: Context,
    step: _Step,
    goal: Goal | None,
    search: RateSearch | None,
    places: Sequence[Mapping[str, object]],
) -> str:
    name, figures = context.peer_name, _summary(step)
    if not step.counts.received:
        return f"{name}: nothing of {count_of(step.offered, 'message')} arrived{_where(places)}"
    if search is None or goal is None:
        held = f"{_rate(step.rate_per_s)} messages/s"
        if step.offered_per_s < step.rate_per_s * 0.95:
            held = f"{_rate(step.offered_per_s)} messages/s, all that this node could send,"
        return f"{name}: {held} for {step.took_s:.3g} s: {figures}{_where(places)}"
    if search.found is None:
        least = min(each.rate for each in search.steps) if search.steps else step.rate_per_s
        return f"{name}: {goal} is not met even at {_rate(least)} messages/s: {figures}{_where(places)}"
    end = _END_WORDS.get(search.end, "") if search.end is not None else _END_WORDS[SearchEnd.STEPS]
    again = " at the second try" if search.found_at_try == 2 else ""
    refused = f", not at {_rate(search.refused)}/s" if search.refused is not None else ""
    return f"{name}: {goal} is met up to {_rate(search.found)} messages/s{again}{refused} ({figures}){end}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 or per_s == round(per_s) else f"{per_s:.3g}"


def _summary(step: _Step) -> str:
    latency, lost = step.latency, step.loss_ratio or 0.0
    parts = [f"{percent(lost)} lost" if lost else "none lost"]
    if latency["p99_s"] is not None:
        parts.append(f"p50 {delay(latency['p50_s'] or 0.0)}, p99 {delay(latency['p99_s'])}")
    return ", ".join(parts)


def _where(places: Sequence[Mapping[str, object]]) -> str:
    worst = max(places, key=lambda place: int(str(place["count"])), default=None)
    if worst is None:
        return ""
    who = {"here": "this node", "unknown": "an unknown place"}.get(str(worst["where"]), str(worst["name"]))
    return f"; {count_of(int(str(worst['count'])), 'message')} dropped by {who}: {worst['cause']}"
