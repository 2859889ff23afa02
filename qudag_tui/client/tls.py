"""TLS to a node: who it is, is its Ed25519 key; no certificate authority and no host name is asked."""

from __future__ import annotations

import ssl

from qudag_node.wire import TlsAddress, ed25519_key_of_certificate, peer_id_of
from qudag_tui.errors import ProtocolError, RefusedError, UsageError

__all__ = ["certificate_of", "client_context", "not_tls", "require_identity"]


def require_identity(address: TlsAddress) -> None:
    """Refuse an address that does not say which node is meant, before anything is sent."""
    if address.peer_id is None:
        raise UsageError(
            f"{address} does not say which node is meant, so anybody could answer",
            "run `qudag id` on the node's host, and use tls://PEERID@HOST:PORT",
        )


def client_context() -> ssl.SSLContext:
    """TLS 1.3 only. The certificate is not verified here: ``certificate_of`` compares its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificate_of(tls: ssl.SSLObject, address: TlsAddress) -> bytes:
    """The node's certificate, once its key is known to be the expected one.

    Raises:
        ProtocolError: There is none, or its key is not Ed25519.
        RefusedError: It is another node's.
    """
    der = tls.getpeercert(binary_form=True)
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
