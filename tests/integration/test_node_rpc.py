"""Two linked node processes, asked everything there is, over every transport."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qudag_node.wire.addresses import parse_address
from qudag_node.wire.auth import read_token
from qudag_node.wire.columns import unpack_column
from qudag_node.wire.stats import StatsMirror, to_json
from qudag_tui.client.connection import Connection, connect
from qudag_tui.errors import QudagError, UsageError
from tests.conftest import REPO
from tests.integration.nodes import NodeProcess, running, wait_until
from tests.needs import need

pytestmark = pytest.mark.integration

TRANSPORTS = ("unix", "tcp", "tls")
RPC = ("--rpc", "tcp://127.0.0.1:0", "--rpc", "tls://127.0.0.1:0", "--no-discovery")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[NodeProcess, NodeProcess]]:
    """Two nodes with a link; peer2 dialled."""
    base = tmp_path_factory.mktemp("pair")
    environ = {name: str(base) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
    with running(base / "1", "--name", "peer1", *RPC, environ=environ) as first:
        dial = f"{first.ready_line.split()[1]}@{link_address(first)}"
        with running(base / "2", "--name", "peer2", "--peer", dial, *RPC, environ=environ) as second:
            with connected(first, "unix") as node:
                wait_until(lambda: node.call("status")["peers"] == 1)
                wait_until(lambda: node.call("stats")["latency"]["links"]["samples"] > 0)
            yield first, second


def link_address(node: NodeProcess) -> str:
    words = node.ready_line.split()
    return words[words.index("links") + 2].rstrip(";")


@contextmanager
def connected(node: NodeProcess, transport: str) -> Generator[Connection]:
    """A client of a node; on tcp and tls with the cookie."""
    words = (word.rstrip(",") for word in node.ready_line.split())
    address = next(parse_address(word) for word in words if word.startswith(f"{transport}:"))
    token = None if transport == "unix" else read_token((node.directory / "rpc.cookie").read_text())
    with connect(address, token=token, timeout_s=20) as connection:
        yield connection


@pytest.fixture(params=TRANSPORTS)
def node1(request: pytest.FixtureRequest, pair: tuple[NodeProcess, NodeProcess]) -> Generator[Connection]:
    """A client of peer1, over each transport in turn."""
    with connected(pair[0], request.param) as connection:
        yield connection


def test_hello_says_who_answers(node1: Connection, pair: tuple[NodeProcess, NodeProcess]) -> None:
    node: Any = node1.hello["node"]
    assert node["id"] == pair[0].ready_line.split()[1]
    assert (node["name"], node["network"], node1.hello["role"]) == ("peer1", "qudag", "admin")


def test_statistics_are_what_the_schema_says(node1: Connection) -> None:
    document = to_json(node1.call("stats"))
    schema = json.loads((REPO / "docs" / "stats-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), schema)
    figures: Any = document
    assert figures["connections"]["active"] == figures["connections"]["in"] == 1
    (peer,) = figures["peers"]
    assert (peer["name"], peer["state"], peer["direction"], peer["hops"]) == ("peer2", "connected", "in", 1)
    assert peer["rtt_p50_s"] > 0
    messages = figures["messages"]
    assert messages["received"] == sum(
        messages[name] for name in ("processed", "failed", "dropped_in", "queued_in")
    )


def test_status_tells_where_everything_is(node1: Connection, pair: tuple[NodeProcess, NodeProcess]) -> None:
    status = node1.call("status")
    assert status["schema"] == "qudag.status/1"
    assert (status["pid"], status["data_dir"]) == (pair[0].process.pid, str(pair[0].directory))
    assert status["listen"] == [link_address(pair[0])]
    assert [address.partition(":")[0] for address in status["rpc"]] == ["unix", "tcp", "tls"]


def test_a_peer_is_found_by_name_and_by_the_beginning_of_its_id(
    node1: Connection, pair: tuple[NodeProcess, NodeProcess]
) -> None:
    identity = pair[1].ready_line.split()[1]
    for name in ("peer2", identity, identity[:20]):
        answer = node1.call("peer", {"peer": name})
        assert answer["row"]["id"] == identity
        assert answer["path"] == [pair[0].ready_line.split()[1], identity]
        assert answer["by_type"]["hello"]["received"] == 1
        assert answer["by_type"]["ping"]["sent"] > 0
        assert "link-up" in {event["kind"] for event in answer["events"]}
        if sys.platform == "linux":
            assert answer["tcp"]["rtt_s"] > 0
            assert answer["tcp_info"] == "path"


def test_links_bans_and_the_map(node1: Connection, pair: tuple[NodeProcess, NodeProcess]) -> None:
    first, second = (node.ready_line.split()[1] for node in pair)
    (link,) = node1.call("connections")["links"]
    assert (link["peer"], link["state"], link["direction"]) == (second, "connected", "in")
    assert link["since_unix_s"] <= time.time()
    topology = node1.call("topology")
    assert {node["id"]: node["hops"] for node in topology["nodes"]} == {first: 0, second: 1}
    assert [(link["a"], link["b"], link["up"]) for link in topology["links"]] == [
        (*sorted((first, second)), True)
    ]


def test_history_has_a_point_for_every_second(node1: Connection) -> None:
    wait_until(lambda: node1.call("status")["uptime_s"] > 3)
    names: Any = node1.call("history")["names"]
    assert "messages.sent" in names
    answer = node1.call("history", {"series": ["messages.sent", "connections.active"], "step_s": 1})
    assert answer["schema"] == "qudag.history/1"
    links: Any = unpack_column(answer["series"]["connections.active"])
    sent: Any = [value for value in unpack_column(answer["series"]["messages.sent"]) if not math.isnan(value)]
    assert links[-1] == 1.0
    assert sent == sorted(sent)
    with pytest.raises(UsageError, match=r"no\.such"):
        node1.call("history", {"series": ["no.such"]})


def test_events_and_the_log_tell_of_the_link(node1: Connection) -> None:
    events = node1.call("events", {"since": 0})["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "link-up" in {event["kind"] for event in events}
    assert node1.call("events", {"since": len(events)})["events"] == []
    lines = node1.call("log", {"lines": 100, "level": "info"})["lines"]
    assert any("link-up" in line for line in lines)
    assert node1.call("log", {"lines": 100, "level": "error"})["lines"] == []


def test_settings_are_told_with_their_sources(node1: Connection) -> None:
    answer = node1.call("config")
    assert answer["config"]["node"]["name"] == "peer1"
    assert answer["config"]["overlay"]["max_links"] == 128
    assert answer["sources"]["node.name"] == "--name"
    assert "overlay.max_links" not in answer["sources"]


def test_changes_lead_to_what_a_query_tells(node1: Connection, pair: tuple[NodeProcess, NodeProcess]) -> None:
    """Full frame and deltas, applied, give the sections and rows of a document made at once."""
    mirror = StatsMirror()
    node1.call("subscribe", {"topic": "stats", "interval_s": 0.2})
    with connected(pair[1], "unix") as second:
        second.call("submit", {"payloads": [b"x" * 50] * 20})
    deltas = 0
    for method, params in node1.notifications(timeout_s=20):
        if method == "stats.full":
            mirror.full(params)
        else:
            mirror.delta(params)
            deltas += 1
        accepted: Any = mirror.document["performance"]
        if deltas >= 5 and accepted["vertices_accepted"] >= 20:
            break
    shown: Any = mirror.to_json()
    asked: Any = to_json(node1.call("stats"))
    assert list(shown) == list(asked)
    assert shown["node"]["id"] == asked["node"]["id"]
    assert set(shown["peers"][0]) == set(asked["peers"][0])
    assert shown["peers"][0]["messages_received"] <= asked["peers"][0]["messages_received"]


def test_what_one_submits_the_other_has_and_both_count_the_same(
    node1: Connection, pair: tuple[NodeProcess, NodeProcess]
) -> None:
    with connected(pair[1], "unix") as second:
        before = data_received(second)
        assert node1.call("submit", {"payloads": [bytes([n]) * 40 for n in range(100)]}) == {"accepted": 100}
        wait_until(lambda: data_received(second) - before == 100)
        wait_until(lambda: data_sent(node1) == data_received(second))


def data_sent(node: Connection) -> int:
    return int(node.call("peer", {"peer": "peer2"})["by_type"]["data"]["sent"])


def data_received(node: Connection) -> int:
    return int(node.call("peer", {"peer": "peer1"})["by_type"]["data"]["received"])


def test_an_administrator_names_bans_and_welcomes_a_peer(node1: Connection) -> None:
    node1.call("peer.alias", {"peer": "peer2", "alias": "bob"})
    assert node1.call("peer", {"peer": "bob"})["aliases"] == ["bob"]
    node1.call("peer.alias", {"peer": "bob", "alias": ""})
    node1.call("peer.ban", {"peer": "192.0.2.99", "duration_s": 60, "reason": "test"})
    (ban,) = node1.call("connections")["bans"]
    assert (ban["address"], ban["reason"]) == ("192.0.2.99", "test")
    assert ban["until_unix_s"] > time.time()
    node1.call("peer.unban", {"peer": "192.0.2.99"})
    assert node1.call("connections")["bans"] == []


def test_an_administrator_adds_and_removes_a_peer(node1: Connection) -> None:
    assert node1.call("peer.add", {"address": "127.0.0.1:9"}) == {"added": True}
    assert node1.call("peer.add", {"address": "127.0.0.1:9"}) == {"added": False}
    wait_until(lambda: node1.call("connections")["dials"][0]["state"] == "backoff")
    (dial,) = node1.call("connections")["dials"]
    assert (dial["address"], dial["peer"]) == ("127.0.0.1:9", None)
    assert dial["attempts"] >= 1
    assert "refused" in dial["last_error"].lower()
    node1.call("peer.remove", {"peer": "127.0.0.1:9"})
    assert node1.call("connections")["dials"] == []
    with pytest.raises(UsageError, match="nonsense"):
        node1.call("peer.add", {"address": "nonsense"})


@pytest.mark.parametrize(
    ("method", "params", "exit_code", "words"),
    [
        ("peer", {"peer": "nobody"}, 2, "nobody"),
        ("peer.unban", {"peer": "nobody"}, 2, "nobody"),
        ("submit", {"payloads": [bytes(20_000)]}, 2, "16"),
        ("lab.hold", {"held": True}, 4, "lab"),
        ("token.revoke", {"name": "nobody"}, 2, "nobody"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    node1: Connection, method: str, params: Mapping[str, object], exit_code: int, words: str
) -> None:
    with pytest.raises(QudagError, match=words) as caught:
        node1.call(method, params)
    assert caught.value.exit_code == exit_code
    assert str(caught.value).count("qudag peer list") == method.startswith("peer")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_shutdown_ends_the_process_with_0(tmp_path: Path, home: Path, transport: str) -> None:
    with running(tmp_path / "d", *RPC) as node:
        with connected(node, transport) as connection:
            assert connection.call("shutdown") == {}
        assert node.finish()[0] == 0


def test_tokens_survive_a_kill(tmp_path: Path, home: Path) -> None:
    with running(tmp_path / "d", *RPC) as node:
        with connected(node, "unix") as connection:
            secret = connection.call("token.add", {"name": "ci", "role": "viewer"})["token"]
        node.process.kill()
        node.process.wait()
    with running(tmp_path / "d", *RPC) as node:
        words = (word.rstrip(",") for word in node.ready_line.split())
        address = next(parse_address(word) for word in words if word.startswith("tls:"))
        with connect(address, token=read_token(secret), timeout_s=20) as connection:
            assert connection.hello["role"] == "viewer"


@pytest.mark.parametrize("group", ["primary", "supplementary", ""], ids=lambda kind: kind or "a stranger")
def test_another_user_of_the_host_reads_or_is_refused(group: str) -> None:
    script = """
