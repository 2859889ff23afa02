"""A session from hello to calls, for both sides. No I/O; the caller reads, feeds, and writes what it gets.

    client                                   node
    hello {versions, client}         ->
                                     <-      {version, node, role}                  on a Unix socket: READY
                                     <-      {version, node, challenge}             elsewhere: CHALLENGED
    authenticate {proof, nonce}      ->
                                     <-      {role, proof}                          READY
    any refusal                      <-      error                                  CLOSED
    calls                            ->  <-  responses, notifications

On a Unix socket calls may follow hello at once, without waiting for its answer.
"""

from __future__ import annotations

import os
from enum import Enum, auto

from qudag_node.wire._values import as_map, value
from qudag_node.wire.errors import (
    AuthenticationError,
    ErrorCode,
    LocalProtocolError,
    RemoteProtocolError,
    RpcError,
)
from qudag_node.wire.framing import CLIENT_LIMITS, Decoder, Message, Notification, Request, Response, encode
from qudag_node.wire.methods import VERSIONS, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from qudag_node.peerid import PeerId
    from qudag_node.wire.addresses import Transport

__all__ = [
    "TRANSITIONS",
    "ClientSession",
    "Credential",
    "Event",
    "Failed",
    "NodeCard",
    "Notified",
    "Ready",
    "Reply",
    "ServerHandshake",
    "SessionState",
    "Step",
]


class SessionState(Enum):
    """How far a session has come, seen from either side."""

    #: Nothing was said.
    OPENING = auto()
    #: The client said hello.
    GREETED = auto()
    #: The node asked for a proof.
    CHALLENGED = auto()
    #: The client sent its proof.
    PROVING = auto()
    #: A role is granted; calls are answered.
    READY = auto()
    #: Refused, or broken. Nothing more is said.
    CLOSED = auto()


class Step(Enum):
    """What moves a session on, whoever says it."""

    HELLO = auto()
    GRANT = auto()
    CHALLENGE = auto()
    PROOF = auto()
    REFUSAL = auto()


TRANSITIONS: dict[SessionState, dict[Step, SessionState]] = {
    SessionState.OPENING: {Step.HELLO: SessionState.GREETED, Step.REFUSAL: SessionState.CLOSED},
    SessionState.GREETED: {
        Step.GRANT: SessionState.READY,
        Step.CHALLENGE: SessionState.CHALLENGED,
        Step.REFUSAL: SessionState.CLOSED,
    },
    SessionState.CHALLENGED: {Step.PROOF: SessionState.PROVING, Step.REFUSAL: SessionState.CLOSED},
    SessionState.PROVING: {Step.GRANT: SessionState.READY, Step.REFUSAL: SessionState.CLOSED},
    SessionState.READY: {Step.REFUSAL: SessionState.CLOSED},
    SessionState.CLOSED: {},
}
"""The states of a session and what leads from one to the next; the same table on both sides."""


@value
class Ready:
    """The session is open. ``hello`` is the node's answer, with the ``role`` that was granted."""

    hello: Mapping[str, object]


@value
class Reply:
    """A call succeeded."""

    id: int
    result: object


@value
class Failed:
    """A call was answered with an error."""

    id: int
    error: RpcError


@value
class Notified:
    """A subscribed stream brought something."""

    method: str
    params: Mapping[str, object]


Event = Ready | Reply | Failed | Notified

_HELLO_ID = 0
_AUTHENTICATE_ID = 1
_FIRST_CALL_ID = 2
_ID_LIMIT = 1 << 32
_NONCE_BYTES = 32


