"""The process that cleans up when the supervisor could not.

``python -m qudag_node.lab.keeper DIR PIPE_FD LOCK_FD [--remove]``, started by the supervisor. It holds the
read end of a pipe whose only writer is the supervisor. When that ends, in order or by SIGKILL, the nodes end
by themselves, since they hold the same kind of pipe; this process waits for them, kills what hangs, removes
what is left in the directory (with ``--remove`` the directory itself), and gives up the lab's lock last.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import LabError
from qudag_node.lab.linux import set_name
from qudag_node.lab.processes import ProcessRecord, send_signal

__all__ = ["end_processes", "main", "recorded_processes", "remove_sockets"]

#: More than a node's own limit for stopping in order (node.stop_timeout_s, 5 s).
_PATIENCE_S = 8.0
_POLL_S = 0.02


def main(arguments: Sequence[str]) -> int:
    """Wait for the supervisor's end, then clean up."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    set_name("qudag-lab-keep")
    directory = LabDirectory(Path(arguments[0]), os.environ)
    pipe_fd, lock_fd = int(arguments[1]), int(arguments[2])
    # Only the end of the pipe is of interest: nobody writes. A node may have made it non-blocking.
    select.select([pipe_fd], [], [])
    clean_up(directory, _PATIENCE_S)
    if "--remove" in arguments[3:]:
        shutil.rmtree(directory.path, ignore_errors=True)
    os.close(lock_fd)
    return 0


def clean_up(directory: LabDirectory, patience_s: float) -> None:
    """End what the record names, and remove the traces; without a record there is nothing to do."""
    try:
        record = directory.read_record()
    except LabError:
        directory.remove_traces()
        return
    end_processes(recorded_processes(record), patience_s)
    remove_sockets(record)
    directory.remove_traces()


def recorded_processes(record: Mapping[str, Any]) -> list[ProcessRecord]:
    """The nodes and the links of a record, not the supervisor."""
    running = [node["process"] for node in record.get("nodes", ()) if node.get("process")]
    if record.get("links_process"):
        running.append(record["links_process"])
    return [ProcessRecord.from_json(fields) for fields in running]


def end_processes(processes: Sequence[ProcessRecord], patience_s: float) -> None:
    """Wait until all are gone; kill those that are not after ``patience_s``."""
    deadline_s = time.monotonic() + patience_s
    running = list(processes)
    while running := [process for process in running if process.is_running]:
        if time.monotonic() >= deadline_s:
            for process in running:
                send_signal(process, signal.SIGKILL)
        time.sleep(_POLL_S)


def remove_sockets(record: Mapping[str, Any]) -> None:
    """Remove the sockets, and the links to them, of nodes that had no time to do so."""
    for node in record.get("nodes", ()):
        for path in node.get("sockets", ()):
            Path(path).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
