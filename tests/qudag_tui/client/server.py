"""A small real node: the wire's own server half on a real socket, answering from a table.

Not a mock of a client: every byte a client under test reads was framed by ``qudag_node.wire``. What a
hostile or broken server would send is given as raw bytes.
"""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from qudag_node.peerid import PeerId, peer_id_of
from qudag_node.wire import (
    SERVER_LIMITS,
    Credential,
    Decoder,
    NodeAddress,
    NodeCard,
    Notification,
    RemoteProtocolError,
    Request,
    Response,
    Role,
    RpcError,
    ServerHandshake,
    SessionState,
    TcpAddress,
    TlsAddress,
    UnixAddress,
    encode,
)

TOKEN = bytes(range(32))

Params = Mapping[str, Any]
#: Answers one call; may push notifications through the second argument.
Method = Callable[[Params, Callable[[str, Params], None]], Any]


class Identity:
    """An Ed25519 key and the self-signed certificate that carries it; or, to be refused, one of P-256."""

    def __init__(self, directory: Path, *, elliptic: bool = False) -> None:
        own = Ed25519PrivateKey.generate()
        key = generate_private_key(SECP256R1()) if elliptic else own
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
            .sign(key, SHA256() if elliptic else None)
        )
        raw = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.peer_id = peer_id_of(raw)
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        self.path = directory / f"{self.peer_id}.pem"
        self.path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )

    def context(self) -> ssl.SSLContext:
        """A TLS 1.3 server's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.path)
        return context


class SmallNode:
    """Serves until the ``with`` block ends.

    Attributes:
        address: What a client connects to; on tls with the identity.
        methods: What it answers; change it at any time.
        calls: (method, params) in the order they came.
        behind_answers: Notifications written together with each answer.
    """

    def __init__(self, transport: str, directory: Path, *, identity: Identity | None = None) -> None:
        self.identity = identity or Identity(directory)
        self.methods: dict[str, Method] = {}
        self.calls: list[tuple[str, Params]] = []
        self.token = TOKEN
        self.raw: bytes | None = None
        self.is_silent = False
        self.behind_answers: list[tuple[str, Params]] = []
        self._transport = transport
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        if transport == "unix":
            self._listener = socket.socket(socket.AF_UNIX)
            path = directory / "rpc.sock"
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            self.address: NodeAddress = UnixAddress(str(path))
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            port = self._listener.getsockname()[1]
            self.address = (
                TcpAddress("127.0.0.1", port)
                if transport == "tcp"
                else TlsAddress("127.0.0.1", port, self.identity.peer_id)
            )
        self._listener.listen()
        self._context = self.identity.context() if transport == "tls" else None

    def __enter__(self) -> SmallNode:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on everybody and stop listening, as a killed process does."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(10)
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
        for sock in self._sockets:
            sock.close()

    def hang_up(self) -> None:
        """Close every connection, and go on listening."""
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            self._run(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        # A broken client is hung up on, as a node does.
        with suppress(OSError, RemoteProtocolError), sock:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            if self.is_silent:
                while sock.recv(1 << 16):
                    pass
                return
            if self.raw is not None:
                sock.recv(1 << 16)
                sock.sendall(self.raw)
                sock.shutdown(socket.SHUT_WR)
                return
            self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        handshake = ServerHandshake(
            NodeCard(PeerId(self.identity.peer_id), "peer1", "0.1.0", "test"),
            role=Role.ADMIN if self._transport == "unix" else None,
            credentials=lambda: [Credential("cookie", Role.ADMIN, self.token)],
            certificate_der=self.identity.der if self._transport == "tls" else None,
            nonce=os.urandom(32),
        )
        decoder = Decoder(SERVER_LIMITS)

        def push(method: str, params: Params) -> None:
            sock.sendall(encode(Notification(method, [dict(params)])))

        while data := sock.recv(1 << 16):
            for request in decoder.feed(data):
                assert isinstance(request, Request)
                if handshake.state is not SessionState.READY:
                    sock.sendall(handshake.receive(request))
                    if handshake.state is SessionState.CLOSED:
                        sock.shutdown(socket.SHUT_RDWR)
                        return
                else:
                    sock.sendall(self._answer(request, push))

    def _answer(self, request: Request, push: Callable[[str, Params], None]) -> bytes:
        params = request.params[0] if request.params else {}
        self.calls.append((request.method, params))
        try:
            method = self.methods[request.method]
        except KeyError:
            error = {"code": "unknown_method", "message": f"no method {request.method}"}
            return encode(Response(request.id, error, None))
        try:
            answer = encode(Response(request.id, None, method(params, push)))
            return answer + b"".join(encode(Notification(m, [dict(p)])) for m, p in self.behind_answers)
        except RpcError as exc:
            return encode(Response(request.id, exc.to_wire(), None))
