"""``python -m qudag_node.lab``, which ``qudag lab`` runs.

stdout is data, stderr is talk. Exit codes: 0 done, 1 the lab could not do it (or, for ``quiesce``,
neighbours do not agree), 2 usage, an unknown node, link or setting, 3 no lab answers, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qudag_node.errors import ConfigError, NodeError
from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory, default_directory
from qudag_node.lab.errors import LabError, LabNotRunningError
from qudag_node.lab.keeper import clean_up
from qudag_node.lab.links import ENGINES
from qudag_node.lab.options import DEMO_IMPAIRMENTS, LabOptions
from qudag_node.lab.processes import ProcessRecord, child_environment, python_module, send_signal
from qudag_node.lab.report import quiesce_lines, status_lines
from qudag_node.lab.topology import TOPOLOGIES

EXIT_INTERRUPTED = 130
EXIT_STDOUT_CLOSED = 141

_IMPAIR_HELP = """\
A-B:KEY=VALUE,… for both directions, 'A>B:…' for one. Keys: delay=20ms jitter=2ms loss=1%
rate=10mbit queue=64kB outage=on reorder=on; KEY=none takes one back."""

_DEMO = {"nodes": 5, "topology": "mesh", "rate": 50.0}
_ANSWER_S = 30.0
_POLL_S = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    arguments.words = words
    command: Callable[[argparse.Namespace], int] = arguments.run
    try:
        code = command(arguments)
        sys.stdout.flush()
    except NodeError as error:
        print(f"qudag lab {arguments.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_STDOUT_CLOSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


# -- up -------------------------------------------------------------------------------------------------


def _up(arguments: argparse.Namespace) -> int:
    if arguments.detach:
        return _detach(arguments)
    options = _options(arguments)
    from qudag_node.lab.supervisor import Supervisor

    logging.basicConfig(level=logging.WARNING, format="qudag lab: %(message)s", stream=sys.stderr)
    asyncio.run(Supervisor(options, os.environ).run(_announce))
    return 0


def _announce(announcement: Mapping[str, Any]) -> None:
    print(json.dumps(announcement), flush=True)
    if sys.stderr.isatty() and sys.stdin.isatty():
        print("the lab is up; Ctrl-C takes it down", file=sys.stderr)


def _options(arguments: argparse.Namespace) -> LabOptions:
    demo = arguments.demo

    def chosen(name: str, otherwise: Any) -> Any:
        value = getattr(arguments, name)
        return value if value is not None else _DEMO.get(name, otherwise) if demo else otherwise

    is_temporary = arguments.temporary or (demo and arguments.dir is None)
    return LabOptions(
        directory=None if is_temporary else _directory(arguments).path,
        nodes=chosen("nodes", 5),
        topology=chosen("topology", "ring"),
        rate_per_s=chosen("rate", 0.0),
        engine=arguments.engine,
        payload_bytes=arguments.payload,
        orders=tuple(arguments.impair or (DEMO_IMPAIRMENTS if demo else ())),
        node_arguments=tuple(arguments.node_arg or ()),
        seed=arguments.seed,
        parent_fd=_parent_fd(arguments),
        start_timeout_s=arguments.timeout,
    )


def _parent_fd(arguments: argparse.Namespace) -> int | None:
    """The descriptor whose end is ours: the one named, or for the demonstration a pipe on stdin."""
    if arguments.parent_fd is not None:
        if not _is_a_pipe(arguments.parent_fd):
            raise ConfigError("--parent-fd", f"{arguments.parent_fd} is not a pipe of this process")
        return int(arguments.parent_fd)
    return 0 if arguments.demo and _is_a_pipe(0) else None


def _is_a_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _detach(arguments: argparse.Namespace) -> int:
    """Start the supervisor in a session of its own; wait until it announces itself."""
    if arguments.temporary or arguments.demo or arguments.parent_fd is not None:
        raise ConfigError(
            "--detach", "does not go with --demo, --temporary or --parent-fd, which end with someone"
        )
    directory = _directory(arguments)
    words = [word for word in arguments.words if word != "--detach"]
    # What is wrong with the options is better said here than in a log.
    _options(arguments)
    directory.prepare()
    with directory.log_path.open("w", encoding="utf-8") as log:
        directory.log_path.chmod(0o600)
        directory.release()
        process = subprocess.Popen(
            python_module("qudag_node.lab", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=child_environment(os.environ),
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101  # it was asked for
    with process.stdout as stream:
        line = stream.readline()
    if line:
        print(line, end="")
        return 0
    code = process.wait()
    print(directory.log_path.read_text(encoding="utf-8"), end="", file=sys.stderr)
    return code if code > 0 else 1


# -- the others -----------------------------------------------------------------------------------------


def _down(arguments: argparse.Namespace) -> int:
    directory = _directory(arguments)
    try:
        control.ask(directory, {"op": "down"}, timeout_s=arguments.timeout)
    except LabNotRunningError:
        _end_by_record(directory, arguments.timeout)
    # The keeper kills nodes that hang after 8 s, and gives up the lock last.
    deadline_s = time.monotonic() + arguments.timeout + _ANSWER_S
    while directory.is_locked():
        if time.monotonic() > deadline_s:
            raise LabError(f"{directory.path}: something of the lab is still there; see lab.json")
        time.sleep(_POLL_S)
    return 0


def _end_by_record(directory: LabDirectory, timeout_s: float) -> None:
    """End a lab that does not answer, by the pids and starting times in its record."""
    record = directory.read_record()
    supervisor = ProcessRecord.from_json(record["supervisor"])
    deadline_s = time.monotonic() + timeout_s
    if send_signal(supervisor, signal.SIGTERM):
        while supervisor.is_running and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        send_signal(supervisor, signal.SIGKILL)
    if not directory.is_locked():
        # Nobody is left to clean up: the keeper was killed too.
        clean_up(directory, timeout_s)


def _status(arguments: argparse.Namespace) -> int:
    answer = control.ask(_directory(arguments), {"op": "status"}, timeout_s=_ANSWER_S)
    _print(arguments, answer, status_lines)
    return 0


def _impair(arguments: argparse.Namespace) -> int:
    order = {"op": "impair", "orders": arguments.order}
    return _print_links(control.ask(_directory(arguments), order, timeout_s=_ANSWER_S))


def _heal(arguments: argparse.Namespace) -> int:
    order = {"op": "heal", "links": arguments.link}
    return _print_links(control.ask(_directory(arguments), order, timeout_s=_ANSWER_S))


def _print_links(answer: Mapping[str, Any]) -> int:
    for direction, text in answer["links"].items():
        print(f"{direction}  {text}")
    return 0


def _kill(arguments: argparse.Namespace) -> int:
    order = {"op": "kill", "nodes": arguments.node, "signal": int(arguments.signal)}
    answer = control.ask(_directory(arguments), order, timeout_s=_ANSWER_S)
    for name, state in answer["nodes"].items():
        print(f"{name}  {state}")
    return 0


def _restart(arguments: argparse.Namespace) -> int:
    order = {"op": "restart", "nodes": arguments.node}
    answer = control.ask(_directory(arguments), order, timeout_s=arguments.timeout)
    for node in answer["nodes"]:
        print(f"{node['name']}  running  {node['pid']}")
    return 0


def _load(arguments: argparse.Namespace) -> int:
    order = {"op": "load", "rate_per_s": arguments.rate}
    answer = control.ask(_directory(arguments), order, timeout_s=_ANSWER_S)
    print(f"load {answer['rate_per_s']:g}/s")
    return 0


def _quiesce(arguments: argparse.Namespace) -> int:
    order = {"op": "quiesce", "timeout_s": arguments.timeout}
    answer = control.ask(_directory(arguments), order, timeout_s=arguments.timeout + _ANSWER_S)
    _print(arguments, answer, quiesce_lines)
    if answer["settled"]:
        return 0
    raise LabError(f"neighbours do not agree after {arguments.timeout:g} s, or messages still wait")


def _print(
    arguments: argparse.Namespace,
    answer: Mapping[str, Any],
    lines: Callable[[Mapping[str, Any]], Iterator[str]],
) -> None:
    if arguments.format == "json":
        print(json.dumps(answer))
    else:
        print("\n".join(lines(answer)))


def _directory(arguments: argparse.Namespace) -> LabDirectory:
    path = default_directory(os.environ) if arguments.dir is None else Path(arguments.dir)
    return LabDirectory(path, os.environ)


# -- the parser -----------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qudag lab",
        description="A local network of real nodes with emulated links.",
        epilog="example:\n  qudag lab up --nodes 5 --topology ring --rate 100 --dir /tmp/lab --detach\n"
        "  qudag lab impair 'peer1-peer2:delay=80ms,loss=3%' --dir /tmp/lab\n"
        "  qudag lab status --dir /tmp/lab; qudag lab down --dir /tmp/lab",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    down = _command(
        commands, "down", _down, "end the lab and everything it started", "qudag lab down --dir /tmp/lab"
    )
    status = _command(
        commands,
        "status",
        _status,
        "nodes, links with their true counts, load",
        "qudag lab status --format json",
    )
    impair = _command(
        commands,
        "impair",
        _impair,
        "make links worse, or better: " + _IMPAIR_HELP.replace("\n", " ").replace("%", "%%"),
        "qudag lab impair peer1-peer2:delay=20ms,jitter=2ms,loss=1% 'peer2>peer3:rate=10mbit'",
    )
    impair.add_argument("order", nargs="+", metavar="A-B:KEY=VALUE", help="what to change")
    heal = _command(
        commands, "heal", _heal, "make links perfect again", "qudag lab heal peer1-peer2\n  qudag lab heal"
    )
    heal.add_argument(
        "link", nargs="*", metavar="A-B", help="a link, or 'A>B'; all of them when none is named"
    )
    kill = _command(commands, "kill", _kill, "kill nodes", "qudag lab kill peer2 --signal KILL")
    kill.add_argument("node", nargs="+", metavar="NODE")
    kill.add_argument(
        "--signal",
        type=_signal,
        default=signal.SIGKILL,
        metavar="NAME",
        help="KILL (default), TERM, STOP, CONT …",
    )
    restart = _command(commands, "restart", _restart, "start nodes again", "qudag lab restart peer2")
    restart.add_argument("node", nargs="+", metavar="NODE")
    load = _command(commands, "load", _load, "change the rate of messages", "qudag lab load --rate 500")
    load.add_argument(
        "--rate", type=float, required=True, metavar="R", help="messages per second, of all nodes together"
    )
    quiesce = _command(
        commands,
        "quiesce",
        _quiesce,
        "stop the load, wait until nothing is on its way, compare what neighbours counted",
        "qudag lab quiesce --format json",
    )
    for command, seconds in ((down, 15.0), (restart, 90.0), (quiesce, 30.0)):
        command.add_argument(
            "--timeout", type=float, default=seconds, metavar="S", help="seconds to wait (%(default)g)"
        )
    for command in (status, quiesce):
        command.add_argument("--format", choices=("table", "json"), default="table", help="(table)")
    return parser


def _add_up(commands: Any) -> None:
    up = _command(
        commands,
        "up",
        _up,
        "start a lab; print it as JSON once all nodes answer and all links stand",
        "qudag lab up --nodes 5 --topology ring --rate 100 --detach \\\n"
        "      --impair peer1-peer2:delay=80ms,jitter=8ms --impair 'peer3>peer4:loss=3%'",
    )
    add = up.add_argument
    add("--nodes", type=int, metavar="N", help="how many, peer1 to peerN (5)")
    add("--topology", metavar="T", help=f"{', '.join(TOPOLOGIES)} (ring)")
    add("--rate", type=float, metavar="R", help="messages per second to submit, of all nodes together (0)")
    add(
        "--payload",
        type=int,
        default=128,
        metavar="BYTES",
        help="size of each message's payload (%(default)s)",
    )
    add(
        "--engine",
        default="auto",
        metavar="E",
        help=f"{', '.join(ENGINES)}, or auto: the first that runs here (auto)",
    )
    add("--impair", action="append", metavar="A-B:KEY=VALUE", help=_IMPAIR_HELP.replace("%", "%%"))
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the random topology, losses and jitter (%(default)s)",
    )
    add("--detach", action="store_true", help="return when it is up; it runs until `qudag lab down`")
    add(
        "--demo",
        action="store_true",
        help="a mesh of five with traffic and two bad links, in a temporary directory",
    )
    add("--temporary", action="store_true", help="in a temporary directory that goes with the lab")
    add("--parent-fd", type=int, metavar="FD", help="end when the last writer of this pipe is gone")
    add(
        "--node-arg",
        action="append",
        metavar="ARG",
        help="a further argument for every node; may be repeated",
    )
    add("--timeout", type=float, default=60.0, metavar="S", help="seconds to start and to link (%(default)g)")


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary.partition(":")[0],
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example.replace('%', '%%')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--dir", metavar="DIR", help="the lab's directory ($XDG_DATA_HOME/qudag/lab)")
    command.set_defaults(run=run)
    return command


def _signal(text: str) -> signal.Signals:
    try:
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
    except KeyError:
        raise argparse.ArgumentTypeError(f"no signal {text!r}; for instance KILL, TERM, STOP, CONT") from None


if __name__ == "__main__":
    sys.exit(main())
