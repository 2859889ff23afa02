"""Each command against a node that answers from a table: what is asked, what is printed, how it ends."""

from __future__ import annotations

import csv
import io
import json
import threading
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_node.wire import ErrorCode, PeerRows, RpcError, pack_column, pack_text
from qudag_tui.cli.times import parse_duration, parse_time
from tests.qudag_tui import examples
from tests.qudag_tui.cli.support import Runner
from tests.qudag_tui.client.documents import wire_document
from tests.qudag_tui.client.server import SmallNode
from tests.snapshots import TextSnapshot

Push = Callable[[str, Mapping[str, Any]], None]

# --- network stats --------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["table", "json", "detailed", "csv", "ndjson"])
def test_one_snapshot_in_each_format_is_frozen(
    qudag: Runner, node: SmallNode, format_: str, snapshot: SnapshotAssertion
) -> None:
    output = qudag("network", "stats", "--once", "--format", format_)
    assert (output.code, output.stderr) == (0, "")
    assert output.stdout == snapshot(extension_class=TextSnapshot)


def test_json_is_the_document(qudag: Runner, node: SmallNode) -> None:
    document = json.loads(qudag("network", "stats", "--once", "--format", "json").stdout)
    assert document["schema"] == "qudag.stats/1"
    assert list(document)[:3] == ["schema", "node", "connections"]
    assert document["connections"]["active"] == 4
    assert document["messages"]["sent"] == examples.document()["messages"]["sent"]  # type: ignore[index]
    assert [peer["name"] for peer in document["peers"]] == ["peer2", "peer3", "peer4", "peer5", "peer9"]


def test_only_the_chosen_sections_are_asked_for(qudag: Runner, node: SmallNode) -> None:
    output = qudag(
        "network",
        "stats",
        "--once",
        "--filter",
        "section=latency",
        "--filter=section=messages",
        "--format",
        "json",
    )
    assert node.calls == [("stats", {"sections": ["node", "messages", "latency"]})]
    assert list(json.loads(output.stdout)) == ["schema", "node", "messages", "latency"]


def test_an_unknown_peer_is_a_usage_error(qudag: Runner, node: SmallNode) -> None:
    output = qudag("network", "stats", "--once", "--filter", "peer=peer33")
    assert (output.code, output.stdout) == (2, "")
    assert output.stderr == "qudag: no peer is called 'peer33'; did you mean 'peer3'?\n"


def test_csv_reads_back(qudag: Runner, node: SmallNode) -> None:
    output = qudag(
        "network", "stats", "--once", "--format", "csv", "--filter", "section=peers", "--sort=-rtt"
    )
    rows = list(csv.DictReader(io.StringIO(output.stdout)))
    assert [row["name"] for row in rows] == ["peer5", "peer3", "peer4", "peer2", "peer9"]
    assert rows[0]["node"] == "peer1"


def stream(node: SmallNode, ticks: int) -> None:
    """Answer a subscription with one whole document and then changes."""

    def subscribe(params: Mapping[str, Any], push: Push) -> dict[str, Any]:
        assert params["topic"] == "stats"
        push("stats.full", {"stream": 1, "seq": 1, "document": wire_document(1)})
        for tick in range(2, ticks + 1):
            sections = {k: v for k, v in examples.document(tick).items() if k != "schema"}
            push("stats.delta", {"stream": 1, "seq": tick, "base": tick - 1, "sections": sections})
        return {"stream": 1}

    node.methods["subscribe"] = subscribe


@pytest.mark.parametrize("format_", ["table", "csv"])
def test_a_stream_is_frozen(
    qudag: Runner, node: SmallNode, format_: str, snapshot: SnapshotAssertion
) -> None:
    stream(node, 23)
    output = qudag("network", "stats", "--count", "23", "--interval", "2", "--format", format_)
    assert (output.code, output.stderr) == (0, "")
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    assert node.calls[0] == ("subscribe", {"topic": "stats", "interval_s": 2.0})


def test_ndjson_is_a_document_a_line(qudag: Runner, node: SmallNode) -> None:
    stream(node, 3)
    output = qudag("network", "stats", "--count", "3", "--format", "ndjson")
    assert [json.loads(line)["node"]["tick"] for line in output.stdout.splitlines()] == [1, 2, 3]


