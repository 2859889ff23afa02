"""A small real server of the protocol, for what the lab asks of nodes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qudag_node import wire

Answer = Callable[[str, Mapping[str, Any]], Any]


@asynccontextmanager
async def small_node(path: Path, answer: Answer) -> AsyncGenerator[str]:
    """Serve at ``path`` whatever ``answer`` returns; an ``RpcError`` it raises is the answer, too."""
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        card = wire.NodeCard(wire_id(), "small", "0", "test")
        handshake = wire.ServerHandshake(card, role=wire.Role.ADMIN, nonce=os.urandom(32))
        decoder = wire.Decoder(wire.SERVER_LIMITS)
        while data := await reader.read(65536):
            for message in decoder.messages(data):
                assert isinstance(message, wire.Request)
                writer.write(respond(handshake, message))
        writer.close()

    def respond(handshake: wire.ServerHandshake, request: wire.Request) -> bytes:
        if handshake.role is None:
            return handshake.receive(request)
        try:
            result = answer(request.method, request.params[0] if request.params else {})
        except wire.RpcError as error:
            return wire.encode(wire.Response(request.id, error.to_wire(), None))
        return wire.encode(wire.Response(request.id, None, result))

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix:{path}"
    finally:
        server.close()
        for writer in connections:
            writer.close()


def wire_id() -> Any:
    """Some node's identity."""
    from qudag_node.peerid import peer_id_of

    return peer_id_of(bytes(32))
