"""A lab that runs: its links, nodes and load, and everything that can be asked of it.

Nodes listen first; the one with the larger number of each pair then dials the other, when both are there,
so that nobody is refused and waits.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qudag_node.errors import NodeError, NotFoundError
from qudag_node.lab.errors import NodeStartError
from qudag_node.lab.impairment import CLEAN, Impairment, find_directions, parse_order, warnings_of
from qudag_node.lab.links import LinkProcess, Network
from qudag_node.lab.load import Load
from qudag_node.lab.nodes import LabNode, NodeCommand
from qudag_node.lab.options import check_rate
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.survey import Survey
from qudag_node.lab.topology import Direction, Link, NodeName

__all__ = ["RunningLab"]

_POLL_S = 0.02
#: TCP tries again after 0.2 s and then ever more slowly; what has not moved for this long is stuck.
_RETRANSMIT_S = 3.0


class RunningLab:
    """The parts of one lab, and what can be done with them.

    Args:
        command: What every node is started with.
        start_timeout_s: How long nodes may take to start and to get their links.
        noted: Called whenever a process was started or has ended.
    """

    def __init__(
        self,
        network: Network,
        links: LinkProcess,
        nodes: Mapping[NodeName, LabNode],
        *,
        command: NodeCommand,
        payload_bytes: int,
        start_timeout_s: float,
        noted: Callable[[], None],
    ) -> None:
        self.nodes = nodes
        self.load = Load(payload_bytes=payload_bytes)
        self._network = network
        self._links = links
        self._command = command
        self._start_timeout_s = start_timeout_s
        self._noted = noted
        self._survey = Survey(network.links, nodes)
        self._impairments = dict.fromkeys((d for link in network.links for d in link.directions), CLEAN)
        self._impairments |= network.impairments

    # -- coming up and going down -----------------------------------------------------------------------

    async def start(self, rate_per_s: float) -> None:
        """Start all nodes, wait until their links stand, and let the load begin.

        Raises:
            NodeStartError: A node did not start, or the time was over.
        """
        for node in self.nodes.values():
            node.clear()
            node.start(self._command)
            self._noted()
        await self._link_up(self._network.nodes)
        await self.load.start(rate_per_s)

    async def stop(self) -> None:
        """End the load and all nodes; those that hang are killed."""
        await self.load.stop()
        for node in self.nodes.values():
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        await asyncio.gather(*(node.ended() for node in self.nodes.values()))

    def aim_load(self) -> None:
        """Let the load go to the nodes that run."""
        running = {name: node.rpc for name, node in self.nodes.items() if node.is_running and node.rpc}
        self.load.aim(running)

    async def _link_up(self, started: Iterable[NodeName]) -> None:
        """Wait for these nodes, dial their links that have both ends, and wait until those stand."""
        names = set(started)
        ready = {name: asyncio.create_task(self.nodes[name].ready(), name=f"ready[{name}]") for name in names}
        links = [link for link in self._network.links if {link.a, link.b} & names and self._both_run(link)]
        try:
            async with asyncio.timeout(self._start_timeout_s), asyncio.TaskGroup() as tasks:
                for link in links:
                    tasks.create_task(self._link(link, ready, names), name=f"link[{link}]")
                for waiting in ready.values():
                    tasks.create_task(_wait_for(waiting))
        except TimeoutError:
            raise NodeStartError(f"after {self._start_timeout_s:g} s {self._missing()}") from None
        except ExceptionGroup as group:
            raise _first_node_error(group) from group
        finally:
            for waiting in ready.values():
                waiting.cancel()
        self._noted()
        self.aim_load()

    def _both_run(self, link: Link) -> bool:
        return self.nodes[link.a].is_running and self.nodes[link.b].is_running

    async def _link(
        self, link: Link, ready: Mapping[NodeName, asyncio.Task[None]], started: set[NodeName]
    ) -> None:
        for end in (link.a, link.b):
            if end in ready:
                await asyncio.shield(ready[end])
        # A node that was there before would wait before it dials again; the one that is new does not.
        dialer, target = (link.b, link.a) if link.b in started else (link.a, link.b)
        address = self._links.dial[Direction(dialer, target)]
        async with NodeSession(self.nodes[dialer].rpc) as session:
            await session.call("peer.add", {"address": f"{self.nodes[target].id}@{address}"})
        for near, far in ((link.a, link.b), (link.b, link.a)):
            async with NodeSession(self.nodes[near].rpc) as session:
                while not await _stands(session, self.nodes[far].id):  # noqa: ASYNC110  # another process's
                    await asyncio.sleep(_POLL_S)

    def _missing(self) -> str:
        silent = [name for name, node in self.nodes.items() if node.is_running and not node.rpc]
        return f"{', '.join(silent)} did not answer" if silent else "not all links were connected"

    # -- what can be asked ------------------------------------------------------------------------------

    def named(self, names: Iterable[str]) -> list[LabNode]:
        """The nodes of these names.

        Raises:
            NotFoundError: There is none of one of them.
        """
        wanted = list(names)
        unknown = [name for name in wanted if name not in self.nodes]
        if unknown:
            raise NotFoundError(f"no node {unknown[0]!r} in this lab; it has {', '.join(self.nodes)}")
        return [self.nodes[NodeName(name)] for name in wanted]

    async def impair(self, texts: Iterable[str]) -> dict[str, Any]:
        """Change what the orders name.

        Raises:
            ConfigError: One of them is wrong; then nothing is changed.
        """
        changed: dict[Direction, Impairment] = {}
        for text in texts:
            order = parse_order(text, self._network.links)
            for direction in order.directions:
                changed[direction] = order.apply(changed.get(direction, self._impairments[direction]))
        return await self._change(changed)

    async def heal(self, texts: Iterable[str]) -> dict[str, Any]:
        """Make these links perfect, or all when none is named.

        Raises:
            ConfigError: There is no such link.
        """
        named = list(texts)
        directions = [
            d for text in named for d in find_directions(text, self._network.links, where=f"heal {text!r}")
        ]
        return await self._change(dict.fromkeys(directions if named else self._impairments, CLEAN))

    async def _change(self, changed: Mapping[Direction, Impairment]) -> dict[str, Any]:
        await self._survey.hold(held=False)
        await self._links.impair(changed)
        self._impairments.update(changed)
        engine = self._links.engine
        return {
            "links": {str(direction): impairment.over(engine) for direction, impairment in changed.items()},
            "warnings": warnings_of(changed.values(), engine),
        }

    async def change_load(self, rate_per_s: float) -> dict[str, Any]:
        """Submit at this rate from now on.

        Raises:
            ConfigError: It is no rate.
        """
        check_rate(rate_per_s)
        await self._survey.hold(held=False)
        await self.load.start(rate_per_s)
        return {"rate_per_s": self.load.rate_per_s}

    async def kill(self, names: Iterable[str], number: signal.Signals) -> dict[str, Any]:
        """Send a signal to nodes; wait until those have ended that must.

        Raises:
            NotFoundError: One of them is not in this lab, or does not run; then none is signalled.
        """
        nodes = self.named(names)
        for node in nodes:
            if not node.is_running:
                raise NotFoundError(f"{node.name} does not run ({node.state})")
        await self._survey.hold(held=False)
        for node in nodes:
            node.signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
            await asyncio.gather(*(node.ended() for node in nodes))
        self._noted()
        return {"nodes": {node.name: node.state for node in nodes}}

    async def restart(self, names: Iterable[str]) -> dict[str, Any]:
        """Start nodes again, those that run after they have stopped; wait until their links stand.

        Raises:
            NotFoundError: One of them is not in this lab.
            NodeStartError: One did not start, or the time was over.
        """
        nodes = self.named(names)
        await self._survey.hold(held=False)
        for node in nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        await asyncio.gather(*(node.ended() for node in nodes))
        await self._survey.remember([node.name for node in nodes])
        for node in nodes:
            node.start(self._command)
        self._noted()
        await self._link_up([node.name for node in nodes])
        return {"nodes": [node.to_json() for node in nodes]}

    async def quiesce(self, timeout_s: float) -> dict[str, Any]:
        """Stop the load, hold the nodes, and compare what neighbours counted."""
        await self.load.stop()
        slowest_s = max((each.delay_s + each.jitter_s for each in self._impairments.values()), default=0.0)
        totals = await self._survey.quiesce(timeout_s, lost_after_s=_RETRANSMIT_S + 4 * slowest_s)
        return {
            "settled": all(each.verdict != "different" and each.queued == 0 for each in totals),
            "load": self.load.to_json(),
            "links": [each.to_json() for each in totals],
        }

    async def status(self) -> dict[str, Any]:
        """Nodes, links with what is wrong with them, the truth of the links, load."""
        truth = await self._links.truth()
        unconfirmed = await self._survey.unconfirmed()
        return {
            "real_time": truth["real_time"],
            "links_pid": self._links.process.pid,
            "nodes": [node.to_json() | {"state": node.state} for node in self.nodes.values()],
            "links": [
                {
                    "from": direction.source,
                    "to": direction.target,
                    "text": impairment.over(self._links.engine),
                    "impairment": impairment.to_json(),
                    "truth": truth["truth"][str(direction)],
                    "unconfirmed": unconfirmed.get(direction),
                }
                for direction, impairment in self._impairments.items()
            ],
            "load": self.load.to_json(),
        }


async def _wait_for(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


async def _stands(session: NodeSession, peer_id: str) -> bool:
    answer: Mapping[str, Any] = await session.call("connections")
    return any(link["peer"] == peer_id and link["state"] == "connected" for link in answer["links"])


def _first_node_error(group: ExceptionGroup[Exception]) -> Exception:
    """What a person can do something about; the group itself where it is a bug."""
    error: Exception = group.subgroup(NodeError) or group
    while isinstance(error, ExceptionGroup) and error is not group:
        error = error.exceptions[0]
    return error
