"""The two lines above every screen: who the node is, how we stand to it, where we are. Pure."""

from __future__ import annotations

from qudag_tui.model.state import LinkPhase, ScreenName, UiState
from qudag_tui.views.figures import format_short_age
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import LEAST
from qudag_tui.views.spans import Box, Line, Role, Span, fit_line, line_width, spread
from qudag_tui.views.text import cell_width, fit, format_age, format_clock

__all__ = ["TABS", "header", "link_status", "short_id", "tab_at", "too_small", "waiting_page"]

MOST_ADDRESS = 64

TABS: dict[ScreenName, str] = {ScreenName.OVERVIEW: "1 Overview", ScreenName.PEERS: "2 Peers"}


def short_id(peer_id: str, glyphs: Glyphs) -> str:
    """Both ends of an id: enough to tell two nodes apart at a glance."""
    return peer_id if len(peer_id) <= 18 else f"{peer_id[:12]}{glyphs.ellipsis}{peer_id[-4:]}"


def header(state: UiState, width: int, glyphs: Glyphs) -> list[Line]:
    """The identity line and the tab line."""
    return [fit_line(_identity(state, width, glyphs), width), fit_line(_tabs(state, width, glyphs), width)]


def _identity(state: UiState, width: int, glyphs: Glyphs) -> Line:
    sample = state.seen.sample
    right: list[Span] = [*link_status(state, glyphs)]
    if sample is not None:
        right += [Span("   up ", Role.DIM), Span(fit(format_age(sample.node.uptime_s), 7))]
    right += [Span("  every ", Role.DIM), Span(fit(f"{state.interval_s:g} s", 5))]
    if sample is not None and width >= 100:
        right += [Span("  "), Span(format_clock(state.node_unix_s, utc=True)), Span(" UTC", Role.DIM)]
    right.append(Span(" "))
    left: list[Span] = [Span(" ")]
    if sample is None:
        left.append(Span("qudag-top", Role.STRONG))
        return spread(tuple(left), tuple(right), width)
    node = sample.node
    left += [Span(node.name or "node", Role.STRONG), Span("  "), Span(short_id(node.id, glyphs), Role.DIM)]
    if width >= 120:
        left += [Span(f"  {node.network}  qudag {node.version}", Role.DIM)]
    if width >= 120 and node.is_lab:
        left.append(Span("  lab", Role.DIM))
    return spread(tuple(left), tuple(right), width)


def link_status(state: UiState, glyphs: Glyphs) -> Line:
    """The connection in one word, of one width: nothing beside it moves when it changes."""
    match state.link.phase:
        case LinkPhase.CONNECTING:
            text, role = f"{glyphs.waiting} connecting", Role.WARN
        case LinkPhase.LOST:
            text, role = f"{glyphs.trouble} lost", Role.BAD
        case LinkPhase.LIVE if state.is_stale:
            text, role = f"{glyphs.caution} late", Role.WARN
        case LinkPhase.LIVE:
            text, role = f"{glyphs.live} live", Role.GOOD
    return (Span(fit(text, 6 if state.link.phase is not LinkPhase.CONNECTING else 12, right=True), role),)


def _tabs(state: UiState, width: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = [Span(" ")]
    for name, text in TABS.items():
        spans += [Span(f" {text} ", Role.CURRENT if name is state.screen else Role.TEXT), Span(" ")]
    room = width - line_width(tuple(spans)) - 1
    banner = _banner(state, room, glyphs)
    if not banner:
        banner = (Span(_end_of(state.link.address, min(MOST_ADDRESS, room), glyphs), Role.DIM),)
    return spread(tuple(spans), (*banner, Span(" ")), width)


def _end_of(address: str, room: int, glyphs: Glyphs) -> str:
    """As much of an address as fits; of a path the end says more than the beginning."""
    if len(address) <= room:
        return address
    return glyphs.ellipsis + address[len(address) - room + 1 :] if room > 1 else ""


def tab_at(x: int) -> ScreenName | None:
    """Which tab stands at column ``x`` of the tab line."""
    left = 1
    for name, text in TABS.items():
        right = left + cell_width(text) + 2
        if left <= x < right:
            return name
        left = right + 1
    return None


def _banner(state: UiState, room: int, glyphs: Glyphs) -> Line:
    """What is special about the display just now; the reason of an outage yields to all else."""
    spans: list[Span] = []
    if state.is_paused:
        held = format_short_age(state.now_mono_s - state.paused_mono_s)
        spans.append(Span(f" {glyphs.paused} PAUSED {held}, space goes on ", Role.BANNER))
    if state.live.sample is None:
        return tuple(spans)
    if state.link.phase is LinkPhase.LOST:
        age = format_short_age(state.now_mono_s - state.live.arrived_mono_s)
        text = f" {glyphs.trouble} figures {age} old{_retry(state)}: {state.link.reason}"
        room -= line_width(tuple(spans)) + 1
        spans.append(Span(f"{text if len(text) <= room else fit(text, room)} ", Role.ALARM))
    elif state.is_stale:
        age = format_short_age(state.now_mono_s - state.live.arrived_mono_s)
        spans.append(Span(f" {glyphs.caution} no news for {age} ", Role.ALARM))
    return tuple(spans)


def _retry(state: UiState) -> str:
    if state.link.retry_mono_s is None:
        return ""
    left = state.link.retry_mono_s - state.now_mono_s
    return f", again in {left:.0f}s" if left >= 1 else ", trying again"


def waiting_page(state: UiState, width: int, glyphs: Glyphs) -> list[Line]:
    """What stands in place of the screens before the first sample."""
    if state.link.phase is LinkPhase.LOST:
        waited = format_age(state.now_mono_s - state.link.since_mono_s)
        return [
            (Span(f"{glyphs.trouble} no node answers yet", Role.BAD), Span(f"  {waited}", Role.DIM)),
            (),
            (Span(fit(state.link.reason, width).rstrip()),),
            (Span(f"The monitor goes on by itself{_retry(state)}. q quits.", Role.DIM),),
        ]
    return [(Span(f"Connecting to {state.link.address}", Role.DIM),)]


def too_small(box: Box) -> list[Line]:
    """What stands on a terminal in which nothing can be read, broken into its lines; else nothing."""
    width, height = box
    if width >= LEAST.width and height >= LEAST.height:
        return []
    text = f"qudag-top needs {LEAST.width}x{LEAST.height}, this is {width}x{height}. q quits."
    return [(Span(text[start : start + width], Role.STRONG),) for start in range(0, len(text), max(1, width))]
