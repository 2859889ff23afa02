"""Where test messages were dropped: what this node, the relays and the peer count before and after.

The counts are the nodes' own and of all tests that pass them, not only of one: while several run, each sees
the drops of all. So where nothing is missing nothing is placed, and an answer that nobody waits for any more
is none of what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from qudag_node.errors import NodeError
from qudag_node.nettests.context import Context
from qudag_node.nettests.control import ControlDropCause
from qudag_node.nettests.tracing import name_of
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId

__all__ = ["DropWatch", "counts_told", "risen"]

_ASK_TIMEOUT_S = 3.0
# A way has at most a few relays; who is asked costs a request.
_MAX_ASKED = 32
_MAX_CAUSES = 64


class DropWatch:
    """What the nodes on a way drop between two moments.

    Args:
        context: Of the test.
        path: The way, this node and the peer included.
    """

    def __init__(self, context: Context, path: Sequence[PeerId]) -> None:
        self._context = context
        self._others = [peer for peer in path if peer != context.port.own_id][:_MAX_ASKED]
        self._before: dict[PeerId, Mapping[str, int]] = {}
        self._after: dict[PeerId, Mapping[str, int]] = {}

    async def begin(self) -> None:
        """Note what was dropped until now."""
        self._before = await self._ask()

    async def end(self) -> None:
        """Note what was dropped by now."""
        self._after = await self._ask()

    def places(self, lost: int) -> list[dict[str, object]]:
        """Return where ``lost`` messages were dropped, and what of them nobody counts; the most first."""
        if not lost:
            return []
        own_id = self._context.port.own_id
        places: list[dict[str, object]] = []
        for peer in self._before.keys() & self._after.keys():
            where = "here" if peer == own_id else "peer" if peer == self._context.target else "relay"
            for cause, count in risen(self._before[peer], self._after[peer]).items():
                if cause != ControlDropCause.UNASKED:
                    places.append(self._place(where, peer, cause, count))
        places.sort(key=lambda place: (-cast("int", place["count"]), str(place["cause"])))
        counted = sum(cast("int", place["count"]) for place in places)
        if lost > counted:
            missing = "a link on the way ended, or a node there does not tell what it drops"
            places.append(self._place("unknown", None, missing, lost - counted))
        return places

    def _place(self, where: str, peer: PeerId | None, cause: str, count: int) -> dict[str, object]:
        name = None if peer is None else name_of(self._context.port, peer)
        return {"where": where, "peer": peer, "name": name, "cause": cause, "count": count}

    async def _ask(self) -> dict[PeerId, Mapping[str, int]]:
        async def ask(peer: PeerId) -> Mapping[str, int] | None:
            try:
                answer = await self._context.control.ask(peer, "counters", {}, timeout_s=_ASK_TIMEOUT_S)
            except NodeError:
                return None  # what it drops is then dropped in an unknown place
            return counts_told(answer.get("drops"))

        answers = await asyncio.gather(*map(ask, self._others))
        counts = {
            peer: answer for peer, answer in zip(self._others, answers, strict=True) if answer is not None
        }
        counts[self._context.port.own_id] = dict(self._context.port.drop_counts())
        return counts


def counts_told(told: object) -> dict[str, int]:
    """Read a map of counts that a stranger sent; what is none is left out."""
    if not isinstance(told, dict):
        return {}
    counts = list(cast("dict[object, object]", told).items())[:_MAX_CAUSES]
    return {
        clean_text(str(cause), 40): count
        for cause, count in counts
        if isinstance(count, int) and not isinstance(count, bool)
    }


def risen(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each count has grown, where it has."""
    return {
        cause: count - before.get(cause, 0) for cause, count in after.items() if count > before.get(cause, 0)
    }
