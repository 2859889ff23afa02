"""A server over real sockets, a node of fixed figures behind it, and a plain client of the protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from qudag_node.config import RpcConfig
from qudag_node.errors import AmbiguousError, NotFoundError, PeerRefusedError
from qudag_node.nettests.job import Watch
from qudag_node.overlay.identity import Identity
from qudag_node.rpc import Document, RpcServer, TokenStore, server_tls
from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import WatchesTest
from qudag_node.wire.addresses import TcpAddress, TlsAddress, UnixAddress, parse_address
from qudag_node.wire.framing import Packed, pack
from qudag_node.wire.methods import Role
from qudag_node.wire.session import ClientSession, Failed, NodeCard, Notified, Ready, Reply

TRANSPORTS = ("unix", "tcp", "tls")
IDENTITY = Identity.generate()


class FixedNode:
    """Offers whose figures a test sets."""

    def __init__(self) -> None:
        self.document: dict[str, object] = {"schema": "qudag.stats/1", "node": {"name": "n"}, "peers": {}}
        self.events: list[dict[str, object]] = []
        self.lines: list[str] = []
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.tick = 0
        self.forgotten = 0
        self.payload = b""
        self.submitted = asyncio.Event()
        self.watches: dict[str, WatchesTest] = {"abcdefghijkl": Watch(time.time, time.monotonic)}
        self.owners: list[object] = []
        self.gone: list[object] = []

    def statistics(self, *, fresh: bool = False) -> Document:
        self.tick += 1
        return {**self.document, "tick": self.tick, "payload": self.payload}

    def packed_statistics(self) -> Packed:
        return pack(self.statistics())

    def forget_statistics(self) -> None:
        self.forgotten += 1

    def delta(self, before: Document, after: Document) -> Document:
        return {"sections": {key: value for key, value in after.items() if before.get(key) != value}}

    def peer(self, name: str) -> Document:
        match name:
            case "two":
                raise AmbiguousError(name, ["two.a", "two.b"])
            case "broken":
                raise ZeroDivisionError("a secret of the inside")
            case "peer1":
                return {"row": {"name": name}}
            case _:
                raise NotFoundError(f"no peer {name!r}")

    def connections(self) -> Document:
        return {"links": [], "bans": []}

    def topology(self) -> Document:
        return {"nodes": [], "links": []}

    def history(
        self,
        series: Sequence[str] | None,
        from_unix_s: float | None,
        to_unix_s: float | None,
        step_s: float | None,
    ) -> Document:
        return self._called("history", series, from_unix_s, to_unix_s, step_s)

    def log_lines(self, count: int, level: str) -> Sequence[str]:
        return self.lines[-count:]

    def log_after(self, sequence: int) -> tuple[int, Sequence[str]]:
        return len(self.lines), self.lines[sequence:]

    def events_after(self, sequence: int) -> tuple[int, Sequence[Document]]:
        return len(self.events), self.events[sequence:]

    def status(self) -> Document:
        return {"schema": "qudag.status/1", "pid": 1}

    def configuration(self) -> Document:
        return {"config": {}, "sources": {}}

    def shut_down(self, by: str) -> None:
        self._called("shut_down", by)

    def tokens(self) -> Document:
        return {"tokens": []}

    def add_token(self, name: str, role: Role) -> Document:
        return self._called("add_token", name, role)

    def revoke_token(self, name: str) -> Document:
        return self._called("revoke_token", name)

    def add_peer(self, address: str) -> Document:
        return self._called("add_peer", address)

    def remove_peer(self, name: str) -> Document:
        return self._called("remove_peer", name)

    def ban_peer(self, name: str, duration_s: float | None, reason: str) -> Document:
        raise PeerRefusedError(f"{name} is this node")

    def unban_peer(self, name: str) -> Document:
        return self._called("unban_peer", name)

    def alias_peer(self, name: str, alias: str) -> Document:
        return self._called("alias_peer", name, alias)

    def hold(self, *, held: bool) -> Document:
        return self._called("hold", held)

    def start_test(
        self,
        test_type: str,
        target: str | None,
        options: Mapping[str, object],
        *,
        owner: Caller,
        cancel_with_owner: bool,
    ) -> Document:
        self.owners.append(owner)
        self._called("start_test", test_type, target, dict(options), cancel_with_owner)
        return {"test_id": "abcdefghijkl"}

    def cancel_test(self, test_id: str) -> Document:
        return self._called("cancel_test", test_id)

    async def find_test(self, test_id: str) -> None:
        await asyncio.sleep(0)
        if test_id not in self.watches:
            raise NotFoundError(f"no test {test_id!r}")

    def watch_test(self, test_id: str) -> WatchesTest:
        return self.watches[test_id]

    async def list_tests(self, limit: int, test_type: str | None, target: str | None) -> Document:
        return self._called("list_tests", limit, test_type, target)

    async def show_test(self, test_id: str) -> Document:
        return self._called("show_test", test_id)

    def plan_test(self, test_type: str, target: str | None, options: Mapping[str, object]) -> Document:
        return self._called("plan_test", test_type, target, dict(options))

    def caller_gone(self, caller: object) -> None:
        self.gone.append(caller)

    async def submit(self, payloads: Sequence[bytes]) -> int:
        if payloads == [b"wait"]:
            await self.submitted.wait()
        return len(payloads)

    def _called(self, name: str, *values: object) -> Document:
        self.calls.append((name, values))
        return {}


@dataclass(kw_only=True)
class Served:
    """A running server."""

    server: RpcServer
    node: FixedNode
    tokens: TokenStore
    directory: Path

    def address(self, transport: str) -> UnixAddress | TcpAddress | TlsAddress:
        return next(
            address for address in map(parse_address, self.server.addresses) if address.transport == transport
        )


@asynccontextmanager
async def serving(
    directory: Path, config: RpcConfig | None = None, *, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Served]:
    """A server on all three transports; its cookie is baked."""
    node = FixedNode()
    tokens = TokenStore(directory)
    tokens.bake_cookie(time.time())
    async with asyncio.TaskGroup() as tasks:
        server = RpcServer(
            config or config_with(),
            node,
            NodeCard(IDENTITY.peer_id, "n", "0", "test"),
            tokens,
            socket_path=directory / "rpc.sock",
            tls=server_tls(IDENTITY),
            clock=clock,
            tasks=tasks,
        )
        await server.start()
        try:
            yield Served(server=server, node=node, tokens=tokens, directory=directory)
        finally:
            await server.stop()
            tokens.remove_cookie()


def config_with(**values: Any) -> RpcConfig:
    """A configuration that listens on loopback, tcp and tls."""
    return RpcConfig(listen=("tcp://127.0.0.1:0", "tls://127.0.0.1:0"), **values)


class Client:
    """One connection that speaks bytes, and a session on it where a test wants one."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: ClientSession
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.session = session
        self.notified: list[Notified] = []

    async def opened(self) -> Mapping[str, object]:
        """Finish the handshake; return the node's answer to hello."""
        self.writer.write(self.session.start())
        while True:
            for event in await self._read():
                if isinstance(event, Ready):
                    return event.hello

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """Call; raise RpcError where the answer is one."""
        id_, data = self.session.call(method, params)
        self.writer.write(data)
        return await self.reply_to(id_)

    async def reply_to(self, id_: int) -> dict[str, Any]:
        while True:
            for event in await self._read():
                match event:
                    case Reply(reply_id, result) if reply_id == id_:
                        return cast("dict[str, Any]", result)
                    case Failed(failed_id, error) if failed_id == id_:
                        raise error
                    case _:
                        continue

    async def notification(self) -> Notified:
        """Return the oldest notification not yet asked for."""
        while not self.notified:
            await self._read()
        return self.notified.pop(0)

    async def closed(self) -> bytes:
        """Wait for the node to close; return what it sent before."""
        data = b""
        try:
            while chunk := await self.reader.read(65536):
                data += chunk
        except ConnectionError:
            return data
        return data

    async def _read(self) -> list[Ready | Reply | Failed | Notified]:
        data = await self.reader.read(1 << 20)
        if not data:
            raise ConnectionResetError("the node closed the connection")
        events = self.session.receive(data)
        outgoing = self.session.outgoing()
        if outgoing:
            self.writer.write(outgoing)
        self.notified += [event for event in events if isinstance(event, Notified)]
        return events


@asynccontextmanager
async def connected(
    served: Served, transport: str, *, token: bytes | None = None, with_cookie: bool = True
) -> AsyncGenerator[Client]:
    """A connected client; on tcp and tls it has the cookie unless a token is given."""
    address = served.address(transport)
    if token is None and with_cookie:
        token = next(iter(served.tokens)).secret
    certificate: bytes | None = None
    if isinstance(address, UnixAddress):
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        context = rpc_client_context() if isinstance(address, TlsAddress) else None
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        if context is not None:
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    client = Client(
        reader,
        writer,
        ClientSession("test", token, address.transport, certificate, expected_id=IDENTITY.peer_id),
    )
    try:
        yield client
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def rpc_client_context() -> Any:
    """What a client uses: TLS 1.3, no ALPN, the certificate's key is compared by the session's test."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
