"""`Database`: one SQLite file and the thread that alone touches it. Whoever waits for it waits on the loop.

    call(function) ──queue──> thread: open, migrate, function(connection) ──future──> call returns

It is opened by the first call that needs it and survives what disks do: a process killed in the middle of a
write (the write-ahead log), a full disk (the call fails, the next one tries again), a damaged file (it is
moved aside and begun anew). What a newer program has written is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qudag_node.errors import StoreError
from qudag_node.history.migrations import MIGRATIONS

__all__ = ["Database"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_WAITING = 256
#: Somebody who looks into the file with sqlite3 may hold a lock for a moment.
_BUSY_TIMEOUT_S = 2.0
#: A disk that hangs (a network file system) must not keep the node from stopping.
_CLOSE_TIMEOUT_S = 3.0
_KEPT_DAMAGED = 3
#: What is left of the write-ahead log once it has been carried over.
_JOURNAL_BYTES = 4 << 20
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: The primary code; the rest of the number says where in SQLite.
_PRIMARY = 0xFF


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[sqlite3.Connection], Any]
    is_reading: bool
    answer: Callable[[object, BaseException | None], None]


class _AbsentError(Exception):
    """There is no file yet, and who only reads makes none."""


class Database:
    """One file of the history.

    Args:
        path: Where; its directory exists and is the node's own.
        max_bytes: What it may take on the disk, its write-ahead log aside.
        on_trouble: Called on the loop with one line when it stops working, with None when it does again.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, on_trouble: Callable[[str | None], None] = lambda _: None
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._on_trouble = on_trouble
        self._calls: queue.Queue[_Call | None] = queue.Queue(_MAX_WAITING)
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._is_troubled = False
        self._is_closed = False
        self._ended: Callable[[], object] = lambda: None

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a transaction; what it does is done whole or not at all.

        Raises:
            StoreError: It cannot be done now.
        """
        return await self._call(function, is_reading=False)

    async def read(self, function: Callable[[sqlite3.Connection], T], absent: T) -> T:
        """Run a function that only reads; return ``absent`` while there is no file.

        Raises:
            StoreError: It cannot be read.
        """
        try:
            return await self._call(function, is_reading=True)
        except _AbsentError:
            return absent

    async def close(self) -> None:
        """Finish what waits, carry the log over, and end the thread."""
        self._is_closed = True
        thread = self._thread
        if thread is None:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._ended = lambda: loop.call_soon_threadsafe(ended.set)
        with suppress(queue.Full):  # then what waits is too much for the time there is, anyway
            self._calls.put_nowait(None)
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await ended.wait()
        except TimeoutError:
            _log.warning("%s: not closed in %g s; the next start carries on", self._path, _CLOSE_TIMEOUT_S)

    async def _call(self, function: Callable[[sqlite3.Connection], T], *, is_reading: bool) -> T:
        if self._is_closed:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: object, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)  # type: ignore[arg-type]  # what function has returned
            else:
                answer.set_exception(error)

        def told(result: object, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"store {self._path.name}", daemon=True)
            self._thread.start()
        try:
            self._calls.put_nowait(_Call(function, is_reading, told))
        except queue.Full as exc:
            raise StoreError(f"{_MAX_WAITING} calls wait for the store already") from exc
        try:
            result = await answer
        except StoreError as exc:
            self._note(str(exc))
            raise
        if not is_reading:
            self._note(None)
        return result

    def _note(self, trouble: str | None) -> None:
        if self._is_troubled != (trouble is not None):
            self._is_troubled = trouble is not None
            self._on_trouble(trouble)

    # The thread

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                result = self._done(call)
            except (_AbsentError, StoreError) as exc:
                call.answer(None, exc)
            except BaseException as exc:  # noqa: BLE001  # whoever waits for the thread is told, not the thread
                call.answer(None, exc)
            else:
                call.answer(result, None)
        self._disconnect()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._ended()

    def _done(self, call: _Call) -> object:
        try:
            return self._tried(call)
        except sqlite3.DatabaseError as exc:
            # On a full disk it could not be opened again, and what is there can still be read. Whatever else
            # was wrong, the next call looks afresh.
            if _code(exc) != sqlite3.SQLITE_FULL:
                self._disconnect()
            if _code(exc) not in _DAMAGED:
                raise StoreError(f"{self._path}: {exc}") from exc
            self._move_aside(exc)
        except OSError as exc:
            self._disconnect()
            raise StoreError(f"{self._path}: {exc.strerror or exc}") from exc
        try:
            return self._tried(call)
        except (sqlite3.DatabaseError, OSError) as exc:
            self._disconnect()
            raise StoreError(f"{self._path}: {exc}") from exc

    def _tried(self, call: _Call) -> object:
        connection = self._connection or self._connect(call)
        self._connection = connection
        if call.is_reading:
            return call.function(connection)
        return _in_transaction(connection, call.function)

    def _connect(self, call: _Call) -> sqlite3.Connection:
        if not self._path.exists():
            if call.is_reading:
                raise _AbsentError
            self._path.touch(mode=0o600)
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            with suppress(sqlite3.Error):  # the first error is the one that tells
                connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        run = connection.execute
        run("PRAGMA auto_vacuum = INCREMENTAL")  # holds for a file that is still empty
        run("PRAGMA journal_mode = WAL")
        # A write that a crash of the machine undoes is one result less; a crash of ours undoes none.
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
        run("PRAGMA trusted_schema = OFF")
        found = run("PRAGMA quick_check(1)").fetchone()
        if found is None or found[0] != "ok":
            raise _damaged("quick_check finds it damaged")
        (version,) = run("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self._path}: a newer program wrote it (schema {version}, not {len(MIGRATIONS)}); "
                "it is left as it is"
            )
        for number in range(version, len(MIGRATIONS)):
            _in_transaction(connection, lambda each, number=number: _migrate(each, number))  # type: ignore[misc]
        (page_bytes,) = run("PRAGMA page_size").fetchone()
        run(f"PRAGMA max_page_count = {max(16, self._max_bytes // page_bytes)}")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it is thrown away; the file is as its log says
                connection.close()

    def _move_aside(self, why: Exception) -> None:
        """Begin anew; what is there is kept for whoever wants to save something of it."""
        stamp = time.time_ns()
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        _log.error("%s is damaged (%s): moved to %s, and begun anew", self._path, why, aside.name)
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).rename(f"{aside}{suffix}")
        kept = sorted(
            path for path in self._path.parent.glob(f"{self._path.name}.damaged-*") if path.name[-1].isdigit()
        )
        for old in kept[:-_KEPT_DAMAGED]:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{old}{suffix}").unlink(missing_ok=True)


def _in_transaction(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error is the one that tells
                connection.execute("ROLLBACK")
        raise
    return result


def _migrate(connection: sqlite3.Connection, number: int) -> None:
    for statement in MIGRATIONS[number]:
        with closing(connection.execute(statement)):
            pass
    connection.execute(f"PRAGMA user_version = {number + 1}")


def _code(error: sqlite3.DatabaseError) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY


def _damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
