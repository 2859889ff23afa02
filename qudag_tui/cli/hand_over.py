"""Commands of the node and the lab: this process becomes theirs, without importing them.

``start``, ``id``, ``config`` and ``log`` belong to ``python -m qudag_node``, ``lab`` to
``python -m qudag_node.lab``. Global options that stand before the command are passed on behind it.
``id --node`` and ``log --node`` stay here: they ask a running node over its RPC.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

__all__ = ["ASKED_OF_A_NODE", "GLOBAL_FLAGS", "GLOBAL_VALUES", "NODE_COMMANDS", "become", "hand_over"]

NODE_COMMANDS = ("start", "id", "config", "log")

#: Of these, the ones that ask the running node when ``--node`` names it.
ASKED_OF_A_NODE = ("id", "log")

#: Global options that take a value, and those that do not.
GLOBAL_VALUES = ("--node", "--format", "--timeout", "--token-file", "--data-dir", "--name")
GLOBAL_FLAGS = ("--no-color",)


def hand_over(words: Sequence[str]) -> None:
    """Become the node's or the lab's program, if the words are for it; else return."""
    before, at = _leading_options(words)
    if at >= len(words):
        return
    command, rest = words[at], list(words[at + 1 :])
    if command not in (*NODE_COMMANDS, "lab"):
        return
    if command in ASKED_OF_A_NODE and (
        any(_is_option(word, "--node") for word in [*before, *rest]) or _remote_by_habit(rest)
    ):
        return
    if "--no-color" in before + rest:
        os.environ["NO_COLOR"] = "1"
    passed_on = [word for word in (*rest, *before) if word != "--no-color"]
    if command == "lab":
        become("qudag_node.lab", passed_on)
    become("qudag_node", [command, *passed_on])


def become(module: str, arguments: Sequence[str]) -> Never:
    """Replace this process with ``python -m module``.

    -P keeps a file in the working directory from being taken for a module, unless we run from there.
    """
    sys.stdout.flush()
    checkout = __file__.rsplit(os.sep, 3)[0]
    safe_path = [] if os.getcwd() == checkout else ["-P"]  # noqa: PTH109 — see cli.stats
    os.execv(sys.executable, [sys.executable, *safe_path, "-m", module, *arguments])  # noqa: S606


def _leading_options(words: Sequence[str]) -> tuple[list[str], int]:
    """The global options before the command, and where the command stands."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in GLOBAL_FLAGS or any(word.startswith(f"{option}=") for option in GLOBAL_VALUES):
            at += 1
        elif word in GLOBAL_VALUES:
            at += 2
        else:
            break
    return list(words[:at]), at


def _is_option(word: str, option: str) -> bool:
    return word == option or word.startswith(f"{option}=")


def _remote_by_habit(words: Sequence[str]) -> bool:
    """Whether QUDAG_NODE names the node, and nothing on the command line says whose files are meant."""
    own = ("--data-dir", "--name", "--config", "--help", "-h")
    return bool(os.environ.get("QUDAG_NODE")) and not any(_is_option(word, o) for word in words for o in own)
