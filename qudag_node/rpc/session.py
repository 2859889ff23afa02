"""One client's session without its socket: handshake, role, rate, and the answers to its calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.rpc.caller import Caller
from qudag_node.rpc.dispatch import Answer, Dispatcher, encode_error
from qudag_node.wire.errors import ErrorCode, RemoteProtocolError, RpcError
from qudag_node.wire.framing import HANDSHAKE_BYTES, SERVER_LIMITS, Decoder, Message, Request
from qudag_node.wire.methods import Role
from qudag_node.wire.session import ServerHandshake, SessionState

__all__ = ["Origin", "Session"]

_log = logging.getLogger(__name__)

# A client that is told so often that it is too fast, and goes on, is broken or hostile.
_REFUSALS_IN_A_ROW = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a client comes from.

    Attributes:
        transport: ``unix``, ``tcp`` or ``tls``.
        address: The IP address, or ``uid N``; what failures and connections are counted by.
    """

    transport: str
    address: str

    def __str__(self) -> str:
        return f"{self.transport} {self.address}"


class Session:
    """What a client has shown and may do. The caller reads, feeds, and writes what comes back.

    Attributes:
        is_over: Nothing more will be answered: write what there is, then close.
    """

    def __init__(
        self,
        origin: Origin,
        handshake: ServerHandshake,
        dispatcher: Dispatcher,
        *,
        bucket: TokenBucket,
        refusal: RpcError | None = None,
        on_failure: Callable[[str], None] = lambda _address: None,
    ) -> None:
        """Args: ``refusal`` is all this client will be told; ``on_failure`` hears of a wrong proof."""
        self.origin = origin
        self.is_over = False
        self._handshake = handshake
        self._dispatcher = dispatcher
        self._bucket = bucket
        self._refusal = refusal
        self._on_failure = on_failure
        self._refused_in_a_row = 0
        self.decoder = Decoder(SERVER_LIMITS)
        if origin.transport != "unix":
            self.decoder.message_bytes = HANDSHAKE_BYTES

    @property
    def is_ready(self) -> bool:
        """Whether a role is granted."""
        return self._handshake.state is SessionState.READY

    @property
    def role(self) -> Role:
        """The granted role; asked for only when ready."""
        role = self._handshake.role
        assert role is not None, "no role before the session is ready"  # noqa: S101
        return role

    @property
    def token_name(self) -> str:
        """The name of the token that opened the session, empty where none was needed."""
        return self._handshake.token_name

    def greet(self, message: Message) -> bytes:
        """Answer a message that comes before the session is ready.

        Raises:
            RemoteProtocolError: It is not a request.
        """
        request = _request(message)
        if self._refusal is not None:
            self.is_over = True
            return encode_error(request.id, self._refusal)
        was_challenged = self._handshake.state is SessionState.CHALLENGED
        answer = self._handshake.receive(request)
        if self._handshake.state is SessionState.CLOSED:
            self.is_over = True
            if was_challenged:
                self._on_failure(self.origin.address)
                _log.warning("%s: authentication failed", self.origin)
        elif self.is_ready:
            self.decoder.message_bytes = SERVER_LIMITS.message_bytes
            _log.debug("%s: %s as %s", self.origin, self._handshake.client[:64], self.role)
        return answer

    def answer(self, message: Message, caller: Caller, now_mono_s: float, *, may_wait: bool = True) -> Answer:
        """Answer a call of a ready session; without ``may_wait`` a call that would is refused.

        Raises:
            RemoteProtocolError: It is not a request.
        """
        request = _request(message)
        if self._bucket.take(1, now_mono_s):
            self._refused_in_a_row = 0
            return self._dispatcher.answer(request, caller, may_wait=may_wait)
        self._refused_in_a_row += 1
        self.is_over = self._refused_in_a_row >= _REFUSALS_IN_A_ROW
        too_fast = RpcError(
            ErrorCode.RATE_LIMITED,
            f"more than {self._bucket.rate_per_s:g} calls per second",
            "wait, or raise rpc.requests_per_s",
        )
        return (encode_error(request.id, too_fast),)


def _request(message: Message) -> Request:
    if not isinstance(message, Request):
        raise RemoteProtocolError(f"a client sent a {type(message).__name__.lower()}; it may only call")
    return message
