"""The entry point: the fast path by hand, everything else through argparse, and one place for failures.

``network stats --once`` is what scripts run every few seconds, so its words are matched here before
argparse, and nothing is imported that it does not use. Exit codes: ``qudag_tui.errors``.
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper

from qudag_tui.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    ProtocolError,
    QudagError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["main"]


class _Terminated(BaseException):
    """SIGTERM came; what is open is closed on the way out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words behind the program's name; None is those of this process.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if argv is None:
            signal.signal(signal.SIGTERM, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal of few letters prints "?" for the others
        code = _dispatch(words)
        if sys.stdout:
            sys.stdout.flush()
        if argv is None:
            # All is said and flushed; Python's own tidying up would cost a tenth of `stats --once`.
            os._exit(code)
    except QudagError as exc:
        return _complain(str(exc), exc.exit_code)
    except _wire_fault() as exc:
        return _complain(f"the node broke the protocol: {exc}", ProtocolError.exit_code)
    except BrokenPipeError:
        return _leave_stdout(EXIT_BROKEN_PIPE)
    except KeyboardInterrupt:
        return _leave_stdout(EXIT_INTERRUPTED)
    except _Terminated:
        return _leave_stdout(EXIT_TERMINATED)
    except OSError as exc:  # sockets translate theirs; what is left is our own output, or a local file
        where = f"{exc.filename}: " if exc.filename else "stdout: "
        return _leave_stdout(_complain(f"{where}{exc.strerror or exc}", QudagError.exit_code))
    return code


def _dispatch(words: list[str]) -> int:
    from qudag_tui.cli.stats import match_once, run_once

    once = match_once(words)
    if once is not None:
        return run_once(once)
    from qudag_tui.cli.hand_over import hand_over

    hand_over(words)  # does not return if the words are for the node or the lab
    from qudag_tui.cli.program import run

    return run(words)


def _wire_fault() -> type[Exception]:
    """What the wire raises when an answer is malformed; asked for only when something was raised."""
    from qudag_node.wire import RemoteProtocolError

    return RemoteProtocolError


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _complain(line: str, code: int) -> int:
    """One line on stderr, even if nobody listens there."""
    try:
        print(f"qudag: {line}", file=sys.stderr, flush=True)
    except OSError:
        return code
    return code


def _leave_stdout(code: int) -> int:
    """Give what stdout still buffers to a sink: Python flushes it once more at exit, and would complain."""
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


if __name__ == "__main__":
    sys.exit(main())
