"""Load: messages submitted to the nodes at a rate, whatever comes back.

The loop is open: what is due is submitted when it is due, in one call per node and tick, without waiting
for the last answer. The rate is of the whole lab, in messages per second, dealt in turn to the nodes that
run. A node that leaves 2 MiB unanswered gets no more until it answers; what it should have had is counted
as skipped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from qudag_node.lab.errors import LabError
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.topology import NodeName

__all__ = ["MAX_PAYLOAD_BYTES", "MIN_PAYLOAD_BYTES", "Load", "LoadCounts", "due_by"]

_log = logging.getLogger(__name__)

TICK_S = 0.05
#: The largest payload of a vertex.
MAX_PAYLOAD_BYTES = 16_384
#: Each payload carries a number of its own, so that no two are the same vertex.
MIN_PAYLOAD_BYTES = 16
#: A node takes requests of up to 256 KiB and 4,096 payloads.
_CALL_BYTES = 128 << 10
_CALL_MESSAGES = 2048
#: What one node may leave unanswered.
_MAX_WAITING_BYTES = 2 << 20
_RETRY_S = 0.2
_DRAIN_S = 5.0


@dataclass(slots=True)
class LoadCounts:
    """Messages since the lab went up; what is in none of the other three is not answered yet.

    Attributes:
        refused: A node answered that it does not take them.
        skipped: Not submitted, since the node was not there or too far behind.
    """

    due: int = 0
    accepted: int = 0
    refused: int = 0
    skipped: int = 0


def due_by(elapsed_s: float, rate_per_s: float) -> int:
    """How many messages are due after this time, the first at once."""
    return int(elapsed_s * rate_per_s) + 1 if rate_per_s > 0 else 0


class Load:
    """The load client of one lab."""

    def __init__(self, *, payload_bytes: int) -> None:
        self.rate_per_s = 0.0
        self.payload_bytes = payload_bytes
        self.counts = LoadCounts()
        self._stem = os.urandom(8)
        self._filler = os.urandom(payload_bytes - MIN_PAYLOAD_BYTES)
        self._number = 0
        self._turn = 0
        self._targets: Mapping[NodeName, str] = {}
        self._task: asyncio.Task[None] | None = None

    def to_json(self) -> dict[str, Any]:
        """Rate, size and counts by name."""
        rate = {"rate_per_s": self.rate_per_s, "payload_bytes": self.payload_bytes}
        return rate | asdict(self.counts)

    @property
    def is_running(self) -> bool:
        """Whether messages are being submitted."""
        return self._task is not None and not self._task.done()

    def aim(self, targets: Mapping[NodeName, str]) -> None:
        """Submit to these nodes, by their RPC addresses, from now on."""
        self._targets = dict(targets)

    async def start(self, rate_per_s: float) -> None:
        """Submit at this rate from now on; zero ends it."""
        await self.stop()
        self.rate_per_s = rate_per_s
        if rate_per_s > 0:
            self._task = asyncio.create_task(self._run(rate_per_s), name="load")
            self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Submit no more, and wait for the answers that are due."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self.rate_per_s = 0.0

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say when the load has ended without being told to, and why."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the load has failed and submits no more", exc_info=error)
            if self._task in {task, None}:
                self.rate_per_s = 0.0

    async def _run(self, rate_per_s: float) -> None:
        loop = asyncio.get_running_loop()
        feeders = {name: _Feeder(address, self.counts) for name, address in self._targets.items()}
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_close_all, feeders)
            await asyncio.gather(*(feeder.open() for feeder in feeders.values()))
            began_s, dealt = loop.time(), 0
            while True:
                for name, address in self._targets.items():
                    if name not in feeders or feeders[name].address != address:
                        feeders[name] = _Feeder(address, self.counts)
                due = due_by(loop.time() - began_s, rate_per_s)
                self._deal(due - dealt, [feeders[name] for name in self._targets])
                dealt = due
                await asyncio.sleep(TICK_S)

    def _deal(self, count: int, feeders: Sequence[_Feeder]) -> None:
        self.counts.due += count
        if not feeders:
            self.counts.skipped += count
            return
        shares: list[list[bytes]] = [[] for _ in feeders]
        for _ in range(count):
            shares[self._turn % len(feeders)].append(self._payload())
            self._turn += 1
        for feeder, payloads in zip(feeders, shares, strict=True):
            if payloads:
                feeder.submit(payloads)

    def _payload(self) -> bytes:
        self._number += 1
        return self._stem + struct.pack(">Q", self._number) + self._filler


class _Feeder:
    """The session with one node, opened again when it broke."""

    def __init__(self, address: str, counts: LoadCounts) -> None:
        self.address = address
        self._counts = counts
        self._session: NodeSession | None = None
        self._opening: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0

    def submit(self, payloads: list[bytes]) -> None:
        """Send them, or count them as skipped."""
        session = self._session
        is_open = session is not None and session.is_open
        if session is None or not is_open or self._waiting_bytes >= _MAX_WAITING_BYTES:
            self._counts.skipped += len(payloads)
            if not is_open and (self._opening is None or self._opening.done()):
                self._opening = asyncio.create_task(self.open(), name=f"load[{self.address}]")
            return
        a_call = max(1, min(_CALL_MESSAGES, _CALL_BYTES // len(payloads[0])))
        for first in range(0, len(payloads), a_call):
            submitting = self._submit(session, payloads[first : first + a_call])
            answer = asyncio.create_task(submitting, name=f"submit[{self.address}]")
            self._answers.add(answer)
            answer.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Task[None]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled() and (error := answer.exception()) is not None:
            _log.error("%s: the answer to submit is none", self.address, exc_info=error)

    async def _submit(self, session: NodeSession, payloads: list[bytes]) -> None:
        size_bytes = sum(map(len, payloads))
        self._waiting_bytes += size_bytes
        try:
            result: Any = await session.call("submit", {"payloads": payloads})
        except LabError:
            self._counts.refused += len(payloads)
            return
        finally:
            self._waiting_bytes -= size_bytes
        accepted = int(result["accepted"])
        self._counts.accepted += accepted
        self._counts.refused += len(payloads) - accepted

    async def open(self) -> None:
        """Open the session; one that the node refuses is tried again with the next message."""
        await self._end()
        session = NodeSession(self.address)
        try:
            await session.__aenter__()
        except OSError:
            await asyncio.sleep(_RETRY_S)
            return
        self._session = session

    async def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.__aexit__(None, None, None)

    async def close(self) -> None:
        """Wait for the answers that are due, then end the session."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._answers:
            await asyncio.wait(self._answers, timeout=_DRAIN_S)
        await self._end()
        await asyncio.gather(*self._answers, return_exceptions=True)


async def _close_all(feeders: Mapping[NodeName, _Feeder]) -> None:
    await asyncio.gather(*(feeder.close() for feeder in feeders.values()))