def test_a_filtered_stream_is_a_table_each_time(qudag: Runner, node: SmallNode) -> None:
    stream(node, 2)
    output = qudag("network", "stats", "--count", "2", "--filter", "peer=peer3")
    assert output.stdout.count("peer3") == 2
    assert output.stdout.count("resent") == 2


def test_after_a_gap_the_stream_begins_anew(qudag: Runner, node: SmallNode) -> None:
    begun = 0

    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        nonlocal begun
        begun += 1
        push("stats.full", {"stream": begun, "seq": 1, "document": wire_document(begun)})
        if begun == 1:
            for seq in (9, 10, 11):
                push("stats.delta", {"stream": 1, "seq": seq, "base": seq - 1, "sections": {}})
        return {"stream": begun}

    node.methods |= {"subscribe": subscribe}
    output = qudag("network", "stats", "--count", "2", "--format", "ndjson")
    assert (output.code, output.stderr) == (0, "")
    assert [json.loads(line)["node"]["tick"] for line in output.stdout.splitlines()] == [1, 2]
    assert [method for method, _ in node.calls] == ["subscribe", "subscribe"]


def test_changes_before_anything_whole_begin_the_stream_anew(qudag: Runner, node: SmallNode) -> None:
    begun = 0

    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        nonlocal begun
        begun += 1
        if begun == 1:
            push("stats.delta", {"stream": 1, "seq": 1, "base": 0, "sections": {}})
        else:
            push("stats.full", {"stream": 1, "seq": 1, "document": wire_document(begun)})
        return {"stream": 1}

    node.methods |= {"subscribe": subscribe}
    output = qudag("network", "stats", "--count", "1", "--format", "ndjson")
    assert (output.code, output.stderr, json.loads(output.stdout)["node"]["tick"]) == (0, "", 2)


@pytest.mark.parametrize("chatters", [False, True])
def test_a_stream_without_figures_ends_with_3(qudag: Runner, node: SmallNode, chatters: bool) -> None:
    ended = threading.Event()

    def chatter(push: Push) -> None:
        """Changes that follow nothing, for ever."""
        with suppress(OSError):
            while not ended.wait(0.02):
                push("stats.delta", {"stream": 1, "seq": 9, "base": 8, "sections": {}})

    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        if chatters and len(node.calls) == 1:
            threading.Thread(target=chatter, args=[push], daemon=True).start()
        return {"stream": 1}

    node.methods["subscribe"] = subscribe
    output = qudag("network", "stats", "--timeout", "2", "--interval", "0.1")
    ended.set()
    assert (output.code, output.stdout) == (3, "")
    assert output.stderr == "qudag: no figures came for 2 s; see `qudag log` on the node's host\n"


def test_a_node_that_goes_away_ends_a_stream_with_3(qudag: Runner, node: SmallNode) -> None:
    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        push("stats.full", {"stream": 1, "seq": 1, "document": wire_document(1)})
        threading.Timer(0.1, node.hang_up).start()
        return {"stream": 1}

    node.methods["subscribe"] = subscribe
    output = qudag("network", "stats")
    assert output.code == 3
    assert "closed the connection" in output.stderr
    assert output.stdout.count("\n") == 2


# --- peers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["table", "json", "detailed", "csv", "ndjson"])
def test_peers_are_listed_in_each_format(
    qudag: Runner, node: SmallNode, format_: str, snapshot: SnapshotAssertion
) -> None:
    output = qudag("peer", "list", "--format", format_, "--sort", "-loss")
    assert (output.code, output.stderr) == (0, "")
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    asked = [("stats", {"sections": ["node", "peers"]}), ("connections", {})]
    assert node.calls == asked[: 1 if format_ in {"csv", "ndjson"} else 2]


