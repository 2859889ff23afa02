"""What a real node answers is what docs/wire-format.md says, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from qudag_node.wire import METHODS, parse_address
from qudag_tui.client.connection import Connection, connect
from tests.integration.nodes import running, wait_until
from tests.qudag_node.wire.test_documentation import sections

pytestmark = pytest.mark.integration

DOCUMENTED = sections("Methods")


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """No node of a test ever sees the user's directories."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Connection]:
    """A session of an administrator with a node that has a neighbour."""
    with running(tmp_path / "one", "--name", "peer1") as one:
        listen = re.search(r"127\.0\.0\.1:\d+", one.ready_line)
        assert listen
        with (
            running(tmp_path / "two", "--name", "peer2", "--peer", listen[0]),
            connect(parse_address(f"unix:{one.socket}")) as connection,
        ):
            wait_until(lambda: connection.call("status", {})["peers"] == 1)
            wait_until(
                lambda: "peer2" in {link["name"] for link in connection.call("connections", {})["links"]}
            )
            yield connection


def documented_results(method: str) -> list[str]:
    """The names in the table of results."""
    _, header, table = DOCUMENTED[method].partition("| result |")
    names = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE) if header else []
    return [name for cell in names for name in re.findall(r"`([^`]+)`", cell)]


def keys_of(value: object) -> Iterator[str]:
    """Every key of maps inside a value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


CALLS: dict[str, dict[str, Any]] = {
    "peers": {},
    "peer": {"peer": "peer2"},
    "connections": {},
    "topology": {},
    "history": {"series": ["messages.sent", "latency.links.p99"]},
    "log": {"lines": 5, "level": "info"},
    "events": {"since": 0},
    "status": {},
    "config": {},
    "submit": {"payloads": [b"hello"]},
    "subscribe": {"topic": "log"},
    "test.plan": {"type": "ping", "target": "peer2", "options": {}},
    "test.start": {"type": "connectivity", "target": "peer2", "options": {"timeout_s": 0.5}},
    "test.list": {"limit": 5},
    "peer.alias": {"peer": "peer2", "alias": "neighbour"},
    "peer.add": {"address": "127.0.0.1:1"},
    "peer.remove": {"peer": "127.0.0.1:1"},
    "peer.ban": {"peer": "192.0.2.1", "duration_s": 60.0, "reason": "a test"},
    "peer.unban": {"peer": "192.0.2.1"},
    "token.list": {},
    "token.add": {"name": "watcher", "role": "viewer"},
    "token.revoke": {"name": "watcher"},
}


def test_every_answer_has_the_documented_fields_and_no_other(node: Connection) -> None:
    for method, params in CALLS.items():
        answer = node.call(method, params)
        expected = set(documented_results(method))
        assert set(answer) == expected, method


NESTED = ("connections", "topology", "events", "token.list", "status", "test.list")


def test_the_fields_inside_are_documented_too(node: Connection) -> None:
    node.call("peer.ban", {"peer": "192.0.2.1", "reason": "a test"})
    node.call("peer.add", {"address": "127.0.0.1:1"})
    node.call("token.add", {"name": "watcher", "role": "viewer"})
    for method in NESTED:
        text = DOCUMENTED[method] + (DOCUMENTED["hello"] if method == "status" else "")
        for key in keys_of(node.call(method, {})):
            assert f"`{key}`" in text, f"{method}: {key}"


def test_every_method_is_called_here_or_tested_elsewhere() -> None:
    elsewhere = {"hello", "authenticate", "stats", "unsubscribe", "shutdown", "lab.hold"}
    elsewhere |= {"test.show", "test.cancel", "test.subscribe"}
    assert set(METHODS) - set(CALLS) == elsewhere
