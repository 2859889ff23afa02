"""The command line against real node processes, over unix, tcp and tls."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from qudag_node.node.identify import dialable_address
from qudag_tui.cli.commands import COMMANDS
from tests.conftest import REPO
from tests.integration.nodes import NodeProcess, running, wait_until
from tests.qudag_tui.cli.support import TIMEOUT_S, Output, command, environment, run

pytestmark = pytest.mark.integration

TRANSPORTS = ("unix", "tcp", "tls")


class Pair:
    """Two nodes with a link between them; the first is asked.

    Attributes:
        addresses: What --node takes, by transport.
        home: The HOME of both.
    """

    def __init__(self, first: NodeProcess, second: NodeProcess, home: Path) -> None:
        self.first = first
        self.second = second
        self.home = home
        status = json.loads(self.ask("unix", "status", "--format", "json").stdout)
        self.addresses = {address.partition(":")[0]: address for address in status["rpc"]}
        self.status = status

    def ask(self, transport: str, *words: str) -> Output:
        """Run a command of the first node's over a transport."""
        node = f"unix:{self.first.socket}" if transport == "unix" else self.addresses[transport]
        token = [] if transport == "unix" else ["--token-file", str(self.first.directory / "rpc.cookie")]
        return run(*words, "--node", node, *token, environ=self.environ)

    def is_linked(self) -> bool:
        """Whether the first knows the second by its name."""
        listed = self.ask("unix", "peer", "list", "--format", "json").stdout
        return [(p["name"], p["state"]) for p in json.loads(listed)["peers"]] == [("peer2", "connected")]

    @property
    def environ(self) -> dict[str, str]:
        return home_environment(self.home)


def home_environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }


@pytest.fixture(scope="module")
def pair() -> Generator[Pair]:
    # A short path: a socket's has at most 100 bytes.
    with TemporaryDirectory() as name:
        home = Path(name)
        (home / "run").mkdir(mode=0o700)
        environ = home_environment(home)
        rpc = ("--rpc", "tcp://127.0.0.1:0", "--rpc", "tls://127.0.0.1:0")
        with running(home / "1", "--name", "peer1", *rpc, environ=environ) as first:
            listen = json.loads(
                run("status", "--data-dir", str(home / "1"), "--format", "json", environ=environ).stdout
            )["listen"][0]
            with running(home / "2", "--name", "peer2", "--peer", listen, environ=environ) as second:
                pair = Pair(first, second, home)
                wait_until(pair.is_linked)
                yield pair


def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((REPO / "docs" / "stats-schema.json").read_text("utf-8")))


