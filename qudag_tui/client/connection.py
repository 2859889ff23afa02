"""A blocking connection to one node: a socket round the wire's ``ClientSession``. For commands.

Every wait has a deadline, and every failure is one of ``qudag_tui.errors``. Text from the node is cleaned
on its way in. On a Unix socket calls ride behind ``hello`` in the same write.
"""

from __future__ import annotations

from qudag_node.wire import (
    AuthenticationError,
    ClientSession,
    Failed,
    Notified,
    Ready,
    RemoteProtocolError,
    Reply,
    RpcError,
    SessionState,
    UnixAddress,
)
from qudag_tui.client.clean import MAX_SENTENCE, clean, clean_tree
from qudag_tui.client.transport import Deadline, Stream, closed_by_node, not_a_node, open_stream
from qudag_tui.errors import NodeTimeoutError, ProtocolError, RefusedError, from_rpc_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self

    from qudag_node.wire import Event, NodeAddress
    from qudag_tui.errors import QudagError

__all__ = ["CLIENT_NAME", "DEFAULT_TIMEOUT_S", "Connection", "checked_result", "connect", "rpc_error"]

DEFAULT_TIMEOUT_S = 5.0

# What piles up while a call waits for its answer; a node tells a few a second.
MAX_WAITING_NOTIFICATIONS = 10_000

#: What the node's log calls us.
CLIENT_NAME = "qudag"


def connect(
    address: NodeAddress,
    *,
    token: bytes | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    client_name: str = CLIENT_NAME,
) -> Connection:
    """Connect to a node. On TCP and TLS, both sides have proved themselves when this returns.

    Args:
        address: Where; a TLS address must carry the node's identity.
        token: The 32 bytes that prove us on TCP and TLS; a Unix socket needs none.
        timeout_s: For this and, unless it says otherwise, for each call.
        client_name: What the node's log calls us.
    """
    deadline = Deadline(timeout_s)
    stream = open_stream(address, deadline)
    try:
        connection = Connection(stream, address, token=token, timeout_s=timeout_s, client_name=client_name)
        if not isinstance(address, UnixAddress):
            connection.wait_until_ready(deadline)
    except BaseException:
        stream.close()
        raise
    return connection


def checked_result(result: object, where: str, method: str) -> Mapping[str, Any]:
    """A call's result, cleaned; every method of the protocol answers with a map."""
    if not isinstance(result, dict):
        raise ProtocolError(f"{where} answered {method} with something else than a map")
    cleaned: Mapping[str, Any] = clean_tree(result)
    return cleaned


def rpc_error(error: RpcError) -> QudagError:
    """What the node refused, as an error of ours with the documented exit code."""
    return from_rpc_code(
        error.code.value, clean(error.message, MAX_SENTENCE), clean(error.hint, MAX_SENTENCE)
    )


class Connection:
    """An open session. Use as a context manager, or ``close`` it."""

    def __init__(
        self, stream: Stream, address: NodeAddress, *, token: bytes | None, timeout_s: float, client_name: str
    ) -> None:
        self._stream = stream
        self._timeout_s = timeout_s
        self._session = ClientSession(
            client_name,
            token=token,
            transport=address.transport,
            certificate_der=stream.certificate_der,
            expected_id=getattr(address, "peer_id", None),
        )
        self._leaving = self._session.start()
        self._hello: Mapping[str, Any] | None = None
        self._notified: list[tuple[str, Mapping[str, Any]]] = []

    @property
    def hello(self) -> Mapping[str, Any]:
        """What the node said of itself: version, node, role, capabilities."""
        if self._hello is None:
            self.wait_until_ready(Deadline(self._timeout_s))
        return self._hello or {}

    def wait_until_ready(self, deadline: Deadline) -> None:
        """Wait for the node's hello and, on TCP and TLS, for both proofs."""
        while self._hello is None:
            for event in self._exchange(deadline):
                self._note(event)

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Call and wait for the result.

        Raises:
            QudagError: The kind that the node's error code stands for; or the connection failed.
        """
        deadline = Deadline(self._timeout_s if timeout_s is None else timeout_s)
        call_id, data = self._session.call(method, params or {})
        self._leaving += data
        answer: Reply | Failed | None = None
        while answer is None:
            for event in self._exchange(deadline):  # all of them: notifications may follow the answer
                if isinstance(event, Reply | Failed) and event.id == call_id:
                    answer = event
                else:
                    self._note(event)
        if isinstance(answer, Failed):
            raise rpc_error(answer.error)
        return checked_result(answer.result, self._stream.where, method)

    def notifications(self, *, timeout_s: float | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (method, parameters) as they come; ``timeout_s`` bounds the silence between two.

        Ends when the node closes the connection in order; a silence raises ``NodeTimeoutError``.
        """
        patience_s = self._timeout_s if timeout_s is None else timeout_s
        while True:
            yield from self.take_notifications(Deadline(patience_s))

    def take_notifications(self, deadline: Deadline) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the (method, parameters) that have come, at least one."""
        while not self._notified:
            for event in self._exchange(deadline):
                self._note(event)
        taken, self._notified = self._notified, []
        return taken

    def end_with(self, output: int) -> None:
        """From now on, waiting raises BrokenPipeError once nobody reads this descriptor."""
        self._stream.end_with(output)

    def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait for the node to hang up; False when it has not after ``timeout_s``."""
        deadline = Deadline(timeout_s)
        try:
            while self._stream.receive(deadline):
                pass
        except NodeTimeoutError:
            return False
        return True

    def peer_pid(self) -> int | None:
        """The node's process, if it runs on this host and the connection is a Unix socket."""
        return self._stream.peer_pid()

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(self, deadline: Deadline) -> list[Event]:
        """Send what waits to leave, and return what one read completes."""
        where = self._stream.where
        if self._leaving:
            leaving, self._leaving = self._leaving, b""
            self._stream.send(leaving, deadline)
        data = self._stream.receive(deadline)
        if not data:
            is_unanswered = self._session.state is SessionState.GREETED
            raise closed_by_node(where, self._session.pending_bytes, is_unanswered=is_unanswered)
        try:
            events = self._session.receive(data)
        except RpcError as exc:
            raise rpc_error(exc) from exc
        except AuthenticationError as exc:
            raise RefusedError(f"{where}: {exc}") from exc
        except RemoteProtocolError as exc:
            raise not_a_node(where, exc) from exc
        self._leaving += self._session.outgoing()
        return events

    def _note(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._hello = clean_tree(event.hello)
        elif isinstance(event, Notified):
            if len(self._notified) >= MAX_WAITING_NOTIFICATIONS:
                raise ProtocolError(f"{self._stream.where} tells more than anybody can read")
            self._notified.append((event.method, clean_tree(event.params)))
