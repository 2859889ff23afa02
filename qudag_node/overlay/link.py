"""One link: a thin shell that moves bytes between a socket and the parts that understand them.

    socket -> TlsChannel -> Opening, then FrameDecoder -> the link's owner
    owner  -> Outlet     -> TlsChannel -> socket

    OPENING ──proof──> GREETED ──the server's SEED──> UP ──GOODBYE──> LEAVING ──> CLOSED
               (the server is up at once, its SEED being the first thing it sends)

*Received* means decoded. The two HELLO frames are counted, at both ends, once the link is up; what was
exchanged on a connection that never became a link is counted at neither. Who leaves reads on until the
other end has left too, so that after an orderly end both have counted the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from typing import cast

from qudag_node.errors import PeerError, PeerTimeoutError, PeerUnreachableError
from qudag_node.host import unacknowledged_bytes
from qudag_node.metrics import PeerHandle
from qudag_node.overlay.faults import LinkRefusedError
from qudag_node.overlay.frames import (
    FRAME_NAMES,
    HEADER_BYTES,
    Frame,
    FrameDecoder,
    FrameType,
    Goodbye,
    GoodbyeReason,
    Pong,
    RemoteFault,
    decode_goodbye,
    decode_ping,
    decode_pong,
    decode_seed,
    encode_goodbye,
    encode_ping,
    encode_pong,
    encode_seed,
)
from qudag_node.overlay.handshake import LinkTerms, Role
from qudag_node.overlay.linkkeys import LinkKeys, derive_link_keys
from qudag_node.overlay.linkowner import LinkSettings
from qudag_node.overlay.linkphase import LinkPhase
from qudag_node.overlay.opening import Opening, explain_goodbye
from qudag_node.overlay.outlet import Outlet
from qudag_node.overlay.ping import PingTracker
from qudag_node.overlay.queue import QueueLimits, SendQueue
from qudag_node.overlay.ratelimit import PeerRateLimiter, RateLimits
from qudag_node.overlay.tls import TlsChannel
from qudag_node.peerid import PeerId

__all__ = ["Link"]

# How long a goodbye may take to be answered before the socket is closed anyway.
_LEAVE_TIMEOUT_S = 2.0
_SEED_BYTES = 32

# The peer left and means no harm by it.
_PEACEFUL = frozenset(
    {GoodbyeReason.OTHER, GoodbyeReason.STOPPING, GoodbyeReason.DUPLICATE, GoodbyeReason.REMOVED}
)
# What the owner handles; the rest is the link's own.
_FOR_THE_OWNER = frozenset(
    {FrameType.DATA, FrameType.ADVERT, FrameType.PEERS, FrameType.ROUTED, FrameType.TEST}
)
# Phases in which frames are decoded.
_DECODING = frozenset({LinkPhase.UP, LinkPhase.LEAVING})


class Link(asyncio.BufferedProtocol):
    """One end of one link.

    Attributes:
        role: Client if we dialled.
        phase: How far it has come.
        peer: What is recorded under; ``nobody`` until it is up.
        remote: Address and port of the other end's socket.
        up_unix_s: When it came up; ``up_mono_s`` the same, monotonic.
        keys: For measurements beside the link, once both seeds are known.
        stood_s: How long it was up, once it no longer is.
        opened: At a dialled link: done when it is up, failed when it will never be.
        down: Done when it has been up and is no longer, with the error that ended it, if one did.
        goodbye: What whoever left first said, this end or (``is_left``) the other.
        is_left: Whether the other end left first.
        pings: Round-trip times and the clocks' offset.
        received_messages: Frames decoded since it is up; HELLO comes before that.
        confirmed_messages: Of the frames sent, those the other end said it has received.
        send: Queues a whole frame; see ``Outlet.offer``.
    """

    def __init__(self, settings: LinkSettings, role: Role, *, expected: PeerId | None = None) -> None:
        config, clock, collector = settings.config, settings.clock, settings.collector
        is_server = role is Role.SERVER
        self._settings = settings
        self._clock = clock
        self._owner = settings.owner
        self._collector = collector
        self._received_key = collector.received_keys
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._tls = TlsChannel(settings.server_tls if is_server else settings.client_tls, is_server=is_server)
        self._decoder = FrameDecoder(config.max_frame_bytes)
        self._opening = Opening(
            role,
            settings.me,
            self._tls,
            self._decoder,
            expected=expected,
            admit=lambda peer_id: settings.owner.admit(self, peer_id),
        )
        limits = QueueLimits(data_bytes=config.send_queue_bytes, data_messages=config.send_queue_messages)
        self._outlet = Outlet(limits, self._tls, collector, clock)
        rates = RateLimits(messages_per_s=config.peer_messages_per_s, bytes_per_s=config.peer_bytes_per_s)
        self._limiter = PeerRateLimiter(rates, clock.monotonic())
        self._our_seed = os.urandom(_SEED_BYTES)
        self._last_received_mono_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._error: PeerError | None = None
        self.role = role
        self.phase = LinkPhase.OPENING
        self.peer: PeerHandle = collector.nobody
        self.remote: tuple[str, int] = ("", 0)
        self.up_unix_s = self.up_mono_s = self.stood_s = 0.0
        self.keys: LinkKeys | None = None
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.down: asyncio.Future[PeerError | None] = self._loop.create_future()
        self.goodbye: Goodbye | None = None
        self.is_left = False
        self.pings = PingTracker(timeout_s=config.dead_peer_timeout_s)
        self.received_messages = self.received_bytes = 0
        self.confirmed_messages = self.confirmed_bytes = 0
        self.send = self._outlet.offer

    # What others may ask of a link

    @property
    def peer_id(self) -> PeerId | None:
        """Who is at the other end, None until that is known."""
        return self._opening.peer_id

    @property
    def terms(self) -> LinkTerms | None:
        """Who the other end is and what was agreed, None before the proof."""
        return self._opening.terms

    @property
    def is_up(self) -> bool:
        """Whether messages flow."""
        return self.phase is LinkPhase.UP

    @property
    def is_closed(self) -> bool:
        """Whether its socket is gone."""
        return self.phase is LinkPhase.CLOSED

    @property
    def queue(self) -> SendQueue:
        """What waits to be sent."""
        return self._outlet.queue

    @property
    def unconfirmed(self) -> tuple[int, int]:
        """Messages and bytes sent of which the other end has not said that it received them."""
        outlet = self._outlet
        return outlet.written_messages - self.confirmed_messages, outlet.written_bytes - self.confirmed_bytes

    @property
    def socket(self) -> socket.socket | None:
        """The socket, for what the kernel knows of it; None once it is closed."""
        if self._transport is None or self._transport.is_closing():
            return None
        return cast("socket.socket | None", self._transport.get_extra_info("socket"))

    def ping(self) -> None:
        """Ask how the other end is, and what it has received."""
        ping = self.pings.ping(self._clock.monotonic_ns()) if self.is_up else None
        if ping is not None and self.send(FrameType.PING, encode_ping(ping), self._clock.monotonic()):
            self._collector.probe_sent(self.peer)

    def leave(self, reason: GoodbyeReason, text: str = "") -> None:
        """Part in order: say why, read what is on its way, close when the other end has.

        Before the link is up there is nothing to read: the other end is told, and the socket closed.
        """
        if self.phase is LinkPhase.UP:
            self.goodbye = Goodbye(reason, text)
            self._step_down(None, self.goodbye)
            self._start_timer(_LEAVE_TIMEOUT_S, self._abort)
        elif self.phase in {LinkPhase.OPENING, LinkPhase.GREETED}:
            self.fail(LinkRefusedError(reason, text or f"this node: {reason.name.lower()}"))

    def fail(self, error: PeerError) -> None:
        """The other end is at fault, or not wanted: tell it where that helps, and close."""
        if self.phase is LinkPhase.UP:
            self._step_down(error, Goodbye(GoodbyeReason.PROTOCOL, str(error)))
        elif self.phase in {LinkPhase.OPENING, LinkPhase.GREETED} and self._error is None:
            self._error = error
            if isinstance(error, LinkRefusedError) and error.is_ours:
                self._opening.refuse(error)
        self._close_socket()

    def abort(self, error: PeerError) -> None:
        """Close the socket at once; what was queued is dropped."""
        if self.phase is LinkPhase.UP:
            self._step_down(error)
        elif self._error is None:
            self._error = error
        self._abort()

    # The socket's side: asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A TCP connection stands: TLS begins, with the deadline of the whole handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._outlet.attach(self._transport)
        self._fd = cast("socket.socket", transport.get_extra_info("socket")).fileno()
        self._settings.sockets.add(self._fd)
        name = cast("tuple[str, int] | None", transport.get_extra_info("peername"))
        if name is not None:
            self.remote = name[0], name[1]
        if self.role is Role.SERVER:
            try:
                self._owner.accept(self)
            except PeerError as exc:
                self.abort(exc)
                return
        timeout_s = self._settings.config.handshake_timeout_s
        self._start_timer(timeout_s, self._time_out)
        self._tls.start()
        self._write_tls()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes: one buffer for all links."""
        return self._settings.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived; everything that they complete happens here."""
        if self.phase is LinkPhase.CLOSED:
            return
        try:
            plain = self._tls.receive(self._settings.read_buffer[:nbytes])
            if self.phase in _DECODING:
                self._take(self._decoder.feed(plain))
            else:
                self._open(plain)
        except PeerError as exc:
            self.fail(exc)
        self._write_tls()
        if self._tls.is_closed_by_peer:
            self._close_socket()

    def pause_writing(self) -> None:
        """The kernel's buffer is full. The outlet has seen it, and waits for ``resume_writing``."""

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        self._outlet.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._stop_timer()
        if self.phase is LinkPhase.UP:
            why = f"the connection was lost ({exc or 'closed by the peer'}){self._lost_words()}"
            self._step_down(PeerUnreachableError(why))
        self.phase = LinkPhase.CLOSED
        self._outlet.detach()
        self._transport = None
        self._settings.sockets.discard(self._fd)
        if self.down.done():
            self._owner.link_closed(self)
            return
        error = self._error or PeerUnreachableError(f"closed before the link was up ({exc or 'by the peer'})")
        self._owner.link_failed(self, error)
        if self.role is Role.CLIENT and not self.opened.done():
            self.opened.set_exception(error)

    # Coming up

    def _open(self, plain: bytes) -> None:
        is_open = self._opening.receive(plain)
        if self._opening.terms is not None and self.phase is LinkPhase.OPENING:
            self.phase = LinkPhase.GREETED
        if is_open:
            self._come_up()
            first = self._opening.first_frame
            self._decoder.max_payload_bytes = self._settings.config.max_frame_bytes
            self._take(([] if first is None else [first]) + self._decoder.feed(b""))

    def _come_up(self) -> None:
        terms, collector = cast("LinkTerms", self.terms), self._collector
        self.phase = LinkPhase.UP
        self.up_unix_s, self.up_mono_s = self._clock.time(), self._clock.monotonic()
        self._last_received_mono_s = self.up_mono_s
        self.peer = self._owner.link_up(self)
        self._outlet.open(self.peer)
        collector.record_message_sent(self.peer, "hello", terms.sent_bytes)
        collector.record_message_received(self.peer, "hello", terms.received_bytes)
        collector.record_message_processed("hello")
        self.send(FrameType.SEED, encode_seed(self._our_seed), self.up_mono_s)
        # Spread over the interval, so that links that came up together do not ping together.
        self._start_timer(self._settings.config.ping_interval_s * random.uniform(0.1, 1.0), self._tick)
        self._owner.link_ready(self)
        if self.role is Role.CLIENT and not self.opened.done():
            self.opened.set_result(None)

    # Receiving

    def _take(self, frames: list[Frame]) -> None:
        if not frames:
            return
        now_mono_s = self._last_received_mono_s = self._clock.monotonic()
        take_frame, received_key, peer = self._owner.take_frame, self._received_key, self.peer
        key, log, admit = peer.key, self._collector.log, self._limiter.admit
        for kind, payload in frames:
            size_bytes = len(payload) + HEADER_BYTES
            log(key + received_key[kind] + size_bytes)
            self.received_messages += 1
            self.received_bytes += size_bytes
            refusal = admit(kind, size_bytes, now_mono_s)
            if refusal is not None:
                self._collector.record_message_dropped(peer, FRAME_NAMES[kind], "in", refusal)
            elif kind in _FOR_THE_OWNER:
                take_frame(self, kind, payload, now_mono_s)
            else:
                self._take_control(kind, payload)
        self._collector.fold_if_due()

    def _take_control(self, kind: FrameType, payload: bytes) -> None:
        try:
            match kind:
                case FrameType.PING:
                    self._answer_ping(payload)
                case FrameType.PONG:
                    self._measure(payload)
                case FrameType.SEED:
                    self._take_seed(payload)
                case FrameType.GOODBYE:
                    self._take_goodbye(payload)
                case _:
                    _refuse(kind)
        except RemoteFault as exc:
            self._collector.record_message_failed(self.peer, FRAME_NAMES[kind], exc.cause)
            raise
        self._collector.record_message_processed(FRAME_NAMES[kind])

    def _answer_ping(self, payload: bytes) -> None:
        ping = decode_ping(payload)
        pong = Pong(
            nonce=ping.nonce,
            sender_mono_ns=ping.sender_mono_ns,
            wall_unix_ns=self._clock.time_ns(),
            received_messages=self.received_messages,
            received_bytes=self.received_bytes,
        )
        self.send(FrameType.PONG, encode_pong(pong), self._last_received_mono_s)

    def _measure(self, payload: bytes) -> None:
        measurement = self.pings.pong(decode_pong(payload), self._clock.monotonic_ns(), self._clock.time_ns())
        if measurement is None:
            return
        if (
            measurement.confirmed_messages > self._outlet.written_messages
            or measurement.confirmed_bytes > self._outlet.written_bytes
        ):
            raise RemoteFault("pong_unasked", "it confirms more than was sent")
        self.confirmed_messages = measurement.confirmed_messages
        self.confirmed_bytes = measurement.confirmed_bytes
        self._collector.record_latency(self.peer, measurement.rtt_s, method="link-ping")
        self._collector.record_type_latency("ping", measurement.rtt_s, method="request-reply")
        self._owner.link_measured(self, measurement.rtt_s)

    def _take_seed(self, payload: bytes) -> None:
        if self.keys is not None:
            raise RemoteFault("seed_repeated", "a second seed")
        theirs = decode_seed(payload)
        is_client = self.role is Role.CLIENT
        seeds = (self._our_seed, theirs) if is_client else (theirs, self._our_seed)
        self.keys = derive_link_keys(*seeds)

    def _take_goodbye(self, payload: bytes) -> None:
        goodbye = decode_goodbye(payload)
        if self.phase is LinkPhase.UP:
            error = None
            self.goodbye, self.is_left = goodbye, True
            if goodbye.reason not in _PEACEFUL:
                why = f"the peer left: {explain_goodbye(goodbye)}"
                error = LinkRefusedError(goodbye.reason, why, is_ours=False)
            # Our own goodbye tells the other end that it has read everything.
            self._step_down(error, Goodbye(goodbye.reason))
        else:
            # It answers ours, which it could not before it had read everything.
            self.confirmed_messages = self._outlet.written_messages
            self.confirmed_bytes = self._outlet.written_bytes
        self._close_socket()

    # Time

    def _tick(self) -> None:
        """Ask how the other end is, and notice when it no longer answers."""
        config = self._settings.config
        self._start_timer(config.ping_interval_s, self._tick)
        now_mono_s, now_mono_ns = self._clock.monotonic(), self._clock.monotonic_ns()
        self._count_lost(self.pings.expire(now_mono_ns))
        if self._settings.pace.is_held:
            # Where nobody asks, nobody answers: silence means nothing until it is over.
            self._last_received_mono_s = now_mono_s
            return
        silent_s = now_mono_s - self._last_received_mono_s
        if silent_s > config.dead_peer_timeout_s:
            self.abort(PeerTimeoutError(f"nothing received for {silent_s:.1f} s{self._lost_words()}"))
            return
        self.ping()

    def _count_lost(self, pings: int) -> None:
        for _ in range(pings):
            self._collector.probe_lost(self.peer)

    def _time_out(self) -> None:
        timeout_s = self._settings.config.handshake_timeout_s
        self.abort(PeerTimeoutError(f"no proof of identity within {timeout_s:g} s"))

    def _start_timer(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(delay_s, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Ending

    def _step_down(self, error: PeerError | None, goodbye: Goodbye | None = None) -> None:
        """Leave ``UP``: nothing more is sent but a goodbye."""
        self.phase = LinkPhase.LEAVING
        self.stood_s = self._clock.monotonic() - self.up_mono_s
        if goodbye is None:
            self._outlet.shut()
        else:
            self._outlet.close(FrameType.GOODBYE, encode_goodbye(goodbye))
        self._count_lost(self.pings.abandon())
        self._owner.link_down(self, error)
        self.down.set_result(error)

    def _lost_words(self) -> str:
        """Return what a sudden end has cost at most. The socket of a lost connection is still open here."""
        messages, size_bytes = self.unconfirmed
        if not messages or self._transport is None:
            return ""
        words = f"; at most {messages} messages, {size_bytes} bytes were not confirmed"
        sock = cast("socket.socket | None", self._transport.get_extra_info("socket"))
        is_client = self.role is Role.CLIENT
        pending = None if sock is None else unacknowledged_bytes(sock, has_dialled=is_client)
        return words if pending is None else f"{words}, {pending} bytes of TCP not acknowledged"

    def _close_socket(self) -> None:
        """Close once everything written is out, or the time for that is over."""
        if self._transport is None or self._transport.is_closing():
            return
        self._tls.close()
        self._write_tls()
        self._transport.close()
        self._start_timer(_LEAVE_TIMEOUT_S, self._abort)

    def _write_tls(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            data = self._tls.outgoing()
            if data:
                self._transport.write(data)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _refuse(kind: FrameType) -> None:
    raise RemoteFault("frame_unexpected", f"a {kind.name.lower()} frame on a link that is up")
