"""One client's socket: bytes in, the session's answers out, and never more waiting than the limits say.

A client that does not read its answers is not read from; one that keeps that up is closed. Calls are
answered some at a time, so that one client's thousand calls do not hold up the node.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Protocol, cast

from qudag_node.rpc.session import Origin, Session
from qudag_node.rpc.subscriptions import Subscriptions
from qudag_node.wire.errors import ErrorCode, RemoteProtocolError, RpcError
from qudag_node.wire.framing import Message, Notification, encode
from qudag_node.wire.methods import Role

__all__ = ["Connection", "Host", "Patience"]

_log = logging.getLogger(__name__)

# Calls answered before the loop gets to do other things: about 2 ms of small ones, fewer of dear ones.
CALLS_PER_PASS = 32
_PASS_S = 0.002
# Small answers to calls that came together leave together.
_COALESCE_BYTES = 16_384
_MAX_WAITING_CALLS = 32


class Host(Protocol):
    """What a connection needs of its server."""

    subscriptions: Subscriptions

    def opened(self, connection: Connection) -> Session:
        """Take note of a new connection; return its session."""
        ...

    def closed(self, connection: Connection) -> None:
        """Take note of its end."""
        ...

    def note_closed(self, origin: Origin, reason: str) -> None:
        """Log why a client was closed; who causes it again and again does not fill the log."""
        ...

    def spawn(self, call: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run a call that has to wait."""
        ...


class Patience(Protocol):
    """How long a client may be silent or deaf, and what it may hold; see ``RpcConfig``."""

    @property
    def handshake_timeout_s(self) -> float:
        """Until the session is ready."""
        ...

    @property
    def idle_timeout_s(self) -> float:
        """Without a call or a subscription."""
        ...

    @property
    def slow_subscriber_timeout_s(self) -> float:
        """Without taking what was written."""
        ...

    @property
    def max_subscriptions(self) -> int:
        """Subscriptions at once."""
        ...

    @property
    def min_interval_s(self) -> float:
        """Shortest interval of a subscription."""
        ...


