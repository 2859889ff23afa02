"""The two Hellos of a link's handshake, and their bytes.

    server hello   versions | agent | network | nonce (32 bytes) | later fields
    client hello   versions | agent | network | listen address | public key (32) | later fields
                   | signature (64)

    versions       count u8, then one u8 each
    texts          length u8, then UTF-8

Each is the payload of one HELLO frame of at most 1 KiB. Later fields are ignored by whoever does not know
them; the client's signature covers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.identity import Identity

__all__ = [
    "LINK_VERSIONS",
    "MAX_HELLO_BYTES",
    "NONCE_BYTES",
    "SIGNATURE_BYTES",
    "ClientHello",
    "LocalEnd",
    "ServerHello",
    "decode_client_hello",
    "decode_server_hello",
    "encode_server_hello",
    "encode_unsigned_client_hello",
]

LINK_VERSIONS: Final = (1,)
MAX_HELLO_BYTES: Final = 1024
NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_KEY_BYTES = 32
_MAX_TEXT_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """What a server says before it knows who asks."""

    versions: tuple[int, ...]
    agent: str
    network: str
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a client says of itself.

    Attributes:
        listen: Where it accepts links, HOST:PORT; empty when it does not.
    """

    versions: tuple[int, ...]
    agent: str
    network: str
    listen: str
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEnd:
    """What this node says of itself on every link.

    Attributes:
        certificate: Its own, in DER: what it shows as a server.
        listen: As in ``ClientHello``.
    """

    identity: Identity
    network: str
    agent: str
    certificate: bytes
    listen: str = ""
    versions: tuple[int, ...] = LINK_VERSIONS

    def __post_init__(self) -> None:
        for text in (self.network, self.agent, self.listen):
            if len(text.encode()) > _MAX_TEXT_BYTES:
                raise ValueError(f"{text!r} is over {_MAX_TEXT_BYTES} bytes")


def encode_server_hello(hello: ServerHello) -> bytes:
    """Return the payload of a server's HELLO frame."""
    return b"".join((_versions(hello.versions), _text(hello.agent), _text(hello.network), hello.nonce))


def encode_unsigned_client_hello(me: LocalEnd) -> bytes:
    """Return the payload of this node's HELLO frame as a client, up to the signature."""
    return b"".join(
        (
            _versions(me.versions),
            _text(me.agent),
            _text(me.network),
            _text(me.listen),
            me.identity.public_key,
        )
    )


def decode_server_hello(payload: bytes) -> ServerHello:
    """Read a server's hello; raises RemoteFault ``hello_malformed``."""
    reader = _Reader(payload)
    return ServerHello(
        versions=reader.versions(),
        agent=reader.text(),
        network=reader.text(),
        nonce=reader.bytes(NONCE_BYTES),
    )


def decode_client_hello(payload: bytes) -> ClientHello:
    """Read a client's hello, its signature still to be verified; raises RemoteFault ``hello_malformed``."""
    if len(payload) < SIGNATURE_BYTES:
        raise RemoteFault("hello_malformed", f"a client's hello of {len(payload)} bytes")
    reader = _Reader(payload[:-SIGNATURE_BYTES])
    return ClientHello(
        versions=reader.versions(),
        agent=reader.text(),
        network=reader.text(),
        listen=reader.text(),
        public_key=reader.bytes(_KEY_BYTES),
        signature=payload[-SIGNATURE_BYTES:],
    )


class _Reader:
    __slots__ = ("_at", "_payload")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def bytes(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._payload):
            raise RemoteFault("hello_malformed", "it ends too early")
        return self._payload[start : self._at]

    def versions(self) -> tuple[int, ...]:
        return tuple(self.bytes(self.bytes(1)[0]))

    def text(self) -> str:
        try:
            return self.bytes(self.bytes(1)[0]).decode()
        except UnicodeDecodeError as exc:
            raise RemoteFault("hello_malformed", "a text is not UTF-8") from exc


def _versions(versions: tuple[int, ...]) -> bytes:
    return bytes((len(versions), *versions))


def _text(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data