NEVER_LINKED: list[dict[str, Any]] = [
    {
        "address": "198.18.0.9:8000",
        "peer": None,
        "state": "backoff",
        "attempts": 4,
        "last_error": "198.18.0.9:8000: Connection refused",
        "next_dial_s": 12.3,
    },
    {
        "address": "host.example:8000",
        "peer": "12D3KooWJvCFjpYGkvJfDEQJwGoMpa6Rs9ECHW4Cercw8LkmAyCR",
        "state": "connecting",
        "attempts": 1,
        "last_error": "",
        "next_dial_s": None,
    },
]
BANS: list[dict[str, Any]] = [
    {
        "peer": "12D3KooWJvCFjpYGkvJfDEQJwGoMpa6Rs9ECHW4Cercw8LkmAyCR",
        "name": "peer7",
        "address": "198.18.0.7:8000",
        "until_unix_s": examples.NOON,
        "reason": "floods adverts",
    },
    {
        "peer": "12D3KooWF5VJFdJvCFjpYGkvJfDEQJwGoMpa6Rs9ECHW4Cercw8L",
        "name": "",
        "address": "",
        "until_unix_s": None,
        "reason": "",
    },
    {"peer": None, "name": "", "address": "203.0.113.5", "until_unix_s": None, "reason": "by uid 0"},
]


@pytest.mark.parametrize("format_", ["table", "json", "detailed"])
@pytest.mark.parametrize("redacted", [False, True], ids=["", "redacted"])
def test_who_was_never_linked_and_who_is_banned_stand_below_the_peers(
    qudag: Runner, node: SmallNode, format_: str, redacted: bool, snapshot: SnapshotAssertion
) -> None:
    node.methods["connections"] = lambda _params, _push: {"links": [], "dials": NEVER_LINKED, "bans": BANS}
    words = ("peer", "list", "--format", format_, *(["--redact"] if redacted else []))
    output = qudag(*words)
    assert (output.code, output.stderr) == (0, "")
    if format_ == "json":
        document = json.loads(output.stdout)
        assert redacted or (document["dialling"], document["bans"]) == (NEVER_LINKED, BANS)
        assert len(document["dialling"]) == 2
    below = output.stdout[output.stdout.index("dialling") :]
    if redacted:
        assert not any(secret in below for secret in ("198.18", "203.0", "host.example", "12D3KooW"))
    assert below == snapshot(extension_class=TextSnapshot)
    assert "dialling" not in qudag(*words[:2], "--filter", "peer=peer2").stdout


def test_peer_list_can_leave_out_who_has_no_link(qudag: Runner, node: SmallNode) -> None:
    assert "peer9" in qudag("peer", "list", "--links").stdout  # its link is being made anew
    output = qudag("peer", "list", "--links", "--redact", "--filter", "peer=peer3")
    assert "198.18" not in output.stdout
    assert qudag("peer", "list", "--filter", "type=data").code == 2


def test_one_peer_is_shown_with_all_that_is_known(
    qudag: Runner, node: SmallNode, snapshot: SnapshotAssertion
) -> None:
    node.methods["peer"] = lambda _params, _push: {
        "row": {"name": "peer2", "rtt_p50_s": 0.0212, "bytes_sent": 37_800_000, "loss_ratio": 0.0125},
        "by_type": {"data": {"sent": 12, "sent_bytes": 4096}},
        "tcp": {"rtt_s": 0.02, "retransmits": 3},
        "aliases": ["frankfurt"],
        "events": [
            {
                "seq": 4,
                "unix_s": examples.NOON,
                "kind": "link-up",
                "severity": "info",
                "subject": "peer2",
                "text": "in",
            }
        ],
    }
    output = qudag("peer", "info", "peer2")
    assert output.stdout == snapshot(extension_class=TextSnapshot)
    assert node.calls == [("peer", {"peer": "peer2"})]
    document = json.loads(qudag("peer", "info", "peer2", "--format", "json").stdout)
    assert document["schema"] == "qudag.peer/1"
    assert document["row"]["rtt_p50_s"] == 0.0212


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["peer", "add", "10.0.0.1:8000"], ("peer.add", {"address": "10.0.0.1:8000"})),
        (["peer", "remove", "peer2"], ("peer.remove", {"peer": "peer2"})),
        (["peer", "ban", "peer2"], ("peer.ban", {"peer": "peer2"})),
        (
            ["peer", "ban", "peer2", "--for", "1h30m", "--reason", "floods"],
            ("peer.ban", {"peer": "peer2", "duration_s": 5400.0, "reason": "floods"}),
        ),
        (["peer", "unban", "peer2"], ("peer.unban", {"peer": "peer2"})),
        (["peer", "alias", "peer2", "frankfurt"], ("peer.alias", {"peer": "peer2", "alias": "frankfurt"})),
        (["token", "revoke", "dashboard"], ("token.revoke", {"name": "dashboard"})),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_changes_something_asks_for_it_and_prints_no_data(
    qudag: Runner, node: SmallNode, words: list[str], call: tuple[str, dict[str, object]]
) -> None:
    node.methods[call[0]] = lambda _params, _push: {}
    output = qudag(*words)
    assert (output.code, output.stdout) == (0, "")
    assert output.stderr.count("\n") == 1
    assert node.calls == [call]


