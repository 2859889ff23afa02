"""The flags of the node's own commands, and the settings they stand for. No defaults live here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from qudag_node import __version__
from qudag_node.arguments import Parser
from qudag_node.errors import ConfigError

__all__ = ["data_directory", "parser", "settings_of"]

_EXAMPLES = {
    "start": """\
examples:
  qudag start --name peer1 --listen 0.0.0.0:8000
  qudag start --name peer2 --listen 0.0.0.0:8001 --peer 12D3KooW…@192.0.2.7:8000
  qudag start --rpc tcp://127.0.0.1:9090 --rpc tls://0.0.0.0:9443
  qudag start --set overlay.max_links=1000 --log-level debug

exit codes: 0 stopped in order (SIGTERM), 1 port in use, data directory locked or not writable,
disk full, bad key file, 2 usage or configuration, 130 interrupted by Ctrl-C
""",
    "id": "example:\n  qudag id --name peer1\n",
    "config": "examples:\n  qudag config show --name peer1\n  qudag config show --format json\n",
    "log": "example:\n  qudag log -f --level warning --name peer1\n",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m qudag_node``."""
    top = Parser(prog="qudag", description="A QuDAG node.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"qudag {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_start(_command(commands, "start", "run a node (the default)"))
    _command(commands, "id", "print the line to give to a peer")
    config = _command(commands, "config", "show or begin the settings")
    config.add_argument(
        "action",
        choices=("show", "path", "init"),
        help="print the settings and where each came from; print the file's path; "
        "write a commented file, never over one that exists",
    )
    config.add_argument(
        "--format", choices=("toml", "json"), default="toml", help="how `show` prints the settings (toml)"
    )
    log = _command(commands, "log", "print the node's log")
    log.add_argument("-f", "--follow", action="store_true", help="go on with new lines until interrupted")
    log.add_argument(
        "--level",
        choices=("debug", "info", "warning", "error"),
        default="debug",
        help="the least level shown (debug)",
    )
    log.add_argument("--lines", type=_count, default=50, metavar="N", help="past lines to begin with (50)")
    return top


def settings_of(arguments: argparse.Namespace) -> dict[str, tuple[str, object]]:
    """Return dotted key to (flag, value) for every flag that was given."""
    flags: dict[str, tuple[str, object]] = {}
    for destination, (key, flag) in _SETTINGS.items():
        value = getattr(arguments, destination, None)
        if value is not None:
            flags[key] = (flag, tuple(value) if isinstance(value, list) else value)
    for assignment in getattr(arguments, "set", None) or ():
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError("--set", f"{assignment!r} is not KEY=VALUE")
        flags[key.strip()] = ("--set", value)
    return flags


def data_directory(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Path | None:
    """Return the directory a flag or the environment names, None to derive it from the node's name."""
    if arguments.data_dir is not None:
        return Path(arguments.data_dir)
    named = environ.get("QUDAG_NODE_DATA_DIR", "").strip()
    return Path(named) if named else None


_SETTINGS: dict[str, tuple[str, str]] = {
    "name": ("node.name", "--name"),
    "data_dir": ("node.data_dir", "--data-dir"),
    "network": ("node.network", "--network"),
    "listen": ("overlay.listen", "--listen"),
    "advertise": ("overlay.advertise", "--advertise"),
    "peer": ("overlay.peers", "--peer"),
    "no_discovery": ("overlay.discovery", "--no-discovery"),
    "no_relay": ("overlay.share_links", "--no-relay"),
    "rpc": ("rpc.listen", "--rpc"),
    "stamp": ("tests.stamp", "--stamp"),
    "log_level": ("log.level", "--log-level"),
    "tcp_info": ("metrics.tcp_info", "--tcp-info"),
    "no_recording": ("metrics.recording", "--no-recording"),
    "lab_parent_fd": ("lab.parent_fd", "--lab-parent-fd"),
    "lab_faults": ("lab.faults", "--lab-faults"),
}
"""Where a flag's value stands in the parsed arguments, the setting it stands for, and its name."""


def _command(
    # argparse has no public name for it
    commands: argparse._SubParsersAction[Parser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    summary: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=_EXAMPLES[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--name", metavar="NAME", help="the node's name (node)")
    command.add_argument(
        "--data-dir", metavar="DIR", help="where key, socket and log live ($XDG_DATA_HOME/qudag/NAME)"
    )
    command.add_argument("--config", metavar="FILE", help="settings file (DIR/config.toml, or $QUDAG_CONFIG)")
    command.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="any setting of `qudag config show`; may be repeated",
    )
    return command


def _add_start(start: argparse.ArgumentParser) -> None:
    add = start.add_argument
    add("--network", metavar="NAME", help="nodes of different networks refuse each other (qudag)")
    add(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="accept links here; port 0 takes a free one; may be repeated (0.0.0.0:8000)",
    )
    add(
        "--peer",
        action="append",
        metavar="[PEERID@]HOST:PORT",
        help="keep a link to this peer; without PEERID the first identity met is pinned; may be repeated",
    )
    add(
        "--advertise",
        action="append",
        metavar="HOST:PORT",
        help="tell others this address instead of those of --listen; may be repeated",
    )
    add(
        "--rpc",
        action="append",
        metavar="tcp://HOST:PORT|tls://HOST:PORT",
        help="serve clients here besides DIR/rpc.sock; tcp on loopback only; may be repeated",
    )
    add(
        "--stamp",
        metavar="HOST:PORT",
        help="answer STAMP packets of everybody here, without authentication (RFC 8762); port 862 is usual",
    )
    add("--no-discovery", action="store_const", const=False, help="link only to peers named by --peer")
    add("--no-relay", action="store_const", const=False, help="be a leaf that forwards nothing for others")
    add("--no-recording", action="store_const", const=False, help="measure nothing, for comparisons of cost")
    add("--log-level", choices=("debug", "info", "warning", "error"), help="the least level logged (info)")
    add(
        "--tcp-info",
        choices=("path", "not-of-path", "off"),
        help="whether the kernel's TCP figures describe the path; not where a relay ends TCP (path)",
    )
    add(
        "--lab-parent-fd",
        type=int,
        metavar="FD",
        help="for the lab: stop when the writer of this pipe is gone",
    )
    add("--lab-faults", action="store_const", const=True, help="for the lab: allow the faults it asks for")


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000")
    return number
