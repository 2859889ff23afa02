"""`Control`: requests and answers between the network tests of two nodes, and bodies that need no answer.

    ask ──────> TestPort.send ──> (link or overlay) ──> TestPort.on_message ──> serve's handler, a task
    ask <────── on_message <───── (link or overlay) <── TestPort.send <────────┘

A request may be lost on its way through relays, so it is sent a second time when half the time has passed;
a node that has it already does it once, and answers twice. Who asks is proved by the overlay. What is asked
is a stranger's: every queue here is bounded, for each peer and in all, and what exceeds them is dropped and
counted (``TestPort.drop_counts``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from qudag_node.errors import (
    DeclinedError,
    NodeError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from qudag_node.nettests.messages import (
    REQUEST_ID_BYTES,
    MalformedBodyError,
    Opcode,
    Request,
    Response,
    Status,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from qudag_node.overlay.ratelimit import FairBudget, TokenBucket
from qudag_node.overlay.routed import MAX_BODY_BYTES
from qudag_node.overlay.testport import PeerFacts, TestMessage, TestPort, Way
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId

__all__ = ["Asker", "Control", "ControlDropCause", "Handler", "Take"]

_log = logging.getLogger(__name__)

_MAX_WAITING = 256
# A handler that takes longer has no one waiting for it.
_HANDLER_TIMEOUT_S = 30.0
#: How often who was declined for now asks again.
_ASK_AGAIN_S = 0.5
_MAX_RUNNING = 64
_MAX_RUNNING_PER_PEER = 8
# So that what is sent twice is done once: the newest answers to each of the peers that asked last.
_MAX_ANSWERS_PER_PEER = 16
_MAX_ASKERS = 256
# A test asks a handful of times; an answer costs a signature and, through relays, a verification.
_REQUESTS_PER_S, _REQUESTS_BURST = 200.0, 400.0
_REQUESTS_PER_S_EACH, _REQUESTS_BURST_EACH = 20.0, 60.0


class ControlDropCause(StrEnum):
    """Why a body was dropped; the text is the cause in ``TestPort.drop_counts``."""

    #: It is none that a correct node sends.
    MALFORMED = "test_malformed"
    #: Who takes it here failed on it.
    FAILED = "test_failed"
    #: Nobody here takes bodies of this opcode.
    OPCODE = "test_opcode"
    #: Its sender asks too often, or all together do.
    RATE = "test_request_rate"
    #: Too many requests are being handled.
    BUSY = "test_request_busy"
    #: An answer to nothing that was asked, or that came too late.
    UNASKED = "test_unasked"
    #: Its sender could not be answered.
    UNREACHABLE = "test_unreachable"
    #: This node is stopping, or has not begun to serve.
    STOPPING = "test_stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, proved, and how the request came."""

    peer: PeerId
    way: Way
    facts: PeerFacts


Handler = Callable[[Asker, dict[str, object]], Awaitable[dict[str, Any]]]
Take = Callable[[TestMessage], str | None]


@dataclass(slots=True)
class _Served:
    """What one peer has asked lately: None while it is being handled, then the answer."""

    answer_by_identity: OrderedDict[bytes, bytes | None] = field(
        default_factory=OrderedDict[bytes, "bytes | None"]
    )
    running: int = 0


