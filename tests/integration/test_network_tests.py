"""``qudag network test …`` on real nodes: three in a line on loopback, and one that declines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import REPO
from tests.integration.nodes import NodeProcess, running, wait_until
from tests.integration.test_cli import home_environment
from tests.needs import need
from tests.qudag_tui.cli.support import TIMEOUT_S, Output, command, environment, run

pytestmark = pytest.mark.integration

TEST = ("network", "test")


class Line:
    """peer1 - peer2 - peer3, and unwilling, a neighbour of peer1. peer1 is asked."""

    def __init__(self, first: NodeProcess, home: Path) -> None:
        self.first = first
        self.environ = home_environment(home)

    def ask(self, *words: str) -> Output:
        """Run a command of peer1's."""
        return run(*words, "--node", f"unix:{self.first.socket}", environ=self.environ)

    def test(self, *words: str) -> dict[str, Any]:
        """Run a test and return its document, held against the schema."""
        output = self.ask(*TEST, *words, "--format", "json")
        assert output.stdout, output.stderr
        document: dict[str, Any] = json.loads(output.stdout)
        validate(document)
        return document

    def peers(self) -> dict[str, int]:
        """Who is known by name, and over how many hops."""
        listed = json.loads(self.ask("peer", "list", "--format", "json").stdout)["peers"]
        return {peer["name"]: peer["hops"] for peer in listed}


