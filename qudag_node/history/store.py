"""`ResultStore`: results of network tests on disk, bounded by their number, their age and the file's size."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from qudag_node.errors import StoreError
from qudag_node.history.database import Database

__all__ = ["ResultStore", "StoreLimits"]

FILE_NAME = "history.sqlite"
#: More is no result but a mistake of the test's.
_MAX_DOCUMENT_BYTES = 8 << 20
_DAY_S = 86_400.0
#: The share of the file that results may fill: deleting and indexing need room, too.
_FILL_RATIO = 0.8
#: Pages that each write gives back to the disk, when there are so many that are not needed.
_FREED_PAGES = 64

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """How much is kept; the oldest goes first."""

    results: int = 1_000
    age_s: float = 90 * _DAY_S
    file_bytes: int = 64 << 20


class ResultStore:
    """The results of tests.

    Args:
        directory: The node's own; the file is made with the first result.
        limits: How much is kept.
        unix_s: Reads the wall clock.
        summary_fields: The fields of a document that a list shows.
        on_trouble: See ``Database``.
    """

    def __init__(
        self,
        directory: Path,
        limits: StoreLimits,
        *,
        unix_s: Callable[[], float],
        summary_fields: Sequence[str],
        on_trouble: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.path = directory / FILE_NAME
        self._limits = limits
        self._unix_s = unix_s
        self._summary_fields = tuple(summary_fields)
        self._database = Database(self.path, max_bytes=limits.file_bytes, on_trouble=on_trouble)

    async def put(self, document: Document, state: str) -> None:
        """Keep a result, and let go of what is too much or too old.

        Raises:
            StoreError: It cannot be kept now.
        """
        now_unix_s = self._unix_s()
        await self._database.write(lambda connection: self._put(connection, document, state, now_unix_s))

    async def get(self, test_id: str) -> tuple[Document, str] | None:
        """Return a result and its state.

        Raises:
            StoreError: The store cannot be read.
        """
        return await self._database.read(lambda connection: _get(connection, test_id), None)

    async def newest(
        self, limit: int, test_type: str | None, target: str | None = None
    ) -> Sequence[tuple[Document, str]]:
        """Return the summaries of the newest results and their states, newest first.

        Args:
            limit: How many at most.
            test_type: Only those of one type.
            target: Only those of a peer: its id, the beginning of it, or its name then.

        Raises:
            StoreError: The store cannot be read.
        """
        nothing: list[tuple[Document, str]] = []
        return await self._database.read(
            lambda connection: _newest(connection, limit, test_type, target), nothing
        )

    async def close(self) -> None:
        """Finish what waits."""
        await self._database.close()

    # On the store's thread

    def _put(self, connection: sqlite3.Connection, document: Document, state: str, now_unix_s: float) -> None:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if len(text) > _MAX_DOCUMENT_BYTES:
            raise StoreError(f"a result of {len(text)} bytes is too large to be kept")
        summary = {name: document[name] for name in self._summary_fields}
        target = cast("Mapping[str, object]", document["target"] or {})
        row = (
            document["test_id"],
            document["test_type"],
            target.get("id"),
            target.get("name"),
            document["started_unix_s"],
            state,
            json.dumps(summary, ensure_ascii=False, separators=(",", ":")),
            zlib.compress(text, 6),
        )
        self._make_room(connection, len(row[-1]), now_unix_s)
        connection.execute(
            "INSERT INTO results"
            " (test_id, test_type, target_id, target_name, started_unix_s, state, summary, document)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _make_room(self, connection: sqlite3.Connection, coming_bytes: int, now_unix_s: float) -> None:
        limits = self._limits
        connection.execute("DELETE FROM results WHERE started_unix_s < ?", (now_unix_s - limits.age_s,))
        (count,) = connection.execute("SELECT count(*) FROM results").fetchone()
        _delete_oldest(connection, count - limits.results + 1)
        while _used_bytes(connection) + coming_bytes > limits.file_bytes * _FILL_RATIO:
            if not _delete_oldest(connection, max(1, count // 16)):
                break
        # SQLite frees a page with each step of this statement, and Python's module makes one step of it.
        for _ in range(min(_FREED_PAGES, _number(connection, "freelist_count"))):
            connection.execute("PRAGMA incremental_vacuum(1)")


def _delete_oldest(connection: sqlite3.Connection, count: int) -> int:
    if count <= 0:
        return 0
    return connection.execute(
        "DELETE FROM results WHERE number IN (SELECT number FROM results ORDER BY number LIMIT ?)", (count,)
    ).rowcount


def _used_bytes(connection: sqlite3.Connection) -> int:
    used_pages = _number(connection, "page_count") - _number(connection, "freelist_count")
    return used_pages * _number(connection, "page_size")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _get(connection: sqlite3.Connection, test_id: str) -> tuple[Document, str] | None:
    row = connection.execute("SELECT document, state FROM results WHERE test_id = ?", (test_id,)).fetchone()
    return None if row is None else (_document(zlib.decompress(row[0])), row[1])


def _newest(
    connection: sqlite3.Connection, limit: int, test_type: str | None, target: str | None
) -> list[tuple[Document, str]]:
    rows = connection.execute(
        "SELECT summary, state FROM results"
        " WHERE (:type IS NULL OR test_type = :type)"
        " AND (:target IS NULL OR target_name = :target"
        "      OR substr(target_id, 1, length(:target)) = :target)"
        " ORDER BY started_unix_s DESC, number DESC LIMIT :limit",
        {"type": test_type, "target": target, "limit": limit},
    )
    return [(_document(summary), state) for summary, state in rows]


def _document(text: str | bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(text))
