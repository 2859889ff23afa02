"""The command line as such: help, spelling, global options, what it loads, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qudag_tui import __version__
from qudag_tui.cli.commands import COMMANDS, Command
from qudag_tui.cli.hand_over import ASKED_OF_A_NODE, NODE_COMMANDS
from qudag_tui.cli.program import parse
from tests.conftest import REPO
from tests.qudag_tui.cli.support import TIMEOUT_S, Runner, command, environment, run
from tests.qudag_tui.client.documents import wire_document
from tests.qudag_tui.client.server import TOKEN, SmallNode

OURS = [command for command in COMMANDS if command.module is None]


@pytest.mark.parametrize("of", OURS, ids=lambda of: " ".join(of.path))
def test_every_command_explains_itself_with_an_example(qudag: Runner, of: Command) -> None:
    # Without --node the log of a node here is meant, which is the node's own command.
    output = qudag(*of.path, *(["--node", "peer1"] if of.path[0] in ASKED_OF_A_NODE else []), "--help")
    assert output.code == 0
    assert f"qudag {' '.join(of.path)}" in output.stdout
    assert all(example in output.stdout for example in of.examples)
    assert of.examples
    assert "--node NODE" in output.stdout


@pytest.mark.parametrize("of", COMMANDS, ids=lambda of: " ".join(of.path))
def test_every_example_parses(of: Command) -> None:
    for example in of.examples:
        words = shlex.split(example.partition(" > ")[0])[1:]
        assert parse(words).command is of


def test_help_lists_every_command(qudag: Runner) -> None:
    output = qudag("--help")
    assert output.code == 0
    for of in COMMANDS:
        assert f"\n    {of.path[0]}" in output.stdout
    assert "exit codes: 0 ok" in output.stdout
    for group in ("peer", "network", "token"):
        listed = qudag(group, "--help").stdout
        assert all(f"\n    {of.path[1]}" in listed for of in COMMANDS if of.path[0] == group)


def test_the_version_is_told(qudag: Runner) -> None:
    assert qudag("--version").stdout == f"qudag {__version__}\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["netwrok", "stats"], "unknown command 'netwrok'; did you mean 'network'?"),
        (["peer", "lst"], "unknown command 'lst'; did you mean 'list'?"),
        (["network", "stats", "--onec"], "qudag network stats takes no '--onec'; did you mean '--once'?"),
        (["network", "stats", "--once=1"], "ignored explicit argument"),
        (["network", "stats", "extra"], "takes no 'extra'"),
        (
            ["network", "stats", "--format", "jsn"],
            "--format jsn: this command has none such; did you mean 'json'?",
        ),
        (["status", "--format", "csv"], "--format csv: this command has none such; known: json, table"),
        (["stop", "--format", "json"], "--format json: this command has none such"),
        (["network", "stats", "--interval", "x"], "'x' is not a number of seconds"),
        (["network", "stats", "--interval", "0"], "'0' is not more than 0 seconds"),
        (["network", "stats", "--interval", "0.01"], "--interval 0.01: at least 0.1 s"),
        (["network", "stats", "--interval", "nan"], "'nan' is not more than 0 seconds"),
        (["network", "stats", "--count", "0"], "--count 0: at least 1"),
        (["network", "stats", "--count", "-1"], "'-1' is not a whole number"),
        (["network", "stats", "--filter", "sektion=x"], "unknown filter 'sektion'; did you mean 'section'?"),
        (["network", "stats", "--once", "--filter", "section=latenzy"], "did you mean 'latency'?"),
        (["network", "history", "--from", "yesterdya"], "'yesterdya' is not a moment"),
        (["network", "history", "--from", "1m", "--to", "2m"], "--from 1m is not before --to 2m"),
        (["peer", "ban", "x", "--for", "2y"], "'2y' is not a time such as 30s"),
        (["peer", "ban"], "the following arguments are required: PEER; see `qudag peer ban --help`"),
        (["completion", "csh"], "unknown shell 'csh'"),
        (["token", "add", "x", "--role", "amdin"], "unknown role 'amdin'; did you mean 'admin'?"),
        (["--timeout", "-3", "status"], "'-3' is not more than 0 seconds"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(qudag: Runner, words: list[str], complaint: str) -> None:
    output = qudag(*words)
    assert output.code == 2
    assert output.stdout == ""
    assert output.stderr.startswith("qudag: ")
    assert output.stderr.count("\n") == 1
    assert complaint in output.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--node", "{node}", "--format", "json", "network", "stats", "--once"],
        ["network", "--node", "{node}", "stats", "--once", "--format=json"],
        ["network", "stats", "--once", "--format", "json", "--node={node}"],
        ["--format", "json", "network", "stats", "--once", "--node", "{node}"],
        ["network", "stats", "--once", "--format", "json", "--node", "{node}", "--timeout", "9"],
    ],
)
def test_global_options_stand_before_or_behind_the_command(
    qudag: Runner, node: SmallNode, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUDAG_NODE", "unix:/nowhere")
    output = qudag(*(word.format(node=node.address) for word in words))
    assert output.code == 0, output.stderr
    assert '"schema": "qudag.stats/1"' in output.stdout


# --- what is loaded -------------------------------------------------------------------------------


def modules_after(*words: str, environ: dict[str, str] | None = None) -> set[str]:
    code = (
        "import sys\n"
        "from qudag_tui.cli.__main__ import main\n"
        f"try: main({list(words)!r})\n"
        "except SystemExit: pass\n"
        "print('\\nMODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment(environ),
        timeout=TIMEOUT_S,
    )
    return set(done.stdout.rpartition("MODULES")[2].split())


HEAVY = {"textual", "rich", "asyncio", "numpy", "plotext", "shtab", "cryptography"}
# What only this costs: measured, each is more than asking a node for its figures.
LEAN = HEAVY | {
    "argparse",
    "dataclasses",
    "inspect",
    "logging",
    "pathlib",
    "ssl",
    "socket",
    "tomllib",
    "typing",
}


def loaded(*words: str, environ: dict[str, str] | None = None) -> set[str]:
    # Coverage of subprocesses starts before the code and loads some of them itself.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(environ),
    )
    return modules_after(*words, environ=environ) - set(bare.stdout.split())


@pytest.mark.parametrize("words", [("--help",), ("network", "stats", "--help"), ("--version",), ("status",)])
def test_commands_load_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not loaded(*words) & HEAVY


def test_one_snapshot_loads_next_to_nothing(node: SmallNode) -> None:
    words = ("network", "stats", "--once", "--node", str(node.address))
    assert not loaded(*words) & (LEAN | {"json", "re"})
    assert not loaded(*words, "--format", "json") & LEAN


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_one_snapshot_with_a_token_loads_little_more(tmp_path: Path, transport: str) -> None:
    (tmp_path / "token").write_text(TOKEN.hex())
    with SmallNode(transport, tmp_path) as node:
        node.methods["stats"] = lambda _params, _push: wire_document()
        words = ("--node", str(node.address), "--token-file", str(tmp_path / "token"))
        assert loaded("network", "stats", "--once", *words) & (LEAN | {"json", "re"}) == set()
    assert [method for method, _ in node.calls] == ["stats"]


def test_no_module_of_the_windows_imports_numpy() -> None:
    sources = [*(REPO / "qudag_tui").rglob("*.py")]
    assert sources
    assert not [path for path in sources if "import numpy" in path.read_text(encoding="utf-8")]


# --- handing over ---------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [of for of in COMMANDS if of.module], ids=lambda of: " ".join(of.path))
def test_the_nodes_own_commands_explain_themselves_under_our_name(of: Command) -> None:
    output = run(*of.path, "--help")
    assert output.code == 0, output.stderr
    assert "usage: qudag" in output.stdout
    assert "example" in output.stdout
    assert ".." not in output.stdout.replace("...", "")
    description = output.stdout.split("\n\n")[1]
    assert description.endswith(".")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["start", "--lsten", "x"], "qudag: unrecognized arguments: --lsten x; see `qudag --help`"),
        (["start", "--listen"], "qudag start: argument --listen: expected one argument"),
        (["id", "two\nlines"], "qudag: unrecognized arguments: two lines; see"),
        (["config", "shwo"], "qudag config: argument action: invalid choice: 'shwo'"),
        (["config", "show", "--format", "yaml"], "qudag config: argument --format: invalid choice: 'yaml'"),
        (["lab"], "qudag lab: the following arguments are required: COMMAND; see `qudag lab --help`"),
        (["lab", "up", "--nodes", "x"], "qudag lab up: argument --nodes: invalid int value: 'x'; see"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_nodes_own_commands_is_one_line_too(words: list[str], complaint: str) -> None:
    output = run(*words)
    assert (output.code, output.stdout, output.stderr.count("\n")) == (2, "", 1)
    assert output.stderr.startswith(complaint)


def test_the_settings_are_printed_as_toml_or_json(home: Path, tmp_path: Path) -> None:
    words = ("config", "show", "--data-dir", str(tmp_path / "d"), "--set", "overlay.max_links=7")
    assert tomllib.loads(run(*words).stdout) == tomllib.loads(run(*words, "--format", "toml").stdout)
    document = json.loads(run("--format", "json", *words).stdout)
    assert document["schema"] == "qudag.config/1"
    assert document["config"]["overlay"]["max_links"] == 7
    assert document["sources"]["overlay.max_links"] == "--set"
    told = tomllib.loads(run(*words).stdout)
    assert told == {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in document["config"].items()
    }


def test_every_command_of_the_node_is_handed_over() -> None:
    assert {of.path[0] for of in COMMANDS if of.module} | set(ASKED_OF_A_NODE) == {*NODE_COMMANDS, "lab"}


def test_global_options_before_a_command_of_the_node_are_passed_on(home: Path, tmp_path: Path) -> None:
    output = run("--data-dir", str(tmp_path / "d"), "--no-color", "config", "path")
    assert (output.code, output.stdout) == (0, f"{tmp_path}/d/config.toml\n")


def test_a_module_in_the_working_directory_is_not_taken_for_ours(home: Path, tmp_path: Path) -> None:
    (tmp_path / "qudag_node.py").write_text("raise SystemExit(99)")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "qudag_tui.cli", "config", "path"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr


# --- how it ends ----------------------------------------------------------------------------------


def test_a_reader_that_has_enough_ends_it_silently(node: SmallNode) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command("network", "stats", "--once", "--format", "detailed"),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "words", [("log", "-f"), ("network", "stats"), ("network", "stats", "--sort", "rtt")]
)
def test_a_reader_that_goes_ends_it_while_the_node_is_quiet(node: SmallNode, words: tuple[str, ...]) -> None:
    def subscribe(_params: object, push: object) -> dict[str, int]:
        push("stats.full", {"stream": 1, "seq": 1, "document": node.methods["stats"]({}, push)})  # type: ignore[operator,arg-type]
        return {"stream": 1}

    node.methods |= {"subscribe": subscribe, "log": lambda _params, _push: {"lines": ["a line"]}}
    process = subprocess.Popen(
        command(*words, "--timeout", "600"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_full_disk_is_one_line_and_exit_1(node: SmallNode) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("network", "stats", "--once"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=TIMEOUT_S,
        )
    assert (done.returncode, done.stderr) == (1, "qudag: stdout: No space left on device\n")


def test_a_token_that_no_disk_can_keep_is_not_made(node: SmallNode, tmp_path: Path) -> None:
    file = tmp_path / "token"
    words = command("token", "add", "dashboard", "--file", str(file))
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        # Coverage would have to write a file too.
        env={name: value for name, value in environment().items() if not name.startswith("COVERAGE_")},
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"qudag: {file}: File too large; name a file on another disk\n"
    assert not file.exists()
    assert node.calls == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_stream_with_its_code(node: SmallNode, number: int, code: int) -> None:
    def subscribe(_params: object, push: object) -> dict[str, int]:
        push("stats.full", {"stream": 1, "seq": 1, "document": node.methods["stats"]({}, push)})  # type: ignore[operator,arg-type]
        return {"stream": 1}

    node.methods["subscribe"] = subscribe
    process = subprocess.Popen(
        command("network", "stats", "--timeout", "60"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert "time" in process.stdout.readline()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stderr) == (code, "")


def test_a_terminal_of_few_letters_gets_question_marks(node: SmallNode) -> None:
    output = run("network", "stats", "--once", environ={"PYTHONIOENCODING": "ascii"})
    assert output.code == 0
    assert "?s" in output.stdout
