"""Proofs that both sides know a token, bound to the node and to the TLS session's certificate.

    proof = HMAC-SHA-256(token,  label  ‖  node id  ‖  certificate  ‖  server nonce  ‖  client nonce)

    label           "qudag-rpc/1 client\\0" or "qudag-rpc/1 server\\0"
    node id         the PeerId's text, ASCII
    certificate     SHA-256 of the server's certificate in DER, or 32 zero bytes without TLS
    nonces          32 random bytes each

The token itself never travels. A token file holds 32 random bytes as 64 hexadecimal digits and a newline.
"""

from __future__ import annotations

from qudag_node.wire.errors import AuthenticationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_node.peerid import PeerId

__all__ = [
    "NONCE_BYTES",
    "PROOF_BYTES",
    "TOKEN_BYTES",
    "client_proof",
    "node_proof",
    "read_token",
    "verify",
    "write_token",
]

TOKEN_BYTES = 32
NONCE_BYTES = 32
PROOF_BYTES = 32

_CLIENT = b"qudag-rpc/1 client\0"
_SERVER = b"qudag-rpc/1 server\0"
_NO_CERTIFICATE = bytes(32)


def client_proof(
    token: bytes, node_id: PeerId, certificate_der: bytes | None, server_nonce: bytes, client_nonce: bytes
) -> bytes:
    """Return what a client sends to show that it knows the token."""
    return _proof(token, _CLIENT, node_id, certificate_der, server_nonce + client_nonce)


def node_proof(
    token: bytes, node_id: PeerId, certificate_der: bytes | None, server_nonce: bytes, client_nonce: bytes
) -> bytes:
    """Return what the node answers to show that it knows the same token."""
    return _proof(token, _SERVER, node_id, certificate_der, server_nonce + client_nonce)


def verify(expected: bytes, given: bytes) -> bool:
    """Compare two proofs in a time that does not tell where they differ."""
    from hmac import compare_digest

    return compare_digest(expected, given)


def read_token(text: str) -> bytes:
    """Return the token that a token file's text holds.

    Raises:
        AuthenticationError: it is not 64 hexadecimal digits. The text is not repeated.
    """
    digits = text.strip()
    if len(digits) != 2 * TOKEN_BYTES or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise AuthenticationError(f"a token file holds {2 * TOKEN_BYTES} hexadecimal digits and nothing else")
    return bytes.fromhex(digits)


def write_token(token: bytes) -> str:
    """Return the text of a token file."""
    return f"{token.hex()}\n"


def _proof(
    token: bytes, label: bytes, node_id: PeerId, certificate_der: bytes | None, nonces: bytes
) -> bytes:
    # hashlib and hmac are imported by those who need a proof; a command over a Unix socket does not.
    import hashlib
    import hmac

    certificate = _NO_CERTIFICATE if certificate_der is None else hashlib.sha256(certificate_der).digest()
    return hmac.digest(token, label + node_id.encode("ascii") + certificate + nonces, "sha256")
