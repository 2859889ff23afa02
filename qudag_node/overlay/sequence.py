"""The sequence of our adverts over a restart, in ``DIR/routing.json``.

The wall clock alone would carry it on; the file is for a clock that was set back meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from qudag_node.errors import DataDirectoryError
from qudag_node.overlay.storage import read_json, write_json

__all__ = ["ROUTING_FILE_NAME", "SequenceFile"]

_log = logging.getLogger(__name__)

ROUTING_FILE_NAME = "routing.json"

_SCHEMA = "qudag.routing/1"
_SAVE_INTERVAL_S = 10.0


class SequenceFile:
    """Keeps one number; without a path in memory only."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, if there is one.

        Raises:
            DataDirectoryError: It is not what was written.
        """
        self._path = path
        self.sequence = 0 if path is None else _from_file(path)
        self._due_mono_s = 0.0
        self._saving = asyncio.Lock()

    async def save(self, sequence: int, now_mono_s: float, *, at_once: bool = False) -> None:
        """Keep a newer sequence: at once, or not more often than every 10 s."""
        if self._path is None or sequence == self.sequence or (now_mono_s < self._due_mono_s and not at_once):
            return
        self.sequence, self._due_mono_s = sequence, now_mono_s + _SAVE_INTERVAL_S
        async with self._saving:
            try:
                await asyncio.to_thread(
                    write_json, self._path, {"schema": _SCHEMA, "advert_sequence": sequence}
                )
            except DataDirectoryError as exc:
                _log.warning("%s", exc)


def _from_file(path: Path) -> int:
    match read_json(path):
        case None:
            return 0
        case {"schema": str(schema), "advert_sequence": int(sequence)} if schema == _SCHEMA:
            return sequence
        case _:
            raise DataDirectoryError(f"{path}: is not a routing state; remove it")
