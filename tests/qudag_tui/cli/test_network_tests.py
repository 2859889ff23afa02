"""``qudag network test …`` against a node that answers from examples: what is printed, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from syrupy.assertion import SnapshotAssertion

from qudag_node.wire import ErrorCode, RpcError
from tests.conftest import REPO
from tests.qudag_tui import results
from tests.qudag_tui.cli.support import TIMEOUT_S, Runner, command, environment
from tests.qudag_tui.cli.test_program import HEAVY, loaded
from tests.qudag_tui.cli.testing_node import Params, Push, Tests
from tests.qudag_tui.client.server import SmallNode
from tests.snapshots import TextSnapshot

TEST = ("network", "test")
WORDS = {
    "ping": ("peer2",),
    "traceroute": ("peer4",),
    "bandwidth": ("peer2",),
    "latency": ("peer2", "--load"),
    "routing": (),
    "stress": ("peer2",),
    "connectivity": ("peer2",),
}


@pytest.fixture
def tests(node: SmallNode) -> Tests:
    return Tests(node)


def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((REPO / "docs" / "test-results.json").read_text("utf-8")))


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_type", WORDS)
@pytest.mark.parametrize("format_", ["table", "csv"])
def test_each_test_in_each_format_is_frozen(
    qudag: Runner, tests: Tests, test_type: str, format_: str, snapshot: SnapshotAssertion
) -> None:
    output = qudag(*TEST, test_type, *WORDS[test_type], "--format", format_)
    assert output.code == (0 if results.EXAMPLES[test_type]()["success"] else 1)
    assert output.stderr == ""
    assert output.stdout == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize("test_type", WORDS)
def test_json_is_the_document_and_fits_its_schema(qudag: Runner, tests: Tests, test_type: str) -> None:
    output = qudag(*TEST, test_type, *WORDS[test_type], "--format", "json")
    document = json.loads(output.stdout)
    assert document == tests.kept["test00000001"]
    validator().validate(document)


def test_ndjson_streams_events_and_ends_with_the_result(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer2", "--format", "ndjson")
    lines = [json.loads(line) for line in output.stdout.splitlines()]
    assert [(line["schema"], line.get("event")) for line in lines] == [
        ("qudag.test-event/1", "state"),
        ("qudag.test-event/1", "progress"),
        ("qudag.test/1", None),
    ]
    assert {line["test_id"] for line in lines} == {"test00000001"}


@pytest.mark.parametrize("test_type", WORDS)
def test_csv_reads_back(qudag: Runner, tests: Tests, test_type: str) -> None:
    output = qudag(*TEST, test_type, *WORDS[test_type], "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(output.stdout)))
    assert rows
    assert {row["test_type"] for row in rows} == {test_type}
    assert all(None not in row for row in rows)


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (
            "ping peer2 --count 100 --interval 10ms --size 1200 --via udp --timeout 500ms",
            {"count": 100, "interval_s": 0.01, "size_bytes": 1200, "via": "udp", "timeout_s": 0.5},
        ),
        ("ping peer2", {}),
        ("traceroute peer4 --max-hops 5 --count 3 --underlay", {"max_hops": 5, "count": 3, "underlay": True}),
        ("traceroute peer4 --continuous", {"count": 0}),
        (
            "bandwidth peer2 --duration 30s --protocol udp --streams 4 --reverse --rate 100mbit",
            {
                "duration_s": 30.0,
                "protocol": "udp",
                "streams": 4,
                "direction": "reverse",
                "rate_bits_per_s": 1e8,
            },
        ),
        (
            "bandwidth peer2 --bidir --omit 2s --no-ping",
            {"direction": "bidir", "omit_s": 2.0, "loaded_latency": False},
        ),
        ("bandwidth peer2 --omit auto", {}),
        ("bandwidth peer2 --omit 0", {"omit_s": 0.0}),
        ("latency peer2 --load --duration 2s", {"load": True, "duration_s": 2.0}),
        ("routing --count 3", {"count": 3}),
        ("stress peer2 --rate 1k --duration 30s", {"rate_per_s": 1000.0, "duration_s": 30.0}),
        ("stress peer2 --find p99<500ms,loss<1%", {"find": "p99<500ms,loss<1%"}),
        ("connectivity --self", {"outside": True}),
    ],
)
def test_what_was_given_is_asked_for_and_nothing_else(
    qudag: Runner, tests: Tests, node: SmallNode, words: str, options: dict[str, Any]
) -> None:
    qudag(*TEST, *words.split())
    method, params = node.calls[0]
    assert method == "test.start"
    assert params["type"] == words.split(maxsplit=1)[0]
    assert params["options"] == options
    assert params["cancel_on_disconnect"] is True
    assert params.get("target") == next((word for word in words.split() if word.startswith("peer")), None)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("ping", "which PEER?; `qudag peer list` shows them; --all is every one"),
        ("ping peer2 --all", "--all is every peer, and peers are named too"),
        ("ping peer2 --interval 10mss", "'10mss' is not a time such as 10ms, 1.5s, 2m (did you mean 'ms'?)"),
        ("ping peer2 --count 0", "argument --count: '0': at least 1"),
        ("ping peer2 --count -1", "argument --count: '-1': at least 1"),
        ("ping peer2 --count 1.5", "argument --count: '1.5' is not a whole number"),
        ("ping peer2 --count 1000000000000000000", "'1000000000000000000' is too much"),
        ("ping peer2 --via foo", "unknown via 'foo'; known: auto, link, overlay, udp"),
        ("bandwidth peer2 --rate -5mbit", "--rate: expected one argument, and none that begins with '-'"),
        ("bandwidth peer2 --rate=-5mbit", "'-5mbit' is not a rate such as 100mbit"),
        ("ping peer2 --timeout 1e", "'1e' is not a time such as 10ms"),
        ("bandwidth peer2 --rate 100mbitt", "'100mbitt' is not a rate such as 100mbit"),
        ("bandwidth peer2 --reverse --bidir", "not allowed with argument"),
        ("traceroute peer2 --continuous --count 3", "--continuous goes on until interrupted"),
        ("connectivity --self peer2", "--self tests this node itself"),
        ("ping peer2 --fail-if p98>5ms", "a ping test measures no 'p98'; did you mean 'p99'?"),
        (
            "ping peer2 --fail-if goodput<5mbit",
            "a ping test measures no 'goodput'; it measures loss, min, avg",
        ),
        ("ping peer2 --fail-if p99", "--fail-if 'p99' is no threshold; write it as 'p99>50ms' or 'loss>1%'"),
        ("ping peer2 --fail-if p99>50", "p99 needs a unit; such as 50ms"),
        ("ping peer2 --fail-if loss>5", "'5' is not a share such as 1% or 0.01"),
        ("ping peer2 --fail-if loss>1%,p99>5mbit", "'5mbit' is not a time"),
        ("ping peer2 --format detailed", "this command has none such"),
        ("pign peer2", "did you mean 'ping'?"),
        ("ping peer2 --detach --fail-if loss>0", "--detach does not wait for a result"),
        ("list --type pign", "did you mean 'ping'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_and_nothing_is_sent(
    qudag: Runner, tests: Tests, node: SmallNode, words: str, complaint: str
) -> None:
    output = qudag(*TEST, *words.split())
    assert (output.code, output.stdout, output.stderr.count("\n")) == (2, "", 1)
    assert complaint in output.stderr
    assert "test.start" not in [method for method, _ in node.calls]


# --- exit codes -----------------------------------------------------------------------------------


def test_an_unknown_peer_is_exit_2(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer22")
    assert (output.code, output.stdout) == (2, "")
    assert output.stderr == "qudag: no peer is called 'peer22'; did you mean 'peer2'?\n"


def test_one_unknown_peer_of_several_and_nothing_is_sent(
    qudag: Runner, tests: Tests, node: SmallNode
) -> None:
    assert qudag(*TEST, "ping", "peer2", "peer22").code == 2
    assert "test.start" not in [method for method, _ in node.calls]


def test_a_failed_test_is_exit_1_and_says_so_first(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "routing")
    assert output.code == 1
    assert output.stdout.startswith("FAILED  2 of 3 peers reached; peer3 does not pass on\n")


def test_a_peer_that_declines_is_exit_4_with_its_reason(qudag: Runner, tests: Tests) -> None:
    tests.answers["peer2"] = results.declined()
    output = qudag(*TEST, "ping", "peer2")
    assert output.code == 4
    assert output.stdout.startswith("declined  peer2 takes part in no tests\n")


def test_who_declined_is_said(qudag: Runner, tests: Tests) -> None:
    tests.answers["peer2"] = results.declined() | {"declined": "it takes part in no tests"}
    output = qudag(*TEST, "ping", "peer2")
    assert output.stdout.startswith("declined  peer2: it takes part in no tests\n")


def test_an_unreachable_node_is_exit_3(qudag: Runner, home: Path) -> None:
    assert qudag(*TEST, "ping", "peer2", "--node", f"unix:{home}/none").code == 3


def test_a_node_that_hangs_up_is_exit_3(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    def hang_up(_params: object, _push: object) -> dict[str, int]:
        node.hang_up()
        return {"stream": 1}

    node.methods["test.subscribe"] = hang_up
    output = qudag(*TEST, "ping", "peer2")
    assert output.code == 3
    assert "closed the connection" in output.stderr


def test_a_role_that_does_not_suffice_is_exit_4(qudag: Runner, tests: Tests) -> None:
    tests.refusals["peer2"] = RpcError(ErrorCode.FORBIDDEN, "test.start needs the role operator")
    output = qudag(*TEST, "ping", "peer2")
    assert (output.code, output.stdout) == (4, "")
    assert output.stderr == "qudag: test.start needs the role operator\n"


def test_a_result_that_was_not_told_is_asked_for(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    node.methods["test.subscribe"] = lambda _params, _push: {"stream": 1}
    tests.keep("test00000001", results.ping())
    output = qudag("--timeout", "0.5", *TEST, "ping", "peer2")
    assert output.code == 0
    assert output.stdout.startswith("ok  961 of 1000 answered")


def test_a_node_that_no_longer_answers_is_exit_3(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    def fall_silent(_params: object, _push: object) -> dict[str, int]:
        waiting = threading.Event()
        silent.append(waiting)
        waiting.wait(TIMEOUT_S)
        return {}

    silent: list[threading.Event] = []
    node.methods["test.subscribe"] = lambda _params, _push: {"stream": 1}
    node.methods["test.show"] = fall_silent
    output = qudag("--timeout", "0.5", *TEST, "ping", "peer2")
    for waiting in silent:
        waiting.set()
    assert output.code == 3
    assert "did not answer within 0.5 s" in output.stderr


def test_several_peers_are_a_line_each_and_the_worst_code(
    qudag: Runner, tests: Tests, snapshot: SnapshotAssertion
) -> None:
    tests.answers["peer3"] = results.declined()
    tests.refusals["peer4"] = RpcError(ErrorCode.BUSY, "64 tests wait already", "cancel some")
    output = qudag(*TEST, "ping", "peer2", "peer3", "peer4")
    assert output.code == 4
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    documents = json.loads(qudag(*TEST, "ping", "peer2", "peer3", "--format", "json").stdout)
    assert documents["schema"] == "qudag.test-results/1"
    assert [document["target"]["name"] for document in documents["results"]] == ["peer2", "peer3"]


def test_all_is_every_peer_that_can_be_tested(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    output = qudag(*TEST, "bandwidth", "--all", "--dry-run")
    assert output.code == 2  # the examples' peers are not those that this node tests
    asked = [params["target"] for method, params in node.calls if method == "test.plan"]
    assert asked[0].startswith("12D3KooW")


# --- thresholds and comparisons -------------------------------------------------------------------


def test_a_crossed_threshold_is_exit_1_and_stands_in_the_first_line(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer2", "--fail-if", "p99>50ms", "--fail-if", "loss>5%")
    assert output.code == 1
    assert output.stdout.startswith("FAILED  by --fail-if: p99 is 58.1 ms, over 50.0 ms\n")
    assert "p99>50ms   58.1 ms  crossed\nloss>5%     3.90 %  kept\n" in output.stdout


def test_kept_thresholds_are_exit_0(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer2", "--fail-if", "p99>60ms,loss>=4%", "--format", "json")
    assert output.code == 0
    document = json.loads(output.stdout)
    assert [threshold["crossed"] for threshold in document["thresholds"]] == [False, False]
    validator().validate(document)


def test_a_figure_that_is_missing_fails_and_says_so(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer2", "--fail-if", "p999>1s")
    assert output.code == 1
    assert "p999 was not measured, so p999>1s cannot be ruled out" in output.stdout


def test_a_comparison_says_better_or_worse_in_words(
    qudag: Runner, tests: Tests, snapshot: SnapshotAssertion
) -> None:
    before = results.ping(rtt=results.summary(0.04), started_unix_s=results.STARTED_UNIX_S - 4000)
    tests.keep("before000001", before)
    output = qudag(*TEST, "ping", "peer2", "--compare", "last")
    assert output.code == 0
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    document = json.loads(qudag(*TEST, "ping", "peer2", "--compare", "before", "--format", "json").stdout)
    assert document["comparison"]["with"] == "before000001"
    assert document["comparison"]["figures"]["p50"]["verdict"] == "worse"
    validator().validate(document)


def test_the_first_run_has_nothing_to_compare_with_and_goes_on(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "ping", "peer2", "--compare", "last")
    assert (output.code, output.stderr) == (0, "no earlier ping of peer2 to compare with\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("ping peer3 --compare old", "old000000001 tested peer2, this tests peer3; compare the same peer"),
        ("traceroute peer2 --compare old", "old000000001 is a ping test, this is traceroute"),
        ("ping peer2 --compare olf", "no test is called 'olf'"),
    ],
)
def test_only_the_same_test_of_the_same_peer_is_compared(
    qudag: Runner, tests: Tests, node: SmallNode, words: str, complaint: str
) -> None:
    tests.keep("old000000001", results.ping())
    output = qudag(*TEST, *words.split())
    assert output.code == 2
    assert complaint in output.stderr
    assert "test.start" not in [method for method, _ in node.calls]


# --- dry run, detach, list, show, cancel ----------------------------------------------------------


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(
    qudag: Runner, tests: Tests, node: SmallNode, snapshot: SnapshotAssertion
) -> None:
    output = qudag(*TEST, "ping", "peer2", "--count", "1000", "--dry-run")
    assert (output.code, output.stderr) == (0, "")
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    assert [method for method, _ in node.calls] == ["test.plan"]


def test_a_detached_test_prints_its_id(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    output = qudag(*TEST, "ping", "peer2", "--detach")
    assert (output.code, output.stdout) == (0, "test00000001\n")
    assert node.calls[-1][1]["cancel_on_disconnect"] is False


def test_kept_tests_are_listed_shown_and_judged(
    qudag: Runner, tests: Tests, snapshot: SnapshotAssertion
) -> None:
    tests.keep("aaaaaaaaaaaa", results.ping())
    tests.keep("bbbbbbbbbbbb", results.bandwidth())
    tests.keep("cccccccccccc", results.declined())
    tests.keep("dddddddddddd", results.routing())
    output = qudag(*TEST, "list")
    assert (output.code, output.stderr) == (0, "")
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    shown = qudag(*TEST, "show", "bb")
    assert shown.code == 0
    assert shown.stdout.startswith("ok  47.8 Mb/s to peer2")
    assert qudag(*TEST, "show", "last").stdout.startswith("FAILED  2 of 3")
    assert qudag(*TEST, "show", "bb", "--fail-if", "goodput<50mbit").code == 1
    assert qudag(*TEST, "list", "--type", "ping", "--format", "csv").stdout.count("\n") == 3
    assert qudag(*TEST, "show", "zz").code == 2


@pytest.mark.parametrize(
    ("words", "name", "line"),
    [
        ("ping peer2 --size 100000", "ping.size_bytes", "--size"),
        ("ping peer2 --size 100000 --dry-run", "ping.size_bytes", "--size"),
        ("ping peer2 --timeout 1e9", "ping.timeout_s", "--timeout"),
        ("bandwidth peer2 --size 100000 --detach", "bandwidth.packet_bytes", "--size"),
        ("traceroute peer2 --max-hops 1000", "traceroute.max_hops", "--max-hops"),
        ("ping peer2 --count 1000000000", "ping.count", "--count"),
        ("ping peer2", "ping", "ping"),
    ],
)
def test_what_the_node_refuses_is_told_in_the_words_of_the_command(
    qudag: Runner, tests: Tests, node: SmallNode, words: str, name: str, line: str
) -> None:
    def refuse(_params: Params, _push: Push) -> dict[str, Any]:
        raise RpcError(ErrorCode.BAD_REQUEST, f"{name}: 7 is not from 0 to 5")

    node.methods |= {"test.start": refuse, "test.plan": refuse}
    output = qudag(*TEST, *words.split())
    assert output.stderr == f"qudag: {line}: 7 is not from 0 to 5\n"


def test_a_figure_may_have_an_exponent(qudag: Runner, tests: Tests, node: SmallNode) -> None:
    qudag(*TEST, "ping", "peer2", "--timeout", "1e9", "--interval", "5e-3s", "--count", "1000000000")
    options = next(params["options"] for method, params in node.calls if method == "test.start")
    assert options == {"timeout_s": 1e9, "interval_s": 0.005, "count": 1_000_000_000}


def test_a_dry_run_in_json_has_a_schema(qudag: Runner, tests: Tests) -> None:
    one = json.loads(qudag(*TEST, "ping", "peer2", "--dry-run", "--format", "json").stdout)
    several = json.loads(qudag(*TEST, "ping", "peer2", "peer3", "--dry-run", "--format", "json").stdout)
    assert (one["schema"], one["test_type"]) == ("qudag.test-plan/1", "ping")
    assert several["schema"] == "qudag.test-plans/1"
    assert [plan["schema"] for plan in several["plans"]] == ["qudag.test-plan/1"] * 2


def test_a_list_in_csv_has_the_truths_of_json(qudag: Runner, tests: Tests) -> None:
    tests.keep("aaaaaaaaaaaa", results.ping())
    (row,) = csv.DictReader(io.StringIO(qudag(*TEST, "list", "--format", "csv").stdout))
    assert row["success"] == "true"


def test_what_a_filter_leaves_empty_is_not_called_empty(qudag: Runner, tests: Tests) -> None:
    tests.keep("aaaaaaaaaaaa", results.ping())
    output = qudag(*TEST, "list", "--type", "stress", "--peer", "peer3")
    hint = "`qudag network test list` shows those that are"
    assert (output.code, output.stdout) == (0, "")
    assert output.stderr == f"no stress test of 'peer3' is kept; {hint}\n"


def test_no_tests_are_said_on_stderr(qudag: Runner, tests: Tests) -> None:
    output = qudag(*TEST, "list")
    assert (output.code, output.stdout) == (0, "")
    assert output.stderr.startswith("no tests are kept")


def test_a_test_that_ended_cannot_be_cancelled(qudag: Runner, tests: Tests) -> None:
    tests.keep("aaaaaaaaaaaa", results.ping())
    output = qudag(*TEST, "cancel", "aaaa")
    assert output.code == 1
    assert "aaaaaaaaaaaa has ended already" in output.stderr


# --- signals and terminals ------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_and_prints_what_was_measured(
    tests: Tests, node: SmallNode, number: int, code: int
) -> None:
    tests.is_endless = True
    process = subprocess.Popen(
        command(*TEST, "ping", "peer2", "--format", "ndjson"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    while json.loads(process.stdout.readline()).get("event") != "progress":
        pass
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stderr) == (code, "")
    assert json.loads(stdout)["interrupted"] is True
    assert "test.cancel" in [method for method, _ in node.calls]


class Screen:
    """A command on a terminal of 80 columns of its own."""

    def __init__(self, *words: str, environ: dict[str, str]) -> None:
        import fcntl
        import struct
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command(*words), stdin=slave, stdout=slave, stderr=slave, env=environment(environ)
        )
        os.close(slave)

    def read(self) -> str:
        """All that is shown until it ends."""
        shown = b""
        while select.select([self._master], [], [], TIMEOUT_S)[0]:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:  # the other end was closed
                break
            if not data:
                break
            shown += data
        self.process.wait(TIMEOUT_S)
        os.close(self._master)
        return shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_a_bar_and_takes_it_away(tests: Tests) -> None:
    shown = Screen(*TEST, "ping", "peer2", environ={"TERM": "xterm-256color", "LANG": "C.UTF-8"}).read()
    bar, _, summary = shown.rpartition("\r\x1b[J")
    assert "ping peer2  ▕" in bar
    assert "50 %  500 sent, p50 50.1 ms" in bar
    assert summary.startswith("\x1b[32mok\x1b[0m  961 of 1000 answered")


def test_a_terminal_shows_the_hops_of_a_traceroute_as_they_come(tests: Tests) -> None:
    shown = Screen(*TEST, "traceroute", "peer4", environ={"TERM": "xterm", "LANG": "C.UTF-8"}).read()
    live, _, summary = shown.rpartition("\x1b[5A\r\x1b[J")
    assert live.splitlines()[0].startswith("traceroute peer4  ")
    assert [line.split()[:2] for line in live.splitlines()[2:5]] == [
        ["1", "peer2"],
        ["2", "peer3"],
        ["3", "peer4"],
    ]
    assert summary.startswith("\x1b[32mok\x1b[0m  reached in 3 hops")


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_nothing_is_lost(tests: Tests, quiet: dict[str, str]) -> None:
    shown = Screen(*TEST, "ping", "peer2", environ={"TERM": "xterm", "LANG": "C.UTF-8", **quiet}).read()
    assert "50 %  500 sent" in shown
    assert "\x1b[3" not in shown
    assert "\nping peer2 " in shown
    if quiet.get("TERM") == "dumb":
        assert "\x1b" not in shown


def test_a_terminal_of_few_letters_gets_ascii(tests: Tests) -> None:
    environ = {"TERM": "dumb", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    shown = Screen(*TEST, "ping", "peer2", environ=environ).read()
    assert "[#####" in shown
    assert "312 us" in shown
    assert "?" not in shown


@pytest.mark.parametrize(
    "words", [("ping", "peer2"), ("list",), ("ping", "peer2", "--compare", "last", "--fail-if", "p99>1s")]
)
def test_tests_load_nothing_heavy(tests: Tests, words: tuple[str, ...]) -> None:
    assert not loaded(*TEST, *words) & HEAVY
