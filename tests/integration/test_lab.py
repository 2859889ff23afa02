"""Labs of real nodes, over both engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qudag_node.lab.errors import LabError
from qudag_node.lab.impairment import UDP_LOSS_ONLY
from qudag_node.lab.linux import CLONE_NEWUSER
from qudag_node.lab.processes import child_environment, python_module
from qudag_node.lab.simulator import NetworkSimulator
from tests.needs import need
from tests.qudag_node.lab.engines import skip_unless_it_runs

# More than the patience of every wait of a test together.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ENGINES = pytest.mark.parametrize("engine", ["netns", "relay"])
#: Far above what anything takes; only a hang reaches it, or a machine with much else to do.
PATIENCE_S = 60.0


@pytest.fixture(params=["netns", "relay"])
def ring(request: pytest.FixtureRequest, home: Path) -> Iterator[NetworkSimulator]:
    """Three nodes in a ring, with traffic."""
    skip_unless_it_runs(request.param)
    with NetworkSimulator(
        nodes=3, topology="ring", rate=50, engine=request.param, directory=home / "lab"
    ) as lab:
        yield lab


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def lab_command(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python_module("qudag_node.lab", *words), "--dir", str(home / "lab")],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        env=child_environment(os.environ),
    )


def by_type(lab: NetworkSimulator, node: str, peer: str) -> dict[str, Any]:
    answer: dict[str, Any] = lab.call(node, "peer", {"peer": lab.nodes[peer].id})["by_type"]
    return answer


def test_all_nodes_answer_and_all_links_stand(ring: NetworkSimulator) -> None:
    assert list(ring.nodes) == ["peer1", "peer2", "peer3"]
    for name, node in ring.nodes.items():
        status = ring.call(name, "status")
        assert (status["node"]["id"], status["node"]["name"], status["pid"]) == (node.id, name, node.pid)
        connected = {link["peer"] for link in ring.call(name, "connections")["links"]}
        assert connected == {other.id for other in ring.nodes.values()} - {node.id}
    status = ring.status()
    assert status["engine"] == ring.engine
    assert [node["state"] for node in status["nodes"]] == ["running"] * 3


def test_after_quiesce_what_was_sent_is_what_was_received(ring: NetworkSimulator) -> None:
    wait_until(lambda: ring.status()["load"]["accepted"] >= 50)
    report = ring.quiesce()
    assert report["settled"], report
    assert report["load"]["refused"] == report["load"]["skipped"] == 0
    assert len(report["links"]) == 6
    for link in report["links"]:
        assert link["verdict"] == "equal", link
        for kind, counts in link["by_type"].items():
            assert counts["sent"] == counts["received"], (link, kind)
        assert link["by_type"]["data"]["sent"]["messages"] > 0
    # Nothing moves on: the nodes themselves say the same afterwards.
    for sender, receiver in (("peer1", "peer2"), ("peer3", "peer1")):
        sent, received = by_type(ring, sender, receiver), by_type(ring, receiver, sender)
        assert sent["data"]["sent"] == received["data"]["received"]
        assert sent["data"]["sent_bytes"] == received["data"]["received_bytes"]
    accepted = report["load"]["accepted"]
    for name in ring.nodes:
        assert ring.call(name, "stats")["performance"]["vertices_accepted"] == accepted


def test_load_goes_on_after_quiesce_when_asked(ring: NetworkSimulator) -> None:
    before = ring.quiesce()["load"]["accepted"]
    ring.load(100)
    wait_until(lambda: ring.status()["load"]["accepted"] > before)


def test_a_slow_link_is_seen_by_both_its_ends(ring: NetworkSimulator) -> None:
    ring.impair("peer1-peer2:delay=60ms,jitter=2ms")

    def figure_s(node: str, peer: str, name: str) -> float:
        # The row is nil until the node's next tick has seen the peer.
        row = ring.call(node, "peer", {"peer": ring.nodes[peer].id})["row"] or {}
        return float(row.get(name) or 0.0)

    def rtt_s(node: str, peer: str) -> float:
        return figure_s(node, peer, "rtt_last_s")

    wait_until(lambda: rtt_s("peer1", "peer2") >= 0.116 and rtt_s("peer2", "peer1") >= 0.116)
    told = ring.call("peer1", "stats")["node"]["tcp_info"]
    if ring.engine == "relay":
        assert told == "not-of-path"
    else:
        # The kernel sees the path itself.
        wait_until(lambda: figure_s("peer1", "peer2", "tcp_rtt_s") >= 0.1)
        assert told == "path"
    ring.heal("peer1-peer2")
    wait_until(lambda: 0 < rtt_s("peer1", "peer2") < 0.1)


def test_a_killed_neighbour_leaves_a_difference_that_is_shown(ring: NetworkSimulator) -> None:
    wait_until(lambda: ring.status()["load"]["accepted"] >= 20)
    ring.kill("peer2")
    assert {node["name"]: node["state"] for node in ring.status()["nodes"]}["peer2"] == "killed (SIGKILL)"
    report = ring.quiesce()
    verdicts = {(link["from"], link["to"]): link for link in report["links"]}
    for survivor in ("peer1", "peer3"):
        link = verdicts[survivor, "peer2"]
        assert link["verdict"] == "receiver-down"
        assert link["unconfirmed"]["messages"] <= 1024 + 2048  # the queue, and what sockets hold
    assert verdicts["peer1", "peer3"]["verdict"] == "equal"


def test_a_restarted_node_is_itself_and_agrees_with_its_neighbours(ring: NetworkSimulator) -> None:
    before = ring.nodes["peer2"]
    ring.kill("peer2")
    ring.restart("peer2")
    after = ring.nodes["peer2"]
    assert (after.id, after.rpc, after.listen) == (before.id, before.rpc, before.listen)
    assert after.pid != before.pid
    assert {link["peer"] for link in ring.call("peer2", "connections")["links"]} == {
        ring.nodes["peer1"].id,
        ring.nodes["peer3"].id,
    }
    report = ring.quiesce()
    assert report["settled"], report
    assert {link["verdict"] for link in report["links"]} <= {"equal", "unconfirmed"}


def test_an_outage_and_its_end_are_noticed(ring: NetworkSimulator) -> None:
    ring.impair("peer1-peer2:outage=on")
    truth = {(link["from"], link["to"]): link for link in ring.status()["links"]}
    assert truth["peer1", "peer2"]["impairment"]["outage"]
    assert truth["peer1", "peer3"]["text"] == "clean"
    if ring.engine == "netns":
        wait_until(
            lambda: (
                {(k["from"], k["to"]): k for k in ring.status()["links"]}["peer1", "peer2"]["truth"][
                    "dropped_outage"
                ]
                > 0
            )
        )
    assert set(ring.heal()["links"].values()) == {"clean"}


@pytest.mark.parametrize(
    ("order", "message", "exit_code"),
    [
        (["impair", "peer1-peer9:delay=1ms"], "no link 'peer1-peer9'; did you mean", 2),
        (["impair", "peer1-peer2:dely=1ms"], "unknown key 'dely'; did you mean 'delay'?", 2),
        (["heal", "peer7-peer8"], "no link 'peer7-peer8'", 2),
        (["kill", "peer9"], "no node 'peer9' in this lab; it has peer1, peer2", 2),
        (["restart", "peer9"], "no node 'peer9'", 2),
        (["load", "--rate", "-1"], "--rate: -1 is not from 0", 2),
        (["up"], "a lab runs here already; end it with: qudag lab down --dir", 1),
    ],
)
def test_a_wrong_order_is_one_line_and_a_code(
    pair: Path, order: list[str], message: str, exit_code: int
) -> None:
    run = lab_command(*order, home=pair)
    assert (run.returncode, run.stdout) == (exit_code, "")
    assert run.stderr.startswith(f"qudag lab {order[0]}: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A detached lab of two nodes."""
    home = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
            patch.setenv(name, str(home))
        words = ["--nodes", "2", "--engine", "relay", "--rate", "10", "--impair", "peer1-peer2:loss=1%"]
        run = lab_command("up", *words, "--detach", home=home)
        assert (run.returncode, run.stderr) == (0, f"qudag lab: {UDP_LOSS_ONLY}\n")
        try:
            yield home
        finally:
            assert lab_command("down", home=home).returncode == 0
        assert lab_command("status", home=home).returncode == 3


