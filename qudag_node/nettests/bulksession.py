"""A bandwidth session with a neighbour: agreed on over the link, moved by worker processes at both ends.

    async with await open_bulk(context, BulkPlan(protocol="tcp", duration_s=10)) as session:
        await session.moved(on_sample)
        transfers = await session.result()

Leaving the block frees everything at both ends. A test that is to finish early ends its workers, and what
they have counted is the result.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from qudag_node.errors import DeclinedError, NodeError, PeerError, PeerRefusedError, PeerUnreachableError
from qudag_node.nettests.bulk.datagrams import DEFAULT_PACKET_BYTES, packet_bits
from qudag_node.nettests.bulk.samples import SampleError, Samples
from qudag_node.nettests.bulkservice import (
    MEET_TIMEOUT_S,
    PURPOSE_BY_DIRECTION,
    STEP_METHOD,
    directions_of,
    record_traffic,
    take_step,
)
from qudag_node.nettests.context import Context
from qudag_node.nettests.params import Params
from qudag_node.nettests.responder import SESSION_BYTES
from qudag_node.nettests.stampsession import plain_address
from qudag_node.nettests.words import listed
from qudag_node.nettests.workers import Worker
from qudag_node.overlay.testport import LinkFacts

__all__ = ["BulkPlan", "BulkSession", "Half", "Transfer", "link_to", "open_bulk"]

_log = logging.getLogger(__name__)

_OPEN_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 8.0
_ABORT_TIMEOUT_S = 5.0
_BEGIN_SLACK_S = 15.0
_RESULT_SLACK_S = 20.0
_STEP_SLACK_S = 8.0
#: So long packets that have been sent are waited for, beyond the round-trip time.
_TAIL_S = 0.3
_MAX_TAIL_S = 3.0
_MAX_STEPS = 64
_Sink = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPlan:
    """What to move.

    Attributes:
        rate_bits_per_s: In each direction, of payload, at most; None: as much as the peer grants.
        is_search: Nothing moves by itself; ``BulkSession.step`` says what.
    """

    protocol: str
    direction: str = "forward"
    duration_s: float = 10.0
    streams: int = 1
    rate_bits_per_s: float | None = None
    congestion_control: str | None = None
    packet_bytes: int = 0
    is_search: bool = False

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions in which data goes."""
        return directions_of(self.direction)

    def agreed_ratio(self, host: str) -> float:
        """How much larger a rate is as it is agreed, for udp of whole IP packets, than as payload."""
        payload_bytes = self.packet_bytes or DEFAULT_PACKET_BYTES
        return packet_bits(payload_bytes, host) / (8 * payload_bytes) if self.protocol == "udp" else 1.0


