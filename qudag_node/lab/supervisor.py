"""The process that owns a lab: it brings it up, serves what is asked of it, and takes it down.

    keeper                          cleans up if this process is killed
    process of the links            engine netns or relay
    peer1 … peerN                   each in its namespace, or at its address
    load                            in this process: a client of the nodes

Everything ends on SIGTERM, Ctrl-C, ``down``, and when the parent is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qudag_node.errors import ConfigError, NodeError
from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import EngineUnavailableError, LabError
from qudag_node.lab.impairment import warnings_of
from qudag_node.lab.keeper import remove_sockets
from qudag_node.lab.links import LinkProcess, start_links
from qudag_node.lab.nodes import LabNode, NodeCommand
from qudag_node.lab.options import LabOptions
from qudag_node.lab.processes import ProcessRecord, child_environment, python_module
from qudag_node.lab.running import RunningLab

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

SCHEMA = "qudag.lab/1"


class Supervisor:
    """One lab, from nothing to nothing.

    Attributes:
        is_interrupted: It ends, or ended, because of Ctrl-C.
    """

    def __init__(self, options: LabOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._node_environ = environ
        self._network = options.network()
        self._is_temporary = options.directory is None
        path = options.directory or Path(tempfile.mkdtemp(prefix="qudag-lab-"))
        self._directory = LabDirectory(path, environ)
        if self._is_temporary:
            # What runs for a moment must not become anybody's default node.
            self._node_environ = {**environ, "XDG_RUNTIME_DIR": str(path / "run")}
        self.is_interrupted = False
        self._stop = asyncio.Event()
        self._failure: NodeError | None = None
        self._busy = asyncio.Lock()
        self._keeper: subprocess.Popen[bytes]
        self._links: LinkProcess
        self._lab: RunningLab
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
            self._links = self._start_links()
            stack.callback(self._links.close)
            self._lab = self._make_lab(self._links)
            stack.callback(self._remove_traces)
            stack.push_async_callback(self._lab.stop)
            await self._serve(announce)
        if self._failure is not None:
            raise self._failure

    # -- the parts ----------------------------------------------------------------------------------------

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

    def _start_links(self) -> LinkProcess:
        if self._options.engine != "auto":
            return start_links(self._options.engine, self._network, self._environ)
        try:
            return start_links("netns", self._network, self._environ)
        except EngineUnavailableError as error:
            _log.warning("%s; using the engine relay, where TCP_INFO is not of the path", error)
            return start_links("relay", self._network, self._environ)

    def _make_lab(self, links: LinkProcess) -> RunningLab:
        nodes = {
            name: LabNode(
                name, self._directory.path / name, links.listen_by_node[name], entrance=links.entrance(name)
            )
            for name in self._network.nodes
        }
        not_of_path = ["--tcp-info", "not-of-path"] if links.engine == "relay" else []
        command = NodeCommand(
            arguments=["--no-discovery", "--lab-faults", *not_of_path, *self._options.node_arguments],
            environ=self._node_environ,
            parent_fd=self._pipe[0],
        )
        return RunningLab(
            self._network,
            links,
            nodes,
            command=command,
            payload_bytes=self._options.payload_bytes,
            start_timeout_s=self._options.start_timeout_s,
            noted=self._write_record,
        )

    # -- its life -----------------------------------------------------------------------------------------

    async def _serve(self, announce: Callable[[dict[str, Any]], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGCHLD, self._child_ended)
        if self._options.parent_fd is not None:
            self._watch_parent(self._options.parent_fd)
        starting = asyncio.create_task(self._lab.start(self._options.rate_per_s), name="bring up")
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
            self._stop.set()
            server.close()

    def _signalled(self, number: signal.Signals) -> None:
        self.is_interrupted = self.is_interrupted or number == signal.SIGINT
        self._stop.set()

    def _watch_parent(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()

        def readable() -> None:
            if not os.read(descriptor, 4096):
                loop.remove_reader(descriptor)
                self._stop.set()

        loop.add_reader(descriptor, readable)

    def _child_ended(self) -> None:
        """A child ended: a node gets no more load, the loss of the links ends the lab."""
        self._keeper.poll()
        if self._links.process.poll() is not None and not self._stop.is_set():
            self._failure = LabError("the process of the links ended; so does the lab")
            self._stop.set()
        self._lab.aim_load()

    def _remove_traces(self) -> None:
        started = [node for node in self._lab.nodes.values() if node.record is not None]
        remove_sockets({"nodes": [{"sockets": node.sockets()} for node in started]})
        self._directory.remove_traces()
        if self._is_temporary:
            shutil.rmtree(self._directory.path, ignore_errors=True)

    def _end_keeper(self) -> None:
        for descriptor in self._pipe:
            os.close(descriptor)
        self._keeper.wait()

    # -- what it says, and is asked -----------------------------------------------------------------------

    async def _answer(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Status at any time; everything else one after the other."""
        match order.get("op"):
            case "status":
                return self._frame() | await self._lab.status()
            case "down":
                self._stop.set()
                return {"pid": os.getpid()}
            case _:
                async with self._busy:
                    return await self._change(order)

    async def _change(self, order: Mapping[str, Any]) -> dict[str, Any]:
        match order.get("op"):
            case "impair":
                return await self._lab.impair(order["orders"])
            case "heal":
                return await self._lab.heal(order["links"])
            case "load":
                return await self._lab.change_load(float(order["rate_per_s"]))
            case "kill":
                return await self._lab.kill(order["nodes"], signal.Signals(order["signal"]))
            case "restart":
                return await self._lab.restart(order["nodes"])
            case "quiesce":
                return {"schema": SCHEMA} | await self._lab.quiesce(float(order["timeout_s"]))
            case unknown:
                raise ConfigError("lab", f"unknown command {unknown!r}")

    def _frame(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "engine": self._links.engine,
            "dir": str(self._directory.path),
            "topology": self._options.topology,
            "seed": self._options.seed,
            "supervisor": os.getpid(),
        }

    def _announcement(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "engine": self._links.engine,
            "dir": str(self._directory.path),
            "nodes": [node.to_json() for node in self._lab.nodes.values()],
            "warnings": warnings_of(self._network.impairments.values(), self._links.engine),
        }

    def _write_record(self) -> None:
        self._directory.write_record(
            self._announcement()
            | {
                "supervisor": ProcessRecord.of(os.getpid()).to_json(),
                "links_process": ProcessRecord.of(self._links.process.pid).to_json(),
                "nodes": [
                    node.to_json() | {"process": node.record.to_json(), "sockets": node.sockets()}
                    for node in self._lab.nodes.values()
                    if node.record is not None
                ],
            }
        )
