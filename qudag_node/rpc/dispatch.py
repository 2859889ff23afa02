"""From a request to the bytes of its response: the role is checked, the method called, errors told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping

from qudag_node.errors import (
    AmbiguousError,
    ConfigError,
    NodeError,
    NotFoundError,
    PeerError,
    PeerRefusedError,
)
from qudag_node.rpc.caller import Caller
from qudag_node.rpc.methods import HANDLERS, Handler
from qudag_node.rpc.offers import Document, Offers
from qudag_node.rpc.params import Params
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.framing import Request, Response, encode, encode_parts
from qudag_node.wire.methods import METHODS, Role

__all__ = ["Answer", "Dispatcher", "encode_error"]

Answer = tuple[bytes, ...] | Coroutine[object, object, bytes]
"""What is written to a client, or what will be."""

_log = logging.getLogger(__name__)

# A call that waits for the network, such as a dial, must not outlive the caller's patience by far.
CALL_TIMEOUT_S = 30.0


class Dispatcher:
    """Calls the methods of a node on behalf of its clients."""

    def __init__(self, node: Offers, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        self._node = node
        self._handlers = handlers

    def answer(self, request: Request, caller: Caller, *, may_wait: bool = True) -> Answer:
        """Return the response in parts, or what will, for a method that has to wait and may."""
        try:
            handler = self._handler(request, caller)
            result = handler(self._node, Params(request.params), caller)
            if not isinstance(result, Coroutine):
                self._settle(request)
                return encode_parts(Response(request.id, None, result))
            if not may_wait:
                result.close()
                busy = RpcError(ErrorCode.BUSY, "too many calls are waiting", "wait for their answers")
                return (encode_error(request.id, busy),)
            return self._when_done(request, result)
        except Exception as exc:  # noqa: BLE001  # the boundary between a client and the node
            return (_failure(request, exc),)

    def _handler(self, request: Request, caller: Caller) -> Handler:
        method = METHODS.get(request.method)
        handler = self._handlers.get(request.method)
        if method is None or (handler is None and method.role is not None):
            raise RpcError(
                ErrorCode.UNKNOWN_METHOD,
                f"there is no method {request.method[:64]!r}",
                "the node may be older than the client; hello tells its version",
            )
        if handler is None or method.role is None:
            raise RpcError(ErrorCode.BAD_REQUEST, f"{request.method} is over: the session is ready")
        if not caller.role.includes(method.role):
            raise RpcError(
                ErrorCode.FORBIDDEN,
                f"{request.method} needs the role {method.role}; this session has {caller.role}",
                "connect over the node's own socket as its user, or with a token of that role",
            )
        return handler

    async def _when_done(self, request: Request, result: Coroutine[object, object, Document]) -> bytes:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                document = await result
        except Exception as exc:  # noqa: BLE001  # the boundary between a client and the node
            return _failure(request, exc)
        self._settle(request)
        return encode(Response(request.id, None, document))

    def _settle(self, request: Request) -> None:
        """Who changed something is to see it in the next statistics."""
        if METHODS[request.method].role is not Role.VIEWER:
            self._node.forget_statistics()


def encode_error(id_: int, error: RpcError) -> bytes:
    """Return the bytes of an error response."""
    return encode(Response(id_, error.to_wire(), None))


def _failure(request: Request, exc: Exception) -> bytes:
    error = _told(exc)
    if error.code is ErrorCode.INTERNAL:
        # What the node foresaw is one line; anything else is a fault of ours, to be found.
        foreseen = isinstance(exc, NodeError)
        _log.error("%s failed: %s", request.method[:64], exc, exc_info=None if foreseen else exc)
    return encode_error(request.id, error)


def _told(exc: Exception) -> RpcError:
    """Translate what the node raises into what a client is told."""
    match exc:
        case RpcError():
            return exc
        case NotFoundError():
            return RpcError(ErrorCode.NOT_FOUND, str(exc), "`qudag peer list` shows what there is")
        case AmbiguousError():
            return RpcError(ErrorCode.AMBIGUOUS, str(exc), "write more of the identity, or the whole name")
        case PeerRefusedError():
            return RpcError(ErrorCode.DECLINED, str(exc))
        case ConfigError():
            return RpcError(ErrorCode.BAD_REQUEST, str(exc))
        case PeerError() | TimeoutError():
            return RpcError(ErrorCode.BUSY, str(exc) or "it took too long", "try again")
        case NodeError():
            return RpcError(ErrorCode.INTERNAL, str(exc))
        case _:
            return RpcError(ErrorCode.INTERNAL, "the node failed at this call", "its log says why: qudag log")
