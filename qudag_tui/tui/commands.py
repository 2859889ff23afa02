"""What the command palette offers: everything that a key does, and each peer by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from qudag_tui.model.events import SortBy
from qudag_tui.model.fields import FIELDS
from qudag_tui.model.state import ScreenName
from qudag_tui.tui.keymap import EVERYWHERE, hints
from qudag_tui.tui.theme import themes

if TYPE_CHECKING:
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.monitor import Monitor

__all__ = ["Commands", "commands_of"]

#: Matching ten thousand names fuzzily takes seconds; this many are enough to choose from.
MAX_PEERS = 50

_HIDDEN = frozenset({"palette", "focus-next", "focus-previous", "back", "quit-always"})


def commands_of(app: QudagTop) -> Iterator[SystemCommand]:
    """Every command: its name, what it does, how to do it."""
    for key, hint in zip(EVERYWHERE, hints(EVERYWHERE, app.own_keys), strict=True):
        if key.id not in _HIDDEN:
            run = partial(app.do, key.action)
            yield SystemCommand(key.meaning.capitalize(), f"key {hint.keys}", run)
    for look in themes():
        yield SystemCommand(f"Theme {look.name}", look.meaning, partial(app.choose_theme, look.name))
    for field in FIELDS:
        yield SystemCommand(f"Sort by {field.key}", field.meaning, partial(_sort, app.monitor, field.key))


async def _sort(monitor: Monitor, key: str) -> None:
    await monitor.show(ScreenName.PEERS)
    monitor.dispatch(SortBy(key))


class Commands(Provider):
    """Commands and peers whose name holds what is typed."""

    @property
    def _top(self) -> QudagTop:
        return cast("QudagTop", self.app)

    async def discover(self) -> Hits:
        """What is offered before anything is typed."""
        for command in commands_of(self._top):
            yield DiscoveryHit(command.title, command.callback, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches ``query``."""
        matcher = self.matcher(query)
        for command in commands_of(self._top):
            score = matcher.match(command.title)
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.callback, help=command.help)
        for label, peer_id in self._peers(query.casefold().removeprefix("peer ").strip()):
            # As content, not as a string: a peer's name is not markup.
            shown = Content(f"Peer {label}")
            yield Hit(0.5, shown, partial(self._top.monitor.open_peer, peer_id), help="everything about it")

    def _peers(self, wanted: str) -> list[tuple[str, str]]:
        sample = self._top.monitor.state.seen.sample
        if sample is None or not wanted:
            return []
        words = sample.peers.folded("words")
        rows = [row for row in sample.peers.by_label if wanted in words[row]][:MAX_PEERS]
        return [(sample.peers.labels[row], sample.peers.ids[row]) for row in rows]
