"""Completion: what a shell offers, and that it is what the node's and the lab's own parsers take."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from qudag_node.lab.flags import parser as lab_parser
from qudag_node.lab.links import ENGINES
from qudag_node.lab.topology import TOPOLOGIES
from qudag_node.node.flags import parser as node_parser
from qudag_tui.cli.program import build_parser
from tests.needs import need
from tests.qudag_tui.cli.support import TIMEOUT_S, Runner

#: What only programs say to each other.
UNTOLD = {"--lab-parent-fd", "--lab-faults", "--parent-fd"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands_and_what_their_options_may_be(qudag: Runner, shell: str) -> None:
    output = qudag("completion", shell)
    assert output.code == 0
    for word in ("network", "history", "once", "filter", "lab", "quiesce", "tcp-info"):
        assert word in output.stdout
    for choices in (
        "table json detailed csv ndjson",
        "toml json",
        "auto netns relay",
        "viewer operator admin",
    ):
        assert choices in output.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["net"], ["network"]),
        (["network", "stats", "--format", ""], ["table", "json", "detailed", "csv", "ndjson"]),
        (["--format", "nd"], ["ndjson"]),
        (["peer", "info", "--format", ""], ["table", "json"]),
        (["log", "--level", "w"], ["warning"]),
        (["start", "--log-level", "d"], ["debug"]),
        (["start", "--tcp-info", "n"], ["not-of-path"]),
        (["token", "add", "x", "--role", ""], ["viewer", "operator", "admin"]),
        (["lab", "u"], ["up"]),
        (["lab", "up", "--topology", ""], ["line", "ring", "star", "mesh", "random"]),
        (["lab", "up", "--engine", ""], ["auto", "netns", "relay"]),
        (["lab", "status", "--format", "j"], ["json"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
    ids=" ".join,
)
def test_bash_offers_what_fits(qudag: Runner, tmp_path: Path, words: list[str], offered: list[str]) -> None:
    need(shutil.which("bash") is not None, "bash")
    script = tmp_path / "completion"
    script.write_text(qudag("completion", "bash").stdout)
    done = subprocess.run(
        [
            "bash",
            "-c",
            'source "$0"; shift 0; COMP_WORDS=(qudag "$@"); COMP_CWORD=$#; _shtab_qudag 2>/dev/null;'
            ' printf "%s\\n" "${COMPREPLY[@]}"',
            str(script),
            *words,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.split() == offered


def options_of(parser: argparse.ArgumentParser) -> dict[str, tuple[str, ...] | None]:
    return {
        action.option_strings[-1]: None if action.choices is None else tuple(action.choices)
        for action in parser._actions
        if action.option_strings and not {*action.option_strings} & ({"--help"} | UNTOLD)
    }


def below(parser: argparse.ArgumentParser, *names: str) -> argparse.ArgumentParser:
    for name in names:
        choices = next(action.choices for action in parser._actions if action.nargs == argparse.PARSER)
        assert isinstance(choices, dict)
        parser = choices[name]
    return parser


def test_the_options_of_the_nodes_own_commands_are_those_it_takes() -> None:
    assert options_of(below(build_parser(), "start")) == options_of(below(node_parser(), "start"))
    assert options_of(below(build_parser(), "config", "show")) == options_of(below(node_parser(), "config"))


@pytest.mark.parametrize(
    "action", ["up", "down", "status", "impair", "heal", "kill", "restart", "load", "quiesce"]
)
def test_the_options_of_the_lab_are_those_it_takes(action: str) -> None:
    offered = options_of(below(build_parser(), "lab", action))
    if action == "up":
        assert set(offered["--topology"] or ()) == set(TOPOLOGIES)
        assert offered["--engine"] == ("auto", *ENGINES)
        offered |= {"--topology": None, "--engine": None}
    if action == "kill":
        assert offered.pop("--signal")
        offered["--signal"] = None
    assert offered == options_of(below(lab_parser(), action))
