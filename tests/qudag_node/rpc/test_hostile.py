"""What a broken or hostile client can send, or leave unsaid, over every transport."""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.rpc import server
from qudag_node.rpc.dispatch import Dispatcher
from qudag_node.rpc.session import Origin, Session
from qudag_node.wire.errors import ErrorCode, RemoteProtocolError, RpcError
from qudag_node.wire.framing import HANDSHAKE_BYTES, Decoder, Notification, Request, Response, encode
from qudag_node.wire.methods import Role
from qudag_node.wire.session import NodeCard, ServerHandshake
from tests.clocks import LeapingClock
from tests.needs import need
from tests.qudag_node.overlay.links import until
from tests.qudag_node.rpc.support import IDENTITY, TRANSPORTS, FixedNode, config_with, connected, serving

GARBAGE = {
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "zeros": bytes(4096),
    "2 GB text": b"\x94\x00\x01\xdb\x7f\xff\xff\xff",
    "2 GB array": b"\xdd\x7f\xff\xff\xff",
    "2 GB of bytes": b"\x94\x00\x01\xa1x\x91\x81\xa1y\xc6\x7f\xff\xff\xff",
    "4 G entries": b"\x94\x00\x01\xa1x\x91\xdf\xff\xff\xff\xff",
    "nesting": b"\x94\x00\x01\xa1x" + b"\x91" * 2000,
    "a response": encode(Response(1, None, 1)),
    "a notification": encode(Notification("stats", [])),
    "params that are no map": msgpack.packb([0, 1, "stats", [1, 2, 3]]),
    "an id that is text": msgpack.packb([0, "1", "stats", []]),
    "not UTF-8": b"\x94\x00\x01\xa2\xff\xff\x90",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in GARBAGE.items()])
