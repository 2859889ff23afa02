"""The overview as one text, for ``--once`` and for the screen that is left behind. Pure."""

from __future__ import annotations

from qudag_tui.model.state import UiState
from qudag_tui.views.connections import connections
from qudag_tui.views.events import events
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.header import header
from qudag_tui.views.latency import latency
from qudag_tui.views.messages import messages
from qudag_tui.views.spans import Box, Line, plain
from qudag_tui.views.throughput import throughput

__all__ = ["overview"]

MOST_PEERS = 20
MOST_EVENTS = 10


def overview(state: UiState, width: int, glyphs: Glyphs) -> list[Line]:
    """Every panel under the other, as tall as what it has to say."""
    sample = state.seen.sample
    peers = min(MOST_PEERS, len(sample.peers)) if sample is not None else 0
    types = len(sample.messages.by_type) if sample is not None else 0
    lines = [header(state, width, glyphs)[0], ()]
    for panel, height in (
        (throughput, 7 if width >= 100 else 5),
        (connections, 14 if width < 72 else 9),
        (latency, peers + 4),
        (messages, types + 3),
        (events, min(MOST_EVENTS, max(1, len(state.seen.events))) + 1),
    ):
        drawn = panel(state, Box(width, height), glyphs)
        while drawn and not plain(drawn[-1]).strip():
            drawn.pop()
        lines += [*drawn, ()]
    return lines[:-1]
