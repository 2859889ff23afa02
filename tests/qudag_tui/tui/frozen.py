"""A monitor over frozen data: the clock and the node do what the test says."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from textual.pilot import Pilot

from qudag_node.wire import PeerRows
from qudag_tui.client.updates import ConnectionStatus, EventsArrived, LinkState, Snapshot, Update
from qudag_tui.errors import QudagError, UnreachableError
from qudag_tui.model.events import UiEvent
from qudag_tui.model.state import UiState
from qudag_tui.tui.app import QudagTop
from qudag_tui.views.glyphs import UNICODE, Glyphs
from tests.qudag_tui.examples import ADDRESS, EVENTS, document, message_type, rows


class FrozenSource:
    """Answers like a node would, from examples; delivers only when told to."""

    def __init__(self, deliver: Callable[[Update], None]) -> None:
        self.deliver = deliver
        self.interval_s = 1.0
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.failure: QudagError | None = None
        self._columns: dict[str, list[str]] | None = None

    async def run(self) -> None:
        """Nothing happens by itself."""

    async def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        self.calls.append((method, params or {}))
        if self.failure is not None:
            raise self.failure
        if method == "peer":
            counts = {"ping": message_type(600, 597, 21), "data": message_type(3000, 2100, 412, dropped=1)}
            return {"by_type": counts, "events": [], "aliases": ["lossy"]}
        raise UnreachableError("the example node has no history")

    async def set_interval(self, interval_s: float) -> None:
        if self.failure is not None:
            raise self.failure
        self.interval_s = interval_s

    def connected(self) -> None:
        self.deliver(ConnectionStatus(state=LinkState.CONNECTED, where=ADDRESS))

    def lost(self, reason: str = "the node closed the connection", retry_in_s: float = 3.0) -> None:
        self.deliver(
            ConnectionStatus(state=LinkState.WAITING, where=ADDRESS, reason=reason, retry_in_s=retry_in_s)
        )

    def sample(self, tick: int = 600, count: int = 5, names: list[str] | None = None) -> None:
        table = rows(tick, count)
        if self._columns is None or len(self._columns["name"]) != count or names is not None:
            self._columns = {name: list(column) for name, column in table.text.items()}
            self._columns["id"] = list(table.ids)
            if names is not None:
                self._columns["name"] = names
        peers = PeerRows(slots_of(count), self._columns, dict(table.numbers))  # type: ignore[arg-type]
        self.deliver(Snapshot(document=document(tick), peers=peers, received_mono_s=0.0))

    def events(self) -> None:
        self.deliver(
            EventsArrived(
                events=tuple(
                    {
                        "seq": event.seq,
                        "unix_s": event.unix_s,
                        "kind": event.kind,
                        "severity": str(event.severity),
                        "subject": event.subject,
                        "text": event.text,
                    }
                    for event in EVENTS
                )
            )
        )


def slots_of(count: int) -> Any:
    return array("I", range(count))


class FrozenTop(QudagTop):
    """The real monitor; only its clock and its source stand still."""

    def __init__(self, *, theme: str = "dark", glyphs: Glyphs = UNICODE, **more: Any) -> None:
        self.now = 1000.0
        self.has_ended = False
        self.sources: list[FrozenSource] = []

        def connect(deliver: Callable[[Update], None]) -> FrozenSource:
            self.sources.append(FrozenSource(deliver))
            return self.sources[0]

        super().__init__(connect, theme=theme, glyphs=glyphs, clock=lambda: self.now, is_live=False, **more)

    def exit(self, *args: Any, **kwargs: Any) -> None:
        """End, and let the test see it."""
        self.has_ended = True
        super().exit(*args, **kwargs)

    @property
    def state(self) -> UiState:
        return self.monitor.state

    def dispatch(self, event: UiEvent) -> None:
        self.monitor.dispatch(event)

    @property
    def source(self) -> FrozenSource:
        return self.sources[0]

    def see(self, ticks: int = 90, count: int = 5) -> None:
        """Let the monitor see ``ticks`` seconds of the example node."""
        self.source.connected()
        self.source.events()
        for behind in range(ticks - 1, -1, -1):
            self.now += 1.0
            self.source.sample(600 - behind, count)


async def settle(pilot: Pilot[None]) -> None:
    """Wait until everything that was asked for is drawn."""
    await pilot.pause()
    await pilot.wait_for_scheduled_animations()
    await pilot.pause()


def text_of(app: FrozenTop) -> str:
    """What the terminal would show."""
    return "\n".join(strip.text.rstrip() for strip in app.strips())


def picture_of(app: FrozenTop) -> str:
    """The screen as SVG, without the number that Textual draws by lot."""
    svg = app.export_screenshot(title=app.title, simplify=True)
    return re.sub(r"\bterminal-\d+-", "terminal-", svg)
