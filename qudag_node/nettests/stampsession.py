"""A STAMP session with a neighbour: agreed on over the link, measured by worker processes at both ends.

    async with await open_stamp(context, peer, StampPlan(count=200)) as session:
        await session.sent(on_progress=…)      # or session.stop() first, when it has no count
        measured = await session.result()

Both ends run a process of their own, so a session can go on while the link is loaded. Its key is the link's,
for this session alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from qudag_node.errors import DeclinedError, PeerError, PeerUnreachableError
from qudag_node.host.clock_state import same_clock_mark
from qudag_node.nettests.context import Context
from qudag_node.nettests.params import Params
from qudag_node.nettests.ping_statistics import Silence
from qudag_node.nettests.responder import SESSION_BYTES
from qudag_node.nettests.stamp.packets import AUTHENTICATED_BYTES, UDP_AND_IP_BYTES
from qudag_node.nettests.stamp.tlvs import EXTENSION_BYTES
from qudag_node.nettests.workers import Worker, WorkerError
from qudag_node.overlay.testport import LinkFacts
from qudag_node.peerid import PeerId

__all__ = [
    "SMALLEST_BYTES",
    "StampMeasured",
    "StampPlan",
    "StampSession",
    "open_stamp",
    "plain_address",
    "why_no_counts",
]

_log = logging.getLogger(__name__)

#: An authenticated packet with the extensions that every one of ours has.
SMALLEST_BYTES = AUTHENTICATED_BYTES + EXTENSION_BYTES
_OPEN_TIMEOUT_S = 20.0
_KEYS_TIMEOUT_S = 5.0
_KEYS_POLL_S = 0.02
_END_TIMEOUT_S = 15.0
_ABORT_TIMEOUT_S = 5.0
_READY_TIMEOUT_S = 20.0
#: What a sender takes for itself beyond its packets and their time-out.
_RESULT_TIMEOUT_S = 60.0
_LAST_WORD_S = 5.0
#: From here on a host is too busy to be believed.
_NOISY_STEAL_RATIO = 0.02
_NOISY_LATENESS_S = 0.001
_SLOW_REFLECTOR_S = 0.010
_MAPPED = "::ffff:"
_MAX_NS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class StampPlan:
    """What to send.

    Attributes:
        count: Packets; 0: until the session is told to stop.
        duration_s: At most so long, which the peer must agree to; needed where there is no count.
        size_bytes: UDP payload of a packet, at least ``SMALLEST_BYTES``, which 0 stands for.
        timeout_s: A reply after this is late.
        keep: Hand back the single round trips as well.
    """

    count: int = 0
    interval_s: float = 0.01
    duration_s: float = 0.0
    size_bytes: int = 0
    timeout_s: float = 1.0
    keep: bool = False

    @property
    def length_s(self) -> float:
        """How long it sends."""
        return self.duration_s or self.count * self.interval_s

    @property
    def packet_bytes(self) -> int:
        """The UDP payload as it will be."""
        return max(self.size_bytes, SMALLEST_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampMeasured:
    """What a session has found.

    Attributes:
        statistics: The figures of a ping, as they stand in its result.
        timestamps: ``kernel``, ``mixed``, ``user``, or ``none`` where nothing came back.
        notes: Remarks about this host.
        errors: What went wrong, in lines.
        has_reached: Whether any packet reached the peer; None when it could not be asked.
        silence: The packets at the end that it did not answer.
        due_mono_ns: With ``keep``: when each answered packet was due, by the monotonic clock of this host.
        round_trip_ns: With ``keep``: its round trip.
    """

    statistics: dict[str, Any]
    timestamps: str
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    has_reached: bool | None = None
    silence: Silence
    due_mono_ns: array[int]
    round_trip_ns: array[int]


async def open_stamp(context: Context, peer: PeerId, plan: StampPlan) -> StampSession:
    """Agree on a session with a neighbour, and begin to send.

    Raises:
        PeerUnreachableError: It is no neighbour, or does not answer over the link.
        DeclinedError: It will not, and says why.
        WorkerError: No process can be started here.
    """
    link = await _link_to(context, peer)
    identity = os.urandom(SESSION_BYTES)
    assert link.keys is not None  # noqa: S101  # _link_to has looked
    key = link.keys.session(identity)
    rate_per_s = 1 / plan.interval_s
    asked: dict[str, object] = {
        "kind": "stamp",
        "session": identity,
        "duration_s": plan.length_s + plan.timeout_s,
        "packets_per_s": rate_per_s,
        "rate_bits_per_s": rate_per_s * (plan.packet_bytes + UDP_AND_IP_BYTES) * 8,
    }
    told: Params | None = None
    worker: Worker | None = None
    try:
        told = Params(await context.control.ask(peer, "session.open", asked, timeout_s=_OPEN_TIMEOUT_S))
        port = told.whole("port", least=1, most=65_535)
        mark = same_clock_mark(key)
        params = {
            "host": plain_address(link.local[0]),
            "ports": [],
            "address": plain_address(link.remote[0]),
            "port": port,
            "key": key,
            "ssid": 0,
            "dscp": context.config.dscp,
            "format": "ntp",
            "count": plan.count,
            "interval_ns": round(plan.interval_s * 1e9),
            "size": plan.packet_bytes,
            "timeout_ns": round(plan.timeout_s * 1e9),
            "is_same_clock": bool(mark) and "clock" in told and told.binary("clock", len(mark)) == mark,
            "keep": plan.keep,
        }
        worker = await context.workers.start("stamp.send", params)
        await worker.wait_for("ready", _READY_TIMEOUT_S)
    except BaseException as exc:
        if worker is not None:
            await worker.close()
        # An answer that does not come may still be on its way: what was declined is not open.
        if told is not None or not isinstance(exc, DeclinedError):
            await _abort(context, peer, identity)
        raise
    return StampSession(context, peer, plan, identity, worker, port)


class StampSession:
    """A session that sends. As a context manager it is given up on leaving, at both ends.

    Attributes:
        port: Of the reflector.
    """

    def __init__(
        self, context: Context, peer: PeerId, plan: StampPlan, identity: bytes, worker: Worker, port: int
    ) -> None:
        self._context = context
        self._peer = peer
        self._plan = plan
        self._identity = identity
        self._worker = worker
        self._is_ended = False
        self.port = port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.close()
        if not self._is_ended:
            await _abort(self._context, self._peer, self._identity)

    def stop(self) -> None:
        """Send no more; what is on its way is waited for."""
        self._worker.tell("stop")

    async def sent(self, on_progress: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        """Wait until all is sent and the last reply is in, or too late.

        Args:
            on_progress: Called now and then with ``sent``, ``received`` and ``rtt_s`` (the newest).

        Raises:
            WorkerError: The sender has failed.
        """
        watch = asyncio.create_task(self._stop_with_test(), name="stop of a STAMP session")
        try:
            while (event := await self._worker.event()) is not None:
                if event["event"] == "sent":
                    return
                if event["event"] == "progress" and on_progress is not None:
                    on_progress(event)
        finally:
            watch.cancel()
            await asyncio.wait([watch])
        await self._worker.result(_LAST_WORD_S)  # raises what went wrong
        raise WorkerError("the sender ended before all was sent")

    async def result(self) -> StampMeasured:
        """Ask the peer what arrived there, end the session, and return the figures; after ``sent``.

        Raises:
            WorkerError: The sender has failed.
        """
        errors: list[str] = []
        account = await self._account(errors)
        self._worker.tell("account", **account)
        found = await self._worker.result(_RESULT_TIMEOUT_S)
        self._is_ended = True
        counts: dict[str, int] = found["counts"]
        statistics: dict[str, Any] = found["statistics"]
        self._context.collector.record_test_traffic(
            sent_messages=statistics["sent"],
            received_messages=counts["packets_in"],
            sent_bytes=counts["bytes_out"],
            received_bytes=counts["bytes_in"],
        )
        errors += _errors_of(counts, account)
        return StampMeasured(
            timestamps=statistics.pop("timestamps"),
            statistics=statistics,
            notes=_notes_of(found),
            errors=tuple(errors),
            has_reached=account["received"] > 0 if account else None,
            silence=Silence(*found["silence"]),
            due_mono_ns=array("q", found.get("due_mono_ns", b"")),
            round_trip_ns=array("q", found.get("round_trip_ns", b"")),
        )

    async def _stop_with_test(self) -> None:
        await self._context.stopping.wait()
        self.stop()

    async def _account(self, errors: list[str]) -> dict[str, Any]:
        """Ask for the reflector's counts; nothing when it does not tell."""
        asked: dict[str, object] = {"session": self._identity}
        try:
            told = await self._context.control.ask(self._peer, "session.end", asked, timeout_s=_END_TIMEOUT_S)
            return _read_account(told)
        except PeerError as exc:
            errors.append(
                f"loss cannot be placed to the end: {why_no_counts(self._context, self._peer, exc)}"
            )
            return {}


