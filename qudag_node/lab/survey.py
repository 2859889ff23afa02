"""Asking all nodes what they counted, until neighbours agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qudag_node.lab.errors import LabError
from qudag_node.lab.nodes import LabNode
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.topology import Direction, Link, NodeName
from qudag_node.lab.totals import ByType, DirectionTotals, NodeReading, PeerReading, compare, settled

__all__ = ["Survey"]

_PAUSE_S = 0.02


class Survey:
    """Reads the nodes' own counts, and remembers what restarts would hide."""

    def __init__(self, links: Sequence[Link], nodes: Mapping[NodeName, LabNode]) -> None:
        self._nodes = nodes
        self._directions = [direction for link in links for direction in link.directions]
        self._neighbours = {name: [d.target for d in self._directions if d.source == name] for name in nodes}
        self._sent_before: dict[Direction, ByType] = {}
        self._received_before: dict[Direction, ByType] = {}

    async def settle(self, timeout_s: float) -> list[DirectionTotals]:
        """Read until every direction is at rest and accounted for, or the time is over.

        What a node sends of its own accord (pings and the like) goes on meanwhile, so a direction that was
        once found at rest, after the load had drained, stays found.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        rounds = [await self._read(), await self._read()]
        done: dict[Direction, DirectionTotals] = {}
        while True:
            rounds = [*rounds[-2:], await self._read()]
            found = [self._compare(direction, rounds) for direction in self._directions]
            if not _is_busy(found):
                done.update({each.direction: each for each in found if settled(each)})
                done.update({each.direction: each for each in found if each.received is None})
            if len(done) == len(found) or loop.time() >= deadline_s:
                return [done.get(each.direction, each) for each in found]
            await asyncio.sleep(_PAUSE_S)

    async def hold(self, *, held: bool) -> None:
        """Stop, or resume, what the nodes send of their own accord."""

    async def unconfirmed(self) -> dict[Direction, dict[str, int]]:
        """What each running node sent and never heard confirmed, by direction."""
        reading = await self._read()
        return {
            direction: reading[direction.source][direction.target].unconfirmed.to_json()
            for direction in self._directions
            if direction.target in reading.get(direction.source, {})
        }

    async def remember(self, restarting: Iterable[NodeName]) -> None:
        """Keep what the others counted of these nodes, which will count from zero again."""
        reading = await self._read()
        for name in restarting:
            for neighbour in self._neighbours[name]:
                seen = reading.get(neighbour, {}).get(name, PeerReading())
                to_it, from_it = Direction(neighbour, name), Direction(name, neighbour)
                self._sent_before[to_it], self._received_before[to_it] = seen.sent, {}
                self._sent_before[from_it], self._received_before[from_it] = {}, seen.received

    def _compare(
        self, direction: Direction, rounds: Sequence[Mapping[NodeName, NodeReading]]
    ) -> DirectionTotals:
        return compare(
            direction,
            tuple(rounds),
            sent_before=self._sent_before.get(direction, {}),
            received_before=self._received_before.get(direction, {}),
        )

    async def _read(self) -> dict[NodeName, NodeReading]:
        """One reading of every node that answers."""
        names = [name for name, node in self._nodes.items() if node.is_running and node.rpc]
        readings = await asyncio.gather(*(self._read_node(name) for name in names))
        return {name: reading for name, reading in zip(names, readings, strict=True) if reading is not None}

    async def _read_node(self, name: NodeName) -> NodeReading | None:
        neighbours = self._neighbours[name]
        try:
            async with NodeSession(self._nodes[name].rpc) as session:
                calls = [session.begin("peer", {"peer": self._nodes[other].id}) for other in neighbours]
                answers: list[Mapping[str, Any]] = await asyncio.gather(*calls)
        except (OSError, LabError):
            return None
        return {
            other: PeerReading.from_answer(answer) for other, answer in zip(neighbours, answers, strict=True)
        }


#: What only load brings about; the rest goes on by itself.
_LOAD_TYPES = frozenset({"data"})


def _is_busy(found: Iterable[DirectionTotals]) -> bool:
    """Whether load is still on its way anywhere: then nothing is at rest."""
    return any(each.queued or (each.received is not None and not _agree_on_load(each)) for each in found)


def _agree_on_load(totals: DirectionTotals) -> bool:
    if totals.verdict == "lost-with-a-link":
        return True
    received = totals.received or {}
    return all(totals.sent.get(kind) == received.get(kind) for kind in _LOAD_TYPES)