def test_a_detached_lab_does_what_the_commands_say(pair: Path) -> None:
    status = lab_command("status", "--format", "json", home=pair)
    assert json.loads(status.stdout)["engine"] == "relay"
    lossy = lab_command("impair", "peer1>peer2:loss=1%", home=pair)
    assert lossy.stdout == "peer1>peer2  loss=1% (UDP only)\n"
    assert lossy.stderr == f"qudag lab: {UDP_LOSS_ONLY}\n"
    assert "loss=1% (UDP only)" in lab_command("status", home=pair).stdout
    impaired = lab_command("impair", "peer1>peer2:delay=5ms,loss=none", home=pair)
    assert (impaired.stdout, impaired.stderr) == ("peer1>peer2  delay=5ms\n", "")
    table = lab_command("status", home=pair).stdout
    assert "engine relay" in table
    assert "delay=5ms" in table
    assert lab_command("heal", home=pair).stdout.splitlines() == ["peer1>peer2  clean", "peer2>peer1  clean"]
    assert lab_command("kill", "peer2", home=pair).stdout == "peer2  killed (SIGKILL)\n"
    killed = lab_command("kill", "peer2", home=pair)
    assert (killed.returncode, killed.stderr) == (
        2,
        "qudag lab kill: peer2 does not run (killed (SIGKILL))\n",
    )
    assert lab_command("restart", "peer2", home=pair).stdout.startswith("peer2  running  ")
    quiet = lab_command("quiesce", home=pair)
    assert quiet.returncode == 0, quiet.stdout
    assert "equal" in quiet.stdout
    assert lab_command("load", "--rate", "20", home=pair).stdout == "load 20/s\n"


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(home: Path) -> None:
    (home / "lab" / "peer2").mkdir(parents=True)
    (home / "lab").chmod(0o700)
    (home / "lab/peer2/identity.key").write_text("not a key", encoding="ascii")
    for detach in ([], ["--detach"]):
        run = lab_command("up", "--nodes", "2", "--engine", "relay", *detach, home=home)
        assert run.returncode == 1
        assert "peer2: it did not start" in run.stderr
        assert "identity.key" in run.stderr
        assert run.stderr.count("\n") == 1
        assert not [path for path in (home / "lab").rglob("*") if path.is_socket() or path.name == "lab.json"]


