"""Moments to send at, on the event loop: a thread sleeps until each and wakes the loop.

The loop's own timers are up to a millisecond late, a thread's sleep 0.1 ms. Who sends at a moment times from
the moment itself, not from when it came round to sending, so that a busy loop shows in the figures instead of
thinning the load (coordinated omission).

    async with Ticker(interval_s=0.01, count=100) as ticker:
        async for due_mono_s in ticker: ...
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

__all__ = ["Ticker"]

# Of moments that the loop has not taken; one that is behind by so much has stood still.
_MAX_BEHIND = 100_000


class Ticker:
    """Moments at equal distances, whoever is late for one.

    Args:
        interval_s: From one to the next. Under a millisecond the thread would take the interpreter from
            everybody else: ask for fewer, and do several things at each.
        count: How many; None for no end.
        stopping: No moment comes once it is set.

    Attributes:
        begin_mono_s: The first moment.
        missed: Moments that were given up since the loop stood still.
    """

    def __init__(
        self, *, interval_s: float, count: int | None = None, stopping: asyncio.Event | None = None
    ) -> None:
        if interval_s <= 0 or (count is not None and count < 0):
            raise ValueError(f"{count} moments {interval_s} s apart")
        self.begin_mono_s = 0.0
        self.missed = 0
        self._interval_s = interval_s
        self._count = count
        self._due: deque[float] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = stopping
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.begin_mono_s = time.monotonic()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="ticker", daemon=True)
        self._thread.start()
        if self._stopping is not None:
            self._watch = asyncio.create_task(self._wait(self._stopping), name="ticker")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._thread is not None:
            self._thread.join()  # it wakes at once

    def stop(self) -> None:
        """No moment comes after this."""
        self._stop.set()
        self._due.clear()
        self._finish()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> float:
        """Wait for the next moment, which may have passed; return it."""
        while not self._due:
            if self._is_over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._due.popleft()

    async def _wait(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.stop()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        number = 0
        while self._count is None or number < self._count:
            due_mono_s = self.begin_mono_s + number * self._interval_s
            if self._stop.wait(max(0.0, due_mono_s - time.monotonic())):
                return
            loop.call_soon_threadsafe(self._take, due_mono_s)
            number += 1
        loop.call_soon_threadsafe(self._finish)

    def _take(self, due_mono_s: float) -> None:
        if self._stop.is_set():
            return
        if len(self._due) >= _MAX_BEHIND:
            self.missed += 1
            return
        self._due.append(due_mono_s)
        self._news.set()

    def _finish(self) -> None:
        self._is_over = True
        self._news.set()
