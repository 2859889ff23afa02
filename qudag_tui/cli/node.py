"""``qudag status``, ``stop`` and ``log``: one running node."""

from __future__ import annotations

import sys
import time

from qudag_tui.cli.output import READING, Paper, print_json, print_lines
from qudag_tui.cli.session import open_node, open_stream_of_node
from qudag_tui.client.transport import Deadline
from qudag_tui.errors import NodeTimeoutError, UnreachableError
from qudag_tui.views.facts import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_tui.cli.options import Options

__all__ = ["identity", "log", "status", "stop"]

STATUS_SCHEMA = "qudag.status/1"

# How often it is looked whether a process has ended; it is not our child, so nobody tells us.
LOOK_EVERY_S = 0.02

# A node that logs nothing for a week is still followed.
LOG_PATIENCE_S = 7 * 86400.0


def status(options: Options) -> int:
    """Print who the node is and how it does."""
    with open_node(options) as connection:
        answer = connection.call("status")
    with READING:
        if options.format == "json":
            print_json({"schema": STATUS_SCHEMA, **answer})
        else:
            print_lines(facts(answer, colour=Paper(no_color=options.no_color).colour))
    return 0


def identity(options: Options) -> int:
    """Print the lines to give to a peer: the running node's id at each address that a peer can dial."""
    with open_node(options) as connection:
        answer = connection.call("status")
    with READING:
        print_lines(f"{answer['node']['id']}@{address}" for address in answer["dialable"])
        if not answer["dialable"]:
            where = ", ".join(answer["advertise"]) or "it listens nowhere"
            print(
                f"qudag: no peer can dial this node ({where}); "
                "set overlay.advertise to an address at which peers reach its host",
                file=sys.stderr,
            )
    return 0


def stop(options: Options) -> int:
    """Ask the node to end in order, and wait until it is gone."""
    with open_node(options) as connection:
        name, pid = connection.hello["node"]["name"], connection.peer_pid()
        try:
            connection.call("shutdown")
        except NodeTimeoutError:
            raise
        except UnreachableError:
            pass  # it was quicker than its answer
        deadline = Deadline(options.wait)
        has_hung_up = connection.wait_until_closed(options.wait)
    try:
        # A process on this host is gone when its pid is; of one elsewhere we see its connection end.
        while pid is not None and _runs(pid):
            deadline.remaining_s()
            time.sleep(LOOK_EVERY_S)
        if not has_hung_up:
            deadline.remaining_s()
    except TimeoutError:
        raise NodeTimeoutError(
            f"{name} was told to stop and has not ended after {options.wait:g} s", "see `qudag log`"
        ) from None
    print(f"{name} has stopped", file=sys.stderr)
    return 0


def _runs(pid: int) -> bool:
    """Whether a process is there and not a zombie that its parent has not looked at yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 — see cli.stats
            state = file.read().rpartition(b")")[2].split()[:1]
    except (FileNotFoundError, ProcessLookupError):
        # Without /proc the end of the connection must do: it is closed last.
        return False
    return state not in ([b"Z"], [b"X"])


def log(options: Options) -> int:
    """Print the log of a running node over its RPC, and go on with new lines."""
    with open_stream_of_node(options) if options.follow else open_node(options) as connection:
        if options.follow:
            connection.call("subscribe", {"topic": "log"})
        answer = connection.call("log", {"lines": options.lines, "level": options.level})
        with READING:
            print_lines(answer.get("lines", ()))
        if not options.follow:
            return 0
        wanted = _LevelFilter(options.level)
        for method, params in connection.notifications(timeout_s=LOG_PATIENCE_S):
            if method == "log":
                with READING:
                    print_lines(filter(wanted.passes, params.get("lines", ())))
    raise UnreachableError("the node closed the connection")


_LEVELS = ("debug", "info", "warning", "error", "critical")


class _LevelFilter:
    """Lets lines of a level or above pass, and what follows such a line (a traceback) with it."""

    def __init__(self, level: str) -> None:
        self._least = _LEVELS.index(level)
        self._passing = True

    def passes(self, line: str) -> bool:
        """Whether a line is to be shown, asked in their order; one that names no level is."""
        if not line.startswith(" "):
            words = line.lower().split(maxsplit=3)
            named = next((word for word in words if word in _LEVELS), None)
            self._passing = named is None or _LEVELS.index(named) >= self._least
        return self._passing