def why_no_counts(context: Context, peer: PeerId, exc: PeerError) -> str:
    """Say why a peer does not tell in the end what arrived there."""
    why = str(exc) if context.port.facts(peer).hops else "it cannot be reached any more"
    return f"the peer's counts are missing: {why}"


def plain_address(host: str) -> str:
    """Return an address as sockets of its own family take it: IPv4 that came in over IPv6 is IPv4."""
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


async def _link_to(context: Context, peer: PeerId) -> LinkFacts:
    """Return the link to a neighbour; one that is only just made has its keys a moment later."""
    deadline_mono_s = time.monotonic() + _KEYS_TIMEOUT_S
    while True:
        facts = context.port.facts(peer)
        if facts.link is None:
            raise PeerUnreachableError(f"{facts.name} is no neighbour: STAMP measures a link")
        if facts.link.keys is not None:
            return facts.link
        if time.monotonic() > deadline_mono_s:
            raise PeerUnreachableError(f"{facts.name}: its link has only just been made, and has no keys yet")
        await asyncio.sleep(_KEYS_POLL_S)


def _read_account(told: dict[str, Any]) -> dict[str, Any]:
    """Read the counts, which are a stranger's."""
    read = Params(told)
    departures: list[list[int]] = []
    entries = told.get("departures")
    for entry in entries[:64] if isinstance(entries, list) else ():
        match entry:
            case [int(sequence), int(unix_ns)] if 0 <= sequence < 1 << 32 and 0 <= unix_ns < _MAX_NS:
                departures.append([sequence, unix_ns])
            case _:
                raise DeclinedError("departures that are none")
    return {
        "received": read.whole("received"),
        "dropped": read.whole("dropped", 0) + read.whole("limited", 0),
        "unsent": read.whole("unsent", 0),
        "has_stamps": read.boolean("has_stamps", False),
        "departures": departures,
        "unauthentic": read.whole("unauthentic", 0),
        "foreign": read.whole("foreign", 0),
    }


