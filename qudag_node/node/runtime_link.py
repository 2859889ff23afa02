"""NAME.sock in the runtime directory: how clients find a running node by its name. A convenience only."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from qudag_node.errors import DataDirectoryError
from qudag_node.rpc.listeners import is_answered, private_directory

__all__ = ["RuntimeLink"]

_log = logging.getLogger(__name__)


class RuntimeLink:
    """A link to this node's socket; absent when another running node of that name has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._target: Path | None = None

    def make(self, target: Path) -> None:
        """Link, over what an ended node left. What goes wrong is logged: the node runs without."""
        try:
            private_directory(self._path.parent)
            if self._path.is_symlink() and self._path.readlink() != target and is_answered(self._path):
                _log.warning("%s belongs to another running node; use --node unix:%s", self._path, target)
                return
            self._path.unlink(missing_ok=True)
            self._path.symlink_to(target)
            self._target = target
        except (OSError, DataDirectoryError) as exc:
            _log.warning("%s: no link to this node: %s", self._path, exc)

    def remove(self) -> None:
        """Remove the link if it is still ours; the second time does nothing."""
        with suppress(OSError):
            if self._target is not None and self._path.readlink() == self._target:
                self._path.unlink()
        self._target = None
