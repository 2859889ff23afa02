"""The data directory: made private, locked by one process, its small files written whole or not at all.

::

    DIR/                0700
    ├── lock            flock(2) held while the node runs; holds its pid
    ├── identity.key    0600
    ├── config.toml
    ├── rpc.sock        while the node runs
    ├── rpc.cookie      0600, new at each start, removed at the stop
    ├── tokens.json     0600
    └── node.log, node.log.1, …
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from qudag_node.errors import DataDirectoryError

__all__ = ["DataDirectory", "disk_full", "remove_file"]

_LOCK = "lock"
_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700


class DataDirectory:
    """A locked data directory; ``close`` gives it up, and so does the end of the process.

    The lock is the kernel's, so ``kill -9`` leaves nothing to clean; the file stays, since removing a
    locked file lets two processes hold two locks.
    """

    def __init__(self, path: Path) -> None:
        """Make and lock the directory.

        Raises:
            DataDirectoryError: Another process holds it, or it cannot be made, owned or written.
        """
        self.path = path
        try:
            self._make()
            self._lock = self._take_lock()
        except OSError as exc:
            raise _translated(path, exc) from exc

    def close(self) -> None:
        """Release the lock. The second time does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _make(self) -> None:
        self.path.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        status = self.path.stat()
        if status.st_uid != os.geteuid():
            raise DataDirectoryError(
                f"{self.path}: belongs to user {status.st_uid}, not to {os.geteuid()}; "
                "start the node as its owner or choose another --data-dir"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            self.path.chmod(_PRIVATE_DIRECTORY)

    def _take_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path / _LOCK, flags, _PRIVATE_FILE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise DataDirectoryError(
                    f"{self.path}: in use by another node{f' (pid {holder})' if holder else ''}; "
                    "stop it or choose another --data-dir"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def remove_file(path: Path) -> None:
    """Remove a file that may be gone."""
    path.unlink(missing_ok=True)


def disk_full(exc: OSError) -> bool:
    """Tell whether the system refused for want of space."""
    return exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _translated(path: Path, exc: OSError) -> DataDirectoryError:
    if disk_full(exc):
        return DataDirectoryError(f"{path}: the disk is full; free some space and start again")
    if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return DataDirectoryError(f"{path}: not writable ({exc.strerror}); choose another --data-dir")
    return DataDirectoryError(f"{path}: {exc.strerror or exc}")