@pytest.mark.parametrize("transport", TRANSPORTS)
class TestOverEachTransport:
    def test_one_snapshot_validates_against_the_schema(self, pair: Pair, transport: str) -> None:
        output = pair.ask(transport, "network", "stats", "--once", "--format", "json")
        assert (output.code, output.stderr) == (0, "")
        document = json.loads(output.stdout)
        validator().validate(document)
        assert document["schema"] == "qudag.stats/1"
        assert document["node"]["name"] == "peer1"
        assert document["connections"]["active"] == 1
        assert [peer["name"] for peer in document["peers"]] == ["peer2"]

    @pytest.mark.parametrize(
        "words",
        [
            ["--filter", "section=latency", "--filter", "section=peers"],
            ["--filter", "peer=peer2", "--filter", "type=data"],
            ["--redact", "--sort", "-rtt"],
        ],
        ids=["section", "peer and type", "redact"],
    )
    def test_a_filtered_snapshot_validates_too(self, pair: Pair, transport: str, words: list[str]) -> None:
        output = pair.ask(transport, "network", "stats", "--once", "--format", "json", *words)
        assert output.code == 0, output.stderr
        validator().validate(json.loads(output.stdout))

    @pytest.mark.parametrize("format_", ["table", "detailed", "csv", "ndjson"])
    def test_the_other_formats_name_the_peer_or_the_node(
        self, pair: Pair, transport: str, format_: str
    ) -> None:
        output = pair.ask(transport, "network", "stats", "--once", "--format", format_)
        assert (output.code, output.stderr) == (0, "")
        assert "peer1" in output.stdout

    def test_a_stream_comes_at_its_interval_and_ends_at_its_count(self, pair: Pair, transport: str) -> None:
        output = pair.ask(
            transport, "network", "stats", "--count", "3", "--interval", "0.2", "--format", "ndjson"
        )
        assert (output.code, output.stderr) == (0, "")
        documents = [json.loads(line) for line in output.stdout.splitlines()]
        assert len(documents) == 3
        for document in documents:
            validator().validate(document)
        sampled = [document["node"]["sampled_unix_s"] for document in documents]
        assert sampled == sorted(sampled)

    def test_every_question_is_answered(self, pair: Pair, transport: str) -> None:
        assert pair.ask(transport, "status").code == 0
        assert "peer2" in pair.ask(transport, "peer", "list").stdout
        assert "id" in pair.ask(transport, "peer", "info", "peer2").stdout
        assert "started" in pair.ask(transport, "log", "--lines", "1000").stdout
        assert re.match(r"12D3KooW\w{44}@127\.0\.0\.1:\d+$", pair.ask(transport, "id").stdout)
        assert "messages.sent" in pair.ask(transport, "network", "history").stdout.splitlines()

    def test_a_peer_is_banned_and_welcomed_again(self, pair: Pair, transport: str) -> None:
        assert pair.ask(transport, "peer", "ban", "peer2", "--for", "1h", "--reason", "test").code == 0
        wait_until(lambda: "banned" in pair.ask("unix", "peer", "list").stdout)
        (ban,) = json.loads(pair.ask(transport, "peer", "list", "--format", "json").stdout)["bans"]
        assert (ban["name"], ban["reason"]) == ("peer2", "test")
        assert pair.ask(transport, "peer", "unban", "peer2").code == 0
        wait_until(pair.is_linked)

    def test_an_address_that_nobody_answers_is_listed(self, pair: Pair, transport: str) -> None:
        def listed() -> str:
            return pair.ask(transport, "peer", "list").stdout

        assert "dialling" not in listed()
        assert pair.ask(transport, "peer", "add", "127.0.0.1:9").code == 0
        wait_until(
            lambda: re.search(r"^127\.0\.0\.1:9  backoff .* Connection refused$", listed(), re.MULTILINE)
        )
        assert pair.ask(transport, "peer", "remove", "127.0.0.1:9").code == 0
        assert "dialling" not in listed()

    def test_an_alias_is_a_name(self, pair: Pair, transport: str) -> None:
        assert pair.ask(transport, "peer", "alias", "peer2", "frankfurt").code == 0
        assert "frankfurt" in pair.ask(transport, "peer", "list").stdout
        assert pair.ask(transport, "peer", "info", "frankfurt").code == 0
        assert pair.ask(transport, "peer", "alias", "peer2", "").code == 0

    def test_a_named_token_opens_what_its_role_allows_until_it_is_revoked(
        self, pair: Pair, transport: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "viewer.token"
        assert pair.ask(transport, "token", "add", f"v-{transport}", "--file", str(file)).code == 0
        assert f"v-{transport}" in pair.ask(transport, "token", "list").stdout
        for kind in ("tcp", "tls"):
            words = ("--node", pair.addresses[kind], "--token-file", str(file))
            assert run("status", *words, environ=pair.environ).code == 0
            refused = run("stop", *words, environ=pair.environ)
            assert (refused.code, refused.stderr.count("\n")) == (4, 1)
        assert pair.ask(transport, "token", "revoke", f"v-{transport}").code == 0
        revoked = run(
            "status", "--node", pair.addresses["tcp"], "--token-file", str(file), environ=pair.environ
        )
        assert revoked.code == 4

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["peer", "info", "nobody"], 2),
            (["peer", "ban", "12D3KooW"], 2),
            (["peer", "add", "nonsense"], 2),
            (["token", "revoke", "nothing"], 2),
            (["network", "history", "no.such.series"], 2),
            (["network", "stats", "--once", "--filter", "peer=nobody"], 2),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_what_is_unknown_is_one_line_and_exit_2(
        self, pair: Pair, transport: str, words: list[str], code: int
    ) -> None:
        output = pair.ask(transport, *words)
        assert output.code == code, output.stderr
        assert output.stdout == ""
        assert output.stderr.count("\n") == 1


def test_peers_in_csv_read_back(pair: Pair) -> None:
    output = pair.ask("unix", "peer", "list", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(output.stdout))
    assert (row["name"], row["state"]) == ("peer2", "connected")


def test_a_chart_of_the_past_is_drawn(pair: Pair) -> None:
    wait_until(
        lambda: "┤" in pair.ask("unix", "network", "history", "messages.sent", "--format", "chart").stdout
    )


def test_several_nodes_are_listed_and_one_is_named(pair: Pair) -> None:
    output = run("status", environ=pair.environ)
    assert (output.code, output.stdout) == (2, "")
    assert output.stderr == (
        "qudag: several nodes are running: peer1, peer2; name one with --node NAME or QUDAG_NODE\n"
    )
    assert run("status", "--node", "peer2", environ=pair.environ).code == 0
    assert run("--name", "peer2", "status", environ=pair.environ).code == 0
    assert run("status", environ={**pair.environ, "QUDAG_NODE": "peer2"}).code == 0
    assert run("status", "--data-dir", str(pair.home / "2"), environ=pair.environ).code == 0
    misspelt = run("status", "--node", "per2", environ=pair.environ)
    assert (misspelt.code, "did you mean 'peer" in misspelt.stderr) == (2, True)


