"""This node's part in the pings of others: reflectors for sessions of neighbours, and answers to echoes."""

from __future__ import annotations

import logging
from typing import Any

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError
from qudag_node.host.clock_state import same_clock_mark
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.consent import Grant
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.params import Params
from qudag_node.nettests.responder import SESSION_BYTES, Responder
from qudag_node.nettests.stampsession import plain_address
from qudag_node.nettests.workers import Worker, WorkerError, Workers
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import TestPort

__all__ = ["PingService"]

_log = logging.getLogger(__name__)

_READY_TIMEOUT_S = 18.0
_RESULT_TIMEOUT_S = 12.0
#: A sender that catches up after a stall sends faster than agreed for a moment.
_MARGIN = 1.5
_LEAST_PER_S = 50.0


class PingService:
    """Adds the kinds ``stamp`` and ``echo`` to a responder.

    Attributes:
        echoes: For this node's own pings over links and relays.
    """

    def __init__(
        self,
        *,
        port: TestPort,
        control: Control,
        responder: Responder,
        workers: Workers,
        config: TestsConfig,
        collector: MetricsCollector,
        clock: Clock,
    ) -> None:
        self.echoes = EchoService(port, control, clock)
        self._workers = workers
        self._config = config
        self._collector = collector
        responder.add_kind("stamp", self._open_stamp)
        responder.add_kind("echo", self.echoes.open)

    async def _open_stamp(self, asker: Asker, params: dict[str, object], grant: Grant) -> _ReflectingSession:
        """Start a reflector for a session: an ``Opener``."""
        read = Params(params)
        session = read.binary("session", SESSION_BYTES)
        link, ports = asker.facts.link, self._config.ports
        if link is None or link.keys is None:
            raise DeclinedError("this link has no keys yet: again in a second")
        if not grant.packets_per_s:
            raise DeclinedError("parameter 'packets_per_s' must be over 0")
        key = link.keys.session(session)
        worker = await self._workers.start(
            "stamp.reflect",
            {
                "host": plain_address(link.local[0]),
                "peer": plain_address(link.remote[0]),
                "ports": [] if ports is None else [ports.start, ports.stop - 1],
                "key": key,
                "dscp": self._config.dscp,
                "format": read.choice("format", ("ntp", "ptp"), "ntp"),
                "rate_bits_per_s": grant.rate_bits_per_s * _MARGIN,
                "packets_per_s": max(_LEAST_PER_S, grant.packets_per_s * _MARGIN),
            },
        )
        try:
            ready = await worker.wait_for("ready", _READY_TIMEOUT_S)
        except BaseException:
            await worker.close()
            raise
        return _ReflectingSession(worker, int(ready["port"]), same_clock_mark(key), self._collector)


class _ReflectingSession:
    """The responder's hold on a reflector."""

    def __init__(self, worker: Worker, port: int, mark: bytes, collector: MetricsCollector) -> None:
        self._worker = worker
        self._port = port
        self._mark = mark
        self._collector = collector

    async def describe(self) -> dict[str, Any]:
        """The port; and what tells the asker whether both run by one clock."""
        return {"port": self._port, **({"clock": self._mark} if self._mark else {})}

    async def finish(self) -> dict[str, Any]:
        """Stop the reflector; return its counts."""
        self._worker.tell("stop")
        try:
            counts = await self._worker.result(_RESULT_TIMEOUT_S)
        finally:
            await self._worker.close()
        self._collector.record_test_traffic(
            sent_messages=counts["packets_out"],
            received_messages=counts["packets_in"],
            sent_bytes=counts["bytes_out"],
            received_bytes=counts["bytes_in"],
        )
        return counts

    async def abort(self) -> None:
        """Stop the reflector; what it counted is traffic all the same."""
        try:
            if self._worker.is_running:
                await self.finish()
        except WorkerError as exc:
            _log.debug("a reflector has ended: %s", exc)
        finally:
            await self._worker.close()
