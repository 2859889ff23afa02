"""The lab's directory: made private, locked while the lab runs, and the record of what runs.

DIR/               0700
├── lab.lock       flock(2) held by the supervisor and the keeper until everything is gone
├── lab.json       what runs: engine, addresses, pids with the times they started
├── lab.log        what a detached supervisor says
├── control.sock   where `impair`, `status` and the others ask
└── peer1/ …       the nodes' data directories; they keep their identities for the next time
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qudag_node.errors import ConfigError
from qudag_node.lab.errors import LabError, LabNotRunningError
from qudag_node.wire.paths import data_dir, runtime_dir

__all__ = ["LabDirectory", "default_directory"]

#: A Unix socket's path has at most 104 bytes on macOS, 108 on Linux.
_LONGEST_SOCKET_PATH = 100


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where a lab lives when nobody says."""
    return Path(data_dir("lab", environ))


class LabDirectory:
    """One lab's directory. Making one object touches nothing."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path.absolute()
        self.record_path = self.path / "lab.json"
        self.log_path = self.path / "lab.log"
        self._lock_path = self.path / "lab.lock"
        self._environ = environ
        self._lock_fd = -1

    @property
    def control_path(self) -> Path:
        """The control socket; in the runtime directory when this one's path is too long for a socket."""
        path = self.path / "control.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(runtime_dir(self._environ)) / f"{name}.lab"

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock, -1 without."""
        return self._lock_fd

    def prepare(self) -> None:
        """Make the directory, and take its lock.

        Raises:
            ConfigError: It belongs to someone else, or is something other than a lab's.
            LabError: A lab runs here, or the directory cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check()
            self.control_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = os.open(
                self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock_fd)
            self._lock_fd = -1
            raise LabError(
                f"{self.path}: a lab runs here already; end it with: qudag lab down --dir {self.path}"
            ) from None
        except OSError as error:
            raise LabError(f"{self.path}: {error.strerror}") from error

    def _check(self) -> None:
        status = self.path.stat()
        if status.st_uid != os.geteuid():
            raise ConfigError("--dir", f"{self.path} belongs to another user")
        if stat.S_IMODE(status.st_mode) & 0o077:
            others = {entry.name for entry in self.path.iterdir()}
            if others and self._lock_path.name not in others:
                raise ConfigError(
                    "--dir", f"{self.path} is neither empty nor a lab's; name another directory"
                )
            self.path.chmod(0o700)

    def release(self) -> None:
        """Give up the lock. The second time does nothing."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def is_locked(self) -> bool:
        """Whether a lab, or what cleans up after one, is still at work here."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Replace ``lab.json``: a reader sees the old one or the new one."""
        partial = self.record_path.with_suffix(".new")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        partial.replace(self.record_path)

    def read_record(self) -> dict[str, Any]:
        """What ``lab.json`` says.

        Raises:
            LabNotRunningError: There is none.
            LabError: It cannot be read.
        """
        try:
            record: dict[str, Any] = json.loads(self.record_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LabNotRunningError(
                f"{self.path}: no lab runs here; start one with: qudag lab up --dir {self.path}"
            ) from None
        except (OSError, ValueError) as error:
            raise LabError(f"{self.record_path}: cannot be read: {error}") from error
        return record

    def remove_traces(self) -> None:
        """Remove what only a running lab has: the record and the control socket."""
        self.control_path.unlink(missing_ok=True)
        self.record_path.with_suffix(".new").unlink(missing_ok=True)
        self.record_path.unlink(missing_ok=True)
