"""The store on a real disk: kept, bounded, killed, full, damaged, and of another version."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qudag_node.errors import StoreError
from qudag_node.history.database import Database
from qudag_node.history.migrations import MIGRATIONS
from qudag_node.history.store import ResultStore, StoreLimits
from tests.needs import has_mount_namespaces, need
from tests.qudag_node.history import writer

DAY_S = 86_400.0


def a_document(number: int, *, started_unix_s: float | None = None, bytes_: int = 100) -> dict[str, object]:
    noise = random.Random(number).randbytes(bytes_ // 2).hex()  # what deflates to about half
    return {
        "test_id": f"test{number}",
        "test_type": "ping" if number % 2 else "stress",
        "target": {"id": f"12D3KooW{number}", "name": f"peer{number}"} if number < 50 else None,
        "started_unix_s": float(number) if started_unix_s is None else started_unix_s,
        "verdict": f"number {number}",
        "figures": [noise, None, 1.5],
    }


@asynccontextmanager
async def a_store(
    directory: Path, *, now_unix_s: float = 1000.0, troubles: list[str | None] | None = None, **limits: float
) -> AsyncGenerator[ResultStore]:
    store = ResultStore(
        directory,
        StoreLimits(**limits),  # type: ignore[arg-type]  # each is a number
        unix_s=lambda: now_unix_s,
        summary_fields=("test_id", "verdict"),
        on_trouble=(lambda _: None) if troubles is None else troubles.append,
    )
    try:
        yield store
    finally:
        await store.close()


async def ids(store: ResultStore) -> list[object]:
    return [summary["test_id"] for summary, _ in await store.newest(1_000_000, None)]


async def test_what_was_put_is_there_also_after_a_restart(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.put(a_document(1), "done")
        await store.put(a_document(2), "cancelled")
    async with a_store(tmp_path) as store:
        assert await store.get("test1") == (a_document(1), "done")
        assert await store.get("test2") == (a_document(2), "cancelled")
        assert await store.get("test3") is None
        assert await store.newest(10, None) == [
            ({"test_id": "test2", "verdict": "number 2"}, "cancelled"),
            ({"test_id": "test1", "verdict": "number 1"}, "done"),
        ]
        assert await store.newest(10, "ping") == [({"test_id": "test1", "verdict": "number 1"}, "done")]
        assert await store.newest(1, None) == [({"test_id": "test2", "verdict": "number 2"}, "cancelled")]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("peer1", ["test1"]),
        ("12D3KooW3", ["test3"]),
        ("12D3KooW", ["test3", "test2", "test1"]),
        ("peer", []),
        ("%", []),
        ("' OR 1=1 --", []),
    ],
)
async def test_results_of_one_peer(tmp_path: Path, target: str, found: list[str]) -> None:
    async with a_store(tmp_path) as store:
        for number in (1, 2, 3, 60):
            await store.put(a_document(number), "done")
        assert [summary["test_id"] for summary, _ in await store.newest(9, None, target)] == found
        pings = [test_id for test_id in found if test_id != "test2"]
        assert [summary["test_id"] for summary, _ in await store.newest(9, "ping", target)] == pings


async def test_reading_makes_no_file(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        assert await store.newest(10, None, "peer1") == []
        assert await store.get("test1") is None
    assert list(tmp_path.iterdir()) == []


async def test_the_file_is_its_owners_and_leaves_no_others_behind(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.put(a_document(1), "done")
    assert [path.name for path in tmp_path.iterdir()] == ["history.sqlite"]
    assert stat.S_IMODE((tmp_path / "history.sqlite").stat().st_mode) == 0o600


async def test_of_too_many_the_newest_are_kept(tmp_path: Path) -> None:
    async with a_store(tmp_path, results=3) as store:
        for number in range(5):
            await store.put(a_document(number), "done")
        assert await ids(store) == ["test4", "test3", "test2"]


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    async with a_store(tmp_path, now_unix_s=10 * DAY_S, age_s=2 * DAY_S) as store:
        await store.put(a_document(1, started_unix_s=7 * DAY_S), "done")
        await store.put(a_document(2, started_unix_s=9 * DAY_S), "done")
        assert await ids(store) == ["test2"]


async def test_the_file_stays_within_its_size_and_the_newest_result_in_it(tmp_path: Path) -> None:
    async with a_store(tmp_path, file_bytes=1 << 20) as store:
        for number in range(60):
            await store.put(a_document(number, bytes_=100_000), "done")
        kept = await ids(store)
        assert kept[0] == "test59"
        assert 5 < len(kept) < 30
        assert kept == [f"test{number}" for number in range(59, 59 - len(kept), -1)]
    assert (tmp_path / "history.sqlite").stat().st_size <= 1 << 20


async def test_room_that_is_no_longer_needed_is_given_back(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        for number in range(10):
            await store.put(a_document(number, bytes_=100_000), "done")
    full = (tmp_path / "history.sqlite").stat().st_size
    async with a_store(tmp_path, results=1) as store:
        for number in range(10, 20):
            await store.put(a_document(number), "done")
    assert (tmp_path / "history.sqlite").stat().st_size < full / 4


async def test_a_result_larger_than_the_file_is_refused_and_costs_no_other(tmp_path: Path) -> None:
    async with a_store(tmp_path, file_bytes=1 << 20) as store:
        await store.put(a_document(1), "done")
        with pytest.raises(StoreError, match="full"):
            await store.put(a_document(2, bytes_=4_000_000), "done")
        with pytest.raises(StoreError, match="too large to be kept"):
            await store.put(a_document(3, bytes_=10_000_000), "done")
        assert await ids(store) == ["test1"]
        await store.put(a_document(4), "done")
        assert await ids(store) == ["test4", "test1"]


async def test_one_that_is_there_already_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.put(a_document(1), "done")
        with pytest.raises(StoreError, match="UNIQUE"):
            await store.put(a_document(1), "failed")
        assert await store.get("test1") == (a_document(1), "done")


async def test_a_damaged_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this was once a database" * 1000)
    async with a_store(tmp_path) as store:
        assert await ids(store) == []
        await store.put(a_document(1), "done")
        assert await ids(store) == ["test1"]
    (aside,) = tmp_path.glob("history.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"this was once")
    assert [record.levelname for record in caplog.records if "is damaged" in record.message] == ["ERROR"]


async def test_damage_inside_is_found_and_moved_aside(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        for number in range(50):
            await store.put(a_document(number, bytes_=5_000), "done")
    path = tmp_path / "history.sqlite"
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(content)
    async with a_store(tmp_path) as store:
        await store.put(a_document(100), "done")
        assert await ids(store) == ["test100"]
    assert len(list(tmp_path.glob("history.sqlite.damaged-*"))) == 1


async def test_few_damaged_files_are_kept(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "history.sqlite").write_bytes(b"%d is no database" % number * 100)
        async with a_store(tmp_path) as store:
            await store.put(a_document(number), "done")
    kept = sorted(tmp_path.glob("history.sqlite.damaged-*"))
    assert [path.read_bytes()[:1] for path in kept] == [b"3", b"4", b"5"]


async def test_what_a_newer_program_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE future (thing)")
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    troubles: list[str | None] = []
    async with a_store(tmp_path, troubles=troubles) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="a newer program wrote it"):
                await store.put(a_document(1), "done")
        with pytest.raises(StoreError, match="a newer program wrote it"):
            await store.get("test1")
    assert len(troubles) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["history.sqlite"]
    with sqlite3.connect(path) as newer:
        assert newer.execute("SELECT name FROM sqlite_master").fetchall() == [("future",)]
    newer.close()


async def test_every_step_of_the_schema_leads_to_the_newest(tmp_path: Path) -> None:
    for version in range(len(MIGRATIONS) + 1):
        directory = tmp_path / str(version)
        directory.mkdir()
        connection = sqlite3.connect(directory / "history.sqlite")
        for step in MIGRATIONS[:version]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.close()
        async with a_store(directory) as store:
            await store.put(a_document(1), "done")
            assert await ids(store) == ["test1"]


async def test_a_directory_that_cannot_be_written_is_trouble_told_once(tmp_path: Path) -> None:
    troubles: list[str | None] = []
    gone = tmp_path / "gone"
    async with a_store(gone, troubles=troubles) as store:
        for number in range(3):
            with pytest.raises(StoreError, match="No such file or directory"):
                await store.put(a_document(number), "done")
        gone.mkdir()
        await store.put(a_document(9), "done")
        assert await ids(store) == ["test9"]
    assert len(troubles) == 2
    assert troubles[0] is not None
    assert troubles[1] is None


async def test_the_loop_goes_on_while_the_disk_is_slow(tmp_path: Path) -> None:
    is_free = threading.Event()
    database = Database(tmp_path / "d.sqlite", max_bytes=1 << 20)
    slow = asyncio.create_task(database.write(lambda _: is_free.wait(30)))
    passes = 0
    while passes < 10:
        await asyncio.sleep(0)
        passes += 1
    assert not slow.done()
    is_free.set()
    assert await slow is True
    await database.close()


async def test_more_calls_than_can_wait_are_refused(tmp_path: Path) -> None:
    is_free = threading.Event()
    database = Database(tmp_path / "d.sqlite", max_bytes=1 << 20)
    calls = [asyncio.create_task(database.write(lambda _: is_free.wait(30))) for _ in range(400)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    is_free.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, StoreError)]
    assert 400 - 258 <= len(refused) <= 400 - 256
    assert all("wait for the store already" in str(error) for error in refused)
    await database.close()


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.put(a_document(1), "done")


async def test_what_goes_wrong_in_a_transaction_is_undone(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite", max_bytes=1 << 20)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO results (test_id, test_type, started_unix_s, state, summary, document)"
            " VALUES ('a', 'ping', 1, 'done', '{}', x'')"
        )
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(half)

    def count(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])

    assert await database.read(count, -1) == 0
    await database.close()


def killed_after(directory: Path, *, results: int) -> list[str]:
    """Have a process write to a store and kill it; return which results it said it had stored."""
    command = [sys.executable, "-m", writer.__name__, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(results)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    return told


@pytest.mark.parametrize("seed", range(3))
async def test_a_process_killed_while_it_writes_loses_nothing_it_has_told(tmp_path: Path, seed: int) -> None:
    told = killed_after(tmp_path, results=random.Random(seed).randrange(3, 60))
    async with a_store(tmp_path, results=100_000) as store:
        kept = await ids(store)
        assert set(told) <= set(kept)
        # What it was about to tell may be there, and nothing after that.
        assert len(kept) <= len(told) + 1
        for test_id in kept:
            assert await store.get(str(test_id)) is not None
        await store.put(a_document(1), "done")
    assert list(tmp_path.glob("*.damaged-*")) == []


FULL_DISK = """
set -e
mount -t tmpfs -o size=1m,mode=700 none "$1"; shift
exec "$@"
"""


def test_a_full_disk_costs_results_and_nothing_else(tmp_path: Path) -> None:
    need(has_mount_namespaces(), "unprivileged mount namespaces")
    command = ["unshare", "-Urm", "sh", "-c", FULL_DISK, "sh", str(tmp_path)]
    ran = subprocess.run(
        [*command, sys.executable, "-m", writer.__name__, str(tmp_path), "fill"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:4] == ["stored", "full", "kept", "stored again"]
    assert "disk is full" in ran.stdout.split("\n")[4]
    assert ran.stdout.split("\n")[5:] == ["None", ""]
