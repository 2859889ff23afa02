"""``--once``: the overview as text, without Textual."""

from __future__ import annotations

import os
import sys
import time

from qudag_node.wire import PeerRows, RemoteProtocolError
from qudag_tui.client.connection import connect
from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.transport import not_a_node
from qudag_tui.errors import QudagError
from qudag_tui.model.answers import HISTORY_SERIES, read_events, read_past
from qudag_tui.model.events import Connected, EventsArrived, PastArrived, SampleArrived, UiEvent
from qudag_tui.model.reading import read_sample
from qudag_tui.model.reduce import reduce
from qudag_tui.model.state import UiState
from qudag_tui.model.trail import MAX_POINTS
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.overview import overview
from qudag_tui.views.spans import Line, Role, plain

__all__ = ["overview_once", "print_overview"]

#: The width of the text where there is no terminal to ask.
PLAIN_WIDTH = 100
MOST_WIDTH = 160

_SGR = {
    Role.DIM: "2",
    Role.RULE: "2",
    Role.HEAD: "2",
    Role.TREND: "34",
    Role.STRONG: "1",
    Role.TITLE: "1",
    Role.GOOD: "32",
    Role.WARN: "33",
    Role.BAD: "1;31",
    Role.INCOMING: "36",
    Role.OUTGOING: "33",
}


def print_overview(endpoint: Endpoint, glyphs: Glyphs, *, is_colourful: bool) -> None:
    """Ask the node once and print what the overview would show.

    Raises:
        QudagError: The node does not answer, or would not.
    """
    width = PLAIN_WIDTH
    if sys.stdout.isatty():
        width = min(MOST_WIDTH, os.get_terminal_size(sys.stdout.fileno()).columns)
    for line in overview(overview_once(endpoint), width, glyphs):
        text = _coloured(line) if is_colourful else plain(line)
        if glyphs.is_ascii:
            text = text.replace("…", "~").encode("ascii", "replace").decode("ascii")
        print(text.rstrip())  # noqa: T201 — stdout is the product


def overview_once(endpoint: Endpoint) -> UiState:
    """The state of a monitor that has just seen its first sample."""
    with connect(endpoint.address, token=endpoint.read_token(), client_name="qudag-top --once") as connection:
        document = connection.call("stats")
        try:
            rows = PeerRows.from_wire(document.get("peers"))
        except RemoteProtocolError as exc:
            raise not_a_node(endpoint.where, exc) from exc
        sample = read_sample(document, rows)
        at = sample.node.sampled_unix_s
        happened: list[UiEvent] = [
            Connected(endpoint.where, time.monotonic()),
            SampleArrived(sample, time.monotonic()),
            EventsArrived(read_events(connection.call("events", {"since": 0}).get("events"))),
        ]
        asked = {"from_unix_s": at - MAX_POINTS, "to_unix_s": at, "step_s": 1.0}
        try:
            past = connection.call("history", {"series": list(HISTORY_SERIES), **asked})
        except QudagError:
            past = {}  # a node without history: the charts are empty, the figures are there
        happened.append(PastArrived(read_past(past)))
    state = UiState(interval_s=1.0)
    for event in happened:
        state = reduce(state, event)
    return state


def _coloured(line: Line) -> str:
    return "".join(
        f"\x1b[{_SGR[span.role]}m{span.text}\x1b[0m" if span.role in _SGR and span.text.strip() else span.text
        for span in line
    )
