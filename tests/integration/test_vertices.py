"""A thousand vertices a second through five node processes: each reaches everybody, none is lost."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from qudag_node.wire.addresses import UnixAddress
from qudag_tui.client.connection import Connection, connect
from tests.integration.nodes import running, wait_until

pytestmark = pytest.mark.integration

NODES = 5
BATCH = 20
INTERVAL_S = 0.1  # of a batch at each node: 1,000 vertices a second in all
ROUNDS = 30
PATIENCE_S = 60.0


@pytest.fixture
def chain(tmp_path: Path, home: Path) -> Generator[list[Connection]]:
    """A client of each of five nodes in a line."""
    with ExitStack() as stack:
        connections: list[Connection] = []
        dial: list[str] = []
        for number in range(1, NODES + 1):
            name = ("--name", f"peer{number}", "--no-discovery")
            node = stack.enter_context(running(tmp_path / str(number), *name, *dial))
            address = UnixAddress(str(node.socket))
            connections.append(stack.enter_context(connect(address, timeout_s=PATIENCE_S)))
            status = connections[-1].call("status")
            dial = ["--peer", f"{status['node']['id']}@{status['listen'][0]}"]
        for number, connection in enumerate(connections):
            links = 1 if number in {0, NODES - 1} else 2
            wait_until(lambda c=connection, n=links: c.call("status")["peers"] >= n, PATIENCE_S)
        yield connections


def submit(node: Connection, payloads: list[bytes]) -> None:
    """Submit all of them; a node that is congested takes the rest later."""
    while payloads:
        taken = node.call("submit", {"payloads": payloads})["accepted"]
        payloads = payloads[taken:]
        if payloads:
            time.sleep(0.01)


def test_a_thousand_vertices_a_second_reach_all_of_five_nodes(chain: list[Connection]) -> None:
    due_s = time.monotonic()
    for number in range(ROUNDS):
        for source, node in enumerate(chain):
            submit(node, [b"%d/%d/%d" % (source, number, each) + bytes(100) for each in range(BATCH)])
        # A machine that is too slow for the pace takes longer; the loss is what is asserted.
        now_s = time.monotonic()
        due_s = max(due_s + INTERVAL_S, now_s)
        time.sleep(due_s - now_s)
    total = ROUNDS * NODES * BATCH
    wait_until(lambda: all(accepted(node) >= total for node in chain), PATIENCE_S)
    for node in chain:
        messages: Any = node.call("stats")["messages"]
        assert (accepted(node), messages["dropped_by_cause"]) == (total, {})


def accepted(node: Connection) -> int:
    document: Any = node.call("stats")
    return int(document["performance"]["vertices_accepted"])