def test_an_ambiguous_peer_is_told_with_the_nodes_candidates(qudag: Runner, node: SmallNode) -> None:
    def refuse(_params: object, _push: object) -> object:
        raise RpcError(ErrorCode.AMBIGUOUS, "'peer' fits 2 peers", "peer2, peer3")

    node.methods["peer"] = refuse
    output = qudag("peer", "info", "peer")
    assert (output.code, output.stderr) == (2, "qudag: 'peer' fits 2 peers; peer2, peer3\n")


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_printed_once_or_kept_in_a_file_of_its_own(
    qudag: Runner, node: SmallNode, tmp_path: Path
) -> None:
    node.methods["token.add"] = lambda params, _push: {"name": params["name"], "token": "ab" * 32}
    assert qudag("token", "add", "dashboard").stdout == "ab" * 32 + "\n"
    document = json.loads(qudag("token", "add", "d", "--role", "admin", "--format", "json").stdout)
    assert document == {"schema": "qudag.token/1", "name": "d", "role": "admin", "token": "ab" * 32}
    file = tmp_path / "dashboard.token"
    output = qudag("token", "add", "dashboard", "--file", str(file))
    assert (output.code, output.stdout) == (0, "")
    assert file.read_text() == "ab" * 32 + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    again = qudag("token", "add", "dashboard", "--file", str(file))
    assert (again.code, again.stderr) == (
        1,
        f"qudag: {file}: File exists; name a file that does not exist\n",
    )
    assert [params for _, params in node.calls] == [
        {"name": "dashboard", "role": "viewer"},
        {"name": "d", "role": "admin"},
        {"name": "dashboard", "role": "viewer"},
    ]


def test_no_empty_token_file_is_left_behind(qudag: Runner, node: SmallNode, tmp_path: Path) -> None:
    def refuse(_params: object, _push: object) -> object:
        raise RpcError(ErrorCode.FORBIDDEN, "only an admin may")

    node.methods["token.add"] = refuse
    assert qudag("token", "add", "x", "--file", str(tmp_path / "t")).code == 4
    assert not (tmp_path / "t").exists()


def test_tokens_are_listed(qudag: Runner, node: SmallNode) -> None:
    tokens: list[dict[str, object]] = []
    node.methods["token.list"] = lambda _params, _push: {"tokens": tokens}
    output = qudag("token", "list")
    assert (output.code, output.stdout) == (0, "")
    tokens.append({"name": "dashboard", "role": "viewer", "created_unix_s": examples.NOON})
    assert qudag("token", "list").stdout == (
        "name       role    created\ndashboard  viewer  2026-01-31T12:30:00Z\n"
    )
    assert json.loads(qudag("token", "list", "--format", "json").stdout)["tokens"] == tokens


# --- one node -------------------------------------------------------------------------------------


def test_status_is_told(qudag: Runner, node: SmallNode) -> None:
    node.methods["status"] = lambda _params, _push: {
        "schema": "qudag.status/1",
        "pid": 4711,
        "uptime_s": 62.0,
    }
    assert qudag("status").stdout == "pid       4711\nuptime_s  1m 02s\n"
    assert json.loads(qudag("status", "--format", "json").stdout)["pid"] == 4711


def test_a_node_that_no_peer_can_dial_says_so(qudag: Runner, node: SmallNode) -> None:
    answer = {"node": {"id": "12D3KooWx"}, "advertise": ["0.0.0.0:8000"], "dialable": ["192.0.2.7:8000"]}
    node.methods["status"] = lambda _params, _push: answer
    assert qudag("id", "--node", str(node.address)).stdout == "12D3KooWx@192.0.2.7:8000\n"
    answer["dialable"] = []
    output = qudag("id", "--node", str(node.address))
    assert (output.code, output.stdout) == (0, "")
    assert output.stderr == (
        "qudag: no peer can dial this node (0.0.0.0:8000); "
        "set overlay.advertise to an address at which peers reach its host\n"
    )


