"""The supervisor's side of the process that is the links: start it, impair, ask the truth."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qudag_node.lab.engine import direction_of
from qudag_node.lab.errors import EngineUnavailableError, LabError
from qudag_node.lab.impairment import Impairment
from qudag_node.lab.linux import CLONE_NEWNET, CLONE_NEWUSER, setns
from qudag_node.lab.processes import child_environment, python_module
from qudag_node.lab.topology import Direction, Link, NodeName

__all__ = ["ENGINES", "LinkProcess", "Network", "start_links"]

ENGINES = ("netns", "relay")

_WIRING_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 3.0
#: Namespaces of 200 nodes, and the user's.
_MAX_DESCRIPTORS = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is to be emulated."""

    nodes: tuple[NodeName, ...]
    links: tuple[Link, ...]
    impairments: Mapping[Direction, Impairment] = field(default_factory=dict)
    seed: int = 0


class LinkProcess:
    """The running links of one lab.

    Attributes:
        engine: ``netns`` or ``relay``.
        listen_by_node: Where each node listens.
        dial: Where the source of a direction finds its target.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: socket.socket,
        engine: str,
        wiring: Mapping[str, Any],
        descriptors: Sequence[int],
    ) -> None:
        self.engine = engine
        self.process = process
        self.listen_by_node: dict[NodeName, str] = {
            NodeName(node): f"{host}:{port}" for node, (host, port) in wiring["listen"].items()
        }
        self.dial: dict[Direction, str] = {
            direction_of(name): f"{host}:{port}" for name, (host, port) in wiring["dial"].items()
        }
        first = 1 if wiring["user_namespace"] else 0
        self._user_fd = descriptors[0] if first else None
        self._net_fd_by_node = dict(zip(wiring["namespaces"], descriptors[first:], strict=True))
        self._channel = channel
        self._lock = asyncio.Lock()

    def entrance(self, node: NodeName) -> Callable[[], None] | None:
        """What a new process must call to be in the node's namespace; None where it has none."""
        net_fd = self._net_fd_by_node.get(node)
        if net_fd is None:
            return None
        user_fd = self._user_fd

        def enter() -> None:
            if user_fd is not None:
                setns(user_fd, CLONE_NEWUSER)
            setns(net_fd, CLONE_NEWNET)

        return enter

    async def impair(self, impairments: Mapping[Direction, Impairment]) -> None:
        """Change what the named directions do.

        Raises:
            LabError: The process of the links is gone.
        """
        named = {str(direction): impairment.to_json() for direction, impairment in impairments.items()}
        await self._ask({"op": "impair", "impairments": named})

    async def truth(self) -> dict[str, Any]:
        """The counters of every direction, and whether the links run at real-time priority.

        Raises:
            LabError: The process of the links is gone.
        """
        return await self._ask({"op": "truth"})

    async def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        async with self._lock:
            try:
                async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                    line = await self._exchange(json.dumps(order).encode() + b"\n")
            except (OSError, TimeoutError) as error:
                raise LabError("the process of the links does not answer; see the lab's log") from error
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _exchange(self, line: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._channel, line)
        answer = b""
        while not answer.endswith(b"\n"):
            more = await loop.sock_recv(self._channel, 1 << 20)
            if not more:
                raise ConnectionResetError("it ended")
            answer += more
        return answer

    def close(self) -> None:
        """End the process, and with it the network. The second time does nothing."""
        with contextlib.suppress(OSError):  # it is gone already, or too far behind to be asked
            self._channel.send(b'{"op":"end"}\n')
        self._channel.close()
        for descriptor in (self._user_fd, *self._net_fd_by_node.values()):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._net_fd_by_node.clear()
        self._user_fd = None
        try:
            self.process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_links(engine: str, network: Network, environ: Mapping[str, str]) -> LinkProcess:
    """Start the process of the links and wait until the network stands.

    Raises:
        EngineUnavailableError: This host cannot run the engine.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            python_module("qudag_node.lab.engine", str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=child_environment(environ),
            start_new_session=True,
        )
    order = {
        "engine": engine,
        "nodes": network.nodes,
        "links": [(link.a, link.b) for link in network.links],
        "impairments": {str(d): impairment.to_json() for d, impairment in network.impairments.items()},
        "seed": network.seed,
    }
    try:
        ours.settimeout(_WIRING_TIMEOUT_S)
        ours.sendall(json.dumps(order).encode() + b"\n")
        wiring, descriptors = _receive_wiring(ours)
    except BaseException as error:
        ours.close()
        process.kill()
        process.wait()
        if isinstance(error, OSError):
            raise EngineUnavailableError(f"engine {engine}: its process did not start: {error}") from error
        raise
    if "error" in wiring:
        ours.close()
        process.wait()
        raise EngineUnavailableError(wiring["error"])
    ours.setblocking(False)
    return LinkProcess(process, ours, engine, wiring, descriptors)


def _receive_wiring(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    received, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, _MAX_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    while not received.endswith(b"\n"):
        more = channel.recv(1 << 16)
        if not more:
            raise ConnectionResetError("it ended")
        received += more
    wiring: dict[str, Any] = json.loads(received)
    return wiring, descriptors
