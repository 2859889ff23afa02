"""``NetworkSimulator``: a lab for the length of a ``with`` block.

    with NetworkSimulator(nodes=5, topology="ring", rate=100) as lab:
        lab.impair("peer1-peer2:delay=80ms,loss=3%")
        stats = lab.call("peer1", "stats")

The lab runs in processes of its own, which end with the block, with ``close``, and with this process,
however that ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import LabError
from qudag_node.lab.processes import child_environment, python_module
from qudag_node.lab.rpc import call_once

__all__ = ["NetworkSimulator", "SimulatedNode"]

_ANSWER_S = 30.0
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class SimulatedNode:
    """A node as ``up`` tells of it; ``rpc`` is what ``--node`` takes."""

    name: str
    id: str
    rpc: str
    listen: str
    pid: int


class NetworkSimulator:
    """A local network of real nodes with emulated links.

    Args:
        nodes: How many; they are named ``peer1`` to ``peerN``.
        topology: ``ring``, ``line``, ``star``, ``mesh`` or ``random``.
        rate: Messages per second that are submitted, of all nodes together.
        impair: What is wrong with links from the start, as ``qudag lab up --impair`` takes it.
        engine: ``netns``, ``relay``, or ``auto``: the first where this host permits it.
        seed: Of the random topology, and of losses and jitter.
        directory: Where the nodes keep their data; a temporary one by default.
        node_arguments: For every node, for instance ``["--rpc", "tcp://127.0.0.1:0"]``.

    Attributes:
        engine: The one in use.
        nodes: By name.
    """

    def __init__(
        self,
        *,
        nodes: int = 5,
        topology: str = "ring",
        rate: float = 0.0,
        payload_bytes: int = 128,
        impair: Sequence[str] = (),
        engine: str = "auto",
        seed: int = 0,
        directory: Path | None = None,
        node_arguments: Sequence[str] = (),
        start_timeout_s: float = 60.0,
    ) -> None:
        self._arguments = [
            *("--nodes", str(nodes), "--topology", topology, "--rate", f"{rate:g}", "--engine", engine),
            *("--payload", str(payload_bytes), "--seed", str(seed), "--timeout", f"{start_timeout_s:g}"),
            *(word for order in impair for word in ("--impair", order)),
            *(f"--node-arg={argument}" for argument in node_arguments),
        ]
        self._start_timeout_s = start_timeout_s
        self._wanted_directory = directory
        self._directory: LabDirectory | None = None
        self._process: subprocess.Popen[str] | None = None
        self._parent_pipe = -1
        self.engine = ""
        self.nodes: dict[str, SimulatedNode] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Bring the lab up; return once all nodes answer and all links stand.

        Raises:
            LabError: It did not come up; the text is what it said.
        """
        where = ["--dir", str(self._wanted_directory)] if self._wanted_directory else ["--temporary"]
        read_end, self._parent_pipe = os.pipe()
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                python_module("qudag_node.lab", "up", *where, "--parent-fd", str(read_end), *self._arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                pass_fds=[read_end],
                env=child_environment(os.environ),
                start_new_session=True,
            )
            os.close(read_end)
            line = self._first_line(self._process.stdout)
            if not line:
                self.close()
                errors.seek(0)
                said = errors.read().strip().splitlines()
                raise LabError(said[-1] if said else "the lab did not start and said nothing")
        self._take_in(json.loads(line))

    def close(self) -> None:
        """Take the lab down. The second time does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        os.close(self._parent_pipe)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    @property
    def directory(self) -> Path:
        """Where the nodes keep their data."""
        return self._lab.path

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        if self._process is None:
            raise LabError("the lab is not up")
        return self._process.pid

    def call(self, node: str, method: str, params: Mapping[str, object] | None = None) -> Any:
        """Call a method of a node, for instance ``call("peer1", "stats")``.

        Raises:
            LabError: The node answered with an error.
            OSError: It cannot be reached.
        """
        return call_once(self.nodes[node].rpc, method, params, _ANSWER_S)

    def status(self) -> dict[str, Any]:
        """Nodes, links with what is wrong with them and their counters, load."""
        return self._ask({"op": "status"})

    def impair(self, *orders: str) -> dict[str, Any]:
        """Change what is wrong with links: ``impair("peer1-peer2:delay=20ms,loss=1%")``."""
        return self._ask({"op": "impair", "orders": orders})

    def heal(self, *links: str) -> dict[str, Any]:
        """Take everything back that is wrong with these links; with all links, when none is named."""
        return self._ask({"op": "heal", "links": links})

    def kill(self, *nodes: str, signal_number: signal.Signals = signal.SIGKILL) -> dict[str, Any]:
        """Send a signal to nodes."""
        return self._ask({"op": "kill", "nodes": nodes, "signal": int(signal_number)})

    def restart(self, *nodes: str) -> dict[str, Any]:
        """Start nodes again; return once their links stand."""
        answer = self._ask({"op": "restart", "nodes": nodes}, timeout_s=self._start_timeout_s + _ANSWER_S)
        self.nodes.update({node["name"]: SimulatedNode(**node) for node in answer["nodes"]})
        return answer

    def load(self, rate: float) -> dict[str, Any]:
        """Submit this many messages per second from now on."""
        return self._ask({"op": "load", "rate_per_s": rate})

    def quiesce(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Stop the load, wait until nothing is on its way, and compare what neighbours counted."""
        return self._ask({"op": "quiesce", "timeout_s": timeout_s}, timeout_s=timeout_s + _ANSWER_S)

    def _ask(self, order: Mapping[str, Any], *, timeout_s: float = _ANSWER_S) -> dict[str, Any]:
        return control.ask(self._lab, order, timeout_s=timeout_s)

    @property
    def _lab(self) -> LabDirectory:
        if self._directory is None:
            raise LabError("the lab is not up")
        return self._directory

    def _first_line(self, stream: IO[str] | None) -> str:
        """What ``up`` prints; empty if it ended instead, or is not up in time."""
        assert stream is not None  # noqa: S101  # it was asked for
        readable, _, _ = select.select([stream], [], [], self._start_timeout_s + _ANSWER_S)
        return stream.readline() if readable else ""

    def _take_in(self, announcement: Mapping[str, Any]) -> None:
        self.engine = announcement["engine"]
        self.nodes = {node["name"]: SimulatedNode(**node) for node in announcement["nodes"]}
        self._directory = LabDirectory(Path(announcement["dir"]), os.environ)
