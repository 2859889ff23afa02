"""The commands as data, and the parser made from them. What a command does stands in its own module.

Global options may stand before or after the command. Commands marked ``module`` are run by another
program (see ``hand_over``); they stand here for ``--help``, completion and the documentation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Never

from qudag_tui.cli.options import Options
from qudag_tui.cli.output import check_format
from qudag_tui.client.connection import DEFAULT_TIMEOUT_S
from qudag_tui.errors import EXIT_OK, UsageError, did_you_mean

__all__ = ["COMMANDS", "Command", "build_parser", "parse", "run"]

TABLE_AND_JSON = ("table", "json")


class Command:
    """One command.

    Attributes:
        path: Its words.
        summary: One sentence for ``--help``.
        examples: Lines that work.
        add: Adds its own options.
        run: ``module:function`` under ``qudag_tui.cli``, called with the options; None for ``module``.
        module: The other program that runs it.
        formats: What ``--format`` may be; the first is the default.
    """

    def __init__(
        self,
        path: str,
        summary: str,
        *examples: str,
        run: str | None = None,
        module: str | None = None,
        formats: Sequence[str] = (),
        add: Callable[[argparse.ArgumentParser], object] = lambda _parser: None,
    ) -> None:
        self.path: list[str] = path.split()
        self.summary = summary
        self.examples = examples
        self.add = add
        self.run = run
        self.module = module
        self.formats = tuple(formats)


def _peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="PEER", help="name, alias, address or beginning of an id")


def _add_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=_seconds, default=15.0, metavar="SECONDS", help="how long it may take to end (15)"
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines until interrupted")
    parser.add_argument(
        "--level",
        choices=("debug", "info", "warning", "error"),
        default="debug",
        help="the least level shown",
    )
    parser.add_argument("--lines", type=_count, default=50, metavar="N", help="past lines to begin with (50)")


def _add_token_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token_name", metavar="NAME", help="what the token is for")
    parser.add_argument(
        "--role", choices=("viewer", "operator", "admin"), default="viewer", help="what it allows (viewer)"
    )
    parser.add_argument("--file", metavar="FILE", help="write it to a new file of mode 0600, print nothing")


def _add_token_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token_name", metavar="NAME", help="as `qudag token list` shows it")


def _add_peer_list(parser: argparse.ArgumentParser) -> None:
    _add_selection(parser)
    parser.add_argument("--links", action="store_true", help="only peers with a link, or one being made")


def _add_peer_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="[PEERID@]HOST:PORT", help="what `qudag id` prints on its host")


def _add_ban(parser: argparse.ArgumentParser) -> None:
    _peer(parser)
    parser.add_argument(
        "--for",
        dest="duration_s",
        type=_duration,
        metavar="TIME",
        help="30s, 10m, 2h, 7d; for ever without it",
    )
    parser.add_argument("--reason", metavar="TEXT", help="what the list of bans says")


def _add_alias(parser: argparse.ArgumentParser) -> None:
    _peer(parser)
    parser.add_argument("alias", metavar="ALIAS", help="the name it has on this node; '' drops it")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter",
        dest="filters",
        action="append",
        default=[],
        metavar="KIND=VALUE",
        help="peer=peer2, type=data or section=latency; may be repeated",
    )
    parser.add_argument(
        "--sort", metavar="COLUMN|-COLUMN", help="order of the peers; '-' for the largest first"
    )
    parser.add_argument("--redact", action="store_true", help="hide addresses, aliases and most of the ids")


def _add_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="print one snapshot and end")
    parser.add_argument(
        "--interval",
        dest="interval_s",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="time between two snapshots (1)",
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after N snapshots")
    _add_selection(parser)


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "series", nargs="*", metavar="SERIES", help="names, or patterns with *; none lists them all"
    )
    parser.add_argument(
        "--from",
        dest="start",
        default="10m",
        metavar="TIME",
        help="10m ago, 2026-01-31T12:30, Unix seconds (10m)",
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (now)")
    parser.add_argument(
        "--step", dest="step_s", type=_duration, metavar="TIME", help="time between two points"
    )


def _add_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell's")


# The options of the node's and the lab's own commands stand here for completion alone: they are parsed there.


def _add_home(parser: argparse.ArgumentParser) -> None:
    for option in ("--name", "--data-dir", "--config", "--set"):
        parser.add_argument(option)


def _add_start(parser: argparse.ArgumentParser) -> None:
    _add_home(parser)
    for option in ("--listen", "--peer", "--rpc", "--advertise", "--network", "--log-level"):
        parser.add_argument(option)


def _add_lab(parser: argparse.ArgumentParser) -> None:
    actions = ("up", "down", "status", "impair", "heal", "kill", "restart", "load", "quiesce")
    parser.add_argument("action", choices=actions)
    for option in ("--nodes", "--topology", "--rate", "--dir", "--engine", "--impair"):
        parser.add_argument(option)


NODE = "qudag_node"
LAB = "qudag_node.lab"

COMMANDS: tuple[Command, ...] = (
    Command(
        "start", "run a node", "qudag start --name peer1 --listen 0.0.0.0:8000", module=NODE, add=_add_start
    ),
    Command(
        "stop",
        "stop a node and wait until it is gone",
        "qudag stop --node peer1",
        run="node:stop",
        add=_add_stop,
    ),
    Command(
        "status",
        "who the node is, and whether it is well",
        "qudag status",
        "qudag status --node peer1 --format json",
        run="node:status",
        formats=TABLE_AND_JSON,
    ),
    Command("id", "print the line to give to a peer", "qudag id --name peer1", module=NODE, add=_add_home),
    Command(
        "log",
        "print the node's log",
        "qudag log -f --level warning --name peer1",
        "qudag log --node tls://PEERID@192.0.2.7:9443 --token-file viewer.token",
        run="node:log",
        add=_add_log,
    ),
    Command(
        "config show",
        "print every setting and where it came from",
        "qudag config show --name peer1",
        module=NODE,
        add=_add_home,
    ),
    Command(
        "config path", "print where the settings file is", "qudag config path", module=NODE, add=_add_home
    ),
    Command(
        "config init", "begin a commented settings file", "qudag config init", module=NODE, add=_add_home
    ),
    Command(
        "token add",
        "make a token for a client elsewhere",
        "qudag token add dashboard --role viewer --file dashboard.token",
        run="tokens:add",
        formats=TABLE_AND_JSON,
        add=_add_token_add,
    ),
    Command(
        "token list",
        "list the tokens, without their secrets",
        "qudag token list",
        run="tokens:list_",
        formats=TABLE_AND_JSON,
    ),
    Command(
        "token revoke",
        "forget a token",
        "qudag token revoke dashboard",
        run="tokens:revoke",
        add=_add_token_name,
    ),
    Command(
        "peer list",
        "list the peers",
        "qudag peer list --sort -loss",
        "qudag peer list --links --format csv",
        run="peers:list_",
        formats=("table", "json", "detailed", "csv", "ndjson"),
        add=_add_peer_list,
    ),
    Command(
        "peer info",
        "everything about one peer",
        "qudag peer info peer2",
        run="peers:info",
        formats=TABLE_AND_JSON,
        add=_peer,
    ),
    Command(
        "peer add",
        "keep a link to a peer",
        "qudag peer add 12D3KooW…@192.0.2.7:8000",
        run="peers:add",
        add=_add_peer_add,
    ),
    Command(
        "peer remove", "keep no link to a peer", "qudag peer remove peer2", run="peers:remove", add=_peer
    ),
    Command(
        "peer ban",
        "refuse a peer",
        "qudag peer ban peer2 --for 2h --reason 'floods adverts'",
        run="peers:ban",
        add=_add_ban,
    ),
    Command("peer unban", "end a ban", "qudag peer unban peer2", run="peers:unban", add=_peer),
    Command(
        "peer alias",
        "give a peer a name of your own",
        "qudag peer alias peer2 frankfurt",
        run="peers:alias",
        add=_add_alias,
    ),
    Command(
        "network stats",
        "the node's figures, once or as a stream",
        "qudag network stats --once",
        "qudag network stats --interval 5 --format ndjson",
        "qudag network stats --once --filter section=latency --format json",
        run="stats:run",
        formats=("table", "json", "detailed", "csv", "ndjson"),
        add=_add_stats,
    ),
    Command(
        "network history",
        "what the figures were",
        "qudag network history",
        "qudag network history messages.sent_rate.1s --from 1h --step 10s",
        "qudag network history 'latency.links.p*' --from 10m --format csv",
        run="history:run",
        formats=("table", "json", "csv", "chart"),
        add=_add_history,
    ),
    Command(
        "lab",
        "a network of real nodes on this machine",
        "qudag lab up --nodes 5 --topology ring --rate 100 --dir /tmp/lab",
        module=LAB,
        add=_add_lab,
    ),
    Command(
        "completion",
        "print the completion of a shell",
        "qudag completion bash > ~/.local/share/bash-completion/completions/qudag",
        run="completion:run",
        add=_add_shell,
    ),
)

GROUPS = {
    "config": "the node's settings",
    "token": "tokens for clients elsewhere",
    "peer": "the node's peers",
    "network": "figures of the node and its network",
}

EXIT_CODES = """\
exit codes: 0 ok, 1 a local failure, 2 usage or an unknown or ambiguous name, 3 node unreachable or too
slow, 4 refused, 5 no common protocol, 130 interrupted, 143 terminated, 141 stdout was closed"""


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
        group = command.path[0] if len(command.path) > 1 else ""
        if group not in groups:
            examples = [other.examples[0] for other in COMMANDS if other.path[0] == group]
            parser = _sub(groups[""], group, GROUPS[group], examples)
            groups[group] = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        parser = _sub(groups[group], command.path[-1], command.summary, command.examples)
        if command.module is None:
            _add_globals(parser, command.formats)
        command.add(parser)
        parser.set_defaults(command=command, parser=parser)
    return top


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


def _add_globals(parser: argparse.ArgumentParser, formats: Sequence[str] = ()) -> None:
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
    add(
        "--timeout",
        dest="timeout_s",
        type=_seconds,
        default=hidden,
        metavar="SECONDS",
        help=f"how long the node may take to answer ({DEFAULT_TIMEOUT_S:g})",
    )
    if formats or parser.prog == "qudag":
        listed = "|".join(formats) or "FORMAT"
        add(
            "--format",
            default=hidden,
            metavar=listed,
            help=f"how to print ({formats[0]})" if formats else "how to print",
        )
    else:
        add("--format", default=hidden, help=hidden)
    add("--no-color", action="store_true", default=hidden, help="print without colour ($NO_COLOR)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0 seconds")
    return seconds


def _duration(text: str) -> float:
    from qudag_tui.cli.times import parse_duration

    try:
        return parse_duration(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