class Connection(asyncio.Protocol):
    """The socket of one client. It is a ``Subscriber`` of streams and the ``Caller`` of methods."""

    def __init__(self, host: Host, transport_name: str, limits: Patience, clock: Callable[[], float]) -> None:
        self.transport_name = transport_name
        self._host = host
        self._limits = limits
        self._clock = clock
        self._inbox: deque[Message] = deque()
        self._after_reply: list[Callable[[], None]] = []
        self._waiting_calls: set[asyncio.Task[None]] = set()
        self._streams: set[int] = set()
        self._is_scheduled = False
        self._has_client_ended = False
        self._blocked_since_mono_s: float | None = None
        self._closing_since_mono_s: float | None = None
        self._active_mono_s = clock()
        self.transport: asyncio.Transport
        self.session: Session

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.session = self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes, answer the handshake at once and the calls in turn."""
        if self._closing_since_mono_s is not None:
            return
        session = self.session
        try:
            for message in session.decoder.messages(data):
                if session.is_ready:
                    self._inbox.append(message)
                    continue
                self.send(session.greet(message))
                if session.is_over:
                    self.close()
                    return
        except RemoteProtocolError as exc:
            self.note_closed(str(exc))
            self.close()
            return
        if self._inbox and not self._is_scheduled:
            self._answer_some()

    def pause_writing(self) -> None:
        """Stop answering: the client does not read."""
        self._blocked_since_mono_s = self._clock()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._blocked_since_mono_s = None
        self._schedule()

    def eof_received(self) -> bool:
        """The client calls no more: close once it has its answers."""
        if self.transport_name == "tls":  # whose connections cannot be half closed
            return False
        self._has_client_ended = True
        self._close_if_answered()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        self._inbox.clear()
        for call in self._waiting_calls:
            call.cancel()
        self._host.subscriptions.leave(self)
        self._host.closed(self)
        if exc is not None:
            _log.debug("%s: lost: %s", self.session.origin, exc)

    # Subscriber

    def pending_bytes(self) -> int:
        """Return what was written and not yet taken by the kernel."""
        return self.transport.get_write_buffer_size()

    def send(self, frame: bytes) -> None:
        """Write."""
        if frame and not self.transport.is_closing():
            self.transport.write(frame)

    def drop(self, reason: str) -> None:
        """Close at once, discarding what is pending."""
        self.note_closed(reason)
        self.transport.abort()

    def dismiss(self, reason: RpcError) -> None:
        """Say why, and close; who has not even read what was said before is closed at once."""
        if self.pending_bytes():
            self.drop(reason.message)
            return
        _log.info("%s: closed: %s", self.session.origin, reason.message)
        self.send(encode(Notification("closing", [reason.to_wire()])))
        self.close()

    # Caller

    @property
    def role(self) -> Role:
        """The role that was granted."""
        return self.session.role

    @property
    def label(self) -> str:
        """How the log names the client."""
        token = self.session.token_name
        return f"{self.session.origin} with token {token}" if token else str(self.session.origin)

    def subscribe(self, topic: str, interval_s: float) -> int:
        """Join a stream; see ``Caller``."""
        # Tenths, so that clients share groups.
        interval_s = max(self._limits.min_interval_s, round(interval_s, 1))
        group = self._host.subscriptions.group(topic, interval_s)
        if group is None:
            raise RpcError(
                ErrorCode.BUSY, "too many different intervals are subscribed to", "choose a common one: 1 s"
            )
        # To subscribe again is to ask for the whole: it makes no more of them.
        if group.id not in self._streams and len(self._streams) >= self._limits.max_subscriptions:
            raise RpcError(
                ErrorCode.BUSY, f"more than {len(self._streams)} subscriptions", "end one with unsubscribe"
            )
        self._streams.add(group.id)
        self._after_reply.append(lambda: group.join(self))
        return group.id

    def unsubscribe(self, stream: int) -> bool:
        """Leave a stream; see ``Caller``."""
        self._streams.discard(stream)
        return self._host.subscriptions.leave(self, stream)

    # What the server asks

    def note_closed(self, reason: str) -> None:
        """Log why this client is closed."""
        self._host.note_closed(self.session.origin, reason)

    def close(self) -> None:
        """Write what is pending, then close; the server's sweep aborts who does not take it."""
        if self._closing_since_mono_s is None:
            self._closing_since_mono_s = self._clock()
            self._inbox.clear()
            self.transport.close()

    def check(self, now_mono_s: float) -> None:
        """Close who was silent or deaf for too long."""
        limits = self._limits
        if self._closing_since_mono_s is not None:
            if now_mono_s - self._closing_since_mono_s > limits.handshake_timeout_s:
                self.transport.abort()
        elif not self.session.is_ready:
            if now_mono_s - self._active_mono_s > limits.handshake_timeout_s:
                self.drop(f"no session within {limits.handshake_timeout_s:g} s")
        elif self._blocked_since_mono_s is not None:
            if now_mono_s - self._blocked_since_mono_s > limits.slow_subscriber_timeout_s:
                self.drop(f"read nothing for {limits.slow_subscriber_timeout_s:g} s")
        elif self._is_idle and now_mono_s - self._active_mono_s > limits.idle_timeout_s:
            _log.debug("%s: closed: idle", self.session.origin)
            self.close()

    @property
    def _is_idle(self) -> bool:
        return not self._streams and not self._waiting_calls

    # Calls

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_scheduled = False
        self._answer_some()

    def _answer_some(self) -> None:
        """Answer calls until there are none, the client is deaf, or others must have their turn."""
        now = self._active_mono_s = self._clock()
        answers: list[bytes] = []
        size = 0
        try:
            for _ in range(CALLS_PER_PASS):
                if not self._inbox or self._blocked_since_mono_s is not None:
                    break
                if self._clock() - now > _PASS_S:
                    break
                answer = self._answer(self._inbox.popleft(), now)
                answers += answer
                size += sum(map(len, answer))
                if size > _COALESCE_BYTES or self._after_reply:
                    self._flush(answers)
                    size = 0
        except RemoteProtocolError as exc:
            self.note_closed(str(exc))
            self._flush(answers)
            self.close()
            return
        self._flush(answers)
        if self.session.is_over:
            self.drop("went on calling though it was told that it is too fast")
        elif self._blocked_since_mono_s is None:
            if self._inbox:
                self.transport.pause_reading()
                self._schedule()
            else:
                self.transport.resume_reading()
                self._close_if_answered()

    def _flush(self, answers: list[bytes]) -> None:
        small: list[bytes] = []
        for part in answers:
            if len(part) < _COALESCE_BYTES:
                small.append(part)
                continue
            # Joining would copy it.
            self.send(b"".join(small))
            self.send(part)
            small.clear()
        self.send(b"".join(small))
        answers.clear()
        while self._after_reply:
            self._after_reply.pop(0)()

    def _answer(self, message: Message, now_mono_s: float) -> tuple[bytes, ...]:
        """Return the parts of the answer, or none yet for a call that has to wait."""
        may_wait = len(self._waiting_calls) < _MAX_WAITING_CALLS
        answer = self.session.answer(message, self, now_mono_s, may_wait=may_wait)
        if isinstance(answer, tuple):
            return answer
        call = self._host.spawn(self._send_when_done(answer), f"call[{self.session.origin}]")
        self._waiting_calls.add(call)
        call.add_done_callback(self._call_ended)
        return ()

    def _call_ended(self, call: asyncio.Task[None]) -> None:
        self._waiting_calls.discard(call)
        self._close_if_answered()

    def _close_if_answered(self) -> None:
        if self._has_client_ended and not self._inbox and not self._waiting_calls:
            self.close()

    async def _send_when_done(self, answer: Coroutine[object, object, bytes]) -> None:
        try:
            self._flush([await answer])  # and join the streams that the call has subscribed to
        except Exception:  # noqa: BLE001  # the boundary between one client and the node
            _log.exception("%s: the answer to a call that waited is lost", self.session.origin)
            self.transport.abort()
        self._active_mono_s = self._clock()
