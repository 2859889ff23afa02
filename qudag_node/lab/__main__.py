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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qudag_node.errors import ConfigError, NodeError
from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory, default_directory
from qudag_node.lab.errors import LabError, LabNotRunningError
from qudag_node.lab.flags import ANSWER_S, parser
from qudag_node.lab.keeper import clean_up
from qudag_node.lab.options import DEMO_IMPAIRMENTS, LabOptions
from qudag_node.lab.processes import ProcessRecord, child_environment, python_module, send_signal
from qudag_node.lab.report import quiesce_lines, status_lines

EXIT_INTERRUPTED = 130
EXIT_STDOUT_CLOSED = 141

_DEMO = {"nodes": 5, "topology": "mesh", "rate": 50.0}
_POLL_S = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(words)
    arguments.words = words
    try:
        code = _COMMANDS[arguments.command](arguments)
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
    supervisor = Supervisor(options, os.environ)
    asyncio.run(supervisor.run(_announce))
    return EXIT_INTERRUPTED if supervisor.is_interrupted else 0


def _announce(announcement: Mapping[str, Any]) -> None:
    print(json.dumps(announcement), flush=True)
    _warn(announcement)
    if sys.stderr.isatty() and sys.stdin.isatty():
        print("the lab is up; Ctrl-C takes it down", file=sys.stderr)


def _warn(answer: Mapping[str, Any]) -> None:
    for warning in answer["warnings"]:
        print(f"qudag lab: {warning}", file=sys.stderr, flush=True)


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
        _warn(json.loads(line))
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
    deadline_s = time.monotonic() + arguments.timeout + ANSWER_S
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
    return _print(arguments, _ask(arguments, {"op": "status"}), status_lines)


def _impair(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments, {"op": "impair", "orders": arguments.order})
    _warn(answer)
    return _print(arguments, answer, _link_lines)


def _heal(arguments: argparse.Namespace) -> int:
    return _print(arguments, _ask(arguments, {"op": "heal", "links": arguments.link}), _link_lines)


def _link_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    return (f"{direction}  {text}" for direction, text in answer["links"].items())


def _kill(arguments: argparse.Namespace) -> int:
    order = {"op": "kill", "nodes": arguments.node, "signal": int(arguments.signal)}
    return _print(
        arguments,
        _ask(arguments, order),
        lambda answer: (f"{name}  {state}" for name, state in answer["nodes"].items()),
    )


def _restart(arguments: argparse.Namespace) -> int:
    return _print(
        arguments,
        _ask(arguments, {"op": "restart", "nodes": arguments.node}),
        lambda answer: (f"{node['name']}  running  {node['pid']}" for node in answer["nodes"]),
    )


def _load(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments, {"op": "load", "rate_per_s": arguments.rate})
    return _print(arguments, answer, lambda answer: (f"load {answer['rate_per_s']:g}/s",))


def _quiesce(arguments: argparse.Namespace) -> int:
    order = {"op": "quiesce", "timeout_s": arguments.timeout}
    answer = control.ask(_directory(arguments), order, timeout_s=arguments.timeout + ANSWER_S)
    _print(arguments, answer, quiesce_lines)
    if answer["settled"]:
        return 0
    raise LabError(f"neighbours do not agree after {arguments.timeout:g} s, or messages still wait")


def _ask(arguments: argparse.Namespace, order: Mapping[str, Any]) -> dict[str, Any]:
    return control.ask(_directory(arguments), order, timeout_s=arguments.timeout)


def _print(
    arguments: argparse.Namespace,
    answer: Mapping[str, Any],
    lines: Callable[[Mapping[str, Any]], Iterable[str]],
) -> int:
    if arguments.format == "json":
        print(json.dumps(answer))
    else:
        print("\n".join(lines(answer)))
    return 0


def _directory(arguments: argparse.Namespace) -> LabDirectory:
    path = default_directory(os.environ) if arguments.dir is None else Path(arguments.dir)
    return LabDirectory(path, os.environ)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "impair": _impair,
    "heal": _heal,
    "kill": _kill,
    "restart": _restart,
    "load": _load,
    "quiesce": _quiesce,
}


if __name__ == "__main__":
    sys.exit(main())