def test_a_node_of_the_configuration_is_reached_by_its_name(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "qudag" / "config.toml"
    path.parent.mkdir()
    cookie = pair.first.directory / "rpc.cookie"
    path.write_text(f'[nodes.rack1]\naddress = "{pair.addresses["tls"]}"\ntoken_file = "{cookie}"\n')
    environ = {**pair.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    assert run("status", "--node", "rack1", environ=environ).code == 0
    path.write_text("[nodes.rack1]\nadress = 'x'\n")
    wrong = run("status", "--node", "rack1", environ=environ)
    assert wrong.code == 2
    assert f"{path}: unknown key 'nodes.rack1.adress'; did you mean 'address'?" in wrong.stderr


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_tls_address_without_identity_is_refused_with_advice(pair: Pair) -> None:
    address = pair.addresses["tls"]
    bare = f"tls://{address.partition('@')[2]}"
    output = run("status", "--node", bare, "--token-file", str(pair.first.directory / "rpc.cookie"))
    assert output.code == 2
    assert "qudag id" in output.stderr


def test_another_nodes_identity_is_refused(pair: Pair) -> None:
    identity = json.loads(run("status", "--node", "peer2", "--format", "json", environ=pair.environ).stdout)
    other = f"tls://{identity['node']['id']}@{pair.addresses['tls'].partition('@')[2]}"
    output = run("status", "--node", other, "--token-file", str(pair.first.directory / "rpc.cookie"))
    assert output.code == 4
    assert "is another node" in output.stderr


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("token", ["00" * 32, "deadbeef", ""], ids=["wrong", "short", "empty"])
def test_a_bad_token_is_one_line_and_exit_4(pair: Pair, transport: str, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    output = run(
        "status",
        "--node",
        pair.addresses[transport],
        "--token-file",
        str(tmp_path / "token"),
        environ=pair.environ,
    )
    assert (output.code, output.stderr.count("\n")) == (4, 1)


def test_a_token_file_that_is_not_there_is_a_usage_error(pair: Pair) -> None:
    output = run("status", "--node", pair.addresses["tcp"], "--token-file", "/nowhere")
    assert (output.code, output.stderr.count("\n")) == (2, 1)


class Stranger:
    """A port that is no node's: it answers whatever comes with the same bytes, or with nothing."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(1 << 16)
            if self._answer is None:
                connection.recv(1)  # until the client has had enough
            else:
                connection.sendall(self._answer)

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(10)


UNSUPPORTED = b"\x94\x01\x00\x82\xa4code\xb3unsupported_version\xa7message\xa2no\xc0"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 5),
        (b"220 mail.example.org ESMTP\r\n", 5),
        (b"\x94\x01\x00\xc0\x84\xa7version", 5),
        (b"\x94\x01\x00\xc0\xc6\x7f\xff\xff\xff", 5),
        (UNSUPPORTED, 5),
        (b"", 5),
        (None, 3),
    ],
    ids=["http", "smtp", "truncated", "2 GB", "no common version", "hangs up", "silent"],
)
@pytest.mark.parametrize("has_token", [True, False], ids=["token", "no token"])
def test_what_is_no_node_is_one_line_and_its_code(
    answer: bytes | None, code: int, has_token: bool, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("00" * 32)
    token = ("--token-file", str(tmp_path / "token")) if has_token else ()
    with Stranger(answer) as stranger:
        # Only who says nothing takes all of it.
        words = ("--node", stranger.address, *token, "--timeout", "2" if answer is None else "20")
        output = run("network", "stats", "--once", *words, environ=home_environment(home))
        assert (output.code, output.stdout) == (code, "")
        assert output.stderr.startswith("qudag: ")
        assert output.stderr.count("\n") == 1


def test_where_nobody_listens_is_one_line_and_exit_3(home: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (tmp_path / "token").write_text("00" * 32)
    for address in (f"tcp://127.0.0.1:{port}", f"unix:{tmp_path}/no.sock"):
        for token in (("--token-file", str(tmp_path / "token")), ()):
            words = ("network", "stats", "--once", "--node", address, *token)
            output = run(*words, environ=home_environment(home))
            assert (output.code, output.stderr.count("\n")) == (3, 1)


# --- how a node and a command end -----------------------------------------------------------------


@pytest.fixture
def alone(home: Path, tmp_path: Path) -> Generator[NodeProcess]:
    """The only running node."""
    with TemporaryDirectory() as name, running(Path(name), "--name", "alone") as node:
        yield node


def test_the_only_running_node_needs_no_name_and_stop_waits_until_it_is_gone(alone: NodeProcess) -> None:
    assert run("status").code == 0
    assert json.loads(run("network", "stats", "--once", "--format", "json").stdout)["node"]["name"] == "alone"
    output = run("stop")
    assert (output.code, output.stderr) == (0, "alone has stopped\n")
    assert alone.process.wait(TIMEOUT_S) == 0
    assert not alone.socket.exists()
    gone = run("status")
    assert (gone.code, gone.stderr) == (
        3,
        "qudag: no node is running; start one with `qudag start`, or name one with --node\n",
    )


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_stream_whose_token_is_revoked_says_so_and_ends_with_4(
    pair: Pair, tmp_path: Path, transport: str
) -> None:
    file = tmp_path / "token"
    assert pair.ask("unix", "token", "add", f"short-{transport}", "--file", str(file)).code == 0
    process = subprocess.Popen(
        command("network", "stats", "--node", pair.addresses[transport], "--token-file", str(file)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(pair.environ),
        cwd=REPO,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    assert pair.ask("unix", "token", "revoke", f"short-{transport}").code == 0
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    said = f"qudag: the token 'short-{transport}' of this session was revoked; ask for another\n"
    assert (process.returncode, stderr) == (4, said)


@pytest.mark.parametrize("flags", [(), ("--advertise", "203.0.113.5:7777", "--advertise", "0.0.0.0:8888")])
def test_id_is_what_a_peer_can_dial_however_it_is_asked(
    home: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with running(tmp_path / "wide", "--name", "wide", "--listen", "0.0.0.0:0", *flags) as node:
        _, identity, *_ = node.ready_line.split()
        listening = node.ready_line.partition("links on ")[2].partition(";")[0].split(", ")
        assert any(address.startswith("0.0.0.0:") for address in listening)
        advertised = flags[1::2] or listening
        dialable = [*filter(None, map(dialable_address, advertised))]
        assert not any("0.0.0.0" in address for address in dialable)
        lines = "".join(f"{identity}@{address}\n" for address in dialable)
        assert run("id", "--node", "wide").stdout == lines
        assert run("id", "--name", "wide", "--data-dir", str(tmp_path / "wide")).stdout == lines
        assert json.loads(run("status", "--format", "json").stdout)["dialable"] == dialable


def test_a_stream_tells_when_its_node_is_killed(alone: NodeProcess) -> None:
    process = streaming()
    alone.process.kill()
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3
    assert stderr.count("\n") == 1


def streaming() -> subprocess.Popen[str]:
    """A stream that has begun."""
    process = subprocess.Popen(
        command("network", "stats", "--interval", "0.2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=REPO,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_stream(alone: NodeProcess, number: int, code: int) -> None:
    process = streaming()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stderr) == (code, "")


def test_head_ends_a_stream_silently(alone: NodeProcess) -> None:
    process = streaming()
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_log_is_followed(alone: NodeProcess) -> None:
    process = subprocess.Popen(
        command("log", "-f", "--node", "alone"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=REPO,
    )
    assert process.stdout is not None
    assert "alone" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130


def test_a_terminal_gets_colour_and_its_width_unless_it_declines(alone: NodeProcess) -> None:
    import pty

    def on_a_terminal(**environ: str) -> str:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command("network", "stats", "--once"),
            stdout=theirs,
            stderr=subprocess.STDOUT,
            env=environment({"TERM": "xterm", **environ}),
            cwd=REPO,
        ) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                if not data:
                    break
                shown += data
            process.wait(TIMEOUT_S)
        os.close(ours)
        return shown.decode()

    assert "\x1b[1m" in on_a_terminal()
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(TERM="dumb")


def test_every_command_has_been_asked_for() -> None:
    """A command that is added is to be tried here against a real node."""
    text = Path(__file__).read_text(encoding="utf-8")
    of_tests = Path(__file__).with_name("test_network_tests.py").read_text(encoding="utf-8")
    elsewhere: dict[str, Any] = {
        "start": "nodes.py",
        "id": "test_node_process.py",
        "config": "test_node_process.py",
        "lab": "test_lab.py",
        "completion": "needs no node",
        "peer remove": "with peer add",
    }
    missing = [
        " ".join(of.path)
        for of in COMMANDS
        if not {of.path[0], " ".join(of.path)} & elsewhere.keys()
        and ", ".join(f'"{word}"' for word in of.path) not in text
        and not (of.path[:2] == ["network", "test"] and f'"{of.path[-1]}"' in of_tests)
    ]
    assert missing == []
