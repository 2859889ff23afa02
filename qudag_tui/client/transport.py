"""Blocking byte streams to a node, every wait under one deadline: Unix, TCP, and TLS over either.

Built on ``_socket``, the C half of ``socket``: a command that prints once starts twice as fast without
the Python half. ``_ssl`` is imported only for TLS. Nothing here knows the protocol.

TLS runs through memory buffers, so that the deadline covers the handshake as a whole, however slowly
its bytes come; and the node's key is compared before one byte of ours is encrypted for it.
"""

from __future__ import annotations

import _socket
import sys
import time

from qudag_node.wire import TcpAddress, TlsAddress, UnixAddress
from qudag_tui.errors import (
    NodeTimeoutError,
    ProtocolError,
    QudagError,
    RefusedError,
    UnreachableError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_node.wire import NodeAddress

__all__ = ["Deadline", "Stream", "closed_by_node", "not_a_node", "open_stream", "unreachable"]

READ_BYTES = 1 << 18
# poll() takes no more; nobody is silent for so long.
LONGEST_POLL_MS = 0x7FFF_FFFF


class Deadline:
    """An instant after which waiting ends.

    Attributes:
        timeout_s: The seconds it was made with, for the message.
    """

    __slots__ = ("_at_mono_s", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._at_mono_s = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
            TimeoutError: None are.
        """
        left = self._at_mono_s - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def unreachable(where: str, exc: OSError, timeout_s: float = 0.0) -> QudagError:
    """Translate what the operating system says into what a person can act on."""
    if isinstance(exc, TimeoutError) and not exc.errno:
        return NodeTimeoutError(
            f"the node at {where} did not answer within {timeout_s:g} s",
            "raise --timeout, or see `qudag log` on its host",
        )
    if isinstance(exc, PermissionError):
        return RefusedError(
            f"no permission to open {where}", "run as the node's user, or be a member of its rpc.viewer_group"
        )
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return closed_by_node(where)
    reason = exc.strerror or str(exc)
    return UnreachableError(
        f"no node answers at {where}: {reason}", "start one with `qudag start`, or name another with --node"
    )


def closed_by_node(where: str, pending_bytes: int = 0, *, is_unanswered: bool = False) -> QudagError:
    """The other side hung up, perhaps in the middle of a message, or without a word in answer to hello.

    On a port the latter is what other programs do; behind a Unix socket it is a node that stops.
    """
    if is_unanswered and not where.startswith("unix:"):
        return ProtocolError(
            f"{where} closed the connection without an answer to hello",
            "is this a QuDAG node's RPC address?",
        )
    if pending_bytes:
        return ProtocolError(
            f"{where} broke off in the middle of a message, after {pending_bytes} bytes of it",
            "is this a node's RPC address?",
        )
    return UnreachableError(f"the node at {where} closed the connection", "see `qudag log` on its host")


def not_a_node(where: str, exc: Exception) -> ProtocolError:
    """What came is not the protocol."""
    return ProtocolError(
        f"{where} does not speak the node's protocol: {exc}", "is this a node's RPC address?"
    )


class Stream:
    """A connected socket.

    Attributes:
        where: The address, for messages.
        certificate_der: The node's certificate on TLS, else None.
    """

    certificate_der: bytes | None = None
    _output: int | None = None

    def __init__(self, sock: _socket.socket, where: str) -> None:
        self._sock = sock
        self.where = where

    def end_with(self, output: int) -> None:
        """From now on, waiting for the node ends when nobody reads what is written to this descriptor."""
        self._output = output

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Write all of ``data``."""
        try:
            self._sock.settimeout(deadline.remaining_s())
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the other side said before it hung up is still to be read, and then the end
        except OSError as exc:
            raise unreachable(self.where, exc, deadline.timeout_s) from exc

    def receive(self, deadline: Deadline) -> bytes:
        """Return what has arrived, at least one byte; nothing when the other side has closed.

        Raises:
            BrokenPipeError: Nobody reads the output that was named.
        """
        if self._output is not None and not self._is_read(self._output, deadline):
            raise BrokenPipeError
        try:
            self._sock.settimeout(deadline.remaining_s())
            return self._sock.recv(READ_BYTES)
        except ConnectionResetError:
            return b""
        except OSError as exc:
            raise unreachable(self.where, exc, deadline.timeout_s) from exc

    def _is_read(self, output: int, deadline: Deadline) -> bool:
        """Wait until something comes or the time is over; False once nobody reads the output."""
        from select import POLLERR, POLLHUP, POLLIN, poll

        poller = poll()
        poller.register(self._sock, POLLIN)
        # Without an event: an end that was closed is told always.
        poller.register(output, 0)
        try:
            ready = poller.poll(min(deadline.remaining_s() * 1000, LONGEST_POLL_MS))
        except TimeoutError:
            return True  # whoever receives says so
        return not any(number == output and events & (POLLERR | POLLHUP) for number, events in ready)

    def peer_pid(self) -> int | None:
        """The process behind a Unix socket, as this host numbers it; None where that cannot be told."""
        option: int | None = getattr(_socket, "SO_PEERCRED", None)  # Linux
        if option is None or self._sock.family != _socket.AF_UNIX:
            return None
        credentials = self._sock.getsockopt(_socket.SOL_SOCKET, option, 12)  # pid, uid, gid: 4 bytes each
        return int.from_bytes(credentials[:4], sys.byteorder) or None

    def close(self) -> None:
        """Close the socket; harmless when repeated."""
        self._sock.close()


class TlsStream(Stream):
    """TLS 1.3 over a connected stream, the node's key already compared."""

    def __init__(self, plain: Stream, address: TlsAddress, deadline: Deadline) -> None:
        import _ssl

        from qudag_tui.client.tls import check_certificate, not_tls, tls_object

        super().__init__(plain._sock, plain.where)
        self._plain = plain
        self._arriving, self._leaving = _ssl.MemoryBIO(), _ssl.MemoryBIO()
        self._tls = tls_object(self._arriving, self._leaving)
        self._want_read = _ssl.SSLWantReadError
        try:
            self._handshake(deadline)
        except _ssl.SSLError as exc:
            raise not_tls(self.where, exc) from exc
        self.certificate_der = check_certificate(self._tls.getpeercert(True), address)

    def end_with(self, output: int) -> None:
        """As a plain stream's: it is the one that waits."""
        self._plain.end_with(output)

    def _handshake(self, deadline: Deadline) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except self._want_read:
                self._flush(deadline)
                if not self._fill(deadline):
                    raise ProtocolError(
                        f"{self.where} closed the connection during the TLS handshake",
                        "is this the node's TLS address?",
                    ) from None
            else:
                self._flush(deadline)
                return

    def _flush(self, deadline: Deadline) -> None:
        if self._leaving.pending:
            self._plain.send(self._leaving.read(), deadline)

    def _fill(self, deadline: Deadline) -> bool:
        data = self._plain.receive(deadline)
        if data:
            self._arriving.write(data)
        return bool(data)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Encrypt and write all of ``data``."""
        self._tls.write(data)
        self._flush(deadline)

    def receive(self, deadline: Deadline) -> bytes:
        """Return decrypted bytes, at least one; nothing when the other side has closed."""
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except self._want_read:
                self._flush(deadline)
                if not self._fill(deadline):
                    return b""
            except OSError as exc:  # ssl.SSLError is one
                raise ProtocolError(f"{self.where}: TLS failed: {exc}") from exc


def open_stream(address: NodeAddress, deadline: Deadline) -> Stream:
    """Connect.

    Raises:
        UnreachableError: Nothing answers there, or not before the deadline.
        RefusedError: The operating system forbids it, or the node's key is another one.
        ProtocolError: What answers does not speak TLS.
        UsageError: A TLS address without the node's identity.
    """
    where = str(address)
    if isinstance(address, UnixAddress):
        return _connect(_socket.AF_UNIX, str(address.path), where, deadline)
    if isinstance(address, TlsAddress):
        from qudag_tui.client.tls import require_identity

        require_identity(address)
    plain = _connect_tcp(address, where, deadline)
    if not isinstance(address, TlsAddress):
        return plain
    try:
        return TlsStream(plain, address, deadline)
    except BaseException:
        plain.close()
        raise


def _connect(
    family: int, target: tuple[str, int] | tuple[str, int, int, int] | str, where: str, deadline: Deadline
) -> Stream:
    sock = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        if family != _socket.AF_UNIX:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.settimeout(deadline.remaining_s())
        sock.connect(target)
    except OSError as exc:
        sock.close()
        raise unreachable(where, exc, deadline.timeout_s) from exc
    return Stream(sock, where)


def _connect_tcp(address: TcpAddress | TlsAddress, where: str, deadline: Deadline) -> Stream:
    """Try every address of the host in turn, as long as the deadline allows."""
    failure: QudagError = UnreachableError(f"no node answers at {where}: the host has no address")
    for family, _, _, _, target in _resolve(address, where, deadline):
        try:
            stream = _connect(family, target, where, deadline)  # type: ignore[arg-type]  # AF_INET and AF_INET6 only
        except UnreachableError as exc:
            failure = exc
        else:
            return stream
    raise failure


def _resolve(
    address: TcpAddress | TlsAddress, where: str, deadline: Deadline
) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    """Ask the resolver, which knows no deadline, in a thread that is left behind when it is too slow."""

    # As bytes: for a text Python imports its IDNA codec, even where there is nothing to encode.
    host = address.host.encode() if address.host.isascii() else address.host

    def ask(flags: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        try:
            return _socket.getaddrinfo(host, address.port, 0, _socket.SOCK_STREAM, 0, flags)  # type: ignore[return-value]
        except UnicodeError as exc:  # what IDNA cannot write
            raise _socket.gaierror(_socket.EAI_NONAME, "not a host's name") from exc

    try:
        return ask(_socket.AI_NUMERICHOST)
    except _socket.gaierror:
        pass  # a name: ask below
    from threading import Thread

    answer: list[list[tuple[int, int, int, str, tuple[object, ...]]] | OSError] = []

    def look_up() -> None:
        try:
            answer.append(ask(0))
        except OSError as exc:
            answer.append(exc)

    thread = Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(deadline.remaining_s())
    if not answer:
        raise unreachable(where, TimeoutError(), deadline.timeout_s)
    found = answer[0]
    if isinstance(found, OSError):
        raise UnreachableError(
            f"cannot find the host {address.host!r}: {found.strerror}", "check the address"
        ) from found
    return found
