"""``python -m qudag_node``: run a node, print its identity, its settings, its log.

This is what ``qudag start``, ``id``, ``config`` and ``log`` run. stdout is data, stderr is talk.
Exit codes: 0 ended in order (SIGTERM included), 1 a local failure, 2 usage or configuration,
130 interrupted, 141 stdout was closed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from qudag_node.config import LoadedConfig, ProcessConfig, load_config
from qudag_node.errors import NodeError
from qudag_node.node.flags import data_directory, parser, settings_of

EXIT_INTERRUPTED = 130
EXIT_STDOUT_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "start")
    _have_stdout()
    arguments = parser().parse_args(words)
    commands = {"start": _start, "id": _id, "config": _config, "log": _log}
    try:
        code = commands[arguments.command](arguments)
        sys.stdout.flush()
    except NodeError as exc:
        print(f"qudag {arguments.command}: {exc}", file=sys.stderr)
        return exc.exit_code
    except BrokenPipeError:
        return _leave_stdout(EXIT_STDOUT_CLOSED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as exc:  # what is opened and connected to is told of with its name; this is our own output
        where = exc.filename or "stdout"
        print(f"qudag {arguments.command}: {where}: {exc.strerror or exc}", file=sys.stderr)
        return _leave_stdout(NodeError.exit_code)
    return code


def _have_stdout() -> None:
    """Where stdout was closed before we began, print to nowhere: a socket must not become it."""
    stdout: TextIO | None = sys.stdout
    if stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # for as long as we run


def _leave_stdout(code: int) -> int:
    """Python flushes stdout once more at exit: give it something that takes the bytes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _start(arguments: Namespace) -> int:
    # Importing the node takes a while. A signal meanwhile is only noted: an exception raised by a handler
    # in the middle of somebody's import may be swallowed there.
    early: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: early.append(number))
    from qudag_node.node.run import run

    return run(_load(arguments), os.environ, early)


def _id(arguments: Namespace) -> int:
    from qudag_node.node.identify import identity_lines

    for line in identity_lines(_load(arguments), os.environ):
        print(line)
    return 0


def _config(arguments: Namespace) -> int:
    from qudag_node.config import config_document, config_lines, config_template

    match arguments.action:
        case "path":
            print(_places(arguments)[1])
        case "init":
            print(_write_template(_places(arguments)[1], config_template()))
        case _ if arguments.format == "json":
            print(json.dumps(config_document(_load(arguments)), indent=2, ensure_ascii=False))
        case _:
            for line in config_lines(_load(arguments)):
                print(line)
    return 0


def _log(arguments: Namespace) -> int:
    from qudag_node.node.logfile import follow, newest_lines
    from qudag_node.node.logs import LOG_FILE

    directory = _places(arguments)[0]
    path = directory / LOG_FILE
    read = follow if arguments.follow else newest_lines
    try:
        for line in read(path, arguments.lines, level=arguments.level):
            print(line, flush=arguments.follow)
    except FileNotFoundError:
        _log_of_running(arguments, directory)
    except PermissionError as exc:
        raise NodeError(f"{path}: cannot be read: {exc.strerror}") from exc
    return 0


def _log_of_running(arguments: Namespace, directory: Path) -> None:
    """Print what a node that logs to the journal still has in memory."""
    from qudag_node.node.ask import running_node
    from qudag_node.node.logfile import LevelFilter
    from qudag_node.wire.errors import WireError

    wanted = LevelFilter(arguments.level)
    asked = {"lines": arguments.lines, "level": arguments.level}
    has_answered = False
    try:
        with running_node(directory, os.environ) as node:
            for line in cast("list[str]", node.call("log", asked)["lines"]):
                print(line, flush=True)
            has_answered = True
            for line in filter(wanted.passes, node.log_lines()) if arguments.follow else ():
                print(line, flush=True)
    except BrokenPipeError:
        raise
    except (OSError, WireError) as exc:
        if has_answered:
            return  # the node has ended meanwhile, and its log with it
        raise NodeError(
            f"{directory}: no log here and no node that answers; under systemd: journalctl -u qudag"
        ) from exc


def _places(arguments: Namespace) -> tuple[Path, Path, bool]:
    """Return the data directory, the settings file, and whether that was asked for by name."""
    from qudag_node.wire.paths import data_dir

    named = arguments.name or os.environ.get("QUDAG_NODE_NAME")
    directory = data_directory(arguments, os.environ)
    if directory is None and named is None and arguments.command != "start":
        directory = _only_running()
    if directory is None:
        name = named or ProcessConfig().name
        ProcessConfig(name=name)  # refuses a name that would lead out of the directory of data directories
        directory = Path(data_dir(name, os.environ))
    file = arguments.config or os.environ.get("QUDAG_CONFIG")
    return directory.absolute(), Path(file) if file else directory / "config.toml", bool(file)


def _only_running() -> Path | None:
    """Return the data directory of the only node that runs here, None where there is none or several."""
    from qudag_node.wire.paths import runtime_dir

    links = Path(runtime_dir(os.environ))
    targets = {link.readlink().parent for link in links.glob("*.sock") if link.is_symlink()}
    return next(iter(targets)) if len(targets) == 1 and targets != {links} else None


def _load(arguments: Namespace) -> LoadedConfig:
    directory, file, required = _places(arguments)
    flags = settings_of(arguments)
    flags.setdefault("node.data_dir", ("default", directory))
    return load_config(file=file, file_required=required, environ=os.environ, flags=flags)


def _write_template(file: Path, text: str) -> Path:
    from qudag_node.overlay.storage import create_exclusively

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_exclusively(file, text.encode())
    except FileExistsError:
        raise NodeError(f"{file}: exists already and is left as it is") from None
    except OSError as exc:
        raise NodeError(f"{file}: cannot be written: {exc.strerror}") from exc
    return file


if __name__ == "__main__":
    sys.exit(main())
