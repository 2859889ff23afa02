"""Where the monitor's data come from: the lasting client, seen through the few things that are used here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qudag_tui.client.updates import ConnectionStatus, EventsArrived, LinkState, Snapshot, Update
from qudag_tui.model import events as model
from qudag_tui.model.answers import read_events
from qudag_tui.model.clean import clean
from qudag_tui.model.reading import read_sample
from qudag_tui.model.sample import Sample

__all__ = ["Source", "SourceFactory", "events_of"]


class Source(Protocol):
    """What the monitor needs of ``qudag_tui.client.monitor.AsyncClient``."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
        ...

    async def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Ask the node something.

        Raises:
            QudagError: It is not there, or would not.
        """
        ...

    async def set_interval(self, interval_s: float) -> None:
        """Change the seconds between snapshots."""
        ...


SourceFactory = Callable[[Callable[[Update], None]], Source]


def events_of(update: Update, now_mono_s: float, previous: Sample | None) -> list[model.UiEvent]:
    """Translate what the client delivers into events of the model."""
    match update:
        case Snapshot(document=document, peers=peers):
            return [model.SampleArrived(read_sample(document, peers, previous), now_mono_s)]
        case EventsArrived(events=events):
            return [model.EventsArrived(read_events(events))]
        case ConnectionStatus(state=LinkState.CONNECTED, where=where):
            return [model.Connected(where, now_mono_s)]
        case ConnectionStatus(state=LinkState.WAITING | LinkState.REFUSED) as status:
            return [model.ConnectionLost(clean(status.reason), now_mono_s, status.retry_in_s)]
        case ConnectionStatus():
            # Dialling changes nothing that is shown, and late figures are seen by their age.
            return [model.TimePassed(now_mono_s)]
