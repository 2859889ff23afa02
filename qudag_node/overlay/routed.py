"""Messages and probes to nodes that are not neighbours: the routed envelope, and who passes it on.

    0            1         2              3         19          51               83
    +------------+---------+--------------+---------+-----------+----------------+
    | version u8 | kind u8 | first ttl u8 | id      | source    | destination    |
    |   = 1      |         |              | 16 bytes| 32 bytes  | 32 bytes       |
    +------------+---------+--------------+---------+-----------+----------------+
    | body (≤ 16 KiB)      | signature, 64 bytes              | ttl u8           |
    +----------------------+----------------------------------+------------------+

kind: 1 message; 2 probe; 3 probe reply, with the probe's id and the body: hops of the probe u8; these are the
payload of ROUTED frames. 4 test; 5 trace; 6 trace reply (``trace``): these travel in TEST frames, so that
test traffic is counted, limited and dropped as such at every hop. A kind in the wrong frame, or of a later
version, is dropped.
The signature is the source's over everything before it, under ``qudag-routed/1\\0``; the ttl stands behind it
because every relay lowers it. Relays do not verify, the destination does, and so does who answers a trace
that ends: a false source gets no further than that, and a reply is believed only when it is signed by the
node that was asked and carries the id, which nobody off the way can guess. No I/O; time and randomness are
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from struct import Struct
from typing import NamedTuple, TypeAlias

from qudag_node.overlay.allowance import Allowance
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.ratelimit import FairBudget, TokenBucket
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import SIGNATURE_BYTES, Signer, Verifier
from qudag_node.overlay.trace import TraceBody, TraceReason, TraceResult, Traces, encode_trace_body

__all__ = [
    "ID_BYTES",
    "LABEL",
    "MAX_BODY_BYTES",
    "MAX_TTL",
    "PLAIN_KINDS",
    "TEST_KINDS",
    "Decision",
    "Deliver",
    "Drop",
    "DropCause",
    "Forward",
    "LostProbe",
    "ProbeResult",
    "RoutedKind",
    "RoutedMessage",
    "Router",
    "TraceEnd",
    "decode_routed",
    "sign_routed",
]

LABEL = b"qudag-routed/1\0"
ID_BYTES = 16
MAX_BODY_BYTES = 16 * 1024
MAX_TTL = 255

_VERSION = 1
_PREFIX = Struct("!BBB16s32s32s")
_LEAST_BYTES = _PREFIX.size + SIGNATURE_BYTES + 1
# Within so many deliveries, a message that somebody has recorded and sends again is not delivered twice.
_DELIVERED_CAPACITY = 8192
# An answer costs a verification and a signature, 0.2 ms: at most 4 % of a core, whoever asks.
_ANSWERS_PER_S = 200.0
_ANSWERS_BURST = 400.0
# The same of traces, and of those that one neighbour brings at most a quarter.
_TRACES_PER_S = 200.0
_TRACES_BURST = 400.0


class RoutedKind(IntEnum):
    """What is asked of the destination."""

    #: Take it.
    MESSAGE = 1
    #: Answer it.
    PROBE = 2
    #: The answer.
    PROBE_REPLY = 3
    #: Take it: it belongs to a network test.
    TEST = 4
    #: Answer it, wherever it ends.
    TRACE = 5
    #: The answer.
    TRACE_REPLY = 6


#: What ROUTED frames carry.
PLAIN_KINDS = frozenset({RoutedKind.MESSAGE, RoutedKind.PROBE, RoutedKind.PROBE_REPLY})
#: What TEST frames carry.
TEST_KINDS = frozenset(RoutedKind) - PLAIN_KINDS


class DropCause(StrEnum):
    """Why a routed message goes no further; the text is the cause in the statistics."""

    #: It has passed as many relays as its source allowed.
    TTL = "routed_ttl"
    #: The destination cannot be reached from here.
    NO_ROUTE = "routed_no_route"
    #: The best way leads back to where it came from: the two maps differ just now.
    LOOP = "routed_loop"
    #: This node is a leaf.
    NOT_RELAYING = "routed_not_relaying"
    #: It is for us, and not signed by its source.
    SIGNATURE = "routed_signature"
    #: It is for us, and was delivered before.
    DUPLICATE = "routed_duplicate"
    #: It is a probe, and this node answers no more of them at present.
    PROBE_RATE = "routed_probe_rate"
    #: An answer to nothing that was asked, or that came too late.
    UNASKED = "routed_unasked"
    #: Of a kind that is not known here, or in the wrong frame.
    KIND = "routed_kind"
    #: It is a test message that was not agreed on, and this node takes no more of them at present.
    TEST_RATE = "routed_test_rate"
    #: It is a trace that ends here, and this node answers no more of them at present.
    TRACE_RATE = "routed_trace_rate"
    #: Our own: as many probes as allowed are unanswered.
    PENDING_FULL = "routed_pending_full"


class RoutedMessage(NamedTuple):
    """A routed message as it came in. ``ttl`` is what its relays have left of ``first_ttl``.

    ``kind`` is None for one that is not known here.
    """

    kind: RoutedKind | None
    identity: bytes
    source: bytes
    destination: bytes
    body: bytes
    first_ttl: int
    ttl: int
    encoded: bytes

    @property
    def hops(self) -> int:
        """Links it has passed, as far as its relays were honest."""
        return self.first_ttl - self.ttl + 1


def sign_routed(
    signer: Signer, destination: bytes, body: bytes, *, kind: RoutedKind, identity: bytes, ttl: int
) -> bytes:
    """Return an envelope from us, which may pass ``ttl - 1`` relays."""
    if len(body) > MAX_BODY_BYTES or not 1 <= ttl <= MAX_TTL or len(identity) != ID_BYTES:
        raise ValueError(f"a body of {len(body)} bytes, ttl {ttl}, an id of {len(identity)} bytes")
    prefix = _PREFIX.pack(_VERSION, kind, ttl, identity, signer.public_key, destination)
    signed = prefix + body
    return signed + signer.sign(LABEL, signed) + bytes((ttl,))


def decode_routed(encoded: bytes) -> RoutedMessage:
    """Read an envelope; the signature is not looked at.

    Raises:
        RemoteFault: ``routed_malformed`` or ``routed_version``.
    """
    if not _LEAST_BYTES <= len(encoded) <= _LEAST_BYTES + MAX_BODY_BYTES:
        raise RemoteFault("routed_malformed", f"a routed message of {len(encoded)} bytes")
    version, kind, first_ttl, identity, source, destination = _PREFIX.unpack_from(encoded)
    if version != _VERSION:
        raise RemoteFault("routed_version", f"version {version} is not known")
    ttl = encoded[-1]
    if not 1 <= ttl <= first_ttl <= MAX_TTL or source == destination:
        raise RemoteFault("routed_malformed", f"ttl {ttl} of {first_ttl}, or sent to its source")
    body = encoded[_PREFIX.size : -SIGNATURE_BYTES - 1]
    known = RoutedKind(kind) if 1 <= kind <= len(RoutedKind) else None
    return RoutedMessage(known, identity, source, destination, body, first_ttl, ttl, encoded)


@dataclass(frozen=True, slots=True)
class Forward:
    """Send this envelope to that neighbour, in a frame of the type that brings its kind."""

    next_hop: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """The message is for us and its source is proved."""

    message: RoutedMessage


@dataclass(frozen=True, slots=True)
class Drop:
    """The message ends here."""

    cause: DropCause


@dataclass(frozen=True, slots=True)
class TraceEnd:
    """A trace ends here, its source is proved: answer it by ``Router.answer``."""

    message: RoutedMessage
    reason: TraceReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """A probe of ours was answered.

    Attributes:
        hops: Links on the way there; ``return_hops`` on the way back.
        identity: Which probe it was.
    """

    destination: bytes
    rtt_s: float
    hops: int
    return_hops: int
    identity: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LostProbe:
    """A probe of ours was not answered in time."""

    destination: bytes
    identity: bytes


Decision: TypeAlias = Forward | Deliver | Drop | ProbeResult | TraceEnd | TraceResult

_TRACE_REASON = {
    DropCause.TTL: TraceReason.TTL,
    DropCause.NO_ROUTE: TraceReason.NO_ROUTE,
    DropCause.NOT_RELAYING: TraceReason.NOT_RELAYING,
    DropCause.LOOP: TraceReason.LOOP,
}


class _Pending(NamedTuple):
    destination: bytes
    sent_mono_s: float
    deadline_mono_s: float


class Router:
    """One node's part in relaying.

    Args:
        next_hop: Where the map leads for a destination; None when nowhere.
        relays: Pass on what is for others.
        max_relays: Relays that what we send may pass.
        max_pending: Most probes unanswered at one time.

    Attributes:
        allowance: How many test messages are taken from whom.
    """

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        next_hop: Callable[[bytes], bytes | None],
        *,
        relays: bool = True,
        max_relays: int = 16,
        max_pending: int = 1024,
    ) -> None:
        if max_relays < 0:
            raise ValueError(f"{max_relays} relays are too few")
        self._signer = signer
        self._verifier = verifier
        self._next_hop = next_hop
        self._relays = relays
        self._ttl = min(max_relays + 1, MAX_TTL)
        self._max_pending = max_pending
        # In the order of their sending; with one timeout also that of their deadlines.
        self._pending: dict[bytes, _Pending] = {}
        self._delivered = SeenCache(_DELIVERED_CAPACITY)
        self._answers = TokenBucket(_ANSWERS_PER_S, _ANSWERS_BURST, 0.0)
        self.allowance = Allowance()
        self._traces = Traces()
        self._trace_answers = FairBudget(
            _TRACES_PER_S, _TRACES_BURST, each_per_s=_TRACES_PER_S / 4, each_burst=_TRACES_BURST / 4
        )

    @property
    def pending_count(self) -> int:
        """How many probes are unanswered."""
        return len(self._pending)

    def message(self, destination: bytes, body: bytes, *, identity: bytes) -> Forward | Drop:
        """Send a message; ``identity`` is 16 random bytes."""
        return self._send(destination, body, RoutedKind.MESSAGE, identity)

    def probe(
        self, destination: bytes, *, identity: bytes, now_mono_s: float, timeout_s: float = 5.0
    ) -> Forward | Drop:
        """Send a probe; ``identity`` is 16 bytes that nobody can guess."""
        if len(self._pending) >= self._max_pending:
            return Drop(DropCause.PENDING_FULL)
        decision = self._send(destination, b"", RoutedKind.PROBE, identity)
        if isinstance(decision, Forward):
            self._pending[identity] = _Pending(destination, now_mono_s, now_mono_s + timeout_s)
        return decision

    def test(self, destination: bytes, body: bytes, *, identity: bytes) -> Forward | Drop:
        """Send a message of a network test; as ``message``."""
        return self._send(destination, body, RoutedKind.TEST, identity)

    def trace(self, destination: bytes, *, ttl: int, identity: bytes, now_mono_s: float) -> Forward | Drop:
        """Send a trace that passes at most ``ttl`` links; ``identity`` is 16 bytes that nobody can guess."""
        if not self._traces.has_room(now_mono_s):
            return Drop(DropCause.PENDING_FULL)
        decision = self._send(destination, b"", RoutedKind.TRACE, identity, ttl)
        if isinstance(decision, Forward):
            self._traces.sent(identity, destination, ttl, now_mono_s)
        return decision

    def receive(
        self,
        encoded: bytes,
        came_from: bytes,
        now_mono_s: float,
        *,
        kinds: Container[RoutedKind] = PLAIN_KINDS,
    ) -> Decision:
        """Judge an envelope that a neighbour sent in a frame that carries ``kinds``.

        A ``Forward`` is somebody else's message on its way, or our answer to a probe.

        Raises:
            RemoteFault: ``routed_malformed`` or ``routed_version``.
        """
        message = decode_routed(encoded)
        if message.kind is None or message.kind not in kinds:
            return Drop(DropCause.KIND)
        if message.destination == self._signer.public_key:
            return self._take(message, came_from, now_mono_s)
        if not self._relays:
            return self._stop(message, came_from, DropCause.NOT_RELAYING, now_mono_s)
        if message.ttl == 1:
            return self._stop(message, came_from, DropCause.TTL, now_mono_s)
        next_hop = self._next_hop(message.destination)
        if next_hop is None:
            return self._stop(message, came_from, DropCause.NO_ROUTE, now_mono_s)
        if next_hop == came_from or message.source == self._signer.public_key:
            return self._stop(message, came_from, DropCause.LOOP, now_mono_s)
        return Forward(next_hop, encoded[:-1] + bytes((message.ttl - 1,)))

    def answer(
        self, end: TraceEnd, *, received_unix_ns: int, sent_unix_ns: int, processing_ns: int
    ) -> Forward | Drop:
        """Answer a trace that ended here; see ``TraceBody`` for the times."""
        body = TraceBody(end.reason, end.message.hops, received_unix_ns, sent_unix_ns, processing_ns)
        return self._send(
            end.message.source, encode_trace_body(body), RoutedKind.TRACE_REPLY, end.message.identity
        )

    def expire(self, now_mono_s: float) -> list[LostProbe]:
        """Give up the probes whose time is over."""
        lost = [
            LostProbe(pending.destination, identity)
            for identity, pending in self._pending.items()
            if pending.deadline_mono_s <= now_mono_s
        ]
        for probe in lost:
            del self._pending[probe.identity]
        return lost

    def _stop(
        self, message: RoutedMessage, came_from: bytes, cause: DropCause, now_mono_s: float
    ) -> TraceEnd | Drop:
        """A message goes no further; who sent a trace is told so."""
        if message.kind is not RoutedKind.TRACE or message.source == self._signer.public_key:
            return Drop(cause)
        return self._end_trace(message, came_from, _TRACE_REASON[cause], now_mono_s)

    def _end_trace(
        self, message: RoutedMessage, came_from: bytes, reason: TraceReason, now_mono_s: float
    ) -> TraceEnd | Drop:
        # The answer goes to whom the envelope names, so that must be who made it; and verifying costs more
        # than all else, so it is what is rationed.
        if not self._trace_answers.take(came_from, now_mono_s):
            return Drop(DropCause.TRACE_RATE)
        refusal = self._refusal(message, now_mono_s)
        return TraceEnd(message, reason) if refusal is None else Drop(refusal)

    def _refusal(self, message: RoutedMessage, now_mono_s: float) -> DropCause | None:
        """Return why a message is not its source's, or not its first copy; None when all is well."""
        delivery = message.source + message.identity + message.encoded[1:2]
        if delivery in self._delivered:
            return DropCause.DUPLICATE
        encoded = message.encoded
        signed, signature = encoded[: -SIGNATURE_BYTES - 1], encoded[-SIGNATURE_BYTES - 1 : -1]
        if not self._verifier.verify(message.source, LABEL, signed, signature):
            return DropCause.SIGNATURE
        self._delivered.add(delivery, now_mono_s)
        return None

    def _send(
        self, destination: bytes, body: bytes, kind: RoutedKind, identity: bytes, ttl: int | None = None
    ) -> Forward | Drop:
        if destination == self._signer.public_key:
            raise ValueError("nothing is routed to oneself")
        next_hop = self._next_hop(destination)
        if next_hop is None:
            return Drop(DropCause.NO_ROUTE)
        ttl = self._ttl if ttl is None else ttl
        payload = sign_routed(self._signer, destination, body, kind=kind, identity=identity, ttl=ttl)
        return Forward(next_hop, payload)

    def _take(self, message: RoutedMessage, came_from: bytes, now_mono_s: float) -> Decision:
        if message.kind is RoutedKind.TRACE:
            return self._end_trace(message, came_from, TraceReason.REACHED, now_mono_s)
        if message.kind is RoutedKind.TRACE_REPLY:
            return self._take_trace_reply(message, now_mono_s)
        if message.kind is RoutedKind.TEST and not self.allowance.take(message.source, came_from, now_mono_s):
            return Drop(DropCause.TEST_RATE)
        pending: _Pending | None = None
        if message.kind is RoutedKind.PROBE_REPLY:
            pending = self._pending.get(message.identity)
            if pending is None or pending.destination != message.source or len(message.body) != 1:
                return Drop(DropCause.UNASKED)
        if message.kind is RoutedKind.PROBE and self._answers.available(now_mono_s) < 1:
            return Drop(DropCause.PROBE_RATE)
        refusal = self._refusal(message, now_mono_s)
        if refusal is not None:
            return Drop(refusal)
        if message.kind is RoutedKind.MESSAGE or message.kind is RoutedKind.TEST:
            return Deliver(message)
        if message.kind is RoutedKind.PROBE:
            self._answers.take(1, now_mono_s)
            hops = bytes((message.hops,))
            return self._send(message.source, hops, RoutedKind.PROBE_REPLY, message.identity)
        return self._finish(message, pending, now_mono_s)

    def _take_trace_reply(self, message: RoutedMessage, now_mono_s: float) -> Decision:
        body = self._traces.body_that_fits(message.identity, message.source, message.body)
        if body is None:
            return Drop(DropCause.UNASKED)
        refusal = self._refusal(message, now_mono_s)
        if refusal is not None:
            return Drop(refusal)
        return TraceResult(
            identity=message.identity,
            source=message.source,
            destination=self._traces.finish(message.identity),
            body=body,
            return_hops=message.hops,
        )

    def _finish(self, reply: RoutedMessage, pending: _Pending | None, now_mono_s: float) -> Decision:
        if pending is None:
            return Drop(DropCause.UNASKED)
        del self._pending[reply.identity]
        return ProbeResult(
            destination=reply.source,
            identity=reply.identity,
            rtt_s=now_mono_s - pending.sent_mono_s,
            hops=reply.body[0],
            return_hops=reply.hops,
        )
