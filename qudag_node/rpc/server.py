"""The server: its listeners, its clients, and the sweep that closes those who overstay.

It knows nothing of statistics: a node offers documents, ``methods`` ask for them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path

from qudag_node.config import RpcConfig
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.repetitions import Repetitions
from qudag_node.rpc.connection import Connection
from qudag_node.rpc.credentials import group_id, peer_credentials, role_of
from qudag_node.rpc.dispatch import Dispatcher
from qudag_node.rpc.failures import FailureLimiter, network_of
from qudag_node.rpc.listeners import BACKLOG, UnixListener, bind_tcp, checked_addresses
from qudag_node.rpc.offers import Offers
from qudag_node.rpc.session import Origin, Session
from qudag_node.rpc.streams import make_stream
from qudag_node.rpc.subscriptions import Subscriptions
from qudag_node.rpc.tls import ServerTls, TlsShell
from qudag_node.rpc.tokens import TokenStore
from qudag_node.wire.addresses import TcpAddress, TlsAddress, UnixAddress
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.methods import Role
from qudag_node.wire.session import Credential, NodeCard, ServerHandshake

__all__ = ["RpcServer", "check_settings"]

_log = logging.getLogger(__name__)

CAPABILITIES = ("stats", "history", "submit", "tests", "tokens")
_SWEEP_S = 0.5
_KEPT_FOR_THE_SOCKET = 32
# Clients over the limit are told so, as long as they are not many; beyond that they are just closed.
_TOLD_OVER_LIMIT = 64
# What all clients together may leave unread: one that is the furthest behind pays for it.
_MAX_PENDING_BYTES = 64 << 20
_STOP_GRACE_S = 1.0


def check_settings(config: RpcConfig) -> None:
    """Refuse what can be refused before anything is opened or made.

    Raises:
        ConfigError: An address may not be served, or there is no such group.
    """
    checked_addresses(config.listen)
    if config.viewer_group is not None:
        group_id(config.viewer_group)


class RpcServer:
    """Serves one node's offers over its socket and the configured addresses.

    Attributes:
        addresses: Where it listens, once started; ports as the kernel gave them.
        socket_path: The Unix socket's name.
    """

    def __init__(
        self,
        config: RpcConfig,
        node: Offers,
        card: NodeCard,
        tokens: TokenStore,
        *,
        socket_path: Path,
        tls: ServerTls,
        clock: Callable[[], float],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Args: ``clock`` is monotonic, in seconds; ``tasks`` is where the server's tasks live."""
        self.addresses: tuple[str, ...] = ()
        self._config = config
        self._card = card
        self._tokens = tokens
        self.socket_path = socket_path
        self._tls = tls
        self._clock = clock
        self._node = node
        self._dispatcher = Dispatcher(node)
        self._failures = FailureLimiter(config.failures_per_minute)
        self._connections: dict[Connection, None] = {}  # in the order in which they came
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._count_by_address: Counter[str] = Counter()
        self._viewer_group: int | None = None
        self._unix: UnixListener | None = None
        self._listeners: list[asyncio.Server] = []
        self._tasks = tasks
        self._repetitions = Repetitions()
        self._upkeep: tuple[asyncio.Task[None], ...] = ()
        self.subscriptions = Subscriptions(
            lambda topic, id_: make_stream(node, topic, id_),
            patience_s=config.slow_subscriber_timeout_s,
            clock=clock,
        )

    async def start(self) -> None:
        """Listen. What was opened is closed again if a later address fails.

        Raises:
            ConfigError, PortInUseError, DataDirectoryError: An address cannot be had.
        """
        addresses = checked_addresses(self._config.listen)
        if self._config.viewer_group is not None:
            self._viewer_group = group_id(self._config.viewer_group)
        try:
            await self._listen_unix()
            for address in addresses:
                await self._listen_tcp(address)
        except BaseException:
            self._stop_listening()
            raise
        self._upkeep = (
            self._tasks.create_task(self.subscriptions.run(), name="rpc subscriptions"),
            self._tasks.create_task(self._sweep(), name="rpc sweep"),
        )

    async def stop(self) -> None:
        """Stop listening, close every client, abort who does not take it."""
        self._stop_listening()
        for connection in tuple(self._connections):
            connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GRACE_S):
                await self._nobody.wait()
        for connection in tuple(self._connections):
            connection.transport.abort()
        # Aborted connections are told of their end in the loop's next pass.
        await asyncio.sleep(0)
        for task in self._upkeep:
            task.cancel()

    def close_token(self, name: str) -> None:
        """Close every session that a revoked token opened."""
        for connection in tuple(self._connections):
            if connection.session.is_ready and connection.session.token_name == name:
                reason = f"the token {name!r} of this session was revoked"
                connection.dismiss(RpcError(ErrorCode.UNAUTHENTICATED, reason, "ask for another"))

    @property
    def clients(self) -> int:
        """Clients connected."""
        return len(self._connections)

    def pending_bytes(self) -> int:
        """Return what was written to clients and not yet taken by the kernel."""
        return sum(connection.pending_bytes() for connection in self._connections)

    # Host of the connections

    def opened(self, connection: Connection) -> Session:
        """Admit a client, or tell it why not."""
        origin, role, refusal = self._origin_of(connection)
        refusal = refusal or self._limit_reached(origin)
        self._connections[connection] = None
        self._nobody.clear()
        self._count_by_address[network_of(origin.address)] += 1
        if refusal is not None and len(self._connections) > self._config.max_clients + _TOLD_OVER_LIMIT:
            connection.transport.abort()
        handshake = ServerHandshake(
            self._card,
            capabilities=CAPABILITIES,
            role=role,
            credentials=self._credentials,
            certificate_der=self._tls.certificate_der if origin.transport == "tls" else None,
            nonce=secrets.token_bytes(32),
        )
        return Session(
            origin,
            handshake,
            self._dispatcher,
            bucket=TokenBucket(self._config.requests_per_s, self._config.request_burst, self._clock()),
            refusal=refusal,
            on_failure=lambda address: self._failures.failed(address, self._clock()),
        )

    def closed(self, connection: Connection) -> None:
        """Forget a client."""
        self._connections.pop(connection, None)
        self._node.caller_gone(connection)
        if not self._connections:
            self._nobody.set()
        address = network_of(connection.session.origin.address)
        self._count_by_address[address] -= 1
        if self._count_by_address[address] <= 0:
            del self._count_by_address[address]

    def note_closed(self, origin: Origin, reason: str) -> None:
        """Log why a client was closed, one line in 10 s for each of those who do it over and over."""
        told = self._repetitions.admit("closed", str(origin), reason, self._clock())
        if told is not None:
            _log.info("%s: closed: %s", *told)

    def spawn(self, call: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run a call that has to wait."""
        return self._tasks.create_task(call, name=name)

    def _origin_of(self, connection: Connection) -> tuple[Origin, Role | None, RpcError | None]:
        if connection.transport_name != "unix":
            peer = connection.transport.get_extra_info("peername") or ("unknown",)
            return Origin(transport=connection.transport_name, address=str(peer[0])), None, None
        try:
            credentials = peer_credentials(connection.transport.get_extra_info("socket"))
        except OSError as exc:
            unknown = Origin(transport="unix", address="unknown user")
            return (
                unknown,
                None,
                RpcError(ErrorCode.FORBIDDEN, f"the kernel does not tell who you are: {exc}"),
            )
        origin = Origin(transport="unix", address=f"uid {credentials.user_id}")
        role = role_of(credentials, self._viewer_group)
        if role is not None:
            return origin, role, None
        _log.warning("%s: refused", origin)
        return (
            origin,
            None,
            RpcError(
                ErrorCode.FORBIDDEN,
                f"user {credentials.user_id} may not use this socket; it belongs to user {os.geteuid()}",
                "become that user, or have the administrator set rpc.viewer_group",
            ),
        )

    def _limit_reached(self, origin: Origin) -> RpcError | None:
        if origin.transport != "unix" and self._failures.refuses(origin.address, self._clock()):
            return RpcError(
                ErrorCode.RATE_LIMITED,
                "too many failed authentications",
                "wait a minute, then use a valid token",
            )
        most = self._config.max_clients
        if origin.transport != "unix":
            # Whoever administers the node gets in, however many strangers stand at its other doors.
            most -= min(_KEPT_FOR_THE_SOCKET, most // 8)
        if len(self._connections) >= most and not self._makes_way(origin):
            return RpcError(
                ErrorCode.BUSY, f"{self._config.max_clients} clients are connected already", "try later"
            )
        if self._count_by_address[network_of(origin.address)] >= self._config.max_clients_per_address:
            return RpcError(
                ErrorCode.BUSY,
                f"{self._config.max_clients_per_address} clients of {origin.address} are connected already",
                "close some",
            )
        return None

    def _makes_way(self, newcomer: Origin) -> bool:
        """Close, for who comes over the network, the one who has proven nothing there for longest."""
        if newcomer.transport == "unix":
            return False
        for connection in self._connections:
            if connection.transport_name != "unix" and not connection.session.is_ready:
                del self._connections[connection]
                connection.drop("others wait, and it has not shown who it is")
                return True
        return False

    def _credentials(self) -> Iterable[Credential]:
        return [Credential(token.name, token.role, token.secret) for token in self._tokens]

    # Listeners

    async def _listen_unix(self) -> None:
        self._unix = UnixListener(self.socket_path, group=self._viewer_group)
        await self._serve(self._unix.socket, "unix", None)
        self.addresses = (str(UnixAddress(str(self.socket_path))),)

    async def _listen_tcp(self, address: TcpAddress | TlsAddress) -> None:
        listener = bind_tcp(address)
        port = listener.getsockname()[1]
        if isinstance(address, TlsAddress):
            await self._serve(listener, "tls", self._tls.context)
            bound: object = TlsAddress(address.host, port, self._card.id)
        else:
            await self._serve(listener, "tcp", None)
            bound = TcpAddress(address.host, port)
        self.addresses = (*self.addresses, str(bound))

    async def _serve(self, listener: socket.socket, transport_name: str, tls: ssl.SSLContext | None) -> None:
        def accept() -> asyncio.Protocol:
            connection = Connection(self, transport_name, self._config, self._clock)
            return connection if tls is None else TlsShell(connection, tls)

        server = await asyncio.get_running_loop().create_server(accept, sock=listener, backlog=BACKLOG)
        self._listeners.append(server)

    def _stop_listening(self) -> None:
        if self._unix is not None:
            self._unix.remove()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    # Upkeep

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self._clock()
            pending = 0
            furthest: tuple[int, Connection] | None = None
            for connection in tuple(self._connections):
                connection.check(now)
                size = connection.pending_bytes()
                pending += size
                if furthest is None or size > furthest[0]:
                    furthest = (size, connection)
            if furthest is not None and pending > _MAX_PENDING_BYTES:
                furthest[1].drop(f"left {furthest[0]} bytes unread while the node holds {pending} for all")
