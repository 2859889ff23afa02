"""The self-signed certificate of a node, and the TLS settings of its links.

The certificate carries the node's Ed25519 key, so completing TLS proves who the server is; nobody's
word is taken for its names or dates, and nothing of it is checked but the key. It is the same
at every start, since it depends on the key alone.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from qudag_node.overlay.identity import Identity

__all__ = ["ALPN", "certificate_of", "client_context", "load_certificate", "server_context"]

ALPN = "qudag-link/1"

# Peers check the key and no date; a wide span keeps tools that do look from complaining.
_NOT_BEFORE = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def certificate_of(identity: Identity) -> bytes:
    """Return the certificate of an identity in DER; the same bytes every time."""
    return _build(identity).public_bytes(Encoding.DER)


def server_context(identity: Identity) -> ssl.SSLContext:
    """Return what accepts links: TLS 1.3 only, our ALPN, no session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.num_tickets = 0
    load_certificate(context, identity)
    return context


def client_context() -> ssl.SSLContext:
    """Return what dials links. The certificate's key is checked by the handshake, not by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_certificate(context: ssl.SSLContext, identity: Identity) -> None:
    """Give a server context the node's certificate and key.

    ``ssl`` reads them from a file only: it is an unnamed one in memory where the kernel has those, else a
    0600 temporary file that is removed at once.
    """
    key = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = key + _build(identity).public_bytes(Encoding.PEM)
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("qudag-identity", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(prefix="qudag-") as file:  # mkstemp makes it 0600
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])


def _build(identity: Identity) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.peer_id)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(identity.private_key.public_key())
        .serial_number(int.from_bytes(sha256(identity.public_key).digest()[:16]) | 1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(identity.private_key, algorithm=None)
    )
