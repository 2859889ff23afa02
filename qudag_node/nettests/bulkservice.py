"""This node's part in the bandwidth tests of others: the kinds ``tcp`` and ``udp``, each one or two workers.

Directions are the asker's: ``forward`` is from the asker to this node. The tested node always listens, and
enforces what it has granted: its sender keeps to the rate, its receiver takes no more. Over UDP
a rate is of whole IP packets, and of small ones there are no more than of usual ones, or than
``tests.max_packets_per_s``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError, NodeError
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.bulk.datagrams import DEFAULT_PACKET_BYTES, LEAST_PACKET_BYTES, packet_bits
from qudag_node.nettests.consent import Grant
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.params import Params
from qudag_node.nettests.responder import SESSION_BYTES, Responder
from qudag_node.nettests.stampsession import plain_address
from qudag_node.nettests.workers import Worker, Workers

__all__ = [
    "DIRECTIONS",
    "MEET_TIMEOUT_S",
    "PURPOSE_BY_DIRECTION",
    "STEP_METHOD",
    "BulkService",
    "directions_of",
    "record_traffic",
    "take_step",
]

_log = logging.getLogger(__name__)

DIRECTIONS: Final = ("forward", "reverse", "bidir")
#: In the proofs of both ends, so that no stream of one direction is taken for one of the other.
PURPOSE_BY_DIRECTION: Final = {"forward": 0, "reverse": 1}
STEP_METHOD: Final = "bulk.step"
MEET_TIMEOUT_S: Final = 8.0

_READY_TIMEOUT_S = 8.0
_RESULT_TIMEOUT_S = 4.0
_STEP_SLACK_S = 4.0
_MAX_STEP_S = 20.0
_MAX_STREAMS = 64
_MAX_OPEN = 64
#: Of the 16 KiB that a message holds.
_PACK_BYTES = 11 << 10


def directions_of(direction: str) -> tuple[str, ...]:
    """Return the ways in which data goes."""
    return ("forward", "reverse") if direction == "bidir" else (direction,)


def record_traffic(collector: MetricsCollector, result: Mapping[str, Any], *, is_sender: bool) -> None:
    """Count what a job of ours moved beside the links."""
    moved = sum(result.get("stream_bytes", ())) or int(result.get("moved_bytes", 0))
    packets = int(result.get("packets", 0))
    collector.record_test_traffic(
        sent_messages=packets if is_sender else 0,
        received_messages=0 if is_sender else packets,
        sent_bytes=moved if is_sender else 0,
        received_bytes=0 if is_sender else moved,
    )


async def take_step(worker: Worker, timeout_s: float, **order: object) -> dict[str, Any]:
    """Order a step of a search, or its counts, and return what comes back.

    Raises:
        WorkerError: The job has failed, or does not answer.
    """
    worker.tell("step", **order)
    while True:
        told = await worker.wait_for("step", timeout_s)
        if told["step"] == order["step"]:
            del told["event"]
            return told


class BulkService:
    """Adds the kinds ``tcp`` and ``udp`` to a responder, and the method that takes the steps of a search."""

    def __init__(
        self,
        *,
        control: Control,
        responder: Responder,
        workers: Workers,
        config: TestsConfig,
        collector: MetricsCollector,
    ) -> None:
        self._workers = workers
        self._config = config
        self._collector = collector
        self._open: dict[tuple[str, bytes], _Session] = {}
        for protocol in ("tcp", "udp"):
            responder.add_kind(protocol, self._open_session)
        control.serve(STEP_METHOD, self._step)

    async def _open_session(self, asker: Asker, params: dict[str, object], grant: Grant) -> _Session:
        """Start the workers of a session: an ``Opener``."""
        read = Params(params)
        name = read.binary("session", SESSION_BYTES)
        direction = read.choice("direction", DIRECTIONS)
        link, ports = asker.facts.link, self._config.ports
        if link is None or link.keys is None:
            raise DeclinedError("this link has no keys yet: again in a second")
        if len(self._open) >= _MAX_OPEN:
            raise DeclinedError("too many sessions are ending")
        ways = directions_of(direction)
        listen = plain_address(link.local[0])
        packet_bytes = read.whole("packet_bytes", 0, most=65_000)
        if grant.kind == "udp" and 0 < packet_bytes < LEAST_PACKET_BYTES:
            raise DeclinedError(f"packets of at least {LEAST_PACKET_BYTES} bytes, {packet_bytes} were asked")
        usual_per_s = grant.rate_bits_per_s / packet_bits(DEFAULT_PACKET_BYTES, listen)
        packets_per_s = max(self._config.max_packets_per_s, usual_per_s) / len(ways)
        common: dict[str, object] = {
            "listen": listen,
            "peer": plain_address(link.remote[0]),
            "ports": None if ports is None else [ports.start, ports.stop - 1],
            "key": link.keys.session(name),
            "streams": read.whole("streams", 1, least=1, most=_MAX_STREAMS),
            "duration_s": grant.duration_s,
            "rate_bits_per_s": grant.rate_bits_per_s / len(ways),
            "congestion_control": read.text("congestion_control", "", longest=15) or None,
            "packets_per_s": packets_per_s,
            "packet_bytes": packet_bytes,
            "is_single": not read.boolean("is_search", default=False),
            "meet_timeout_s": MEET_TIMEOUT_S,
            "dscp": self._config.dscp,
            "pack_bytes": _PACK_BYTES // len(ways),
        }
        session = _Session(self, (asker.peer, name), grant.kind, packets_per_s)
        try:
            for way in ways:
                await session.start(way, {**common, "purpose": PURPOSE_BY_DIRECTION[way]})
        except BaseException:
            await session.close()
            raise
        self._open[session.key] = session
        return session

    async def start_worker(self, job: str, params: Mapping[str, object]) -> Worker:
        """Start a worker; see ``Workers.start``."""
        return await self._workers.start(job, params)

    def record(self, result: Mapping[str, Any], *, is_sender: bool) -> None:
        """Count what a job moved."""
        record_traffic(self._collector, result, is_sender=is_sender)

    def forget(self, session: _Session) -> None:
        """A session is over."""
        if self._open.get(session.key) is session:
            del self._open[session.key]

    async def _step(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        """Take one step of a search: send at a rate, or tell what has arrived of it."""
        read = Params(params)
        session = self._open.get((asker.peer, read.binary("session", SESSION_BYTES)))
        way = read.choice("direction", DIRECTIONS[:2])
        worker = None if session is None else session.worker_by_way.get(way)
        if worker is None:
            raise DeclinedError("no session of this name is open; it may have reached its deadline")
        duration_s = read.number("duration_s", 0.0, most=_MAX_STEP_S)
        return await take_step(
            worker,
            duration_s + _STEP_SLACK_S,
            step=read.whole("step", most=4095),
            rate_bits_per_s=read.number("rate_bits_per_s", 1.0, least=1.0, most=1e12),
            duration_s=duration_s,
        )


class _Session:
    """The responder's hold on the workers of one session."""

    def __init__(
        self, service: BulkService, key: tuple[str, bytes], protocol: str, packets_per_s: float
    ) -> None:
        self.key = key
        self.worker_by_way: dict[str, Worker] = {}
        self._service = service
        self._protocol = protocol
        self._packets_per_s = packets_per_s
        self._ports_by_way: dict[str, list[int]] = {}

    async def start(self, way: str, params: Mapping[str, object]) -> None:
        """Start the worker of one direction, and wait until it listens."""
        job = f"{self._protocol}.{'receive' if way == 'forward' else 'send'}"
        worker = self.worker_by_way[way] = await self._service.start_worker(job, params)
        ready = await worker.wait_for("ready", _READY_TIMEOUT_S)
        self._ports_by_way[way] = ready.get("ports", [ready["port"]])

    async def describe(self) -> dict[str, Any]:
        """The ports, by direction; of udp how many packets a second there may be in each."""
        most = {"packets_per_s": self._packets_per_s} if self._protocol == "udp" else {}
        return {"ports": self._ports_by_way, **most}

    async def finish(self) -> dict[str, Any]:
        """Stop both; return what each counted, or why it could not."""
        for worker in self.worker_by_way.values():
            worker.tell("stop")
        try:
            return {way: await self._result(way, worker) for way, worker in self.worker_by_way.items()}
        finally:
            await self.close()

    async def abort(self) -> None:
        """Stop both; what they moved is counted all the same."""
        try:
            await self.finish()
        except NodeError as exc:
            _log.debug("a bandwidth session has ended: %s", exc)

    async def close(self) -> None:
        """Kill what still runs."""
        self._service.forget(self)
        await asyncio.gather(*(worker.close() for worker in self.worker_by_way.values()))

    async def _result(self, way: str, worker: Worker) -> dict[str, Any]:
        try:
            result = await worker.result(_RESULT_TIMEOUT_S)
        except NodeError as exc:
            return {"error": str(exc)}
        self._service.record(result, is_sender=way == "reverse")
        return result
