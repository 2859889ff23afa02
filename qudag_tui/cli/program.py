"""The parser made from the commands, and running what it finds.

Global options may stand before or after the command. Complaints are one line, with the nearest spelling.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Never

from qudag_tui.cli.commands import COMMANDS, GROUPS, Command
from qudag_tui.cli.options import Options
from qudag_tui.cli.output import check_format
from qudag_tui.cli.values import seconds
from qudag_tui.client.connection import DEFAULT_TIMEOUT_S
from qudag_tui.errors import EXIT_OK, UsageError, did_you_mean

__all__ = ["EXIT_CODES", "build_parser", "parse", "run"]

EXIT_CODES = """\
exit codes: 0 ok, 1 a failed test or a local failure, 2 usage or an unknown or ambiguous name, 3 node
unreachable or too slow, 4 refused, 5 no common protocol, 130 interrupted, 143 terminated, 141 stdout was
closed"""


def run(words: Sequence[str]) -> int:
    """Parse and run."""
    options = parse(words)
    command: Command = options.command
    if command.run is None:  # reached only when a global option that takes no value hides the command
        raise UsageError(f"put the options behind the command: qudag {' '.join(command.path)} …")
    options.format = check_format(options.format, command.formats, "") or None
    module, _, function = command.run.partition(":")
    code: int = getattr(import_module(f"qudag_tui.cli.{module}"), function)(options)
    return code


def parse(words: Sequence[str]) -> Options:
    """What the words say; ``command`` is among the attributes.

    Raises:
        UsageError: They are not a command line of ours.
    """
    options, unknown = build_parser().parse_known_args(_joined(words), Options())
    if unknown:
        raise _unknown_option(unknown[0], options.parser)
    return options


# Their values may begin with "-", which argparse would take for another option.
_DASHED = ("--sort", "--from", "--to")


def _joined(words: Sequence[str]) -> list[str]:
    """``--sort -rtt`` as ``--sort=-rtt``."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _DASHED:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _unknown_option(word: str, parser: argparse.ArgumentParser) -> UsageError:
    """Name the command's option that is nearest."""
    option = word.partition("=")[0]
    known = [name for action in parser._actions for name in action.option_strings]
    hint = did_you_mean(option, known) if option.startswith("-") else ""
    return UsageError(
        f"{parser.prog} takes no {word!r}", hint if "did you" in hint else f"see `{parser.prog} --help`"
    )


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are one line, with the nearest spelling."""

    def error(self, message: str) -> Never:
        """Raise instead of printing the whole usage."""
        # Of `--rate -5mbit`, too: what begins with a dash is taken for an option.
        message = message.replace(
            "expected one argument", "expected one argument, and none that begins with '-'"
        )
        raise UsageError(message, f"see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        if action.option_strings == ["--format"]:
            check_format(str(value), [str(choice) for choice in action.choices])
        else:
            what = "command" if action.metavar == "COMMAND" else str(action.metavar or action.dest)
            raise UsageError(f"unknown {what} {value!r}", did_you_mean(str(value), map(str, action.choices)))


def build_parser() -> argparse.ArgumentParser:
    """The parser of everything; also what completion is made from."""
    top = Parser(
        prog="qudag",
        description="Run and watch QuDAG nodes.",
        epilog=f"examples:\n  qudag start --name peer1\n  qudag network stats --once\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("-V", "--version", action=_Version, nargs=0, help="print the version and end")
    _add_globals(top)
    groups: dict[str, Any] = {"": top.add_subparsers(title="commands", metavar="COMMAND", required=True)}
    for command in COMMANDS:
        for depth in range(1, len(command.path)):
            _add_group(groups, command.path[:depth])
        parser = _sub(
            groups[" ".join(command.path[:-1])], command.path[-1], command.summary, command.examples
        )
        if command.module is None:
            _add_globals(parser, command.formats, has_timeout=not command.has_own_timeout)
        command.add(parser)
        parser.set_defaults(command=command, parser=parser)
    return top


def _add_group(groups: dict[str, Any], path: Sequence[str]) -> None:
    """A word that other commands begin with, once."""
    name = " ".join(path)
    if name in groups:
        return
    examples = [other.examples[0] for other in COMMANDS if other.path[: len(path)] == path]
    parser = _sub(groups[" ".join(path[:-1])], path[-1], GROUPS[name], examples)
    groups[name] = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _sub(group: Any, name: str, summary: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {example}" for example in examples)
    parser: argparse.ArgumentParser = group.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example{'s' if len(examples) > 1 else ''}:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from qudag_tui import __version__

        print(f"qudag {__version__}")
        sys.exit(EXIT_OK)


def _add_globals(
    parser: argparse.ArgumentParser, formats: Sequence[str] = (), *, has_timeout: bool = True
) -> None:
    """The options of every command. SUPPRESS: what stands before the command is not undone behind it."""
    group = parser.add_argument_group("global options")
    add = group.add_argument
    hidden = argparse.SUPPRESS
    add(
        "--node",
        default=hidden,
        metavar="NODE",
        help="unix:PATH, tcp://HOST:PORT, tls://PEERID@HOST:PORT or a name",
    )
    add("--data-dir", default=hidden, metavar="DIR", help="the node that lives in this data directory")
    add("--name", dest="node", default=hidden, metavar="NAME", help=hidden)
    add("--token-file", default=hidden, metavar="FILE", help="the token for tcp and tls ($QUDAG_TOKEN_FILE)")
    if has_timeout:
        add(
            "--timeout",
            dest="timeout_s",
            type=seconds,
            default=hidden,
            metavar="SECONDS",
            help=f"how long the node may take to answer ({DEFAULT_TIMEOUT_S:g})",
        )
    if formats:
        listed = "|".join(formats)
        add("--format", default=hidden, choices=formats, metavar=listed, help=f"how to print ({formats[0]})")
    elif parser.prog == "qudag":
        some = dict.fromkeys(name for command in COMMANDS for name in command.formats)
        add("--format", default=hidden, choices=tuple(some), metavar="FORMAT", help="how to print")
    else:
        add("--format", default=hidden, help=hidden)
    add("--no-color", action="store_true", default=hidden, help="print without colour ($NO_COLOR)")