def test_the_simulator_raises_what_the_lab_says() -> None:
    with pytest.raises(LabError, match="--topology: no topology 'rign'; did you mean 'ring'"):
        NetworkSimulator(topology="rign").start()
    lab = NetworkSimulator()
    with pytest.raises(LabError, match="the lab is not up"):
        lab.status()
    lab.close()


UNPRIVILEGED = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
if libc.unshare({CLONE_NEWUSER}):
    sys.exit(77)
for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {{uid}} 1"), ("gid_map", f"1000 {{gid}} 1")):
    with open(f"/proc/self/{{name}}", "w") as file:
        file.write(text)
os.execv(sys.argv[1], sys.argv[1:])
"""

AS_A_CLIENT = """
import os, sys
from qudag_node.lab.simulator import NetworkSimulator
assert os.geteuid() == 1000
with NetworkSimulator(nodes=2, engine="netns", rate=20) as lab:
    answer = lab.call("peer1", "status")
    lab.call("peer1", "token.list")  # which only an admin may
    assert lab.quiesce()["settled"]
    print(lab.engine, answer["node"]["name"])
"""


def test_an_unprivileged_user_has_the_engine_netns_and_is_admin_of_the_nodes(home: Path) -> None:
    """In a user namespace that maps us to 1000, without a capability, as after a login."""
    skip_unless_it_runs("netns")
    run = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, sys.executable, "-c", AS_A_CLIENT],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        env=child_environment(os.environ),
    )
    need(run.returncode != 77, "user namespaces")
    assert (run.returncode, run.stdout) == (0, "netns peer1\n"), run.stderr


@ENGINES
def test_counts_of_the_links_cover_what_the_nodes_sent(home: Path, engine: str) -> None:
    skip_unless_it_runs(engine)
    with NetworkSimulator(nodes=2, rate=100, engine=engine, impair=["peer1-peer2:delay=5ms"]) as lab:
        wait_until(lambda: lab.status()["load"]["accepted"] >= 100)
        assert lab.quiesce()["settled"]
        sent_bytes = sum(each["sent_bytes"] for each in by_type(lab, "peer1", "peer2").values())
        truth = {(link["from"], link["to"]): link["truth"] for link in lab.status()["links"]}
        carried = truth["peer1", "peer2"]
        # Frames travel in TLS records, and in the engine netns with headers and acknowledgements.
        assert carried["delivered_bytes"] > sent_bytes
        dropped = sum(carried[f"dropped_{cause}"] for cause in ("loss", "queue", "outage", "host", "before"))
        assert dropped == 0
        assert carried["sent"] == carried["delivered"] + carried["in_flight"]


def test_every_command_shows_an_example() -> None:
    for command in ("up", "down", "status", "impair", "heal", "kill", "restart", "load", "quiesce"):
        run = subprocess.run(
            python_module("qudag_node.lab", command, "--help"),
            capture_output=True,
            text=True,
            env=child_environment(os.environ),
        )
        assert run.returncode == 0
        assert f"example:\n  qudag lab {command}" in run.stdout
        assert "--dir DIR" in run.stdout
