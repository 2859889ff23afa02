"""Asking all nodes what they counted, until neighbours agree."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from qudag_node.lab.errors import LabError
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.topology import Direction, Link, NodeName
from qudag_node.lab.totals import (
    ByType,
    Count,
    DirectionTotals,
    NodeReading,
    PeerReading,
    Round,
    compare,
    settled,
)

__all__ = ["Survey"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.02
#: What only load brings about.
_LOAD_KINDS = frozenset({"data"})
#: A node that takes longer hangs, or was stopped by a signal; it counts as not there.
_ANSWER_S = 5.0


class Respondent(Protocol):
    """A node as far as it can be asked."""

    id: str
    rpc: str

    @property
    def is_running(self) -> bool:
        """Whether there is anybody to ask."""
        ...


class Survey:
    """Reads the nodes' own counts, and remembers what restarts would hide."""

    def __init__(self, links: Sequence[Link], nodes: Mapping[NodeName, Respondent]) -> None:
        self._nodes = nodes
        self._directions = [direction for link in links for direction in link.directions]
        self._neighbours = {name: [d.target for d in self._directions if d.source == name] for name in nodes}
        self._is_held = False
        self._sent_before: dict[Direction, ByType] = {}
        self._received_before: dict[Direction, ByType] = {}

    async def quiesce(self, timeout_s: float, *, lost_after_s: float) -> list[DirectionTotals]:
        """Wait until the load is through, hold the nodes, and wait until nothing moves.

        The load first, so that what a node asks last, when it is held, confirms all of it.
        """
        began_s = asyncio.get_running_loop().time()
        await self.settle(timeout_s / 2, lost_after_s=lost_after_s, kinds=_LOAD_KINDS)
        await self.hold(held=True)
        rest_s = timeout_s - (asyncio.get_running_loop().time() - began_s)
        return await self.settle(rest_s, lost_after_s=lost_after_s)

    async def settle(
        self, timeout_s: float, *, lost_after_s: float, kinds: frozenset[str] | None = None
    ) -> list[DirectionTotals]:
        """Read until every direction is at rest and accounted for, or the time is over; see only ``kinds``.

        Only what both sides agree on is accounted for at once. A difference that the sender knows of may
        still be on its way, so it must stay the same for ``lost_after_s`` before it is taken as final.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        first, second = await self._read(kinds), await self._read(kinds)
        rest: dict[Direction, tuple[Count | None, float]] = {}
        while True:
            third = await self._read(kinds)
            now_s = loop.time()
            found = [self._compare(direction, (first, second, third)) for direction in self._directions]
            first, second = second, third
            for each in found:
                if each.direction not in rest or rest[each.direction][0] != each.difference:
                    rest[each.direction] = each.difference, now_s
            at_rest = [
                _is_at_rest(each, is_final=now_s - rest[each.direction][1] >= lost_after_s) for each in found
            ]
            if all(at_rest) or now_s >= deadline_s:
                return found
            await asyncio.sleep(_PAUSE_S)

    async def hold(self, *, held: bool) -> None:
        """Let every running node stop, or go on with, what it sends of its own accord."""
        if held == self._is_held:
            return
        self._is_held = held
        running = [node for node in self._nodes.values() if node.is_running and node.rpc]
        await asyncio.gather(*(_hold(node.rpc, held=held) for node in running))

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

    def _compare(self, direction: Direction, rounds: tuple[Round, Round, Round]) -> DirectionTotals:
        return compare(
            direction,
            rounds,
            sent_before=self._sent_before.get(direction, {}),
            received_before=self._received_before.get(direction, {}),
        )

    async def _read(self, kinds: frozenset[str] | None = None) -> dict[NodeName, NodeReading]:
        """One reading of every node that answers."""
        names = [name for name, node in self._nodes.items() if node.is_running and node.rpc]
        readings = await asyncio.gather(*(self._read_node(name, kinds) for name in names))
        return {name: reading for name, reading in zip(names, readings, strict=True) if reading is not None}

    async def _read_node(self, name: NodeName, kinds: frozenset[str] | None) -> NodeReading | None:
        neighbours = self._neighbours[name]
        try:
            async with asyncio.timeout(_ANSWER_S), NodeSession(self._nodes[name].rpc) as session:
                calls = [session.begin("peer", {"peer": self._nodes[other].id}) for other in neighbours]
                answers: list[Mapping[str, Any]] = await asyncio.gather(*calls)
        except (OSError, LabError):
            return None
        return {
            other: PeerReading.from_answer(answer, kinds)
            for other, answer in zip(neighbours, answers, strict=True)
        }


async def _hold(address: str, *, held: bool) -> None:
    try:
        async with asyncio.timeout(_ANSWER_S), NodeSession(address) as session:
            await session.call("lab.hold", {"held": held})
    except OSError as error:  # a timeout is one, too
        _log.warning("%s: %s", address, error)  # it ended this moment, and so sends nothing


def _is_at_rest(totals: DirectionTotals, *, is_final: bool) -> bool:
    """Whether nothing more is to be expected of a direction."""
    match totals.verdict:
        case "receiver-down" | "sender-down":
            return True
        case "unconfirmed":
            return settled(totals) and is_final
        case _:
            return settled(totals)
