"""One asyncio connection to a node, from dialling to its end: a thin shell round ``ClientSession``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from qudag_node.wire import (
    AuthenticationError,
    ClientSession,
    Failed,
    NodeAddress,
    Notified,
    Ready,
    RemoteProtocolError,
    Reply,
    RpcError,
    SessionState,
    TlsAddress,
    UnixAddress,
)
from qudag_tui.client.clean import clean_tree
from qudag_tui.client.connection import checked_result, rpc_error
from qudag_tui.client.transport import closed_by_node, not_a_node, unreachable
from qudag_tui.errors import NodeTimeoutError, RefusedError, UnreachableError

__all__ = ["AsyncSession"]

READ_BYTES = 1 << 18


class AsyncSession:
    """An open connection. ``read`` must run while calls wait for their answers.

    Attributes:
        hello: What the node said of itself, once ``ready`` is set.
        ready: Set when both sides have proved themselves.
    """

    def __init__(
        self,
        address: NodeAddress,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        token: bytes | None,
        client_name: str,
        notified: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.hello: Mapping[str, Any] = {}
        self.ready = asyncio.Event()
        self._where = str(address)
        self._reader = reader
        self._writer = writer
        self._notified = notified
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._session = ClientSession(
            client_name,
            token=token,
            transport=address.transport,
            certificate_der=_certificate(address, writer),
            expected_id=getattr(address, "peer_id", None),
        )
        writer.write(self._session.start())

    @classmethod
    async def open(
        cls,
        address: NodeAddress,
        *,
        token: bytes | None,
        timeout_s: float,
        client_name: str,
        notified: Callable[[str, Mapping[str, Any]], None],
    ) -> AsyncSession:
        """Dial, compare the node's key on TLS, and send the first bytes."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await _dial(address)
        except OSError as exc:  # TimeoutError and ssl.SSLError are among them
            raise _translated(address, exc, timeout_s) from exc
        except UnicodeError as exc:  # what IDNA cannot write
            raise UnreachableError(f"cannot find the host of {address}", "check the address") from exc
        try:
            return cls(address, reader, writer, token=token, client_name=client_name, notified=notified)
        except BaseException:
            writer.transport.abort()
            raise

    async def read(self) -> None:
        """Receive until the node hangs up or breaks the protocol; always ends with an error.

        Calls that still wait fail too.
        """
        try:
            while data := await self._read_some():
                self._receive(data)
            is_unanswered = self._session.state is SessionState.GREETED
            raise closed_by_node(self._where, self._session.pending_bytes, is_unanswered=is_unanswered)
        except RpcError as exc:
            raise rpc_error(exc) from exc
        except AuthenticationError as exc:
            raise RefusedError(f"{self._where}: {exc}") from exc
        except RemoteProtocolError as exc:
            raise not_a_node(self._where, exc) from exc
        except OSError as exc:
            raise unreachable(self._where, exc) from exc
        finally:
            self._abandon_calls()

    async def _read_some(self) -> bytes:
        """Return what has arrived; nothing when the node hung up, however rudely."""
        try:
            return await self._reader.read(READ_BYTES)
        except ConnectionResetError:
            return b""

    def _receive(self, data: bytes) -> None:
        for event in self._session.receive(data):
            match event:
                case Ready(hello=hello):
                    self.hello = clean_tree(hello)
                    self.ready.set()
                case Reply(id=call_id, result=result):
                    if (waiting := self._waiting.pop(call_id, None)) is not None and not waiting.done():
                        waiting.set_result(result)
                case Failed(id=call_id, error=error):
                    if (waiting := self._waiting.pop(call_id, None)) is not None and not waiting.done():
                        waiting.set_exception(rpc_error(error))
                case Notified(method=method, params=params):
                    self._notified(method, clean_tree(params))
        if leaving := self._session.outgoing():
            self._writer.write(leaving)

    async def call(self, method: str, params: Mapping[str, Any], timeout_s: float) -> Mapping[str, Any]:
        """Call, once the session is ready, and wait for the result."""
        call_id: int | None = None
        try:
            async with asyncio.timeout(timeout_s):
                await self.ready.wait()
                if self._session.state is SessionState.CLOSED:
                    raise closed_by_node(self._where)
                call_id, data = self._session.call(method, params)
                self._waiting[call_id] = waiting = asyncio.get_running_loop().create_future()
                self._writer.write(data)
                await self._writer.drain()
                return checked_result(await waiting, self._where, method)
        except TimeoutError as exc:
            raise NodeTimeoutError(f"the node did not answer {method} within {timeout_s:g} s") from exc
        except OSError as exc:
            raise unreachable(self._where, exc) from exc
        finally:
            if call_id is not None:
                self._waiting.pop(call_id, None)

    def close(self) -> None:
        """Drop the connection at once; a monitor owes the node no farewell."""
        self._writer.transport.abort()

    def _abandon_calls(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(UnreachableError(f"the connection to {self._where} ended"))


async def _dial(address: NodeAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, UnixAddress):
        return await asyncio.open_unix_connection(str(address.path))
    if not isinstance(address, TlsAddress):
        return await asyncio.open_connection(address.host, address.port)
    from qudag_tui.client.tls import client_context, require_identity

    require_identity(address)
    return await asyncio.open_connection(address.host, address.port, ssl=client_context(), server_hostname="")


def _certificate(address: NodeAddress, writer: asyncio.StreamWriter) -> bytes | None:
    if not isinstance(address, TlsAddress):
        return None
    from qudag_tui.client.tls import check_certificate

    return check_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True), address)


def _translated(address: NodeAddress, exc: OSError, timeout_s: float) -> Exception:
    if isinstance(address, TlsAddress):
        import ssl

        from qudag_tui.client.tls import not_tls

        if isinstance(exc, ssl.SSLError | ConnectionResetError):
            return not_tls(str(address), exc)
    return unreachable(str(address), exc, timeout_s)