@pytest.mark.parametrize("when", ["before hello", "after hello"])
async def test_garbage_closes_this_connection_and_no_other(
    tmp_path: Path, transport: str, data: bytes, when: str
) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as bystander:
        await bystander.opened()
        async with connected(served, transport) as client:
            if when == "after hello":
                await client.opened()
            client.writer.write(data)
            await client.closed()
        assert (await bystander.call("status"))["pid"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_truncated_call_is_waited_for_and_then_forgotten(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served:
        async with connected(served, transport) as client:
            await client.opened()
            client.writer.write(encode(Request(9, "status", []))[:-1])
            await client.writer.drain()
            await asyncio.sleep(0.05)
        async with connected(served, "unix") as bystander:
            await bystander.opened()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("said", [b"", b"\x94\x00"], ids=["nothing", "two bytes"])
async def test_a_silent_client_is_closed_in_time(tmp_path: Path, transport: str, said: bytes) -> None:
    clock = LeapingClock()
    async with (
        serving(tmp_path, clock=clock.monotonic) as served,
        connected(served, transport) as client,
    ):
        client.writer.write(said)
        await until(lambda: bool(served.server.clients))
        clock.leap(6)
        async with asyncio.timeout(10):
            assert await client.closed() == b""


async def test_a_client_that_never_shakes_hands_is_closed_in_time(tmp_path: Path) -> None:
    async with serving(tmp_path, config_with(handshake_timeout_s=0.2)) as served:
        address = served.address("tls")
        reader, writer = await asyncio.open_connection(address.host, address.port)  # type: ignore[union-attr]
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_who_sends_garbage_over_and_over_does_not_fill_the_log(
    tmp_path: Path, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as served:
        address = served.address(transport)
        for _ in range(100):
            reader, writer = await asyncio.open_connection(address.host, address.port)  # type: ignore[union-attr]
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(10):
                await reader.read()
            writer.close()
            await writer.wait_closed()
    closed = [record for record in caplog.records if "closed" in record.getMessage()]
    assert 1 <= len(closed) < 20


async def test_plain_text_on_the_tls_port_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        address = served.address("tls")
        reader, writer = await asyncio.open_connection(address.host, address.port)  # type: ignore[union-attr]
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_an_idle_client_is_closed_and_a_subscriber_is_not(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with (
        serving(tmp_path, clock=clock.monotonic) as served,
        connected(served, "unix") as idle,
        connected(served, "unix") as subscriber,
    ):
        await idle.opened()
        await subscriber.opened()
        await subscriber.call("subscribe", topic="events", interval_s=1)
        clock.leap(601)
        async with asyncio.timeout(10):
            await idle.closed()
        assert (await subscriber.call("status"))["pid"] == 1


@pytest.mark.parametrize("transport", ["unix", "tcp"])
async def test_a_thousand_connections_are_served(tmp_path: Path, transport: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need(hard == resource.RLIM_INFINITY or hard >= 4096, "a limit of 4096 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))

    async def ask() -> None:
        async with connected(served, transport) as client:
            await client.opened()
            assert (await client.call("status"))["pid"] == 1
            answered.append(1)
            if len(answered) == 1000:
                everybody.set()
            await everybody.wait()
            assert (await client.call("status"))["pid"] == 1

    answered: list[int] = []
    everybody = asyncio.Event()
    async with serving(tmp_path) as served, asyncio.TaskGroup() as tasks:
        for _ in range(1000):
            tasks.create_task(ask())
    assert len(answered) == 1000


@pytest.mark.parametrize("limit", ["max_clients", "max_clients_per_address"])
async def test_clients_over_a_limit_are_told(tmp_path: Path, limit: str) -> None:
    async with serving(tmp_path, config_with(**{limit: 2})) as served:
        async with connected(served, "unix") as first, connected(served, "unix") as second:
            await first.opened()
            await second.opened()
            async with connected(served, "unix") as third:
                with pytest.raises(RpcError) as caught:
                    await third.opened()
                assert caught.value.code is ErrorCode.BUSY
        async with connected(served, "unix") as later:
            await later.opened()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_strangers_keep_out_neither_the_socket_nor_who_can_show_a_token(
    tmp_path: Path, transport: str
) -> None:
    config = config_with(max_clients=16, handshake_timeout_s=3600.0)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(tmp_path, config))
        strangers = [await stack.enter_async_context(connected(served, transport)) for _ in range(16)]
        proven = await stack.enter_async_context(connected(served, transport))
        await proven.opened()
        assert await strangers[0].closed() == b""
        for _ in range(2):
            local = await stack.enter_async_context(connected(served, "unix"))
            await local.opened()
            assert (await local.call("status"))["role"] == "admin"
        assert (await proven.call("status"))["pid"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_calls_too_fast_is_told_and_in_the_end_closed(
    tmp_path: Path, transport: str
) -> None:
    config = config_with(requests_per_s=1.0, request_burst=5)
    async with serving(tmp_path, config) as served, connected(served, transport) as client:
        await client.opened()
        calls = [client.session.call("status") for _ in range(2000)]
        client.writer.write(b"".join(data for _, data in calls))
        with pytest.raises(RpcError) as caught:
            await client.reply_to(calls[10][0])
        assert caught.value.code is ErrorCode.RATE_LIMITED
        async with asyncio.timeout(10):
            await client.closed()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_deaf_client_is_not_read_from_and_then_closed(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path, config_with(slow_subscriber_timeout_s=0.5)) as served:
        served.node.payload = bytes(100_000)
        async with connected(served, transport) as client:
            await client.opened()
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # a client that is deaf
            asked = b"".join(client.session.call("stats")[1] for _ in range(1000))
            client.writer.write(asked)
            async with asyncio.timeout(20):
                while served.server.clients:
                    assert served.server.pending_bytes() < 1_000_000
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_before_a_role_is_granted_a_message_is_small(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        hello = {"versions": [1], "client": "x" * HANDSHAKE_BYTES}
        client.writer.write(encode(Request(0, "hello", [hello])))
        async with asyncio.timeout(10):
            if transport == "unix":
                assert await client.reader.read(65_536)
            else:
                assert await client.closed() == b""


async def test_when_all_leave_too_much_unread_who_is_furthest_behind_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MAX_PENDING_BYTES", 8 << 20)
    async with (
        serving(tmp_path) as served,
        connected(served, "unix") as modest,
        connected(served, "unix") as greedy,
    ):
        await modest.opened()
        await greedy.opened()
        for client, mebibytes in ((modest, 3), (greedy, 7)):
            served.node.payload = bytes(mebibytes << 20)
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # a client that is deaf
            client.writer.write(client.session.call("stats")[1])
            at_least = served.server.pending_bytes() + (mebibytes - 1 << 20)
            await until(lambda: served.server.pending_bytes() > at_least or served.server.clients < 2)  # noqa: B023
        await until(lambda: served.server.clients == 1)
        modest.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await modest.reply_to(2))["payload"]) == 3 << 20


async def test_as_long_as_all_together_leave_little_unread_nobody_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MAX_PENDING_BYTES", 16 << 20)
    monkeypatch.setattr(server, "_SWEEP_S", 0.01)
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        await client.opened()
        served.node.payload = bytes(12 << 20)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(client.session.call("stats")[1])
        await until(lambda: served.server.pending_bytes() > 8 << 20)
        await asyncio.sleep(0.1)
        assert served.server.clients == 1


def new_session(role: Role | None) -> Session:
    return Session(
        Origin(transport="unix" if role else "tcp", address="x"),
        ServerHandshake(NodeCard(IDENTITY.peer_id, "n", "0", "t"), role=role, nonce=bytes(32)),
        Dispatcher(FixedNode()),
        bucket=TokenBucket(1e9, 1e9, 0.0),
    )


@given(data=st.binary(max_size=4096), role=st.sampled_from([None, Role.VIEWER]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_crash_a_session(data: bytes, role: Role | None) -> None:
    session = new_session(role)
    try:
        for message in session.decoder.messages(data):
            session.greet(message)
    except RemoteProtocolError:
        pass
    assert session.decoder.pending_bytes <= len(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(
    method=st.sampled_from(
        ["peer", "history", "log", "events", "stats", "token.add", "submit", "peer.ban", "x"]
    ),
    params=st.dictionaries(
        st.sampled_from(
            ["peer", "series", "lines", "level", "since", "sections", "name", "role", "payloads"]
        ),
        values,
    ),
)
@settings(max_examples=300)
def test_no_parameters_crash_a_method(method: str, params: dict[str, object]) -> None:
    class Caller:
        role = Role.ADMIN
        label = "test"

        def subscribe(self, topic: str, interval_s: float) -> int:
            raise AssertionError

        def unsubscribe(self, stream: int) -> bool:
            raise AssertionError

    answer = Dispatcher(FixedNode()).answer(Request(1, method, [params]), Caller())
    if not isinstance(answer, tuple):
        asyncio.run(_finish(answer))
        return
    (response,) = Decoder().feed(b"".join(answer))
    assert isinstance(response, Response)
    if response.error is not None:
        assert response.error["code"] != "internal" or params.get("peer") == "broken"


async def _finish(answer: object) -> None:
    async with asyncio.timeout(5):
        await answer  # type: ignore[misc]
