"""``python -m qudag_node.nettests.worker FD``: do the one job that the node at the end of FD asks for."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence

from qudag_node.errors import NodeError
from qudag_node.nettests.worker.channel import Channel, read_frame
from qudag_node.nettests.worker.jobs import load_job

#: The node closes its end as soon as it has read the last event.
_LEAVE_S = 5.0
#: Far more than any job takes: a mistake, or a peer that found one, does not take the host's memory.
_MAX_DATA_BYTES = 1 << 30
#: Of a thread; a job may have 64.
_STACK_BYTES = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Do the job; return the exit code, which nobody reads: the last event says how it went."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) != 1 or not words[0].isdigit():
        sys.stderr.write("this is started by a node, with the number of a socket\n")
        return 2
    # Ctrl-C goes to everything on the terminal; when this ends is the node's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bound_memory()
    with socket.socket(fileno=int(words[0])) as sock:
        asked = read_frame(sock)
        if asked is None:
            return 1
        channel = Channel(sock)
        channel.listen()
        code = _run(asked, channel)
        channel.leave(_LEAVE_S)
        return code


def _bound_memory() -> None:
    threading.stack_size(_STACK_BYTES)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _MAX_DATA_BYTES if most == resource.RLIM_INFINITY else min(most, _MAX_DATA_BYTES)
    with contextlib.suppress(OSError, ValueError):  # not every system has it
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _run(asked: dict[str, object], channel: Channel) -> int:
    try:
        job = load_job(str(asked["job"]))
        params = asked["params"]
        result = job(params if isinstance(params, dict) else {}, channel)
        channel.emit("done", result=result)
    except NodeError as exc:
        channel.emit("failed", error=str(exc))
    except OSError as exc:
        channel.emit("failed", error=f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
    except Exception as exc:  # noqa: BLE001  # the process's outermost frame: the node has to hear of it
        traceback.print_exc()
        channel.emit("failed", error=f"{type(exc).__name__}: {exc}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    _code = main()
    sys.stderr.flush()
    os._exit(_code)  # threads that a job left behind do not keep it