def test_a_node_that_does_not_stop_is_told(qudag: Runner, node: SmallNode) -> None:
    node.methods["shutdown"] = lambda _params, _push: {}
    output = qudag("stop", "--wait", "0.2")
    assert output.code == 3
    assert "has not ended after 0.2 s" in output.stderr


def test_the_log_is_read_over_the_connection(qudag: Runner, node: SmallNode) -> None:
    node.methods["log"] = lambda params, _push: {
        "lines": ["2026 INFO started", "2026 WARNING odd \x1b[31m"][: params["lines"]]
    }
    output = qudag("log", "--node", str(node.address), "--lines", "2", "--level", "info")
    assert output.stdout == "2026 INFO started\n2026 WARNING odd \ufffd(31m\n"
    assert node.calls == [("log", {"lines": 2, "level": "info"})]


def test_the_log_is_followed_above_its_level(qudag: Runner, node: SmallNode) -> None:
    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        push("log", {"stream": 1, "lines": ["a ERROR c", "    where", "a INFO b", "    who"]})
        push("log", {"stream": 1, "lines": ["no level"]})
        threading.Timer(0.1, node.hang_up).start()
        return {"stream": 1}

    node.methods |= {"subscribe": subscribe, "log": lambda _params, _push: {"lines": ["a ERROR old"]}}
    output = qudag("log", "-f", "--level", "warning", "--node", str(node.address))
    assert output.code == 3
    assert output.stdout == "a ERROR old\na ERROR c\n    where\nno level\n"


def test_nothing_that_the_node_says_is_cut_in_a_pipe(qudag: Runner, node: SmallNode) -> None:
    advice = f"{'x' * 12_000} so do this"
    node.methods["log"] = lambda _params, _push: {"lines": [advice]}
    assert qudag("log", "--node", str(node.address)).stdout == f"{advice}\n"
    dial = {
        "peer": None,
        "address": "198.18.0.9:8000",
        "state": "backoff",
        "attempts": 3,
        "next_dial_s": 2.5,
        "last_error": advice,
    }
    node.methods["connections"] = lambda _params, _push: {"links": [], "dials": [dial], "bans": []}
    assert f"  {advice}\n" in qudag("peer", "list").stdout

    def refuse(_params: object, _push: object) -> None:
        raise RpcError(ErrorCode.AMBIGUOUS, advice)

    node.methods["peer"] = refuse
    assert qudag("peer", "info", "x").stderr == f"qudag: {advice}\n"


def test_what_peers_say_of_themselves_stays_short(qudag: Runner, node: SmallNode) -> None:
    document = wire_document()
    rows = PeerRows.from_wire(document["peers"])
    names = ["y" * 10_000, *rows.text["name"][1:]]
    document["peers"] = {**document["peers"], "text": {**document["peers"]["text"], "name": pack_text(names)}}
    node.methods["stats"] = lambda _params, _push: document
    shown = qudag("peer", "list", "--format", "json").stdout
    assert {len(peer["name"]) for peer in json.loads(shown)["peers"]} == {256, len("peer3")}


# --- history --------------------------------------------------------------------------------------

NAMES = ["latency.links.p99", "messages.sent_rate.1s"]


@pytest.fixture
def past(node: SmallNode) -> SmallNode:
    """A node that remembers."""

    def history(params: Mapping[str, Any], _push: object) -> dict[str, Any]:
        asked = params.get("series") or []
        return {
            "schema": "qudag.history/1",
            "from_unix_s": examples.NOON,
            "step_s": params.get("step_s", 1.0),
            "series": {name: pack_column("f4", array("f", [1.0, float("nan"), 3.0])) for name in asked},
            "names": NAMES,
        }

    node.methods["history"] = history
    return node


def test_history_lists_its_series(qudag: Runner, past: SmallNode) -> None:
    assert qudag("network", "history").stdout.splitlines() == NAMES
    assert json.loads(qudag("network", "history", "--format", "json").stdout)["names"] == NAMES


