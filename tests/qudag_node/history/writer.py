"""A process that writes results to a store: until it is killed, or until its disk is full and free again."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from contextlib import suppress
from pathlib import Path

from qudag_node.errors import StoreError
from qudag_node.history.store import ResultStore, StoreLimits


def a_result(number: int) -> dict[str, object]:
    return {
        "test_id": f"written{number}",
        "test_type": "ping",
        "target": None,
        "started_unix_s": float(number),
        "noise": random.Random(number).randbytes(5_000).hex(),
    }


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def write_for_ever(store: ResultStore) -> None:
    """Tell each result once it is stored."""
    for number in itertools.count():
        await store.put(a_result(number), "done")
        say(f"written{number}")


async def fill(store: ResultStore, directory: Path, troubles: list[str | None]) -> None:
    """Fill the disk, store in vain, make room, store again."""
    await store.put(a_result(0), "done")
    say("stored")
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    failed = 0
    for number in range(1, 100):
        try:
            await store.put(a_result(number), "done")
        except StoreError:
            failed += 1
    say("full" if failed else "there was room")
    say("kept" if await store.get("written0") is not None else "lost")
    with suppress(StoreError):  # that something could be read is no end of the trouble
        await store.put(a_result(100), "done")
    filler.unlink()
    await store.put(a_result(1000), "done")
    say("stored again" if await store.get("written1000") is not None else "lost again")
    for trouble in troubles:
        say(str(trouble))


async def main() -> None:
    directory = Path(sys.argv[1])
    troubles: list[str | None] = []
    store = ResultStore(
        directory,
        StoreLimits(results=100_000),
        unix_s=lambda: 0.0,
        summary_fields=("test_id",),
        on_trouble=troubles.append,
    )
    if sys.argv[2:] == ["fill"]:
        await fill(store, directory, troubles)
    else:
        await write_for_ever(store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