class ClientSession:
    """The client's side.

    Args:
        client_name: What the node's log calls us, for instance ``qudag-top 0.1.0``.
        token: Needed where the node asks for a proof, as it does on tcp and tls.
        transport: What carries the bytes.
        certificate_der: The server's certificate, on tls. That its key belongs to the expected node
            must be checked before anything is sent (``peerid.ed25519_key_of_certificate``).
        expected_id: The node that must answer; any, if None.
        nonce: 32 random bytes; drawn here if None.
    """

    def __init__(
        self,
        client_name: str,
        token: bytes | None = None,
        transport: Transport = "unix",
        certificate_der: bytes | None = None,
        *,
        expected_id: PeerId | None = None,
        nonce: bytes | None = None,
    ) -> None:
        self.state = SessionState.OPENING
        self._client_name = client_name
        self._token = token
        self._transport = transport
        self._certificate_der = certificate_der
        self._expected_id = expected_id
        self._nonce = nonce
        self._decoder = Decoder(CLIENT_LIMITS)
        self._outgoing = bytearray()
        self._hello: dict[str, object] = {}
        self._node_proof = b""
        self._waiting: set[int] = set()
        self._next_id = _FIRST_CALL_ID

    @property
    def hello(self) -> dict[str, object]:
        """The node's answer to hello, with the granted ``role``; empty until ready."""
        return self._hello

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that has not come whole; if the node hangs up now, it broke off."""
        return self._decoder.pending_bytes

    def start(self) -> bytes:
        """Return the bytes that open the session."""
        if self.state is not SessionState.OPENING:
            raise LocalProtocolError("a session is started once")
        self._step(Step.HELLO)
        self._waiting.add(_HELLO_ID)
        hello = {"versions": list(VERSIONS), "client": self._client_name}
        return encode(Request(_HELLO_ID, "hello", [hello]))

    def call(self, method: str, params: Mapping[str, object] | None = None) -> tuple[int, bytes]:
        """Return the id of a new call and the bytes to send.

        Raises:
            LocalProtocolError: the session is not ready, and this transport does not allow to call ahead.
        """
        ahead = self._transport == "unix" and self.state is SessionState.GREETED
        if self.state is not SessionState.READY and not ahead:
            raise LocalProtocolError(f"{method} was called while the session was {self.state.name.lower()}")
        id_ = self._next_id
        self._next_id = id_ + 1 if id_ + 1 < _ID_LIMIT else _FIRST_CALL_ID
        self._waiting.add(id_)
        return id_, encode(Request(id_, method, [dict(params)] if params else []))

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes from the node and return what they brought. Then send ``outgoing()``.

        After an error the session is closed.

        Raises:
            RpcError: the node refused the session, or ends it and says why.
            AuthenticationError: the node's proof or identity is wrong, or a token is missing.
            RemoteProtocolError: the node broke the protocol.
        """
        if self.state in (SessionState.OPENING, SessionState.CLOSED):
            raise LocalProtocolError(f"bytes were received while the session was {self.state.name.lower()}")
        events: list[Event] = []
        try:
            for message in self._decoder.messages(data):
                event = self._event(message)
                if event is not None:
                    events.append(event)
        except (RpcError, AuthenticationError, RemoteProtocolError):
            self._step(Step.REFUSAL)
            self._outgoing.clear()
            raise
        return events

    def outgoing(self) -> bytes:
        """Return, once, the bytes that must be sent in answer to what was received."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _step(self, step: Step) -> None:
        self.state = _next_state(self.state, step)

    def _event(self, message: Message) -> Event | None:
        match message:
            case Notification(method, params):
                if self.state is not SessionState.READY:
                    raise RemoteProtocolError(f"the node sent {method} before the session was ready")
                named = params[0] if params else {}
                if method == "closing":
                    raise RpcError.from_wire(named)
                return Notified(method, named)
            case Response():
                return self._response(message)
            case Request(_, method):
                raise RemoteProtocolError(f"the node called {method}; it may only answer")

    def _response(self, response: Response) -> Event | None:
        if response.id not in self._waiting:
            raise RemoteProtocolError(f"the node answered call {response.id}, which is not waiting")
        self._waiting.remove(response.id)
        error = None if response.error is None else RpcError.from_wire(response.error)
        if response.id in (_HELLO_ID, _AUTHENTICATE_ID):
            if error is not None:
                raise error
            return self._greeted(response) if response.id == _HELLO_ID else self._proven(response)
        if self.state is not SessionState.READY:
            raise RemoteProtocolError("the node answered a call before hello")
        return Reply(response.id, response.result) if error is None else Failed(response.id, error)

    def _greeted(self, response: Response) -> Event | None:
        hello = as_map(response.result, "the node's answer to hello")
        version = hello.get("version")
        if version not in VERSIONS:
            raise RpcError(
                ErrorCode.UNSUPPORTED_VERSION, f"the node chose version {version!r}, which was not offered"
            )
        match hello.get("node"):
            case {"id": str(node_id), "name": str()}:
                pass
            case _:
                raise RemoteProtocolError("the node's answer to hello lacks node.id or node.name")
        if self._expected_id is not None and node_id != self._expected_id:
            raise AuthenticationError(f"the node says it is {node_id}, not {self._expected_id}")
        self._hello = hello
        match hello:
            case {"role": str(role)} if self._transport == "unix":
                self._grant(role)
                return Ready(hello)
            case {"role": str()}:
                # Whoever answers on a port must show that it knows the token before it is believed.
                raise AuthenticationError("the node granted a role without a proof of its own")
            case {"challenge": bytes(challenge)} if len(challenge) == _NONCE_BYTES:
                self._step(Step.CHALLENGE)
                self._authenticate(node_id, challenge)
                return None
            case _:
                raise RemoteProtocolError("the node's answer to hello has neither a role nor a challenge")

    def _authenticate(self, node_id: str, challenge: bytes) -> None:
        from qudag_node.peerid import PeerId
        from qudag_node.wire import auth

        if self._token is None:
            raise AuthenticationError(
                "the node asks for a token, and there is none; name its file with --token-file or "
                "QUDAG_TOKEN_FILE; `qudag token add` on its host makes one"
            )
        nonce = os.urandom(auth.NONCE_BYTES) if self._nonce is None else self._nonce
        about = (self._token, PeerId(node_id), self._certificate_der, challenge, nonce)
        self._node_proof = auth.node_proof(*about)
        self._step(Step.PROOF)
        self._waiting.add(_AUTHENTICATE_ID)
        params: dict[str, object] = {"proof": auth.client_proof(*about), "nonce": nonce}
        self._outgoing += encode(Request(_AUTHENTICATE_ID, "authenticate", [params]))

    def _proven(self, response: Response) -> Event:
        from qudag_node.wire.auth import verify

        match response.result:
            case {"role": str(role), "proof": bytes(proof)} if verify(self._node_proof, proof):
                self._grant(role)
                self._hello = {**self._hello, "role": role}
                return Ready(self._hello)
            case _:
                raise AuthenticationError(
                    "the node could not prove that it knows the token; nothing was asked of it"
                )

    def _grant(self, role: str) -> None:
        if role not in set(Role):
            raise RemoteProtocolError(f"the node granted {role!r}, which is no role")
        self._step(Step.GRANT)


@value
class NodeCard:
    """What a node says of itself in answer to hello."""

    id: PeerId
    name: str
    version: str
    network: str


@value
class Credential:
    """A token that opens a session with a role; ``name`` is what the log says."""

    name: str
    role: Role
    token: bytes


class ServerHandshake:
    """The node's side, from the first byte to the granted role; calls after that are the server's business.

    Args:
        card: Who we are.
        capabilities: Names of optional things this node can do.
        role: The role granted at once, on a Unix socket; None: ask for a proof.
        credentials: Returns the tokens that are valid now; called once, when the proof arrives.
        certificate_der: Our certificate, on tls.
        nonce: 32 random bytes, never used before.
    """

    def __init__(
        self,
        card: NodeCard,
        *,
        capabilities: Iterable[str] = (),
        role: Role | None = None,
        credentials: Callable[[], Iterable[Credential]] = tuple,
        certificate_der: bytes | None = None,
        nonce: bytes,
    ) -> None:
        self.state = SessionState.OPENING
        self.role: Role | None = None
        """The granted role; None until ready."""
        self.client = ""
        """How the client calls itself. Untrusted text."""
        self.token_name = ""
        """Name of the token that opened the session; empty when none was needed."""
        self._card = card
        self._capabilities = list(capabilities)
        self._role_at_once = role
        self._credentials = credentials
        self._certificate_der = certificate_der
        self._nonce = nonce

    def receive(self, request: Request) -> bytes:
        """Answer ``hello`` or ``authenticate``; refuse everything else.

        After a refusal ``state`` is CLOSED: send the bytes, then close the connection.
        """
        try:
            match self.state, request.method:
                case SessionState.OPENING, "hello":
                    result = self._greet(request)
                case SessionState.CHALLENGED, "authenticate":
                    result = self._authenticate(request)
                case _:
                    result = self._refuse(request)
        except RpcError as error:
            self._step(Step.REFUSAL)
            return encode(Response(request.id, error.to_wire(), None))
        return encode(Response(request.id, None, result))

    def _step(self, step: Step) -> None:
        self.state = _next_state(self.state, step)

    def _refuse(self, request: Request) -> dict[str, object]:
        raise RpcError(
            ErrorCode.UNAUTHENTICATED,
            f"{request.method} was called before the session was ready",
            "call hello first, then authenticate where a challenge is given",
        )

    def _greet(self, request: Request) -> dict[str, object]:
        match request.params:
            case [{"versions": list(versions), **rest}]:
                client = rest.get("client")
            case _:
                raise RpcError(ErrorCode.BAD_REQUEST, "hello needs versions, a list of numbers")
        common = [version for version in VERSIONS if version in versions]
        if not common:
            raise RpcError(
                ErrorCode.UNSUPPORTED_VERSION,
                "no version of the protocol is common to both",
                f"this node speaks {', '.join(map(str, VERSIONS))}",
            )
        self.client = client if isinstance(client, str) else ""
        self._step(Step.HELLO)
        if self._role_at_once is None:
            self._step(Step.CHALLENGE)
        else:
            self.role = self._role_at_once
            self._step(Step.GRANT)
        card = self._card
        return {
            "version": max(common),
            "node": {"id": card.id, "name": card.name, "version": card.version, "network": card.network},
            "role": None if self.role is None else self.role.value,
            "challenge": self._nonce if self.role is None else None,
            "capabilities": self._capabilities,
        }

    def _authenticate(self, request: Request) -> dict[str, object]:
        from qudag_node.wire import auth

        self._step(Step.PROOF)
        match request.params:
            case [{"proof": bytes(proof), "nonce": bytes(nonce)}] if len(nonce) == auth.NONCE_BYTES:
                about = (self._card.id, self._certificate_der, self._nonce, nonce)
            case _:
                raise RpcError(ErrorCode.BAD_REQUEST, "authenticate needs proof and nonce, 32 bytes each")
        # Every token is tried, so that the time taken does not tell which one fits.
        fitting = [
            credential
            for credential in self._credentials()
            if auth.verify(auth.client_proof(credential.token, *about), proof)
        ]
        if not fitting:
            raise RpcError(
                ErrorCode.UNAUTHENTICATED,
                "the token is not known here, or was revoked",
                "the administrator of the node makes one with: qudag token add NAME",
            )
        credential = fitting[0]
        self.role, self.token_name = credential.role, credential.name
        self._step(Step.GRANT)
        return {"role": credential.role.value, "proof": auth.node_proof(credential.token, *about)}


def _next_state(state: SessionState, step: Step) -> SessionState:
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise LocalProtocolError(f"{step.name.lower()} does not follow {state.name.lower()}") from None
