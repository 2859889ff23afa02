"""Sending traces through the overlay to one peer, and giving each answer to who waits for it.

All tests of a node share the one way back for answers (``TestPort.on_trace``): a `TraceDesk` stands there and
knows by the trace's id whose it is.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from qudag_node.errors import PeerUnreachableError
from qudag_node.nettests.context import Context
from qudag_node.nettests.hops import Answer, Hop, HopTable, Route
from qudag_node.nettests.samples import time_statistics
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import TestPort, TraceReply
from qudag_node.overlay.trace import TraceReason
from qudag_node.peerid import PeerId

__all__ = [
    "LEAST_ROUND_INTERVAL_S",
    "PathTracer",
    "TraceDesk",
    "desk_of",
    "hop_document",
    "name_of",
    "route_document",
    "settle",
]

#: A relay answers 50 traces a second that come by one neighbour; faster rounds would measure that limit.
LEAST_ROUND_INTERVAL_S = 0.025

# Told to end, a test waits no longer than this for what is under way.
_SETTLE_S = 2.0

_REASONS = {
    TraceReason.REACHED: "reached",
    TraceReason.TTL: "ttl",
    TraceReason.NO_ROUTE: "no-route",
    TraceReason.NOT_RELAYING: "not-relaying",
    TraceReason.LOOP: "loop",
}

Take = Callable[[TraceReply], None]


class TraceDesk:
    """Gives each answer to who sent the trace."""

    def __init__(self) -> None:
        self._take_by_identity: dict[bytes, Take] = {}

    def __call__(self, reply: TraceReply) -> None:
        """Take an answer."""
        take = self._take_by_identity.pop(reply.identity, None)
        if take is not None:
            take(reply)

    def expect(self, identity: bytes, take: Take) -> None:
        """Hand the answer to a trace to ``take``; who expects one forgets it some time."""
        self._take_by_identity[identity] = take

    def forget(self, identities: Iterable[bytes]) -> None:
        """Expect them no more."""
        for identity in identities:
            self._take_by_identity.pop(identity, None)

    def __len__(self) -> int:
        return len(self._take_by_identity)


def desk_of(port: TestPort) -> TraceDesk:
    """Return the desk of a node; who comes first puts it there."""
    if not isinstance(port.on_trace, TraceDesk):
        port.on_trace = TraceDesk()
    return port.on_trace


class PathTracer:
    """Rounds of traces to one peer. A context manager: leaving it, nothing is expected any more.

    Args:
        timeout_s: How long an answer is waited for.
        max_hops: Never trace further.

    Attributes:
        table: What came of it.
        unsent: Traces that could not be sent at all, and why the last of them could not.
    """

    def __init__(
        self, port: TestPort, peer: PeerId, clock: Clock, *, timeout_s: float, max_hops: int
    ) -> None:
        self._port = port
        self._peer = peer
        self._clock = clock
        self._timeout_s = timeout_s
        self._desk = desk_of(port)
        self._open: deque[tuple[int, float, list[bytes]]] = deque()
        # The way by the map, which a slow link to a neighbour may not be on.
        hops = len(port.path(peer)[1:]) or port.facts(peer).hops
        self.table = HopTable(max_hops=max_hops, expected_hops=hops or None)
        self.unsent = 0
        self.why_unsent = ""

    def __enter__(self) -> PathTracer:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_all()

    @property
    def is_waiting(self) -> bool:
        """Whether an answer may still come; closes the rounds that are complete or over."""
        self.close_rounds()
        return bool(self._open)

    def send_round(self, number: int, due_mono_s: float, ttls: Sequence[int] | None = None) -> None:
        """Send the traces of one round, by default one for each hop up to the destination.

        Args:
            number: Of the round; each is used once.
            due_mono_s: When it should have been sent: delays are counted from then.
            ttls: The hops to trace.
        """
        self.close_rounds()
        late_s = max(0.0, self._clock.monotonic() - due_mono_s)
        identities: list[bytes] = []
        for ttl in ttls or range(1, self.table.length + 1):
            identity = os.urandom(16)
            # Signing one trace delays the next, which is none of its delay; being late is all of theirs.
            intended_mono_s = self._clock.monotonic() - late_s
            try:
                self._port.trace(self._peer, ttl=ttl, identity=identity)
            except PeerUnreachableError as exc:
                self.unsent += 1
                self.why_unsent = str(exc)
                continue
            self.table.sent(number, ttl, self._clock.time())
            identities.append(identity)
            self._desk.expect(identity, partial(self._take, number, ttl, intended_mono_s))
        if identities:
            self._open.append((number, due_mono_s + late_s + self._timeout_s, identities))

    def close_rounds(self) -> None:
        """Close the rounds of which nothing can come any more."""
        now_mono_s = self._clock.monotonic()
        still: deque[tuple[int, float, list[bytes]]] = deque()
        for number, deadline_mono_s, identities in self._open:
            if deadline_mono_s > now_mono_s and not self.table.is_complete(number):
                still.append((number, deadline_mono_s, identities))
            else:
                self._close(number, identities)
        self._open = still

    def _close_all(self) -> None:
        for number, _, identities in self._open:
            self._close(number, identities)
        self._open.clear()

    def _close(self, number: int, identities: list[bytes]) -> None:
        self._desk.forget(identities)
        self.table.close(number)

    def _take(self, number: int, ttl: int, intended_mono_s: float, reply: TraceReply) -> None:
        rtt_s = reply.received_mono_s - intended_mono_s - reply.processing_s
        answer = Answer(
            source=reply.source,
            reason=_REASONS[reply.reason],
            hops=reply.hops,
            # A peer may claim that the answer took it longer than the whole.
            rtt_s=max(0.0, rtt_s),
            return_hops=reply.return_hops,
        )
        self.table.answered(number, ttl, answer)


async def settle(context: Context, tracers: Collection[PathTracer]) -> None:
    """Wait for what is under way, also when told to end: a trace nobody waited for is no loss."""
    ended_mono_s: float | None = None
    while any(tracer.is_waiting for tracer in tracers):
        if context.stopping.is_set():
            now_mono_s = context.clock.monotonic()
            ended_mono_s = ended_mono_s or now_mono_s
            if now_mono_s - ended_mono_s > _SETTLE_S:
                return
        await asyncio.sleep(0.01)


def name_of(port: TestPort, peer: str) -> str:
    """Return how a node is shown, this one included."""
    if peer == port.own_id:
        nodes, _ = port.topology()
        return nodes[0].name
    return port.facts(PeerId(peer)).name


def hop_document(hop: Hop, name_of: Callable[[str], str]) -> dict[str, object]:
    """Return a hop as it stands in the result."""
    return {
        "ttl": hop.ttl,
        "peer": hop.source,
        "name": None if hop.source is None else name_of(hop.source),
        "others": list(hop.others),
        "sent": hop.sent,
        "received": hop.received,
        "loss_ratio": hop.loss_ratio,
        "rtt": time_statistics(round(rtt_s * 1e9) for rtt_s in hop.rtts_s),
        "added_s": hop.added_s,
        "return_hops": hop.return_hops,
        "reason": hop.reason,
        "verdict": str(hop.verdict),
    }


def route_document(route: Route, name_of: Callable[[str], str]) -> dict[str, object]:
    """Return a route as it stands in the result."""
    return {
        "path": route.path,
        "names": [None if source is None else name_of(source) for source in route.path],
        "count": route.count,
        "first_unix_s": route.first_unix_s,
    }
