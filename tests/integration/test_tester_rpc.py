"""Tests of the network over RPC on real nodes: watchers, owners, crashes, and clients that mean no good."""

from __future__ import annotations

import re
import signal
import socket
import struct
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from qudag_node.wire import parse_address
from qudag_tui.client.connection import Connection, connect
from qudag_tui.errors import QudagError
from tests.integration.nodes import NodeProcess, run, running, wait_until

pytestmark = pytest.mark.integration

# A continuous traceroute goes on until somebody ends it, and sends next to nothing.
ENDLESS: Mapping[str, object] = {
    "type": "traceroute",
    "target": "peer2",
    "options": {"count": 0, "interval_s": 0.5},
}


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """No node of a test ever sees the user's directories."""


@contextmanager
def session(node: NodeProcess) -> Generator[Connection]:
    with connect(parse_address(f"unix:{node.socket}"), timeout_s=60.0) as connection:
        yield connection


@pytest.fixture
def nodes(tmp_path: Path) -> Generator[tuple[NodeProcess, NodeProcess]]:
    """Two neighbours that know each other's names; the first is peer1."""
    with ExitStack() as stack:
        one = stack.enter_context(running(tmp_path / "one", "--name", "peer1"))
        listen = re.search(r"127\.0\.0\.1:\d+", one.ready_line)
        assert listen
        two = stack.enter_context(running(tmp_path / "two", "--name", "peer2", "--peer", listen[0]))
        with session(one) as connection:
            wait_until(lambda: is_ready(connection), 60.0)
        yield one, two


def is_ready(connection: Connection) -> bool:
    """Whether peer2 is linked, known by name, and on the map."""
    try:
        plan = connection.call("test.plan", {"type": "ping", "target": "peer2"})
    except QudagError:
        return False
    return plan["refusal"] is None and plan["target"]["hops"] == 1


def state_of(connection: Connection, test_id: str) -> str:
    return str(connection.call("test.show", {"test_id": test_id})["state"])


def events_until(connection: Connection, wanted: str) -> list[dict[str, Any]]:
    """Take notifications until an event of a kind has come."""
    events: list[dict[str, Any]] = []
    for method, params in connection.notifications(timeout_s=60.0):
        assert method == "test"
        events += params["events"]
        if any(event["event"] == wanted for event in events):
            break
    return events