def validate(document: dict[str, Any]) -> None:
    """Hold a result against its schema, and see that nothing in it is without a description."""
    schema = json.loads((REPO / "docs" / "test-results.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(document)
    known = set(schema["properties"])
    for part in schema["allOf"]:
        if part["if"]["properties"]["test_type"]["const"] == document["test_type"]:
            known |= set(part["then"].get("properties", ()))
    assert document.keys() - known == set()


def listen_of(node: NodeProcess, environ: dict[str, str]) -> str:
    """Where a node really listens."""
    status = run("status", "--node", f"unix:{node.socket}", "--format", "json", environ=environ).stdout
    address: str = json.loads(status)["listen"][0]
    return address


@pytest.fixture(scope="module")
def line() -> Generator[Line]:
    # A short path: a socket's has at most 100 bytes.
    with TemporaryDirectory() as name, ExitStack() as stack:
        home = Path(name)
        (home / "run").mkdir(mode=0o700)
        environ = home_environment(home)

        def start(node: str, *flags: str) -> NodeProcess:
            flags = ("--name", node, "--no-discovery", *flags)
            return stack.enter_context(running(home / node, *flags, environ=environ))

        first = start("peer1")
        own = listen_of(first, environ)
        second = start("peer2", "--peer", own)
        start("peer3", "--peer", listen_of(second, environ))
        start("unwilling", "--peer", own, "--set", "tests.enabled=false")
        line = Line(first, home)
        wait_until(lambda: line.peers() == {"peer2": 1, "unwilling": 1, "peer3": 2}, 60.0)
        yield line


class TestEachCommand:
    def test_ping_of_a_neighbour(self, line: Line) -> None:
        document = line.test("ping", "peer2", "--count", "20")
        assert document["success"]
        assert document["target"]["name"] == "peer2"
        assert document["method"] == "stamp-udp"
        assert (document["sent"], document["options"]["count"]) == (20, 20)
        places = ("received", "forward_lost", "backward_lost", "local_dropped")
        assert sum(document[place] for place in places) <= document["sent"]

    def test_ping_over_the_link_and_over_a_relay(self, line: Line) -> None:
        assert line.test("ping", "peer2", "--count", "10", "--via", "link")["method"] == "link-echo"
        relayed = line.test("ping", "peer3", "--count", "10")
        assert (relayed["method"], relayed["target"]["hops"]) == ("overlay-echo", 2)

    def test_traceroute_names_each_hop(self, line: Line) -> None:
        document = line.test("traceroute", "peer3", "--count", "3")
        assert [hop["name"] for hop in document["hops"]] == ["peer2", "peer3"]
        assert document["destination_reached"]

    def test_routing_reaches_everybody(self, line: Line) -> None:
        document = line.test("routing", "--count", "2")
        assert document["target"] is None
        assert {peer["name"]: peer["hops"] for peer in document["peers"]} == line.peers()

    def test_the_ip_path_below_each_hop_is_asked_of_who_has_the_link(self, line: Line) -> None:
        need(sys.platform == "linux", "Linux")
        document = line.test("traceroute", "peer3", "--count", "1", "--underlay")
        below = [(section["names"], section["error"]) for section in document["underlay"]]
        assert below == [(["peer1", "peer2"], None), (["peer2", "peer3"], None)]
        assert [hop["address"] for section in document["underlay"] for hop in section["hops"]] == [
            "127.0.0.1",
            "127.0.0.1",
        ]

    def test_stress_holds_a_rate_and_counts_every_message(self, line: Line) -> None:
        document = line.test("stress", "peer3", "--rate", "100", "--duration", "1s", "--size", "100")
        assert document["success"]
        assert (document["due"], document["hops"]) == (100, 2)
        assert 0 < document["delivered"] <= document["offered"] <= document["due"]
        assert 0 < document["latency"]["samples"] <= 100

    def test_stress_searches_for_a_rate(self, line: Line) -> None:
        document = line.test(
            "stress", "peer2", "--rate", "20", "--max-rate", "40", "--duration", "3s", "--find", "loss<50%"
        )
        assert document["success"]
        assert 0 < document["found_rate_per_s"] <= 40
        assert document["steps"][0]["rate_per_s"] == 20

    def test_bandwidth_of_a_neighbour(self, line: Line) -> None:
        document = line.test("bandwidth", "peer2", "--duration", "1s", "--rate", "10mbit")
        assert document["success"], document["verdict"]
        assert (document["protocol"], document["direction"]) == ("tcp", "forward")
        assert document["goodput_bits_per_s"] > 0
        assert document["bottleneck"]["verdict"]

    def test_bandwidth_of_a_peer_behind_others_is_refused_and_names_the_next(self, line: Line) -> None:
        output = line.ask(*TEST, "bandwidth", "peer3")
        assert output.code == 1
        assert "peer2" in output.stdout.splitlines()[0]

    def test_latency_of_an_idle_link(self, line: Line) -> None:
        document = line.test("latency", "peer2", "--duration", "1s")
        assert document["idle"]["samples"] > 0
        assert document["up"] is None

    def test_connectivity_goes_step_by_step(self, line: Line) -> None:
        document = line.test("connectivity", "peer2")
        assert [(step["step"], step["ok"]) for step in document["steps"]][:5] == [
            (step, True) for step in ("resolve", "tcp", "tls", "identity", "protocol")
        ]
        itself = line.test("connectivity", "--self")
        assert (itself["success"], itself["reachable_from_outside"]) == (True, None), "a private address"

    @pytest.mark.parametrize("format_", ["table", "csv", "ndjson"])
    def test_every_format_tells_the_verdict(self, line: Line, format_: str) -> None:
        output = line.ask(*TEST, "traceroute", "peer3", "--count", "2", "--format", format_)
        assert (output.code, output.stderr) == (0, "")
        assert "peer3" in output.stdout


class TestWhatCannotBeTested:
    @pytest.mark.parametrize(
        ("word", "complaint"),
        [("peer1", "is this node itself"), ("nobody", "nobody"), ("12D3KooW", "12D3KooW")],
        ids=["oneself", "unknown", "ambiguous"],
    )
    def test_a_wrong_name_is_exit_2_and_one_line(self, line: Line, word: str, complaint: str) -> None:
        output = line.ask(*TEST, "ping", word)
        assert (output.code, output.stdout, output.stderr.count("\n")) == (2, "", 1)
        assert complaint in output.stderr

    def test_a_peer_that_declines_is_exit_4_with_its_reason(self, line: Line) -> None:
        output = line.ask(*TEST, "ping", "unwilling", "--count", "3")
        assert output.code == 4, output.stdout
        assert output.stdout.startswith("declined  ")

    def test_a_banned_peer_is_exit_1_and_says_so(self, line: Line) -> None:
        line.ask("peer", "ban", "unwilling")
        try:
            output = line.ask(*TEST, "ping", "unwilling", "--count", "3")
            assert output.code == 1, output.stdout
            assert "banned" in output.stdout
        finally:
            line.ask("peer", "unban", "unwilling")
            wait_until(lambda: line.peers().get("unwilling") == 1, 60.0)


class TestAround:
    def test_a_dry_run_sends_nothing(self, line: Line) -> None:
        before = json.loads(line.ask(*TEST, "list", "--limit", "1000", "--format", "json").stdout)["tests"]
        output = line.ask(*TEST, "ping", "peer2", "--count", "7", "--dry-run")
        assert (output.code, output.stderr) == (0, "")
        assert "7 packets" in output.stdout
        after = json.loads(line.ask(*TEST, "list", "--limit", "1000", "--format", "json").stdout)["tests"]
        assert [row["test_id"] for row in after] == [row["test_id"] for row in before]

    def test_all_is_who_can_be_tested(self, line: Line) -> None:
        for test_type, names in (
            ("ping", {"peer2", "peer3", "unwilling"}),
            ("bandwidth", {"peer2", "unwilling"}),
        ):
            output = line.ask(*TEST, test_type, "--all", "--dry-run", "--format", "json")
            assert output.code == 0, output.stderr
            assert {plan["target"]["name"] for plan in json.loads(output.stdout)["plans"]} == names

    def test_a_result_is_kept_shown_judged_and_compared(self, line: Line) -> None:
        document = line.test("ping", "peer2", "--count", "5")
        test_id = document["test_id"]
        assert document["stored"] is True
        assert line.test("show", test_id) == document
        listed = line.ask(*TEST, "list", "--type", "ping", "--peer", "peer2")
        assert test_id in listed.stdout
        failed = line.ask(*TEST, "show", test_id, "--fail-if", "p99>1ns")
        assert failed.code == 1
        assert failed.stdout.startswith("FAILED  by --fail-if: p99 is ")
        compared = line.test("ping", "peer2", "--count", "5", "--compare", test_id)
        assert compared["comparison"]["with"] == test_id
        assert compared["comparison"]["figures"]["loss"]["before"] == document["loss_ratio"]

    def test_several_peers_are_a_line_each(self, line: Line) -> None:
        output = line.ask(*TEST, "ping", "peer2", "peer3", "unwilling", "--count", "5")
        assert output.code == 4, output.stdout
        assert [row.split()[0] for row in output.stdout.splitlines()[:4]] == [
            "peer",
            "peer2",
            "peer3",
            "unwilling",
        ]

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_the_test_and_prints_what_was_measured(
        self, line: Line, number: int, code: int
    ) -> None:
        words = (*TEST, "ping", "peer2", "--count", "100000", "--format", "ndjson")
        process = subprocess.Popen(
            command(*words, "--node", f"unix:{line.first.socket}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(line.environ),
        )
        assert process.stdout is not None
        while json.loads(process.stdout.readline()).get("event") != "progress":
            pass
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, stderr) == (code, "")
        document = json.loads(stdout.splitlines()[-1])
        assert document["interrupted"] is True
        assert 0 < document["sent"] < 100_000
        validate(document)

    def test_a_detached_test_goes_on_is_watched_and_cancelled(self, line: Line) -> None:
        started = line.ask(*TEST, "ping", "peer2", "--count", "100000", "--detach")
        test_id = started.stdout.strip()
        assert started.code == 0, started.stderr
        watcher = subprocess.Popen(
            command(*TEST, "show", test_id, "--format", "ndjson", "--node", f"unix:{line.first.socket}"),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(line.environ),
        )
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["test_id"] == test_id
        cancelled = line.ask(*TEST, "cancel", test_id[:8])
        assert cancelled.stderr == f"{test_id} is cancelled\n"
        stdout, _ = watcher.communicate(timeout=TIMEOUT_S)
        assert json.loads(stdout.splitlines()[-1])["interrupted"] is True
