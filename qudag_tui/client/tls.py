"""TLS to a node: who it is, is its Ed25519 key; no certificate authority and no host name is asked.

The certificate is not verified by OpenSSL: ``check_certificate`` compares its key with the expected
identity, and only then is anything sent. Commands use ``_ssl``, the C half of ``ssl``, as they use
``_socket``: the Python half doubles the start of a command and adds enumerations to it. The monitor,
where asyncio brings ``ssl`` along, uses that.
"""

from __future__ import annotations

from qudag_node.wire import TlsAddress, ed25519_key_of_certificate, peer_id_of
from qudag_tui.errors import ProtocolError, RefusedError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ssl
    import ssl
    from typing import Protocol

    class TlsObject(Protocol):
        """What ``ssl.SSLObject`` wraps: TLS between two memory buffers."""

        def do_handshake(self) -> None:
            """Go on with the handshake."""
            ...

        def read(self, size: int, /) -> bytes:
            """Decrypt; empty when the other side said farewell."""
            ...

        def write(self, data: bytes, /) -> int:
            """Encrypt."""
            ...

        def getpeercert(self, binary_form: bool, /) -> bytes | None:
            """The certificate in DER."""
            ...


__all__ = ["check_certificate", "client_context", "not_tls", "require_identity", "tls_object"]


def require_identity(address: TlsAddress) -> None:
    """Refuse an address that does not say which node is meant, before anything is sent."""
    if address.peer_id is None:
        raise UsageError(
            f"{address} does not say which node is meant, so anybody could answer",
            "run `qudag id` on the node's host, and use tls://PEERID@HOST:PORT",
        )


def tls_object(arriving: _ssl.MemoryBIO, leaving: _ssl.MemoryBIO) -> TlsObject:
    """TLS 1.3 between two buffers, for commands."""
    import _ssl

    context = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)  # pyright: ignore[reportPrivateUsage]
    context.minimum_version = _ssl.PROTO_TLSv1_3
    context.check_hostname = False
    context.verify_mode = _ssl.CERT_NONE
    tls: TlsObject = context._wrap_bio(arriving, leaving, False, None)  # type: ignore[attr-defined]  # the stub lacks it
    return tls


def client_context() -> ssl.SSLContext:
    """The same for asyncio."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_certificate(der: bytes | None, address: TlsAddress) -> bytes:
    """Return the node's certificate, once its key is known to be the expected one.

    Raises:
        ProtocolError: There is none, or its key is not Ed25519.
        RefusedError: It is another node's.
    """
    if der is None:
        raise ProtocolError(f"{address} showed no certificate", "is this the node's TLS address?")
    try:
        met = peer_id_of(ed25519_key_of_certificate(der))
    except ValueError as exc:
        raise ProtocolError(f"{address} is not a node: its certificate holds no Ed25519 key") from exc
    if met != address.peer_id:
        raise RefusedError(
            f"{address.host}:{address.port} is another node: expected {address.peer_id}, met {met}",
            "if its identity was changed on purpose, run `qudag id` there and use the new PEERID",
        )
    return der


def not_tls(where: str, exc: OSError) -> ProtocolError:
    """What answers does not do TLS 1.3, or hangs up during the handshake."""
    reason = getattr(exc, "reason", None) or exc.strerror or str(exc)
    return ProtocolError(
        f"{where} does not speak the node's TLS: {reason}", "is this the node's TLS address?"
    )
