"""The one place where the state changes: ``reduce(state, event)``. Pure; every branch is one test."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from qudag_tui.model.events import (
    Connected,
    ConnectionLost,
    DetailArrived,
    EventsArrived,
    FilterTyped,
    IntervalStepped,
    PastArrived,
    PauseToggled,
    PeerSelected,
    SampleArrived,
    ScreenShown,
    SortBy,
    SortReversed,
    SortStepped,
    TimePassed,
    UiEvent,
)
from qudag_tui.model.fields import BY_KEY
from qudag_tui.model.filters import FilterError, parse_filter
from qudag_tui.model.order import Sort
from qudag_tui.model.state import INTERVALS_S, Link, LinkPhase, NodeEvent, Seen, UiState
from qudag_tui.model.trail import Trail

__all__ = ["MAX_EVENTS", "reduce"]

#: Lines of the event log that the monitor keeps.
MAX_EVENTS = 500


def reduce(state: UiState, event: UiEvent) -> UiState:
    """Return the next state."""
    match event:
        case TimePassed(now):
            return replace(state, now_mono_s=now)
        case Connected(address, now):
            link = Link(address=address, phase=LinkPhase.LIVE, since_mono_s=now)
            return replace(state, link=link, now_mono_s=now)
        case ConnectionLost():
            return _lost(state, event)
        case SampleArrived():
            return _sampled(state, event)
        case EventsArrived(events):
            return replace(state, live=replace(state.live, events=_merged(state.live.events, events)))
        case PastArrived(points):
            return replace(state, live=replace(state.live, trail=state.live.trail.with_past(points)))
        case DetailArrived(detail):
            # Asked for by the user, so it is shown in a pause too.
            held = replace(state.held, detail=detail) if state.held else None
            return replace(state, live=replace(state.live, detail=detail), held=held)
        case ScreenShown(screen):
            return replace(state, screen=screen)
        case PauseToggled():
            if state.held is None:
                return replace(state, held=state.live, paused_mono_s=state.now_mono_s)
            return replace(state, held=None)
        case IntervalStepped(by):
            return replace(state, interval_s=_stepped_interval(state.interval_s, by))
        case SortBy(key):
            if state.sort.key == key:
                return reduce(state, SortReversed())
            return replace(state, sort=Sort.by(BY_KEY[key]))
        case SortStepped(keys, by):
            at = keys.index(state.sort.key) if state.sort.key in keys else -by
            return replace(state, sort=Sort.by(BY_KEY[keys[(at + by) % len(keys)]]))
        case SortReversed():
            return replace(state, sort=replace(state.sort, descending=not state.sort.descending))
        case FilterTyped(text):
            return _filtered(state, text)
        case PeerSelected(peer_id):
            return replace(state, selected=peer_id)
        case _:
            assert_never(event)


def _lost(state: UiState, event: ConnectionLost) -> UiState:
    now = event.now_mono_s
    was_lost = state.link.phase is LinkPhase.LOST
    link = replace(
        state.link,
        phase=LinkPhase.LOST,
        # The outage began with its first failure, not with the latest attempt.
        since_mono_s=state.link.since_mono_s if was_lost else now,
        reason=event.reason,
        retry_mono_s=None if event.retry_in_s is None else now + event.retry_in_s,
    )
    return replace(state, link=link, now_mono_s=now)


def _sampled(state: UiState, event: SampleArrived) -> UiState:
    sample, before = event.sample, state.live.sample
    live = state.live
    if before is not None and before.node.started_unix_s != sample.node.started_unix_s:
        # Another run of the node: its counters and its events began anew.
        live = Seen()
        if before.node.id == sample.node.id:
            live = replace(live, trail=Trail(state.live.trail.points), events=state.live.events)
    live = replace(
        live,
        sample=sample,
        before=live.sample,
        arrived_mono_s=event.now_mono_s,
        trail=live.trail.with_sample(sample, state.interval_s),
    )
    return replace(state, live=live, now_mono_s=event.now_mono_s)


def _merged(known: tuple[NodeEvent, ...], news: tuple[NodeEvent, ...]) -> tuple[NodeEvent, ...]:
    # A node that restarts counts from the beginning again, hence the time beside the number.
    by_key = {(event.seq, event.unix_s): event for event in (*known, *news)}
    newest_first = sorted(by_key.values(), key=lambda event: (event.unix_s, event.seq), reverse=True)
    return tuple(newest_first[:MAX_EVENTS])


def _stepped_interval(interval_s: float, by: int) -> float:
    if by > 0:
        return next((step for step in INTERVALS_S if step > interval_s), INTERVALS_S[-1])
    return next((step for step in reversed(INTERVALS_S) if step < interval_s), INTERVALS_S[0])


def _filtered(state: UiState, text: str) -> UiState:
    try:
        wanted = parse_filter(text)
    except FilterError as error:
        return replace(state, filter_text=text, filter_problem=(str(error), error.position))
    return replace(state, filter_text=text, wanted=wanted, filter_problem=None)
