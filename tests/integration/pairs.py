"""Two real nodes at the ends of a wire, and what they find when they are asked over the RPC."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qudag_node.errors import NodeError
from qudag_node.lab.rpc import call_once
from tests.integration.nodes import NodeProcess
from tests.netns import Namespace

__all__ = ["NoResultError", "Node", "connected", "node", "pair_of", "run_test"]

_ENDED = {"done", "cancelled", "failed"}
_TIMEOUT_S = 30.0
_MAX_TEST_S = 180.0
PORT = 4001


class NoResultError(Exception):
    """A test of ours gave no result; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Node:
    """A running node."""

    name: str
    pid: int
    rpc: str
    address: str

    def call(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """Ask it over its RPC."""
        return call_once(self.rpc, method, params, _TIMEOUT_S)


@contextmanager
def node(namespace: Namespace, name: str, *flags: str, host: str = "", port: int = PORT) -> Generator[Node]:
    """A node inside a namespace, with a directory of its own."""
    address = f"{host or namespace.address}:{port}"
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        process = NodeProcess(data, "--name", name, "--listen", address, *flags, preexec_fn=namespace.enter)
        try:
            process.wait_ready()
            yield Node(name, process.process.pid, f"unix:{process.socket}", address)
        finally:
            process.end()


@contextmanager
def pair_of(a: Namespace, b: Namespace, *flags: str) -> Generator[tuple[Node, Node]]:
    """Node ``a`` in one namespace, linked to node ``b`` in the other."""
    with node(b, "b", *flags) as far, node(a, "a", *flags, "--peer", far.address) as near:
        connected(near, "b")
        yield near, far


def connected(asked: Node, peer: str) -> None:
    """Wait until the link to a neighbour stands."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline_s:
        links = asked.call("connections")["links"]
        if any(link["name"] == peer and link["state"] == "connected" for link in links):
            return
        time.sleep(0.05)
    raise NoResultError(f"{asked.name} is not linked to {peer}")


def run_test(
    asked: Node, kind: str, target: str, *, poll_s: float = 0.1, **options: object
) -> dict[str, Any]:
    """Run one network test to its end, asking for it every ``poll_s``.

    Raises:
        NoResultError: It was refused, or failed.
    """
    try:
        started = asked.call("test.start", {"type": kind, "target": target, "options": options})
        result = _ended(asked, started["test_id"], poll_s)
    except (NodeError, OSError) as error:
        raise NoResultError(f"{kind}: {error}") from error
    if not result["success"]:
        raise NoResultError(f"{kind}: {result['verdict']} {'; '.join(result['errors'])}")
    return result


def _ended(asked: Node, test_id: str, poll_s: float) -> dict[str, Any]:
    deadline_s = time.monotonic() + _MAX_TEST_S
    while time.monotonic() < deadline_s:
        listed = asked.call("test.list", {"limit": 20})["tests"]
        if any(test["test_id"] == test_id and test["state"] in _ENDED for test in listed):
            result: dict[str, Any] = asked.call("test.show", {"test_id": test_id})["result"]
            return result
        time.sleep(poll_s)
    raise NoResultError(f"test {test_id} did not end")
