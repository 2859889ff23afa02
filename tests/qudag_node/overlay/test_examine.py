"""Looking at an address as a link would dial it: how far it gets, and what the reason is."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from qudag_node.overlay.certificate import load_certificate, server_context
from qudag_node.overlay.examine import EXAMINE_STEPS, ExamineStep, examine
from qudag_node.overlay.frames import FrameType, encode_frame
from qudag_node.overlay.hello import ServerHello, encode_server_hello
from qudag_node.overlay.identity import Identity
from qudag_node.peerid import PeerId
from tests.qudag_node.overlay.links import NETWORK, until
from tests.qudag_node.overlay.nodes import Node, running

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def look(
    port: int, *, host: str = "127.0.0.1", expected: PeerId | None = None, timeout_s: float = 10.0
) -> list[ExamineStep]:
    return await examine(host, port, network=NETWORK, expected=expected, clock=time, timeout_s=timeout_s)


def reached(steps: list[ExamineStep]) -> str:
    """The step that failed, or the last one."""
    assert [step.step for step in steps] == list(EXAMINE_STEPS[: len(steps)])
    assert all(step.ok and not step.reason for step in steps[:-1])
    assert all(step.duration_s >= 0 for step in steps)
    assert steps[-1].ok == (not steps[-1].reason)
    return steps[-1].step


@asynccontextmanager
async def listening(speak: Speak, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """Serve one port in some odd way."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await speak(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def saying(data: bytes) -> Speak:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return speak


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def hello(*, network: str = NETWORK, versions: tuple[int, ...] = (1,)) -> bytes:
    said = ServerHello(versions=versions, agent="odd/1\x1b[31m", network=network, nonce=bytes(32))
    return encode_frame(FrameType.HELLO, encode_server_hello(said))


async def test_a_node_is_seen_whole_and_notices_little() -> None:
    node = Node()
    async with running(node):
        host, _, port = node.overlay.listen_addresses[0].rpartition(":")
        steps = await look(int(port), host=host, expected=node.identity.peer_id)
        assert reached(steps) == "protocol"
        assert steps[-1].ok
        assert [step.detail for step in steps[1:4]] == [
            f"{host} port {port} accepts connections",
            "TLSv1.3, qudag-link/1",
            node.id,
        ]
        assert "test/1" in steps[4].detail
        assert (await look(int(port)))[-1].ok
        await until(lambda: node.collector.connections.gauges.pending == 0)
        assert node.overlay.links() == []
        assert node.overlay.peers() == []


async def test_another_node_than_expected_is_told() -> None:
    node = Node()
    async with running(node):
        port = int(node.overlay.listen_addresses[0].rpartition(":")[2])
        steps = await look(port, expected=Identity.generate().peer_id)
        assert reached(steps) == "identity"
        assert f"another node answers there: {node.id}" in steps[-1].reason


async def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        steps = await look(free.getsockname()[1])
    assert reached(steps) == "tcp"
    assert "nothing listens" in steps[-1].reason


@pytest.mark.parametrize("host", ["a" * 70, ""])
async def test_a_name_that_is_none(host: str) -> None:
    steps = await look(1, host=host, timeout_s=30.0)
    assert not steps[-1].ok
    assert steps[-1].step in {"resolve", "tcp"}
    assert "\n" not in steps[-1].reason


async def test_what_speaks_no_tls() -> None:
    async with listening(saying(b"SSH-2.0-OpenSSH_9.6\r\n" * 4)) as port:
        steps = await look(port)
    assert reached(steps) == "tls"
    assert "TLS failed" in steps[-1].reason


async def test_what_closes_at_once() -> None:
    async with listening(hang_up) as port:
        steps = await look(port)
    assert reached(steps) in {"tls", "tcp"}
    assert not steps[-1].ok


async def test_what_says_nothing() -> None:
    async with listening(saying(b"")) as port:
        steps = await look(port, timeout_s=0.2)
    assert reached(steps) == "tls"
    assert "no answer within 0.2 s" in steps[-1].reason


def other_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, Identity.generate())
    return context


async def test_tls_of_another_protocol() -> None:
    async with listening(saying(b""), tls=other_tls()) as port:
        steps = await look(port)
    assert reached(steps) == "tls"
    assert "not qudag-link/1" in steps[-1].reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (hello(network="elsewhere"), "it is in network 'elsewhere', this node in 'testnet'"),
        (hello(versions=(7, 9)), "no link version in common: it speaks 7, 9"),
        (encode_frame(FrameType.PING, bytes(16)), "hello_expected"),
        (encode_frame(FrameType.HELLO, b"\xff" * 40), "hello_malformed"),
        (encode_frame(FrameType.HELLO, bytes(1025)), "frame_oversize"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame_type"),
    ],
    ids=["network", "version", "frame", "garbage", "long", "http"],
)
async def test_what_is_no_link_of_ours(said: bytes, reason: str) -> None:
    identity = Identity.generate()
    async with listening(saying(said), tls=server_context(identity)) as port:
        steps = await look(port, expected=identity.peer_id)
    assert reached(steps) == "protocol"
    assert reason in steps[-1].reason


async def test_what_closes_after_tls() -> None:
    identity = Identity.generate()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hello()[:20])
        writer.close()

    async with listening(leave, tls=server_context(identity)) as port:
        steps = await look(port)
    assert reached(steps) == "protocol"
    assert "closed the connection" in steps[-1].reason


async def test_an_agent_is_a_strangers_text() -> None:
    async with listening(saying(hello()), tls=server_context(Identity.generate())) as port:
        steps = await look(port)
    assert steps[-1].ok
    assert steps[-1].detail.isprintable()
