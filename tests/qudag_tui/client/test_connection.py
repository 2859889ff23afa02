"""The blocking client over real Unix, TCP and TLS sockets, and against servers that are none of ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qudag_node.wire import ErrorCode, RpcError, TlsAddress, UnixAddress, parse_address
from qudag_tui.client.connection import Connection, connect
from qudag_tui.client.transport import Deadline, unreachable
from qudag_tui.errors import (
    NodeTimeoutError,
    ProtocolError,
    QudagError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from tests.qudag_tui.client.server import TOKEN, Identity, SmallNode


@pytest.fixture(params=["unix", "tcp", "tls"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallNode]:
    with SmallNode(request.param, tmp_path) as running:
        running.methods["status"] = lambda _params, _push: {"pid": 4711}
        yield running


def open_(node: SmallNode, **options: object) -> Connection:
    token = None if isinstance(node.address, UnixAddress) else TOKEN
    return connect(node.address, token=token, timeout_s=10, **options)  # type: ignore[arg-type]


def test_a_call_is_answered(node: SmallNode) -> None:
    with open_(node) as connection:
        assert connection.call("status") == {"pid": 4711}
        assert connection.call("status", {"deep": True}) == {"pid": 4711}
        assert connection.hello["node"]["name"] == "peer1"
        assert connection.hello["role"] == "admin"
    assert node.calls == [("status", {}), ("status", {"deep": True})]


def test_hello_can_be_asked_for_before_any_call(node: SmallNode) -> None:
    with open_(node) as connection:
        assert connection.hello["node"]["id"] == node.identity.peer_id


def test_waiting_ends_when_nobody_reads_the_output(node: SmallNode) -> None:
    reading, writing = os.pipe()
    with open_(node) as connection:
        connection.end_with(writing)
        assert connection.call("status") == {"pid": 4711}
        with pytest.raises(NodeTimeoutError):
            connection.take_notifications(Deadline(0.05))
        threading.Timer(0.1, os.close, (reading,)).start()
        with pytest.raises(BrokenPipeError):
            connection.take_notifications(Deadline(60))
        with pytest.raises(BrokenPipeError):
            connection.call("status")
    os.close(writing)


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (ErrorCode.NOT_FOUND, UsageError, 2),
        (ErrorCode.AMBIGUOUS, UsageError, 2),
        (ErrorCode.BAD_REQUEST, UsageError, 2),
        (ErrorCode.FORBIDDEN, RefusedError, 4),
        (ErrorCode.RATE_LIMITED, RefusedError, 4),
        (ErrorCode.DECLINED, RefusedError, 4),
        (ErrorCode.UNKNOWN_METHOD, ProtocolError, 5),
        (ErrorCode.CONFLICT, QudagError, 1),
        (ErrorCode.INTERNAL, QudagError, 1),
    ],
)
def test_each_error_code_has_its_exit_code(
    tmp_path: Path, code: ErrorCode, kind: type[QudagError], exit_code: int
) -> None:
    def refuse(_params: object, _push: object) -> object:
        raise RpcError(code, "no\x1b[31m", "do this")

    with SmallNode("unix", tmp_path) as node, open_(node) as connection:
        node.methods["refuse"] = refuse
        with pytest.raises(kind) as caught:
            connection.call("refuse")
        assert type(caught.value) is kind
        assert caught.value.exit_code == exit_code
        assert str(caught.value) == "no\ufffd(31m; do this"
        node.methods["status"] = lambda _params, _push: {}
        assert connection.call("status") == {}  # the connection survives an error


def test_what_the_node_sends_is_cleaned(node: SmallNode) -> None:
    node.methods["peers"] = lambda _params, _push: {
        "names": ["ok", "evil\x1b]0;x\x07"],
        "text": {"type": "str", "text": "a\x1b\0b"},
        "by\nagent": {"[red]": 1},
        "bin": b"\x1b\x00",
    }
    with open_(node) as connection:
        assert connection.call("peers") == {
            "names": ["ok", "evil\ufffd)0;x\ufffd"],
            "text": {"type": "str", "text": "a\ufffd\0b"},
            "by\ufffdagent": {"(red)": 1},
            "bin": b"\x1b\x00",
        }


def test_notifications_come_in_order_even_before_the_answer(node: SmallNode) -> None:
    def subscribe(_params: object, push: object) -> object:
        for seq in range(3):
            push("events", {"seq": seq})  # type: ignore[operator]
        return {"stream": 1}

    node.methods["subscribe"] = subscribe
    with open_(node) as connection:
        assert connection.call("subscribe", {"topic": "events"}) == {"stream": 1}
        stream = connection.notifications(timeout_s=10)
        assert [next(stream) for _ in range(3)] == [("events", {"seq": seq}) for seq in range(3)]


def test_notifications_behind_the_answer_are_not_lost_however_the_bytes_come(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node, open_(node) as connection:
        assert connection.hello
        node.methods["subscribe"] = lambda _params, _push: {"stream": 1}
        # Both in one write, and so most likely in one read.
        node.behind_answers = [("events", {"seq": 1}), ("events", {"seq": 2})]
        connection.call("subscribe", {"topic": "events"})
        stream = connection.notifications(timeout_s=10)
        assert [next(stream) for _ in range(2)] == node.behind_answers


def test_silence_between_notifications_is_an_error(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node, open_(node) as connection:
        assert connection.hello
        with pytest.raises(NodeTimeoutError, match=r"within 0\.05 s"):
            next(connection.notifications(timeout_s=0.05))


def test_a_large_answer_arrives_whole(node: SmallNode) -> None:
    node.methods["big"] = lambda _params, _push: {"bin": bytes(3_000_000)}
    with open_(node) as connection:
        assert len(connection.call("big")["bin"]) == 3_000_000


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    for transport in ("tcp", "tls"):
        with SmallNode(transport, tmp_path) as node, pytest.raises(RefusedError) as caught:
            connect(node.address, token=bytes(32), timeout_s=10)
        assert caught.value.exit_code == 4


def test_a_node_that_does_not_know_the_token_is_refused_by_us(tmp_path: Path) -> None:
    # A relay accepts any proof, and answers with one of its own making.
    with SmallNode("tcp", tmp_path) as node:
        node.token = bytes(32)
        with pytest.raises(RefusedError):
            connect(node.address, token=TOKEN, timeout_s=10)


def test_another_nodes_key_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    stranger = Identity(tmp_path)
    with SmallNode("tls", tmp_path) as node:
        assert isinstance(node.address, TlsAddress)
        address = TlsAddress(node.address.host, node.address.port, stranger.peer_id)
        with pytest.raises(RefusedError, match=f"expected {stranger.peer_id}, met {node.identity.peer_id}"):
            connect(address, token=TOKEN, timeout_s=10)
        assert node.calls == []


def test_a_tls_address_without_identity_is_refused_with_advice(tmp_path: Path) -> None:
    with SmallNode("tls", tmp_path) as node:
        assert isinstance(node.address, TlsAddress)
        with pytest.raises(UsageError, match=r"qudag id.*tls://PEERID@HOST:PORT"):
            connect(TlsAddress(node.address.host, node.address.port), token=TOKEN, timeout_s=10)


GARBAGE = {
    "http": (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", ProtocolError),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", ProtocolError),
    "a response cut off": (b"\x94\x01\x00\xc0\x84", ProtocolError),
    "two gigabytes": (b"\x94\x01\x00\xc0\xc6\x7f\xff\xff\xff", ProtocolError),
    "an unasked response": (b"\x94\x01\x07\xc0\x80", ProtocolError),
    "no common version": (
        b"\x94\x01\x00\x82\xa4code\xb3unsupported_version\xa7message\xa2no\xc0",
        ProtocolError,
    ),
}


@pytest.mark.parametrize(("raw", "kind"), GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_what_is_no_node_is_told_as_such(
    tmp_path: Path, transport: str, raw: bytes, kind: type[QudagError]
) -> None:
    with SmallNode(transport, tmp_path) as node:
        node.raw = raw
        with pytest.raises(kind), open_(node) as connection:
            connection.call("status")


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_port_that_hangs_up_without_a_word_is_no_node(
    tmp_path: Path, transport: str, token: bytes | None
) -> None:
    with SmallNode(transport, tmp_path) as node:
        node.raw = b""
        with pytest.raises(ProtocolError, match=r"hello; is this a QuDAG node's RPC address\?$") as caught:
            connect(node.address, token=token, timeout_s=10)
        assert caught.value.exit_code == 5


def test_a_unix_socket_that_hangs_up_without_a_word_is_a_node_that_stops(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node:
        node.raw = b""
        with pytest.raises(UnreachableError, match="closed the connection"), open_(node) as connection:
            connection.call("status")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_without_a_token_it_is_the_nodes_challenge_that_is_refused(tmp_path: Path, transport: str) -> None:
    with SmallNode(transport, tmp_path) as node:
        with pytest.raises(
            RefusedError, match=r"asks for a token, and there is none; .*--token-file"
        ) as caught:
            connect(node.address, timeout_s=10)
        assert caught.value.exit_code == 4
        if isinstance(node.address, TlsAddress):
            other = TlsAddress(node.address.host, node.address.port, Identity(tmp_path).peer_id)
            with pytest.raises(RefusedError, match="is another node"):
                connect(other, timeout_s=10)


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_a_silent_server_is_given_up(tmp_path: Path, transport: str) -> None:
    with SmallNode(transport, tmp_path) as node:
        node.is_silent = True
        token = None if transport == "unix" else TOKEN
        with (
            pytest.raises(NodeTimeoutError) as caught,
            connect(node.address, token=token, timeout_s=0.3) as connection,
        ):
            connection.call("status")
        assert caught.value.exit_code == 3


def test_tls_spoken_to_a_plain_port_is_no_node(tmp_path: Path) -> None:
    with SmallNode("tcp", tmp_path) as node:
        port = node.address.port  # type: ignore[union-attr]
        with pytest.raises(ProtocolError, match="TLS"):
            connect(TlsAddress("127.0.0.1", port, node.identity.peer_id), token=TOKEN, timeout_s=10)


def test_a_certificate_of_another_kind_of_key_is_no_nodes(tmp_path: Path) -> None:
    other = Identity(tmp_path, elliptic=True)
    with (
        SmallNode("tls", tmp_path, identity=other) as node,
        pytest.raises(ProtocolError, match="no Ed25519 key"),
    ):
        connect(node.address, token=TOKEN, timeout_s=10)
    assert node.calls == []


def test_a_socket_of_somebody_else_is_a_refusal() -> None:
    error = unreachable("unix:/x", PermissionError(13, "Permission denied"))
    assert (error.exit_code, "viewer_group" in str(error)) == (4, True)


def test_the_process_behind_a_unix_socket_is_known(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node, open_(node) as connection:
        assert connection.peer_pid() == os.getpid()
    with SmallNode("tcp", tmp_path) as node, open_(node) as connection:
        assert connection.peer_pid() is None


def test_plain_tcp_spoken_to_a_tls_port_is_no_node(tmp_path: Path) -> None:
    with SmallNode("tls", tmp_path) as node:
        port = node.address.port  # type: ignore[union-attr]
        with pytest.raises((ProtocolError, UnreachableError)):
            connect(parse_address(f"tcp://127.0.0.1:{port}"), token=TOKEN, timeout_s=10)


def test_a_node_that_goes_away_is_told(node: SmallNode) -> None:
    with open_(node) as connection:
        assert connection.hello
        node.hang_up()
        with pytest.raises(UnreachableError, match="closed the connection"):
            connection.call("status")
        assert connection.wait_until_closed(5)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("unix:/nowhere/rpc.sock", UnreachableError),
        ("tcp://127.0.0.1:1", UnreachableError),
        ("tcp://no-such-host.invalid:1", UnreachableError),
        ("tcp://[::1]:1", UnreachableError),
        ("tcp://bücher..example:1", UnreachableError),
        (f"tcp://{'ü' * 80}:1", UnreachableError),
        (f"tcp://{'a' * 80}.invalid:1", UnreachableError),
    ],
)
def test_where_nobody_listens_the_exit_code_is_3(address: str, kind: type[QudagError]) -> None:
    with pytest.raises(kind) as caught:
        connect(parse_address(address), token=TOKEN, timeout_s=5)
    assert caught.value.exit_code == 3


def test_a_file_that_is_no_socket_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreachableError):
        connect(UnixAddress(str(tmp_path / "file")), timeout_s=5)