def test_history_in_each_format(qudag: Runner, past: SmallNode) -> None:
    words = ("network", "history", "messages.sent_rate.1s", "--step", "10s", "--from", str(examples.NOON))
    assert qudag(*words).stdout == (
        "time                  messages.sent_rate.1s\n"
        "2026-01-31T12:30:00Z                   1.00\n"
        "2026-01-31T12:30:20Z                   3.00\n"
    )
    assert qudag(*words, "--format", "csv").stdout.splitlines()[1:] == [
        "1769862600.0,1.0",
        "1769862610.0,",
        "1769862620.0,3.0",
    ]
    assert json.loads(qudag(*words, "--format", "json").stdout)["series"] == {
        "messages.sent_rate.1s": [1.0, None, 3.0]
    }
    chart = qudag(*words, "--format", "chart")
    assert chart.code == 0
    assert chart.stdout.startswith("messages.sent_rate.1s\n")
    asked = past.calls[1][1]
    assert (asked["series"], asked["step_s"], asked["from_unix_s"]) == (
        ["messages.sent_rate.1s"],
        10.0,
        examples.NOON,
    )


def test_an_unknown_series_is_told_with_the_nearest(qudag: Runner, past: SmallNode) -> None:
    output = qudag("network", "history", "messages.sent_rate")
    assert (output.code, output.stderr) == (
        2,
        "qudag: no series is called 'messages.sent_rate'; did you mean 'messages.sent_rate.1s'?\n",
    )


def test_series_can_be_chosen_by_a_pattern(qudag: Runner, past: SmallNode) -> None:
    output = qudag("network", "history", "*.p99", "latency.links.p99", "--format", "csv")
    assert output.stdout.startswith("unix_s,latency.links.p99\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1.5d", 129_600.0),
        ("2w", 1_209_600.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "5y", "m", "1.2.3s", "nan", "inf", "10 m m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", 2e9),
        ("10m", 2e9 - 600),
        ("10m ago", 2e9 - 600),
        ("-10m", 2e9 - 600),
        ("90", 2e9 - 90),
        ("1769862600", 1769862600.0),
        ("2026-01-31T12:30:00+00:00", 1769862600.0),
        ("2026-01-31T12:30:00Z", 1769862600.0),
    ],
)
def test_moments(text: str, moment: float) -> None:
    assert parse_time(text, 2e9) == moment


# --- answers of another shape ---------------------------------------------------------------------

ODD = [None, 5, -1.5, "text", [], [1], {}, {"a": {"b": 1}}, True, b"bytes"]


@pytest.mark.parametrize("section", [name for name in examples.document() if name != "schema"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_section_of_another_shape_never_ends_in_a_traceback(
    qudag: Runner, node: SmallNode, section: str, odd: object
) -> None:
    document = {**wire_document(), section: odd}
    node.methods["stats"] = lambda _params, _push: document
    for format_ in ("table", "detailed", "csv"):
        output = qudag("network", "stats", "--once", "--format", format_)
        assert output.code in {0, 5}
        assert output.stderr.count("\n") == (output.code == 5)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (["status"], "status"),
        (["peer", "info", "x"], "peer"),
        (["peer", "list"], "stats"),
        (["token", "list"], "token.list"),
        (["token", "add", "x"], "token.add"),
        (["network", "history"], "history"),
        (["network", "history", "a"], "history"),
        (["network", "stats", "--once"], "stats"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize(
    "odd", [*ODD, {"names": ["a"], "series": {"a": 5}}, {"peers": 5, "node": {}}], ids=repr
)
def test_an_answer_of_another_shape_is_one_line_and_exit_5(
    qudag: Runner, node: SmallNode, words: list[str], method: str, odd: object
) -> None:
    node.methods[method] = lambda _params, _push: odd
    output = qudag(*words)
    assert output.code in {0, 2, 5}
    assert "Traceback" not in output.stderr
    assert output.stderr.count("\n") <= 1
    if not isinstance(odd, dict):
        assert output.code == 5


def test_a_malformed_change_ends_a_stream_with_5(qudag: Runner, node: SmallNode) -> None:
    def subscribe(_params: object, push: Push) -> dict[str, Any]:
        push("stats.full", {"stream": 1, "seq": "one", "document": wire_document(1)})
        return {"stream": 1}

    node.methods["subscribe"] = subscribe
    output = qudag("network", "stats")
    assert (output.code, output.stderr.count("\n")) == (5, 1)