import os, sys
sys.path.insert(0, sys.argv[2])
from qudag_node.wire import UnixAddress
from qudag_tui.client.connection import connect
from qudag_tui.errors import RefusedError
os.setgroups([]); os.setgid(54321); os.setuid(54321)
try:
    with connect(UnixAddress(sys.argv[1]), timeout_s=20) as connection:
        print(connection.hello["role"])
        try:
            connection.call("shutdown")
        except RefusedError as error:
            print(error.exit_code)
except Exception as error:
    print(type(error).__name__)
"""
    import grp
    import tempfile

    # Only root can become somebody else.
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    can_change = not as_root or (
        shutil.which("sudo") is not None
        and not subprocess.run([*as_root, "true"], capture_output=True).returncode
    )
    need(can_change, "a way to become another user (root, or sudo without a password)")
    flags = []
    if group:
        # A socket can be given to any group by root, and by others to a group of theirs.
        known = grp.getgrall() if not as_root else [grp.getgrgid(number) for number in os.getgroups()]
        chosen = next(each for each in known if each.gr_gid != 0)
        flags = ["--set", f"rpc.viewer_group={chosen.gr_name}"]
        if group == "primary":
            script = script.replace("os.setgid(54321)", f"os.setgid({chosen.gr_gid})")
        else:
            script = script.replace("os.setgroups([])", f"os.setgroups([{chosen.gr_gid}])")
    with tempfile.TemporaryDirectory(prefix="q") as name:
        Path(name).chmod(0o711)
        with running(Path(name) / "d", *flags, environ={"XDG_RUNTIME_DIR": name}) as node:
            said = subprocess.run(
                [*as_root, sys.executable, "-c", script, str(node.socket), str(REPO)],
                capture_output=True,
                text=True,
                cwd=REPO,
                timeout=60,
            )
            assert node.stop() == 0
    if group:
        assert said.stdout.split() == ["viewer", "4"], said.stderr
    else:
        # The directory lets nobody pass; the socket's own check is for who gets that far.
        assert said.stdout.strip() in {"PermissionError", "RefusedError", "UnreachableError"}, said.stderr
