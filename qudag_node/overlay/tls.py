"""TLS 1.3 as a transformation of bytes: no socket, no clock. Whoever owns the socket moves the bytes.

asyncio's own TLS layer keeps 256 KiB of buffers for each connection and does not tell when written bytes
have left the process; this one keeps what OpenSSL itself needs (docs/decisions/0005-small-tls-buffers.md).
"""

from __future__ import annotations

import ssl
from contextlib import suppress

from qudag_node.overlay.certificate import ALPN
from qudag_node.overlay.frames import RemoteFault

__all__ = ["TlsChannel"]

# The largest record of TLS 1.3; one read never returns more.
_RECORD_BYTES = 16 * 1024


class TlsChannel:
    """One end of one TLS connection.

    Attributes:
        can_send: Whether it is established, and neither closed by us nor broken.
        is_established: Whether the TLS handshake is complete, the protocol (ALPN) agreed.
        is_closed_by_peer: Whether the other end has said that it sends no more.
    """

    __slots__ = (
        "_alpn",
        "_incoming",
        "_object",
        "_outgoing",
        "_read",
        "can_send",
        "is_closed_by_peer",
        "is_established",
    )

    def __init__(self, context: ssl.SSLContext, *, is_server: bool, alpn: str | None = ALPN) -> None:
        """Args: ``alpn`` must be agreed on; None accepts whatever is, also none."""
        self._alpn = alpn
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)
        self._read = self._object.read
        self.can_send = False
        self.is_established = False
        self.is_closed_by_peer = False

    @property
    def peer_certificate(self) -> bytes | None:
        """The other end's certificate in DER; clients have none."""
        return self._object.getpeercert(binary_form=True)

    def start(self) -> None:
        """Begin the handshake; a client has something to send after this."""
        self._shake_hands()

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take what the socket gave and return the plain bytes in it.

        Raises:
            RemoteFault: ``tls``: it is not TLS 1.3, not intact, or not our protocol.
        """
        self._incoming.write(data)
        if not self.is_established:
            self._shake_hands()
            if not self.is_established:
                return b""
        return self._read_all()

    def send(self, data: bytes) -> None:
        """Encrypt; the result is in ``outgoing``. ``data`` should be one record's worth, about 16 KiB."""
        written = self._object.write(data)
        if written < len(data):
            view = memoryview(data)
            while written < len(data):
                written += self._object.write(view[written:])

    def outgoing(self) -> bytes:
        """Return what must go to the socket now; empty when nothing must."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> None:
        """Say that nothing more will be sent."""
        if self.can_send:
            self.can_send = False
            # It wants to read the other end's farewell, which nobody needs to wait for.
            with suppress(ssl.SSLError):
                self._object.unwrap()

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as exc:
            raise self._broken(exc) from exc
        if self._alpn is not None and self._object.selected_alpn_protocol() != self._alpn:
            raise RemoteFault("tls", f"the other end does not speak {self._alpn}")
        self.is_established = self.can_send = True

    def _read_all(self) -> bytes:
        read, incoming = self._read, self._incoming
        chunks: list[bytes] = []
        try:
            while incoming.pending or self._object.pending():
                chunk = read(_RECORD_BYTES)
                if not chunk:
                    self.is_closed_by_peer = True
                    break
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_closed_by_peer = True
        except ssl.SSLError as exc:
            raise self._broken(exc) from exc
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _broken(self, exc: ssl.SSLError) -> RemoteFault:
        self.can_send = False
        return RemoteFault("tls", (exc.reason or str(exc)).lower().replace("_", " "))
