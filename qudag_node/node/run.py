"""From a loaded configuration to an exit code: the directory, the log, the loop, the signals.

A node is stopped in one way only, at whatever point it is: its task is cancelled, and what was started
is stopped in the reverse order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from qudag_node.config import LoadedConfig
from qudag_node.errors import DataDirectoryError, NodeError
from qudag_node.node.directory import DataDirectory, disk_full
from qudag_node.node.fairness import fair_event_loop
from qudag_node.node.logs import LOG_FILE, LogRing, configure_logging
from qudag_node.node.node import Node
from qudag_node.node.supervision import notify_systemd, watch_parent
from qudag_node.rpc import check_settings

__all__ = ["error_of", "run"]

_log = logging.getLogger(__name__)

_EXIT_CODES = {signal.SIGTERM: 0, signal.SIGHUP: 0, signal.SIGINT: 130}
# Cancelling each part has its own deadline; this is for a part that does not keep to it.
_LAST_RESORT_S = 3.0


class StopRequest:
    """The wish that the node stops. The first one counts; its exit code is the program's.

    Attributes:
        reason: For the log.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason = ""
        self.exit_code = 0

    def __call__(self, reason: str, exit_code: int = 0) -> None:
        """Ask the node to stop."""
        if not self.event.is_set():
            self.reason, self.exit_code = reason, exit_code
            self.event.set()


def run(loaded: LoadedConfig, environ: Mapping[str, str], early: Sequence[int] = ()) -> int:
    """Run a node until it is told to stop; return the exit code.

    Args:
        loaded: Its settings.
        environ: The environment.
        early: Grows by the numbers of the signals that come before the event loop takes them.

    Raises:
        NodeError: It could not start, or a part of it failed; its log says more.
    """
    path = loaded.config.node.data_dir
    assert path is not None, "the command line fills it in"  # noqa: S101
    check_settings(loaded.config.rpc)  # a start that is refused leaves nothing behind
    _allow_many_files()
    directory = DataDirectory(path)
    try:
        ring = configure_logging(loaded.config.log, path, environ)
        link_sockets: set[int] = set()
        with asyncio.Runner(loop_factory=lambda: fair_event_loop(link_sockets)) as runner:
            return runner.run(_run(loaded, ring, environ, early, link_sockets))
    except OSError as exc:
        raise _local_failure(exc) from exc
    except BaseExceptionGroup as group:
        raise error_of(group) from group
    finally:
        logging.shutdown()
        directory.close()


async def _run(
    loaded: LoadedConfig,
    ring: LogRing,
    environ: Mapping[str, str],
    early: Sequence[int],
    link_sockets: set[int],
) -> int:
    stop = StopRequest()
    loop = asyncio.get_running_loop()
    for number, code in _EXIT_CODES.items():
        loop.add_signal_handler(number, stop, number.name, code)
    for came in early:
        return _EXIT_CODES[signal.Signals(came)]
    if loaded.config.lab.parent_fd is not None:
        watch_parent(loaded.config.lab.parent_fd, stop)

    def ready(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # the line that a person or a script waits for
        notify_systemd("READY=1", environ)

    node = asyncio.create_task(Node(loaded, ring, environ, stop, link_sockets).run(ready), name="node")
    stopped = asyncio.create_task(stop.event.wait(), name="stop request")
    await asyncio.wait({node, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if node.done():
        node.result()
        return 0
    notify_systemd("STOPPING=1", environ)
    _log.info("stopping: %s", stop.reason)
    node.cancel()
    await asyncio.wait({node}, timeout=loaded.config.node.stop_timeout_s + _LAST_RESORT_S)
    if not node.done():
        _log.error("a part of the node did not stop in time; leaving without it")
        logging.shutdown()
        os._exit(1)
    with suppress(asyncio.CancelledError):
        node.result()
    return stop.exit_code


def _allow_many_files() -> None:
    """Raise the soft limit on open files to the hard one: each link and each client is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS refuses an unlimited number of files.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def error_of(group: BaseExceptionGroup[BaseException]) -> NodeError:
    """Return the first error of ours, or of the system's, in a group; else one that points to the log."""
    leaves = tuple(_leaves(group))
    for leaf in leaves:
        if isinstance(leaf, NodeError):
            return leaf
    for leaf in leaves:
        if isinstance(leaf, OSError):
            return _local_failure(leaf)
    _log.critical("a part of the node failed", exc_info=group)
    return NodeError(f"a part of the node failed: {leaves[0]!r}; {LOG_FILE} has the traceback")


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _leaves(each)
    else:
        yield exc


def _local_failure(exc: OSError) -> NodeError:
    where = f"{exc.filename}: " if exc.filename else ""
    if disk_full(exc):
        return DataDirectoryError(f"{where}the disk is full; free some space and start again")
    return NodeError(f"{where}{exc.strerror or exc}")
