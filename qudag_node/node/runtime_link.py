"""NAME.sock in the runtime directory: how clients find a running node by its name. A convenience only.

A node that was killed leaves its link, and its socket where that lies there too; the next one to start,
of whatever name, takes them away.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from qudag_node.errors import DataDirectoryError
from qudag_node.rpc.listeners import is_answered, private_directory

__all__ = ["RuntimeLink", "sweep"]

_log = logging.getLogger(__name__)

# A socket that was bound this moment may not be listened on yet, which looks like a dead one.
_YOUNG_S = 10.0
# A node that hangs is not dead, but makes us wait; the start has better things to do.
_SWEEP_TIMEOUT_S = 2.0


class RuntimeLink:
    """A link to this node's socket; absent when another running node of that name has it.

    Attributes:
        path: Where it is, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target: Path | None = None

    def make(self, target: Path) -> None:
        """Link, over what an ended node left. What goes wrong is logged: the node runs without."""
        try:
            private_directory(self.path.parent)
            if self.path.is_symlink() and self.path.readlink() != target and is_answered(self.path):
                _log.warning("%s belongs to another running node; use --node unix:%s", self.path, target)
                return
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(target)
            self._target = target
        except (OSError, DataDirectoryError) as exc:
            _log.warning("%s: no link to this node: %s", self.path, exc)

    def remove(self) -> None:
        """Remove the link if it is still ours; the second time does nothing."""
        with suppress(OSError):
            if self._target is not None and self.path.readlink() == self._target:
                self.path.unlink()
        self._target = None


def sweep(directory: Path) -> list[Path]:
    """Remove what killed nodes of this user left in a runtime directory; return what that was.

    Removed are links to sockets, and sockets, that are not there or that nobody listens on.
    """
    deadline_mono_s = time.monotonic() + _SWEEP_TIMEOUT_S
    removed: list[Path] = []
    for path in (*directory.glob("*.sock"), *directory.glob("*.rpc")):
        if time.monotonic() > deadline_mono_s:
            break
        try:
            seen = path.lstat()
            if _may_be_dead(seen) and not is_answered(path) and _is_same(seen, path.lstat()):
                path.unlink()
                removed.append(path)
        except OSError as exc:  # gone meanwhile, or not ours to look at
            _log.debug("%s: %s", path, exc)
    if removed:
        _log.info("removed what killed nodes left: %s", ", ".join(path.name for path in removed))
    return removed


def _may_be_dead(status: os.stat_result) -> bool:
    if status.st_uid != os.geteuid():
        return False
    is_young = time.time() - status.st_mtime < _YOUNG_S
    return stat.S_ISLNK(status.st_mode) or (stat.S_ISSOCK(status.st_mode) and not is_young)


def _is_same(before: os.stat_result, now: os.stat_result) -> bool:
    """Tell whether a name still is what it was, and not a starting node's."""
    return (before.st_ino, before.st_ctime_ns) == (now.st_ino, now.st_ctime_ns)
