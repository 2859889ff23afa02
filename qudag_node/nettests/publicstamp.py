"""The reflector for everybody (``--stamp HOST:PORT``): STAMP and TWAMP-Light without authentication, in a
worker.

It is off unless asked for. An answer is as large as its request; those of 14 to 43 octets, which TWAMP-Light
allows, get the 44 of the smallest answer, a hundred times a second at most. So many requests a second are
answered, in all and of each address; replies, and what comes from a reflector's port or one below 1024, are
not; and it knows nothing of the node.
"""

from __future__ import annotations

import asyncio
import logging

from qudag_node.errors import PortInUseError
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.workers import Worker, WorkerError, Workers

__all__ = ["PublicReflector"]

_log = logging.getLogger(__name__)

_READY_TIMEOUT_S = 20.0
_RESTART_S = 5.0


class PublicReflector:
    """Runs the reflector, and starts it again should it die.

    Args:
        host: A numeric address of this host.
        port: Of UDP; 0 is any.
        dscp: What its replies are marked with.
        workers: Where it runs.
        collector: Where its traffic is counted.

    Attributes:
        port: The real one, once it is started.
    """

    def __init__(
        self, host: str, port: int, *, dscp: int, workers: Workers, collector: MetricsCollector
    ) -> None:
        self.host = host
        self.port = port
        self._dscp = dscp
        self._workers = workers
        self._collector = collector
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer from now on.

        Raises:
            PortInUseError: The port is taken, or the address is not this host's.
        """
        try:
            worker = await self._start()
        except WorkerError as exc:
            raise PortInUseError(f"--stamp {self.host}:{self.port}: {exc}") from exc
        self._task = asyncio.create_task(self._keep(worker), name="public STAMP reflector")

    async def close(self) -> None:
        """Answer no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _start(self) -> Worker:
        params = {"host": self.host, "ports": [self.port, self.port] if self.port else [], "dscp": self._dscp}
        worker = await self._workers.start("stamp.light", params)
        try:
            self.port = int((await worker.wait_for("ready", _READY_TIMEOUT_S))["port"])
        except BaseException:
            await worker.close()
            raise
        return worker

    async def _keep(self, worker: Worker) -> None:
        while True:
            async with worker:
                await self._count(worker)
            _log.warning("the public STAMP reflector has ended, and is started again")
            worker = await self._start_again()

    async def _start_again(self) -> Worker:
        while True:
            await asyncio.sleep(_RESTART_S)
            try:
                return await self._start()
            except WorkerError as exc:
                _log.warning("the public STAMP reflector cannot be started: %s", exc)

    async def _count(self, worker: Worker) -> None:
        before = dict.fromkeys(("packets_out", "packets_in", "bytes_out", "bytes_in"), 0)
        while (event := await worker.event()) is not None:
            if event["event"] != "traffic":
                continue
            self._collector.record_test_traffic(
                sent_messages=event["packets_out"] - before["packets_out"],
                received_messages=event["packets_in"] - before["packets_in"],
                sent_bytes=event["bytes_out"] - before["bytes_out"],
                received_bytes=event["bytes_in"] - before["bytes_in"],
            )
            before = event
