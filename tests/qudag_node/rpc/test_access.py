"""Who gets in: users of the socket, holders of tokens, and nobody else."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from qudag_node.errors import ConfigError, DataDirectoryError
from qudag_node.rpc.credentials import PeerCredentials, group_id, peer_credentials, role_of
from qudag_node.rpc.failures import FailureLimiter
from qudag_node.rpc.tokens import MAX_TOKENS, TokenStore
from qudag_node.wire import auth
from qudag_node.wire.errors import AuthenticationError, ErrorCode, RpcError
from qudag_node.wire.framing import Decoder, Request, Response, encode
from qudag_node.wire.methods import Role
from tests.qudag_node.rpc.support import IDENTITY, config_with, connected, serving

NETWORK = ("tcp", "tls")


@pytest.mark.parametrize("transport", NETWORK)
async def test_the_cookie_opens_everything(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        assert (await client.opened())["role"] == "admin"


@pytest.mark.parametrize("transport", NETWORK)
async def test_a_wrong_token_is_refused_and_the_connection_closed(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport, token=bytes(32)) as client:
        with pytest.raises(RpcError) as caught:
            await client.opened()
        assert caught.value.code is ErrorCode.UNAUTHENTICATED
        assert "qudag token add" in caught.value.hint
        assert await client.closed() == b""


@pytest.mark.parametrize("transport", NETWORK)
async def test_without_a_token_nothing_but_the_challenge_is_told(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport, with_cookie=False) as client:
        with pytest.raises(AuthenticationError):
            await client.opened()


@pytest.mark.parametrize("transport", NETWORK)
async def test_calls_before_the_proof_close_the_connection(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        client.writer.write(encode(Request(5, "stats", [])))
        (answer,) = Decoder().feed(await client.closed())
        assert isinstance(answer, Response)
        assert answer.error is not None
        assert answer.error["code"] == "unauthenticated"


async def test_a_proof_for_one_connection_is_worth_nothing_on_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        token = next(iter(served.tokens)).secret
        address = served.address("tcp")
        proof: bytes = b""
        nonce = os.urandom(32)
        codes: list[object] = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(address.host, address.port)  # type: ignore[union-attr]
            writer.write(encode(Request(0, "hello", [{"versions": [1], "client": "t"}])))
            (hello,) = Decoder().feed(await reader.read(4096))
            assert isinstance(hello, Response)
            challenge = hello.result["challenge"]  # type: ignore[index]
            proof = proof or auth.client_proof(token, IDENTITY.peer_id, None, challenge, nonce)
            writer.write(encode(Request(1, "authenticate", [{"proof": proof, "nonce": nonce}])))
            (answer,) = Decoder().feed(await reader.read(4096))
            assert isinstance(answer, Response)
            codes.append(None if answer.error is None else answer.error["code"])
            writer.close()
            await writer.wait_closed()
        assert codes == [None, "unauthenticated"]


async def test_failures_of_an_address_make_it_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, config_with(failures_per_minute=2)) as served:
        for _ in range(2):
            async with connected(served, "tcp", token=bytes(32)) as client:
                with pytest.raises(RpcError):
                    await client.opened()
        async with connected(served, "tcp") as client:
            with pytest.raises(RpcError) as caught:
                await client.opened()
        assert caught.value.code is ErrorCode.RATE_LIMITED
        # The socket of the node's own user is not an address.
        async with connected(served, "unix") as client:
            await client.opened()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_revoking_a_token_ends_its_sessions_and_says_why(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served:
        token = served.tokens.add("ci", Role.VIEWER, 1.0)
        async with connected(served, transport, token=token.secret) as client:
            assert (await client.opened())["role"] == "viewer"
            assert served.tokens.revoke("ci")
            served.server.close_token("ci")
            with pytest.raises(RpcError, match="the token 'ci' of this session was revoked") as caught:
                await client.notification()
            assert caught.value.code is ErrorCode.UNAUTHENTICATED
            assert await client.closed() == b""
        async with connected(served, transport, token=token.secret) as client:
            with pytest.raises(RpcError):
                await client.opened()


def test_named_tokens_survive_a_restart_and_the_cookie_does_not(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.bake_cookie(1.0)
    added = store.add("ci", Role.OPERATOR, 2.0)
    cookie = (tmp_path / "rpc.cookie").read_text()
    assert len(cookie.strip()) == 64
    for name in ("rpc.cookie", "tokens.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    again = TokenStore(tmp_path)
    assert list(again) == [added]
    again.bake_cookie(3.0)
    assert (tmp_path / "rpc.cookie").read_text() != cookie
    again.remove_cookie()
    assert not (tmp_path / "rpc.cookie").exists()
    assert added.secret.hex() not in repr(added)


def test_a_name_is_taken_once_and_there_are_only_so_many(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.add("a", Role.VIEWER, 0.0)
    for name in ("a", "", "a b", "cookie", "../a", "x" * 80):
        with pytest.raises(ValueError, match=r"name|token"):
            store.add(name, Role.VIEWER, 0.0)
    for number in range(MAX_TOKENS - 1):
        store.add(f"t{number}", Role.VIEWER, 0.0)
    with pytest.raises(ValueError, match="revoke one first"):
        store.add("more", Role.VIEWER, 0.0)
    assert store.revoke("a")
    assert not store.revoke("a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"tokens": [{"name": "a"}]}',
        '{"tokens": [{"name": "a", "role": "god", "token": "00", "created_unix_s": 0}]}',
        '{"tokens": [{"name": "a", "role": "admin", "token": "00", "created_unix_s": 0}]}',
    ],
)
def test_a_damaged_token_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens.json").write_text(text)
    (tmp_path / "tokens.json").chmod(0o600)
    with pytest.raises(DataDirectoryError, match="damaged"):
        TokenStore(tmp_path)


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text('{"tokens": []}')
    (tmp_path / "tokens.json").chmod(0o644)
    with pytest.raises(DataDirectoryError, match="chmod 600"):
        TokenStore(tmp_path)


def test_only_the_nodes_user_root_and_the_viewer_group_may_use_the_socket() -> None:
    own, stranger = os.geteuid(), 54_321
    groups = frozenset({7, 9})
    assert role_of(PeerCredentials(own, groups), None) is Role.ADMIN
    assert role_of(PeerCredentials(0, groups), None) is Role.ADMIN
    assert role_of(PeerCredentials(stranger, groups), None) is None
    assert role_of(PeerCredentials(stranger, groups), 8) is None
    assert role_of(PeerCredentials(stranger, groups), 7) is Role.VIEWER
    assert role_of(PeerCredentials(stranger, groups), 9) is Role.VIEWER


def test_the_kernel_tells_every_group_of_who_connected() -> None:
    near, far = socket.socketpair()
    with near, far:
        found = peer_credentials(near)
    assert found == PeerCredentials(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def test_an_unknown_viewer_group_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no group"):
        group_id("no-such-group-here")


def test_failures_are_forgotten_after_a_minute() -> None:
    limiter = FailureLimiter(2)
    limiter.failed("192.0.2.1", 0.0)
    assert not limiter.refuses("192.0.2.1", 1.0)
    limiter.failed("192.0.2.1", 1.0)
    assert limiter.refuses("192.0.2.1", 59.0)
    assert not limiter.refuses("192.0.2.1", 60.5)
    assert not limiter.refuses("192.0.2.2", 2.0)


def test_a_network_of_ipv6_addresses_counts_as_one() -> None:
    limiter = FailureLimiter(2)
    limiter.failed("2001:db8::1", 0.0)
    limiter.failed("2001:db8::2%eth0", 0.0)
    assert limiter.refuses("2001:db8::3", 1.0)
    assert not limiter.refuses("2001:db8:0:1::3", 1.0)
    limiter.failed("::ffff:192.0.2.1", 0.0)
    limiter.failed("192.0.2.1", 0.0)
    assert limiter.refuses("192.0.2.1", 1.0)


def test_the_table_of_failures_is_bounded() -> None:
    limiter = FailureLimiter(3, max_addresses=10)
    for number in range(100):
        limiter.failed(f"192.0.2.{number}", float(number))
    assert len(limiter) == 10
