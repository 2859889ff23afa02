"""Processes: how ours are started, and how one that is recorded on disk is recognised again.

A pid alone names nobody: numbers are used again. A process is recorded with the time it started, and
signalled only while both still agree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qudag_node.host.interpreter import child_environment, python_module

__all__ = ["ProcessRecord", "child_environment", "python_module", "send_signal", "started_at"]


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process as the lab's record on disk tells of it.

    Attributes:
        started: When it started, in the system's own terms; only compared, never computed with.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """Record a running process of ours."""
        return cls(pid, started_at(pid) or "")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ProcessRecord:
        """The reverse of ``to_json``."""
        return cls(int(fields["pid"]), str(fields["started"]))

    def to_json(self) -> dict[str, Any]:
        """Both fields by name."""
        return {"pid": self.pid, "started": self.started}

    @property
    def is_running(self) -> bool:
        """Whether this very process runs."""
        return bool(self.started) and started_at(self.pid) == self.started


def started_at(pid: int) -> str | None:
    """When the process started; None if there is none, or only its zombie."""
    if sys.platform != "linux":
        run = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return run.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The second field is the program's name in brackets, and may itself hold brackets and spaces.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def send_signal(process: ProcessRecord, number: signal.Signals) -> bool:
    """Signal the process if it is still the one that was recorded; return whether it was."""
    if sys.platform != "linux":
        if process.is_running:
            os.kill(process.pid, number)
            return True
        return False
    try:
        # The descriptor holds on to whoever has the number now, so that the check and the signal agree.
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not process.is_running:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
