"""TLS between a client's socket and its ``Connection``, without asyncio's own layer.

asyncio keeps 276 KiB for each TLS connection, begins to count a connection only after its handshake, and
does not tell how much of what was written still waits. Here the connection exists from the first byte,
so its limits and time-outs hold for the handshake too, and what waits is what the socket has not taken.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from typing import Any, cast

from qudag_node.overlay.certificate import certificate_of, load_certificate
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.tls import TlsChannel
from qudag_node.rpc.connection import Connection

__all__ = ["ServerTls", "TlsShell", "server_tls"]

_log = logging.getLogger(__name__)

# One record of TLS carries at most this much.
_RECORD_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What TLS listeners show: a context with the node's certificate, and that certificate."""

    context: ssl.SSLContext
    certificate_der: bytes


def server_tls(identity: Identity) -> ServerTls:
    """Return what serves clients: TLS 1.3, the node's own certificate, no tickets, no link's protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    load_certificate(context, identity)
    return ServerTls(context, certificate_of(identity))


class TlsShell(asyncio.Protocol):
    """What asyncio sees of a TLS client: decrypts for the connection inside."""

    def __init__(self, inner: Connection, context: ssl.SSLContext) -> None:
        self._inner = inner
        self._channel = TlsChannel(context, is_server=True, alpn=None)
        self._raw: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the connection inside starts its clock."""
        self._raw = cast("asyncio.Transport", transport)
        self._inner.connection_made(_TlsTransport(self._raw, self._channel))

    def data_received(self, data: bytes) -> None:
        """Decrypt, pass on, send what TLS wants to say."""
        try:
            plain = self._channel.receive(data)
        except RemoteFault as exc:
            self._inner.note_closed(str(exc))
            self._send_own()
            self._raw.close()
            return
        self._send_own()
        if plain:
            self._inner.data_received(plain)
        if self._channel.is_closed_by_peer:
            self._inner.close()

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self._inner.connection_lost(exc)

    def _send_own(self) -> None:
        outgoing = self._channel.outgoing()
        if outgoing and not self._raw.is_closing():
            self._raw.write(outgoing)


class _TlsTransport(asyncio.Transport):
    """What the connection inside sees: encrypts what it writes."""

    def __init__(self, raw: asyncio.Transport, channel: TlsChannel) -> None:
        super().__init__()
        self._raw = raw
        self._channel = channel

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Encrypt and write; before the handshake is done there is nothing to say."""
        if self._raw.is_closing() or not self._channel.is_established:
            return
        plain = bytes(data)
        for start in range(0, len(plain), _RECORD_BYTES):
            self._channel.send(plain[start : start + _RECORD_BYTES])
        self._raw.write(self._channel.outgoing())

    def close(self) -> None:
        """Say farewell, write what is pending, close."""
        if not self._raw.is_closing():
            self._channel.close()
            outgoing = self._channel.outgoing()
            if outgoing:
                self._raw.write(outgoing)
            self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._raw.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed or about to be."""
        return self._raw.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the kernel has not taken."""
        return self._raw.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        self._raw.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the socket's transport knows."""
        return self._raw.get_extra_info(name, default)