def test_one_starts_another_watches_and_a_third_finds_the_result(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    with session(nodes[0]) as one, session(nodes[0]) as other:
        started = one.call("test.start", {"type": "ping", "target": "peer2", "options": {"count": 5}})
        test_id = started["test_id"]
        other.call("test.subscribe", {"test_id": test_id})
        events = events_until(other, "result")

        document = events[-1]["result"]
        assert (document["test_id"], document["success"], document["stored"]) == (test_id, True, True)
        assert document["method"] == "stamp-udp"
        assert document["received"] == 5
    with session(nodes[0]) as third:
        assert third.call("test.show", {"test_id": test_id}) == {"state": "done", "result": document}
        assert [test["test_id"] for test in third.call("test.list", {})["tests"]] == [test_id]


def test_a_test_outlives_its_client_unless_it_was_asked_not_to(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    with session(nodes[0]) as stays:
        with session(nodes[0]) as leaves:
            outlives = leaves.call("test.start", ENDLESS)["test_id"]
            ends = leaves.call("test.start", {**ENDLESS, "cancel_on_disconnect": True})["test_id"]
            wait_until(lambda: {state_of(stays, test) for test in (outlives, ends)} == {"running"}, 60.0)
        wait_until(lambda: state_of(stays, ends) == "cancelled", 60.0)
        assert stays.call("test.show", {"test_id": ends})["result"]["interrupted"] is True
        assert state_of(stays, outlives) == "running"
        stays.call("test.cancel", {"test_id": outlives})
        wait_until(lambda: state_of(stays, outlives) == "cancelled", 60.0)


def test_a_node_that_is_stopped_tells_who_watches_and_keeps_what_it_has(
    nodes: tuple[NodeProcess, NodeProcess], tmp_path: Path
) -> None:
    one = nodes[0]
    with session(one) as connection:
        test_id = connection.call("test.start", ENDLESS)["test_id"]
        connection.call("test.subscribe", {"test_id": test_id})
        events_until(connection, "progress")
        one.process.send_signal(signal.SIGTERM)
        events = events_until(connection, "result")
        assert [event["state"] for event in events if event["event"] == "state"][-1] == "cancelled"
        assert events[-1]["result"]["interrupted"] is True
    assert one.process.wait(30) == 0
    assert not any(path.name.startswith("history.sqlite-") for path in (tmp_path / "one").iterdir())
    with running(tmp_path / "one", "--name", "peer1") as again, session(again) as connection:
        shown = connection.call("test.show", {"test_id": test_id})
        assert (shown["state"], shown["result"]["interrupted"]) == ("cancelled", True)


def test_a_node_that_is_killed_has_every_result_it_told_of(
    nodes: tuple[NodeProcess, NodeProcess], tmp_path: Path
) -> None:
    one = nodes[0]
    with session(one) as connection:
        test_id = connection.call("test.start", {"type": "routing", "options": {"count": 1}})["test_id"]
        connection.call("test.subscribe", {"test_id": test_id})
        document = events_until(connection, "result")[-1]["result"]
        connection.call("test.start", ENDLESS)
    one.process.kill()
    one.process.wait(30)
    with running(tmp_path / "one", "--name", "peer1") as again, session(again) as connection:
        assert connection.call("test.show", {"test_id": test_id})["result"] == document
        assert [test["test_id"] for test in connection.call("test.list", {})["tests"]] == [test_id]


def test_a_client_that_starts_a_thousand_tests_and_watches_nonsense_holds_nobody_up(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    with session(nodes[0]) as calm:
        refusals: set[str] = set()
        with session(nodes[0]) as greedy:
            for _ in range(1000):
                try:
                    greedy.call("test.start", {**ENDLESS, "cancel_on_disconnect": True})
                except QudagError as exc:
                    refusals.add(str(exc))
            for number in range(200):
                with pytest.raises(QudagError):
                    greedy.call("test.subscribe", {"test_id": f"nonsense{number}"})
            states = [test["state"] for test in calm.call("test.list", {"limit": 1000})["tests"]]
            assert (states.count("running"), states.count("queued")) == (8, 64)
            assert all("wait for their turn already" in text for text in refusals)
            assert refusals
            assert calm.call("stats", {"sections": ["node"]})
        wait_until(lambda: not {"queued", "running"} & listed_states(calm), 60.0)
        test_id = calm.call("test.start", {"type": "routing", "options": {"count": 1}})["test_id"]
        wait_until(lambda: state_of(calm, test_id) == "done", 60.0)


def listed_states(connection: Connection) -> set[object]:
    return {test["state"] for test in connection.call("test.list", {"limit": 1000})["tests"]}


def test_a_peer_that_takes_no_part_declines_with_its_reason(tmp_path: Path) -> None:
    with running(tmp_path / "one", "--name", "peer1") as one:
        listen = re.search(r"127\.0\.0\.1:\d+", one.ready_line)
        assert listen
        flags = ("--name", "peer2", "--peer", listen[0], "--set", "tests.enabled=false")
        with running(tmp_path / "two", *flags), session(one) as connection:
            wait_until(lambda: is_ready(connection), 60.0)
            test_id = connection.call("test.start", {"type": "ping", "target": "peer2"})["test_id"]
            wait_until(lambda: state_of(connection, test_id) == "done", 60.0)
            document = connection.call("test.show", {"test_id": test_id})["result"]
            assert document["success"] is False
            assert document["declined"]
            assert document["verdict"] == f"peer2 declined: {document['declined']}"


def test_a_node_answers_the_stamp_packets_of_everybody_when_it_is_told_to(tmp_path: Path) -> None:
    with running(tmp_path / "one", "--stamp", "127.0.0.1:0") as one, session(one) as connection:
        address = connection.call("status")["stamp"]
        assert f"stamp on udp {address}" in one.ready_line
        host, _, port = address.rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(30.0)
            # RFC 8762, section 4.2.1: sequence number, timestamp, error estimate, 30 octets of zero.
            request = struct.pack("!IQH30x", 7, 0x1234_5678_9ABC_DEF0, 0x0101)
            sender.sendto(request, (host, int(port)))
            reply = sender.recv(2048)
        assert len(reply) == len(request) == 44
        # Section 4.3.1: the sender's number, time and error estimate come back from octet 24 on.
        assert struct.unpack_from("!IQH", reply, 24) == (7, 0x1234_5678_9ABC_DEF0, 0x0101)


def test_a_stamp_address_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        words = ("start", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0")
        failed = run(*words, "--stamp", f"127.0.0.1:{port}")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in failed.stderr
