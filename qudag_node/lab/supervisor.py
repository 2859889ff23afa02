"""The process that owns a lab: the links, the nodes, the load, and who may ask it for what.

    keeper                          cleans up if this process is killed
    process of the links            engine netns or relay
    peer1 … peerN                   each in its namespace, or at its address
    load                            in this process: a client of the nodes

Nodes listen first; the one with the larger number of each pair then dials the other, when both are there,
so that nobody is refused and waits. Everything ends on SIGTERM, Ctrl-C, ``down``, and when the parent is
gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qudag_node.errors import ConfigError, NodeError, NotFoundError
from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import EngineUnavailableError, LabError, NodeStartError
from qudag_node.lab.impairment import CLEAN, Impairment, find_directions, parse_order
from qudag_node.lab.keeper import remove_sockets
from qudag_node.lab.links import LinkProcess, start_links
from qudag_node.lab.load import Load
from qudag_node.lab.nodes import LabNode, NodeCommand
from qudag_node.lab.options import LabOptions, check_rate
from qudag_node.lab.processes import ProcessRecord, child_environment, python_module
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.survey import Survey
from qudag_node.lab.topology import Direction, Link, NodeName

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

SCHEMA = "qudag.lab/1"
_POLL_S = 0.02
#: TCP tries again after 0.2 s and then ever more slowly; what has not moved for this long is stuck.
_RETRANSMIT_S = 3.0


class Supervisor:
    """One lab, from nothing to nothing."""

    def __init__(self, options: LabOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._node_environ = environ
        self._network = options.network()
        self._impairments = dict.fromkeys(
            (direction for link in self._network.links for direction in link.directions), CLEAN
        ) | dict(self._network.impairments)
        self._is_temporary = options.directory is None
        path = options.directory or Path(tempfile.mkdtemp(prefix="qudag-lab-"))
        self._directory = LabDirectory(path, environ)
        if self._is_temporary:
            # What runs for a moment must not become anybody's default node.
            self._node_environ = {**environ, "XDG_RUNTIME_DIR": str(path / "run")}
        self._stop = asyncio.Event()
        self._failure: NodeError | None = None
        self._busy = asyncio.Lock()
        self._load = Load(payload_bytes=options.payload_bytes)
        self._nodes: dict[NodeName, LabNode] = {}
        self._links: LinkProcess
        self._command: NodeCommand
        self._survey: Survey
        self._keeper: subprocess.Popen[bytes]
        self._pipe = (-1, -1)

    async def run(self, announce: Callable[[dict[str, Any]], None]) -> None:
        """Bring the lab up, announce it, serve until it is to end, and take everything down.

        Raises:
            NodeError: It did not come up, or a part of it that cannot be replaced was lost.
        """
        async with AsyncExitStack() as stack:
            self._directory.prepare()
            stack.callback(self._directory.release)
            self._keeper = self._start_keeper()
            stack.callback(self._end_keeper)
            stack.callback(self._remove_traces)
            self._links = self._start_links()
            stack.callback(self._links.close)
            self._make_nodes(self._links)
            stack.push_async_callback(self._end_nodes)
            stack.push_async_callback(self._load.stop)
            await self._serve(announce)
        if self._failure is not None:
            raise self._failure

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        self._pipe = os.pipe()
        inherited = [self._pipe[0], self._directory.lock_fd]
        flags = ["--remove"] if self._is_temporary else []
        return subprocess.Popen(
            python_module(
                "qudag_node.lab.keeper", str(self._directory.path), *(str(fd) for fd in inherited), *flags
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=inherited,
            env=child_environment(self._environ),
            start_new_session=True,
        )

    def _make_nodes(self, links: LinkProcess) -> None:
        for name in self._network.nodes:
            self._nodes[name] = LabNode(
                name, self._directory.path / name, links.listen_by_node[name], entrance=links.entrance(name)
            )
        self._survey = Survey(self._network.links, self._nodes)
        not_of_path = ["--tcp-info", "not-of-path"] if links.engine == "relay" else []
        self._command = NodeCommand(
            arguments=["--no-discovery", "--lab-faults", *not_of_path, *self._options.node_arguments],
            environ=self._node_environ,
            parent_fd=self._pipe[0],
        )

    def _start_links(self) -> LinkProcess:
        if self._options.engine != "auto":
            return start_links(self._options.engine, self._network, self._environ)
        try:
            return start_links("netns", self._network, self._environ)
        except EngineUnavailableError as error:
            _log.warning("%s; using the engine relay, where TCP_INFO is not of the path", error)
            return start_links("relay", self._network, self._environ)

    async def _serve(self, announce: Callable[[dict[str, Any]], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGCHLD, self._child_ended)
        if self._options.parent_fd is not None:
            self._watch_parent(self._options.parent_fd)
        starting = asyncio.create_task(self._bring_up(), name="bring up")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        server = await control.serve(self._directory.control_path, self._answer)
        try:
            announce(self._announcement())
            await stopping
        finally:
            server.close()

    async def _bring_up(self) -> None:
        for node in self._nodes.values():
            node.clear()
            node.start(self._command)
            self._write_record()
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                await self._link_up(self._network.nodes)
        except TimeoutError:
            raise NodeStartError(
                f"the lab did not stand after {self._options.start_timeout_s:g} s: {self._missing()}"
            ) from None
        self._write_record()
        self._aim_load()
        await self._load.start(self._options.rate_per_s)

    def _watch_parent(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()

        def readable() -> None:
            if not os.read(descriptor, 4096):
                loop.remove_reader(descriptor)
                self._stop.set()

        loop.add_reader(descriptor, readable)

    def _child_ended(self) -> None:
        """A child ended: a node is noted, the loss of the links ends the lab."""
        self._keeper.poll()
        if self._links.process.poll() is not None and not self._stop.is_set():
            self._failure = LabError("the process of the links ended; so does the lab")
            self._stop.set()
        self._aim_load()

    def _aim_load(self) -> None:
        self._load.aim({name: node.rpc for name, node in self._nodes.items() if node.is_running and node.rpc})

    # -- bringing nodes and links up ------------------------------------------------------------------

    async def _link_up(self, started: Iterable[NodeName]) -> None:
        """Wait for these nodes, dial their links that have both ends, and wait until those stand."""
        names = set(started)
        ready = {
            name: asyncio.create_task(self._nodes[name].ready(), name=f"ready[{name}]") for name in names
        }
        links = [link for link in self._network.links if {link.a, link.b} & names and self._both_run(link)]
        try:
            async with asyncio.TaskGroup() as tasks:
                for link in links:
                    tasks.create_task(self._link(link, ready, names), name=f"link[{link}]")
                for waiting in ready.values():
                    tasks.create_task(_wait_for(waiting))
        except* NodeError as group:
            raise _first(group) from None
        finally:
            for waiting in ready.values():
                waiting.cancel()

    def _both_run(self, link: Link) -> bool:
        return self._nodes[link.a].is_running and self._nodes[link.b].is_running

    async def _link(
        self, link: Link, ready: Mapping[NodeName, asyncio.Task[None]], started: set[NodeName]
    ) -> None:
        for end in (link.a, link.b):
            if end in ready:
                await asyncio.shield(ready[end])
        # A node that was there before would wait before it dials again; the one that is new does not.
        dialer, target = (link.b, link.a) if link.b in started else (link.a, link.b)
        address = self._links.dial[Direction(dialer, target)]
        async with NodeSession(self._nodes[dialer].rpc) as session:
            await session.call("peer.add", {"address": f"{self._nodes[target].id}@{address}"})
        for near, far in ((link.a, link.b), (link.b, link.a)):
            async with NodeSession(self._nodes[near].rpc) as session:
                while not await _stands(session, self._nodes[far].id):  # noqa: ASYNC110  # another process's
                    await asyncio.sleep(_POLL_S)

    def _missing(self) -> str:
        silent = [name for name, node in self._nodes.items() if not node.id]
        return f"no answer from {', '.join(silent)}" if silent else "not all links are connected"

    # -- what it can be asked -------------------------------------------------------------------------

    async def _answer(self, order: Mapping[str, Any]) -> dict[str, Any]:
        match order.get("op"):
            case "status":
                return await self._status()
            case "quiesce":
                return await self._quiesce(float(order["timeout_s"]))
            case "down":
                self._stop.set()
                return {"pid": os.getpid()}
            case "impair":
                async with self._busy:
                    return await self._impair(order["orders"])
            case "heal":
                async with self._busy:
                    return await self._heal(order["links"])
            case "load":
                async with self._busy:
                    return await self._change_load(float(order["rate_per_s"]))
            case "kill":
                async with self._busy:
                    return await self._kill(self._named(order["nodes"]), signal.Signals(order["signal"]))
            case "restart":
                async with self._busy:
                    return await self._restart(self._named(order["nodes"]))
            case unknown:
                raise ConfigError("lab", f"unknown command {unknown!r}")

    def _named(self, names: Iterable[str]) -> list[LabNode]:
        unknown = [name for name in names if name not in self._nodes]
        if unknown:
            raise NotFoundError(f"no node {unknown[0]!r} in this lab; it has {', '.join(self._nodes)}")
        return [self._nodes[NodeName(name)] for name in names]

    async def _change_load(self, rate_per_s: float) -> dict[str, Any]:
        check_rate(rate_per_s)
        await self._survey.hold(held=False)
        await self._load.start(rate_per_s)
        return {"rate_per_s": self._load.rate_per_s}

    async def _impair(self, texts: Iterable[str]) -> dict[str, Any]:
        orders = [parse_order(text, self._network.links) for text in texts]
        changed: dict[Direction, Impairment] = {}
        for order in orders:
            for direction in order.directions:
                changed[direction] = order.apply(changed.get(direction, self._impairments[direction]))
        return await self._change(changed)

    async def _heal(self, texts: Iterable[str]) -> dict[str, Any]:
        named = list(texts)
        directions = [
            d for text in named for d in find_directions(text, self._network.links, where=f"heal {text!r}")
        ]
        return await self._change(dict.fromkeys(directions if named else self._impairments, CLEAN))

    async def _change(self, changed: Mapping[Direction, Impairment]) -> dict[str, Any]:
        await self._survey.hold(held=False)
        await self._links.impair(changed)
        self._impairments.update(changed)
        return {"links": {str(direction): str(impairment) for direction, impairment in changed.items()}}

    async def _kill(self, nodes: list[LabNode], number: signal.Signals) -> dict[str, Any]:
        states: dict[str, str] = {}
        await self._survey.hold(held=False)
        for node in nodes:
            if not node.signal(number):
                raise NotFoundError(f"{node.name} does not run ({node.state})")
            if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
                await node.ended()
            states[node.name] = node.state
        self._write_record()
        return {"nodes": states}

    async def _restart(self, nodes: list[LabNode]) -> dict[str, Any]:
        await self._survey.hold(held=False)
        for node in nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        for node in nodes:
            await node.ended()
        await self._survey.remember([node.name for node in nodes])
        for node in nodes:
            node.start(self._command)
        self._write_record()
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                await self._link_up([node.name for node in nodes])
        except TimeoutError:
            raise NodeStartError(
                f"{', '.join(node.name for node in nodes)}: not linked again after "
                f"{self._options.start_timeout_s:g} s"
            ) from None
        self._write_record()
        self._aim_load()
        return {"nodes": [node.to_json() for node in nodes]}

    async def _quiesce(self, timeout_s: float) -> dict[str, Any]:
        async with self._busy:
            await self._load.stop()
        slowest_s = max((each.delay_s + each.jitter_s for each in self._impairments.values()), default=0.0)
        totals = await self._survey.quiesce(timeout_s, lost_after_s=_RETRANSMIT_S + 4 * slowest_s)
        return {
            "schema": SCHEMA,
            "settled": all(each.verdict != "different" and each.queued == 0 for each in totals),
            "load": self._load_json(),
            "links": [each.to_json() for each in totals],
        }

    async def _status(self) -> dict[str, Any]:
        truth = await self._links.truth()
        unconfirmed = await self._survey.unconfirmed()
        return {
            "schema": SCHEMA,
            "engine": self._links.engine,
            "real_time": truth["real_time"],
            "dir": str(self._directory.path),
            "topology": self._options.topology,
            "seed": self._options.seed,
            "supervisor": os.getpid(),
            "links_pid": self._links.process.pid,
            "nodes": [node.to_json() | {"state": node.state} for node in self._nodes.values()],
            "links": [
                {
                    "from": direction.source,
                    "to": direction.target,
                    "text": str(impairment),
                    "impairment": impairment.to_json(),
                    "truth": truth["truth"][str(direction)],
                    "unconfirmed": unconfirmed.get(direction),
                }
                for direction, impairment in self._impairments.items()
            ],
            "load": self._load_json(),
        }

    def _load_json(self) -> dict[str, Any]:
        return {
            "rate_per_s": self._load.rate_per_s,
            "payload_bytes": self._load.payload_bytes,
            **self._load.counts.to_json(),
        }

    def _announcement(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "engine": self._links.engine,
            "dir": str(self._directory.path),
            "nodes": [node.to_json() for node in self._nodes.values()],
        }

    def _write_record(self) -> None:
        self._directory.write_record(
            self._announcement()
            | {
                "supervisor": ProcessRecord.of(os.getpid()).to_json(),
                "links_process": ProcessRecord.of(self._links.process.pid).to_json(),
                "nodes": [
                    node.to_json() | {"process": node.record.to_json(), "sockets": node.sockets()}
                    for node in self._nodes.values()
                    if node.record is not None
                ],
            }
        )

    # -- the end --------------------------------------------------------------------------------------

    async def _end_nodes(self) -> None:
        self._stop.set()
        for node in self._nodes.values():
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        await asyncio.gather(*(node.ended() for node in self._nodes.values()))

    def _remove_traces(self) -> None:
        started = [node for node in self._nodes.values() if node.record is not None]
        remove_sockets({"nodes": [{"sockets": node.sockets()} for node in started]})
        self._directory.remove_traces()
        if self._is_temporary:
            shutil.rmtree(self._directory.path, ignore_errors=True)

    def _end_keeper(self) -> None:
        for descriptor in self._pipe:
            os.close(descriptor)
        self._keeper.wait()


async def _wait_for(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)


async def _stands(session: NodeSession, peer_id: str) -> bool:
    answer: Mapping[str, Any] = await session.call("connections")
    return any(link["peer"] == peer_id and link["state"] == "connected" for link in answer["links"])


def _first(group: BaseExceptionGroup[NodeError]) -> NodeError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, NodeError), error  # noqa: S101  # what the group was filtered for
    return error
