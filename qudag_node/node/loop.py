"""The event loop's own health: how late it runs things, and garbage collection out of its way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

__all__ = ["sample_lag", "settle_garbage_collector"]

LAG_INTERVAL_S = 0.1
# What a node keeps (links, rows, arrays) lives for hours; what it makes per message dies at once by
# counting. Fewer, later passes over the young cost memory for cycles only, of which there are few.
_YOUNG_OBJECTS = 20_000


async def sample_lag(record: Callable[[float], None], clock: Callable[[], float]) -> None:
    """Record, ten times a second for ever, by how many seconds the loop was late."""
    while True:
        due = clock() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        record(max(0.0, clock() - due))


def settle_garbage_collector() -> None:
    """Take everything loaded so far out of the collector's sight, and make it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