@dataclass(frozen=True, slots=True)
class Half:
    """What one end's job has counted. The other end's is a stranger's word, and has been read as such.

    Attributes:
        is_gone: Its node answered no more when it was asked for this.
        header_ratio: How much larger a full packet is than the payload it carries; None where nobody knows.
    """

    samples: Samples
    why_early: str = ""
    is_gone: bool = False
    streams: int = 1
    congestion_control: str | None = None
    header_ratio: float | None = None
    packets: int = 0
    unsent: int = 0
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One direction of a test; a half is None where its end has told nothing."""

    way: str
    sender: Half | None
    receiver: Half | None
    cap_bits_per_s: float

    @property
    def is_sender_local(self) -> bool:
        """Whether this node sent."""
        return self.way == "forward"

    @property
    def has_lost_peer(self) -> bool:
        """Whether the other node was gone at the end."""
        other = self.receiver if self.is_sender_local else self.sender
        return other is not None and other.is_gone


def link_to(context: Context, what: str) -> LinkFacts:
    """Return the link to the target.

    Raises:
        PeerUnreachableError: It is banned, out of reach, or no neighbour: the line names those on the way.
    """
    facts = context.port.facts(context.peer)
    if facts.is_banned:
        raise PeerUnreachableError(f"{facts.name} is banned here: nothing is sent to it")
    if facts.link is None:
        path = context.port.path(context.peer)
        if not facts.hops or len(path) < 3:
            raise PeerUnreachableError(f"{facts.name} cannot be reached: there is no way to it now")
        neighbour = context.port.facts(path[1]).name
        names = listed([context.port.facts(peer).name for peer in path[1:-1]])
        raise PeerUnreachableError(
            f"{facts.name} is no neighbour but {facts.hops} hops away, by way of {names}: {what} measures a "
            f"link; test {neighbour}, the next on the way, or ping and stress the overlay"
        )
    if facts.link.keys is None:
        raise PeerUnreachableError(f"{facts.name}: its link has only just been made, and has no keys yet")
    return facts.link


async def open_bulk(context: Context, plan: BulkPlan) -> BulkSession:
    """Agree on a session with the target, and connect to it.

    Raises:
        PeerUnreachableError: It is no neighbour, or does not answer over the link.
        DeclinedError: It will not, and says why.
        WorkerError: A process cannot be started here, or its streams do not reach the peer: the text says
            which, and that a firewall may be in the way.
    """
    link = link_to(context, "bandwidth")
    identity = os.urandom(SESSION_BYTES)
    assert link.keys is not None  # noqa: S101  # link_to has looked
    rate, ways = plan.rate_bits_per_s, plan.ways
    host = plain_address(link.remote[0])
    asked: dict[str, object] = {
        "kind": plan.protocol,
        "session": identity,
        "direction": plan.direction,
        "duration_s": plan.duration_s,
        "rate_bits_per_s": None if rate is None else rate * plan.agreed_ratio(host) * len(ways),
        "streams": plan.streams,
        "congestion_control": plan.congestion_control or "",
        "packet_bytes": plan.packet_bytes,
        "is_search": plan.is_search,
    }
    told = await context.control.ask(context.peer, "session.open", asked, timeout_s=_OPEN_TIMEOUT_S)
    session = BulkSession(context, plan, identity, link)
    try:
        granted = told.get("granted")
        cap = Params(granted if isinstance(granted, dict) else {}).number("rate_bits_per_s", least=1.0)
        cap /= len(ways)
        if plan.protocol == "udp" and "packets_per_s" in told:
            most_per_s = Params(told).number("packets_per_s", least=1.0)
            cap = min(cap, most_per_s * packet_bits(plan.packet_bytes or DEFAULT_PACKET_BYTES, host))
        await session.begin(told.get("ports"), link.keys.session(identity), cap)
    except BaseException:
        await session.abort()
        raise
    return session


class BulkSession:
    """A session that is open. As a context manager it is given up on leaving, at both ends.

    Attributes:
        cap_bits_per_s: What was agreed for each direction, as payload.
        begun_mono_s: When data began to move.
    """

    def __init__(self, context: Context, plan: BulkPlan, identity: bytes, link: LinkFacts) -> None:
        self._context = context
        self._plan = plan
        self._identity = identity
        self._link = link
        self._worker_by_way: dict[str, Worker] = {}
        self._is_ended = False
        self._agreed_ratio = plan.agreed_ratio(plain_address(link.remote[0]))
        self.cap_bits_per_s = 0.0
        self.begun_mono_s = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abort()

    async def begin(self, ports: object, key: bytes, agreed_bits_per_s: float) -> None:
        """Start the workers of this end, and wait until their streams are there."""
        plan, context, link = self._plan, self._context, self._link
        self.cap_bits_per_s = round(agreed_bits_per_s / self._agreed_ratio, 3)
        for way in plan.ways:
            numbers = _ports_of(ports, way)
            params: dict[str, object] = {
                "connect": [plain_address(link.remote[0]), numbers[0]],
                "connect_ports": numbers,
                "key": key,
                "purpose": PURPOSE_BY_DIRECTION[way],
                "streams": plan.streams,
                "duration_s": plan.duration_s,
                "rate_bits_per_s": agreed_bits_per_s,
                "congestion_control": plan.congestion_control,
                "packet_bytes": plan.packet_bytes,
                "is_single": not plan.is_search,
                "tail_s": self._tail_s,
                "meet_timeout_s": MEET_TIMEOUT_S,
                "dscp": context.config.dscp,
            }
            if plan.protocol == "udp" and len(numbers) < plan.streams:
                raise DeclinedError("the peer opened too few ports for the streams")
            job = f"{plan.protocol}.{'send' if way == 'forward' else 'receive'}"
            self._worker_by_way[way] = await context.workers.start(job, params)
        for worker in self._worker_by_way.values():
            await self._begun(worker)
        self.begun_mono_s = time.monotonic()

    async def _begun(self, worker: Worker) -> None:
        stop = asyncio.create_task(self._stop_with_test(), name="stop of a bandwidth session")
        try:
            await worker.wait_for("begun", MEET_TIMEOUT_S + _BEGIN_SLACK_S)
        finally:
            stop.cancel()
            await asyncio.wait([stop])

    async def moved(self, on_sample: _Sink | None = None) -> None:
        """Wait until this end is done.

        Args:
            on_sample: Called now and then with the direction and the newest sample.

        Raises:
            WorkerError: A worker has failed.
        """
        stop = asyncio.create_task(self._stop_with_test(), name="stop of a bandwidth session")
        try:
            async with asyncio.TaskGroup() as tasks:
                for way, worker in self._worker_by_way.items():
                    tasks.create_task(_relay(way, worker, on_sample), name=f"bandwidth[{way}]")
        finally:
            stop.cancel()
            await asyncio.wait([stop])

    async def result(self) -> list[Transfer]:
        """End the session; return what both ends have counted, by direction; after ``moved``.

        Raises:
            WorkerError: This end's worker has failed.
        """
        context, plan = self._context, self._plan
        limit_s = plan.duration_s + _RESULT_SLACK_S
        own_by_way: dict[str, Half] = {}
        for way, worker in self._worker_by_way.items():
            result = await worker.result(limit_s)
            record_traffic(context.collector, result, is_sender=way == "forward")
            own_by_way[way] = _half_of(result)
        if plan.protocol == "udp" and "forward" in own_by_way:
            await asyncio.sleep(self._tail_s)
        others = await self._others()
        return [
            Transfer(
                way=way,
                sender=own if way == "forward" else others.get(way),
                receiver=others.get(way) if way == "forward" else own,
                cap_bits_per_s=self.cap_bits_per_s,
            )
            for way, own in own_by_way.items()
        ]

    async def step(self, way: str, number: int, rate_bits_per_s: float, duration_s: float) -> dict[str, int]:
        """Send payload at a rate for a time, of a search; return what was sent, and what has arrived.

        Raises:
            WorkerError: This end's worker has failed.
            PeerError: The peer does not answer, or its worker has failed.
        """
        order: dict[str, object] = {
            "step": number,
            "rate_bits_per_s": rate_bits_per_s * self._agreed_ratio,
            "duration_s": duration_s,
        }
        is_sender = way == "forward"
        sent = await self._order(way, order, is_local=is_sender, timeout_s=duration_s + _STEP_SLACK_S)
        received: dict[str, int] = {}
        # A queue in the path may hold more than a round trip's worth: until nothing more comes.
        deadline_mono_s = time.monotonic() + _MAX_TAIL_S
        while time.monotonic() < deadline_mono_s:
            await asyncio.sleep(self._tail_s / 3)
            newest = await self._order(way, {"step": number}, is_local=not is_sender, timeout_s=_STEP_SLACK_S)
            is_done = newest["received"] >= sent["sent"] or newest["received"] == received.get("received")
            received = newest
            if is_done:
                break
        return {**sent, **received}

    async def abort(self) -> None:
        """Free everything, at both ends; nothing when it has ended."""
        await asyncio.gather(*(worker.close() for worker in self._worker_by_way.values()))
        if self._is_ended:
            return
        self._is_ended = True
        asked: dict[str, object] = {"session": self._identity}
        try:
            await self._context.control.ask(
                self._context.peer, "session.abort", asked, timeout_s=_ABORT_TIMEOUT_S
            )
        except PeerError as exc:
            _log.debug("a session is left to its deadline: %s", exc)

    @property
    def _tail_s(self) -> float:
        return min(_TAIL_S + 2 * (self._link.srtt_s or 0.0), _MAX_TAIL_S)

    async def _order(
        self, way: str, order: dict[str, object], *, is_local: bool, timeout_s: float
    ) -> dict[str, int]:
        if is_local:
            return await take_step(self._worker_by_way[way], timeout_s, **order)
        asked = {"session": self._identity, "direction": way, **order}
        told = await self._context.control.ask(self._context.peer, STEP_METHOD, asked, timeout_s=timeout_s)
        return _whole_numbers(told)

    async def _stop_with_test(self) -> None:
        await self._context.stopping.wait()
        for worker in self._worker_by_way.values():
            worker.tell("stop")

    async def _others(self) -> dict[str, Half]:
        asked: dict[str, object] = {"session": self._identity}
        try:
            told = await self._context.control.ask(
                self._context.peer, "session.end", asked, timeout_s=_END_TIMEOUT_S
            )
        except PeerError as exc:
            reason = f"the peer's counts are missing: {exc}"
            is_gone = not isinstance(exc, PeerRefusedError)
            return {way: Half(Samples(), reason, is_gone) for way in self._worker_by_way}
        self._is_ended = True
        return {way: _read_half(told.get(way)) for way in self._worker_by_way}


async def _relay(way: str, worker: Worker, on_sample: _Sink | None) -> None:
    while (event := await worker.event()) is not None:
        if event["event"] == "sample" and on_sample is not None:
            on_sample(way, event)


def _ports_of(ports: object, way: str) -> list[int]:
    numbers: object = ports.get(way) if isinstance(ports, dict) else None
    if not isinstance(numbers, list) or not numbers:
        raise DeclinedError("the peer tells no port for the test")
    return [Params({"port": number}).whole("port", least=1, most=65_535) for number in numbers]


def _read_half(told: object) -> Half:
    """Read the other end's result."""
    if not isinstance(told, dict):
        return Half(Samples(), why_early="the peer tells nothing of what it counted")
    read = Params(told)
    try:
        if "error" in read:
            return Half(Samples(), why_early=f"the peer's end failed: {read.text('error', longest=300)}")
        return _half_of(told)
    except (NodeError, SampleError) as exc:
        return Half(Samples(), why_early=f"the peer's counts cannot be read: {exc}")


def _half_of(result: Mapping[str, Any]) -> Half:
    read = Params(result)
    samples = result.get("samples")
    steps = result.get("steps")
    single: object = steps.get("0") if isinstance(steps, dict) else None
    return Half(
        samples=Samples.unpack(samples) if isinstance(samples, bytes) else Samples(),
        why_early=read.text("why_early", "", longest=300),
        streams=read.whole("streams", 1, least=1, most=64),
        congestion_control=read.text("congestion_control", "", longest=32) or None,
        header_ratio=_header_ratio(read.whole("mss_bytes", 0), read.whole("path_mtu", 0)),
        packets=read.whole("packets", 0),
        unsent=read.whole("unsent", 0),
        counts=_whole_numbers(single) if isinstance(single, dict) else {},
    )


def _header_ratio(mss_bytes: int, path_mtu: int) -> float | None:
    """Return the ratio of a full packet to its payload, where the two numbers can be true."""
    return path_mtu / mss_bytes if 0 < mss_bytes < path_mtu < 2 * mss_bytes else None


def _whole_numbers(told: Mapping[Any, Any]) -> dict[str, int]:
    read = Params(told)
    return {name: read.whole(name) for name in list(told)[:_MAX_STEPS] if isinstance(name, str)}