def _errors_of(counts: Mapping[str, int], account: Mapping[str, Any]) -> list[str]:
    lines = {
        "refused": "{} times this host was told that nobody listens there",
        "unsent": "{} packets could not be sent",
        "malformed": "{} answers were none",
        "unauthentic": "{} answers were not authentic",
        "impossible": "{} answers had times of the peer's that cannot be, and count as sent on at once",
    }
    found = [line.format(counts[name]) for name, line in lines.items() if counts[name]]
    if account.get("unauthentic"):
        found.append(f"{account['unauthentic']} packets were not authentic when they arrived there")
    if account.get("foreign"):
        found.append(
            f"{account['foreign']} packets arrived there from elsewhere than the link, or from two ports"
        )
    return found


def _notes_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    notes: list[str] = []
    send_error_s = found["statistics"]["send_error"]["p99_s"]
    if found["steal_ratio"] is not None and found["steal_ratio"] > _NOISY_STEAL_RATIO:
        notes.append(
            f"{found['steal_ratio']:.1%} of this host's processor time was stolen by the host beneath it"
        )
    if send_error_s is not None and send_error_s > _NOISY_LATENESS_S:
        notes.append(f"packets left up to {send_error_s * 1e3:.1f} ms late (p99): this host is busy")
    processing_s = found["statistics"]["processing"]["p99_s"]
    if processing_s is not None and processing_s > _SLOW_REFLECTOR_S:
        notes.append(f"the peer took up to {processing_s * 1e3:.0f} ms to answer (p99): its host is busy")
    if found["moved_s"]:
        notes.append(f"this host stood still for {found['moved_s']:.1f} s in all")
    if found["clock_step_s"]:
        notes.append(f"this host's clock was set by {found['clock_step_s']:+.3f} s during the test")
    return tuple(notes)


async def _abort(context: Context, peer: PeerId, identity: bytes) -> None:
    try:
        await context.control.ask(peer, "session.abort", {"session": identity}, timeout_s=_ABORT_TIMEOUT_S)
    except PeerError as exc:
        _log.debug("a session is left to its deadline: %s", exc)
