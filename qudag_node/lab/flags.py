"""The flags of the lab's commands. No decisions: what is wrong with their values is told by who uses them."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from qudag_node.arguments import Parser
from qudag_node.lab.links import ENGINES
from qudag_node.lab.topology import TOPOLOGIES

__all__ = ["ANSWER_S", "parser"]

#: How long a command waits for its answer, unless told.
ANSWER_S = 30.0

_IMPAIR_HELP = (
    "A-B:KEY=VALUE,… for both directions, 'A>B:…' for one. Keys: delay=20ms jitter=2ms loss=1%% "
    "rate=10mbit queue=64kB outage=on reorder=on; KEY=none takes one back"
)


if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[Parser]  # pyright: ignore[reportPrivateUsage]


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m qudag_node.lab``."""
    top = Parser(
        prog="qudag lab",
        description="A local network of real nodes with emulated links.",
        epilog="example:\n  qudag lab up --nodes 5 --topology ring --rate 100 --dir /tmp/lab --detach\n"
        "  qudag lab impair 'peer1-peer2:delay=80ms,loss=3%' --dir /tmp/lab\n"
        "  qudag lab status --dir /tmp/lab; qudag lab down --dir /tmp/lab",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    summary = "end the lab and everything it started"
    _command(commands, "down", summary, "qudag lab down --dir /tmp/lab", timeout_s=15)
    summary = "nodes, links with their true counts, load"
    _command(commands, "status", summary, "qudag lab status --format json")
    _add_impair_and_heal(commands)
    kill = _command(commands, "kill", "kill nodes", "qudag lab kill peer2 --signal KILL")
    kill.add_argument("node", nargs="+", metavar="NODE", help="its name, for instance peer2")
    kill.add_argument(
        "--signal",
        type=_signal,
        default=signal.SIGKILL,
        metavar="NAME",
        help="KILL, TERM, STOP, CONT … (KILL)",
    )
    restart = _command(commands, "restart", "start nodes again", "qudag lab restart peer2", timeout_s=90)
    restart.add_argument("node", nargs="+", metavar="NODE", help="its name, for instance peer2")
    load = _command(commands, "load", "change the rate of messages", "qudag lab load --rate 500")
    load.add_argument(
        "--rate", type=float, required=True, metavar="R", help="messages per second, of all nodes together"
    )
    summary = "stop the load, hold the nodes, wait until nothing moves, compare what neighbours counted"
    _command(commands, "quiesce", summary, "qudag lab quiesce --format json")
    return top


def _add_up(commands: _Commands) -> None:
    up = _command(
        commands,
        "up",
        "start a lab: print it as JSON once all nodes answer and all links stand",
        "qudag lab up --nodes 5 --topology ring --rate 100 --detach \\\n"
        "      --impair peer1-peer2:delay=80ms,jitter=8ms --impair 'peer3>peer4:loss=3%'",
        timeout_s=60,
    )
    add = up.add_argument
    add("--nodes", type=int, metavar="N", help="how many, peer1 to peerN (5)")
    add("--topology", metavar="T", help=f"{', '.join(TOPOLOGIES)} (ring)")
    add("--rate", type=float, metavar="R", help="messages per second to submit, of all nodes together (0)")
    add("--payload", type=int, default=128, metavar="BYTES", help="size of a message's payload (%(default)s)")
    engines = f"{', '.join(ENGINES)}, or auto: the first that runs here (auto)"
    add("--engine", default="auto", metavar="E", help=engines)
    add("--impair", action="append", metavar="A-B:KEY=VALUE", help=f"{_IMPAIR_HELP}; may be repeated")
    seed = "of the random topology, losses and jitter (%(default)s)"
    add("--seed", type=int, default=0, metavar="N", help=seed)
    add("--detach", action="store_true", help="return when it is up; it runs until `qudag lab down`")
    demo = "a mesh of five with traffic and two bad links, in a temporary directory"
    add("--demo", action="store_true", help=demo)
    add("--temporary", action="store_true", help="in a temporary directory that goes with the lab")
    add("--parent-fd", type=int, metavar="FD", help="end when the last writer of this pipe is gone")
    add(
        "--node-arg",
        action="append",
        metavar="ARG",
        help="a further argument for every node; may be repeated",
    )


def _add_impair_and_heal(commands: _Commands) -> None:
    impair = _command(
        commands,
        "impair",
        "make links worse, or better",
        "qudag lab impair peer1-peer2:delay=20ms,jitter=2ms,loss=1% 'peer2>peer3:rate=10mbit'",
    )
    impair.add_argument("order", nargs="+", metavar="A-B:KEY=VALUE", help=_IMPAIR_HELP)
    heal = _command(
        commands, "heal", "make links perfect again", "qudag lab heal peer1-peer2\n  qudag lab heal"
    )
    heal.add_argument(
        "link", nargs="*", metavar="A-B", help="a link, or 'A>B'; all of them when none is named"
    )


def _command(
    commands: _Commands,
    name: str,
    summary: str,
    example: str,
    *,
    timeout_s: float = ANSWER_S,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary.partition(":")[0],
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--dir", metavar="DIR", help="the lab's directory ($XDG_DATA_HOME/qudag/lab)")
    command.add_argument(
        "--format",
        choices=("table", "json", "detailed"),
        default="table",
        help="always JSON" if name == "up" else "how to print (table)",
    )
    command.add_argument(
        "--timeout", type=float, default=timeout_s, metavar="S", help="seconds to wait (%(default)g)"
    )
    return command


def _signal(text: str) -> signal.Signals:
    try:
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
    except KeyError:
        raise argparse.ArgumentTypeError(f"no signal {text!r}; for instance KILL, TERM, STOP, CONT") from None