class Control:
    """An async context manager: requests are served while it is entered.

    Args:
        port: The overlay.
        monotonic: Reads the clock for the rates of requests; seconds.
        handler_timeout_s: How long a request may take to be handled.
        patience_s: How long a peer that declines for now is asked again before that is its answer.
    """

    def __init__(
        self,
        port: TestPort,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        handler_timeout_s: float = _HANDLER_TIMEOUT_S,
        patience_s: float = 0.0,
    ) -> None:
        self._port = port
        self._handler_timeout_s = handler_timeout_s
        self._patience_s = patience_s
        # Who was declined by a peer for now; they ask again one after the other, as they came.
        self._patient: WeakValueDictionary[PeerId, asyncio.Lock] = WeakValueDictionary()
        self._monotonic = monotonic
        self._handler_by_method: dict[str, Handler] = {}
        self._take_by_opcode: dict[int, Take] = {
            Opcode.REQUEST: self._take_request,
            Opcode.RESPONSE: self._take_response,
        }
        self._waiting: dict[tuple[PeerId, bytes], asyncio.Future[Response]] = {}
        self._served: OrderedDict[PeerId, _Served] = OrderedDict()
        self._handling: set[asyncio.Task[None]] = set()
        # Apart, so that a flood from afar costs no neighbour its answer.
        self._budget_by_way = {
            way: FairBudget(
                _REQUESTS_PER_S,
                _REQUESTS_BURST,
                each_per_s=_REQUESTS_PER_S_EACH,
                each_burst=_REQUESTS_BURST_EACH,
                now_mono_s=self._monotonic(),
            )
            for way in Way
        }
        # What makes a handler fail may be asked again and again.
        self._complaints = TokenBucket(0.1, 5, self._monotonic())
        self._tasks: asyncio.TaskGroup | None = None
        port.on_message = self._take

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PeerRefusedError("this node is stopping"))
        for task in self._handling:
            task.cancel()
        if tasks is not None:
            # Not told of an error of the body, which is to come out as it is, not in a group.
            await tasks.__aexit__(None, None, None)

    async def ask(
        self,
        peer: PeerId,
        method: str,
        params: dict[str, object],
        *,
        timeout_s: float = 5.0,
        way: Way | None = None,
    ) -> dict[str, Any]:
        """Ask a peer and return its answer, which is a stranger's: read it with ``Params``.

        Args:
            peer: Whom.
            method: What for.
            params: What MessagePack takes.
            timeout_s: How long to wait for an answer.
            way: Insist on one; see ``TestPort.send``.

        Raises:
            DeclinedError: It will not, and says why.
            PeerTimeoutError: It does not answer in time.
            PeerUnreachableError: There is no way to it.
            PeerRefusedError: Too much is being asked here at once.
            ValueError: The parameters are over 16 KiB.
        """
        give_up_mono_s = time.monotonic() + self._patience_s
        try:
            return await self._ask_once(peer, method, params, timeout_s, way)
        except DeclinedError as exc:
            if not exc.is_passing or not self._patience_s:
                raise
            declined = exc
        lock = self._patient.setdefault(peer, asyncio.Lock())
        async with lock:
            while time.monotonic() + _ASK_AGAIN_S < give_up_mono_s:
                await asyncio.sleep(_ASK_AGAIN_S)
                try:
                    return await self._ask_once(peer, method, params, timeout_s, way)
                except DeclinedError as exc:
                    if not exc.is_passing:
                        raise
                    declined = exc
        raise declined

    async def _ask_once(
        self, peer: PeerId, method: str, params: dict[str, object], timeout_s: float, way: Way | None
    ) -> dict[str, Any]:
        if len(self._waiting) >= _MAX_WAITING:
            raise PeerRefusedError(f"{_MAX_WAITING} requests to peers wait for an answer already")
        identity = os.urandom(REQUEST_ID_BYTES)
        body = encode_request(Request(identity, method, params))
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[peer, identity] = answer
        try:
            goes = self._port.send(peer, body, way=way)
            response = await self._response(peer, body, answer, goes, timeout_s)
        except TimeoutError as exc:
            name = self._port.facts(peer).name
            raise PeerTimeoutError(f"{name}: no answer to {method} within {timeout_s:g} s") from exc
        finally:
            del self._waiting[peer, identity]
        if response.status is Status.OK:
            return response.result
        reason = clean_text(response.reason, 300) or response.status.name.lower()
        raise DeclinedError(reason, is_passing=response.status is Status.BUSY)

    def serve(self, method: str, handler: Handler) -> None:
        """Answer a method by a handler; a ``NodeError`` that it raises becomes the reason to decline."""
        if method in self._handler_by_method:
            raise ValueError(f"{method} is served already")
        self._handler_by_method[method] = handler

    @property
    def methods(self) -> tuple[str, ...]:
        """What this node answers."""
        return tuple(self._handler_by_method)

    def on_body(self, opcode: int, take: Take) -> None:
        """Hand every body of an opcode to ``take``, which neither blocks nor raises.

        It returns None, or the cause for which it dropped the body.
        """
        if opcode in self._take_by_opcode or not 0 <= opcode <= 255:
            raise ValueError(f"opcode {opcode} is taken, or is none")
        self._take_by_opcode[opcode] = take

    async def _response(
        self, peer: PeerId, body: bytes, answer: asyncio.Future[Response], way: Way, timeout_s: float
    ) -> Response:
        async with asyncio.timeout(timeout_s):
            if way is Way.OVERLAY:
                await asyncio.wait([answer], timeout=timeout_s / 2)
                if not answer.done():
                    with contextlib.suppress(PeerUnreachableError):  # the first one may still arrive
                        self._port.send(peer, body, way=way)
            return await answer

    # What comes in

    def _take(self, message: TestMessage) -> str | None:
        take = self._take_by_opcode.get(message.body[0]) if message.body else None
        if take is None:
            return ControlDropCause.OPCODE if message.body else ControlDropCause.MALFORMED
        try:
            return take(message)
        except MalformedBodyError:
            return ControlDropCause.MALFORMED
        except Exception:  # noqa: BLE001  # the boundary of a stranger's message
            # Whoever takes a body must not raise; when it does, no stranger shall end the node by it.
            if self._complaints.take(1, self._monotonic()):
                _log.exception(
                    "a body of opcode %d from %s was not understood", message.body[0], message.source
                )
            return ControlDropCause.FAILED

    def _take_response(self, message: TestMessage) -> str | None:
        response = decode_response(message.body)
        answer = self._waiting.get((message.source, response.identity))
        if answer is None or answer.done():
            return ControlDropCause.UNASKED
        answer.set_result(response)
        return None

    def _take_request(self, message: TestMessage) -> str | None:
        if self._tasks is None:
            return ControlDropCause.STOPPING
        peer = message.source
        if not self._budget_by_way[message.way].take(peer, self._monotonic()):
            return ControlDropCause.RATE
        facts = self._port.facts(peer)
        if not facts.hops:
            return ControlDropCause.UNREACHABLE
        request = decode_request(message.body)
        served = self._served_of(peer)
        if request.identity in served.answer_by_identity:
            known = served.answer_by_identity[request.identity]
            if known is not None:
                self._send(peer, known)
            return None
        if len(self._handling) >= _MAX_RUNNING or served.running >= _MAX_RUNNING_PER_PEER:
            return ControlDropCause.BUSY
        served.running += 1
        served.answer_by_identity[request.identity] = None
        while len(served.answer_by_identity) > _MAX_ANSWERS_PER_PEER:
            served.answer_by_identity.popitem(last=False)
        asker = Asker(peer=peer, way=message.way, facts=facts)
        task = self._tasks.create_task(self._serve(asker, request, served), name=f"test request[{peer[-8:]}]")
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)
        return None

    def _served_of(self, peer: PeerId) -> _Served:
        served = self._served.get(peer)
        if served is None:
            while len(self._served) >= _MAX_ASKERS:
                self._served.popitem(last=False)
            served = self._served[peer] = _Served()
        self._served.move_to_end(peer)
        return served

    # Serving

    async def _serve(self, asker: Asker, request: Request, served: _Served) -> None:
        try:
            body = await self._answer(asker, request)
            if request.identity in served.answer_by_identity:
                served.answer_by_identity[request.identity] = body
            self._send(asker.peer, body)
        finally:
            served.running -= 1

    async def _answer(self, asker: Asker, request: Request) -> bytes:
        identity, handler = request.identity, self._handler_by_method.get(request.method)
        if handler is None:
            method = clean_text(request.method, 64)
            return _refusal(identity, Status.UNKNOWN, f"this node does not know {method!r}")
        try:
            async with asyncio.timeout(self._handler_timeout_s):
                result = await handler(asker, request.params)
            body = encode_response(Response(identity, Status.OK, result, ""))
            if len(body) > MAX_BODY_BYTES:
                raise ValueError(f"an answer of {len(body)} bytes")  # noqa: TRY301  # a mistake of the handler's
        except NodeError as exc:
            is_passing = isinstance(exc, DeclinedError) and exc.is_passing
            return _refusal(identity, Status.BUSY if is_passing else Status.DECLINED, str(exc))
        except TimeoutError:
            return _refusal(identity, Status.FAILED, "it took too long")
        except Exception:  # noqa: BLE001  # the boundary of a stranger's request
            # A handler's mistake must end neither the node nor the wait of who asks.
            if self._complaints.take(1, self._monotonic()):
                _log.exception("%s failed, asked by %s", request.method, asker.peer)
            return _refusal(identity, Status.FAILED, "it failed there; that node's log says why")
        return body

    def _send(self, peer: PeerId, body: bytes) -> None:
        try:
            self._port.send(peer, body)
        except PeerUnreachableError as exc:
            _log.debug("an answer is lost: %s", exc)


def _refusal(identity: bytes, status: Status, reason: str) -> bytes:
    return encode_response(Response(identity, status, {}, reason))
