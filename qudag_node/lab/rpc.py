"""Talking to a node over its Unix socket: the same protocol, by the same session, as every other client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from qudag_node import wire
from qudag_node.lab.errors import LabError

__all__ = ["NodeSession", "call_once"]

_CLIENT = "qudag-lab"
_READ_BYTES = 1 << 18


class NodeSession:
    """An open session; calls may overlap.

    ``async with NodeSession("unix:/…/rpc.sock") as node: await node.call("status")``
    """

    def __init__(self, address: str) -> None:
        self._path = _path_of(address)
        self._session = wire.ClientSession(_CLIENT, transport="unix")
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._receiving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        self._writer.write(self._session.start())
        self._receiving = asyncio.create_task(self._receive(reader), name=f"rpc[{self._path}]")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._receiving is not None and not self._receiving.done()

    def begin(self, method: str, params: Mapping[str, object] | None = None) -> asyncio.Future[Any]:
        """Send a call; the future has its result, or LabError.

        Raises:
            LabError: The session has ended.
        """
        if not self.is_open or self._writer is None:
            raise LabError(f"{self._path}: the node closed the connection")
        number, data = self._session.call(method, params)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._writer.write(data)
        return future

    async def call(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """Call and wait for the result.

        Raises:
            LabError: The node answered with an error, or went away.
        """
        return await self.begin(method, params)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        problem = "the node closed the connection"
        try:
            while data := await reader.read(_READ_BYTES):
                for event in self._session.receive(data):
                    self._settle(event)
        except (OSError, wire.WireError) as error:
            problem = str(error)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(LabError(f"{self._path}: {problem}"))
                    future.exception()  # nobody need be waiting for it
            self._waiting.clear()

    def _settle(self, event: wire.Event) -> None:
        match event:
            case wire.Reply(number, result):
                future = self._waiting.pop(number)
                if not future.done():
                    future.set_result(result)
            case wire.Failed(number, error):
                future = self._waiting.pop(number)
                if not future.done():
                    future.set_exception(LabError(f"{self._path}: {error}"))
            case _:
                pass


def call_once(address: str, method: str, params: Mapping[str, object] | None, timeout_s: float) -> Any:
    """Open a session, call, close: for programs without an event loop.

    Raises:
        LabError: The node answered with an error.
        OSError: It cannot be reached, or not in time.
    """
    session = wire.ClientSession(_CLIENT, transport="unix")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as channel:
        channel.settimeout(timeout_s)
        channel.connect(_path_of(address))
        opening = session.start()
        number, data = session.call(method, params)
        channel.sendall(opening + data)
        while received := channel.recv(_READ_BYTES):
            for event in session.receive(received):
                match event:
                    case wire.Reply(answered, result) if answered == number:
                        return result
                    case wire.Failed(answered, error) if answered == number:
                        raise LabError(f"{address}: {error}")
                    case _:
                        pass
    raise ConnectionResetError(f"{address}: the node closed the connection")


def _path_of(address: str) -> str:
    parsed = wire.parse_address(address)
    if not isinstance(parsed, wire.UnixAddress):
        raise LabError(f"{address}: the lab talks to its nodes over their Unix sockets")
    return parsed.path
