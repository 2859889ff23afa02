"""Keys for measurements beside a link: one for each direction, from 32 random bytes of each side.

Both halves are sent inside TLS, so nobody on the path knows them. HKDF-SHA-256 (RFC 5869).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["LinkKeys", "derive_link_keys"]

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The keys of one link, the same at both ends."""

    client_to_server: bytes = field(repr=False)
    server_to_client: bytes = field(repr=False)

    def session(self, session_id: bytes) -> bytes:
        """Return the key of one test session, 32 bytes; each session id gives another.

        Raises:
            ValueError: The id is empty.
        """
        if not session_id:
            raise ValueError("a session id has at least one byte")
        material = self.client_to_server + self.server_to_client
        return _expand(material, b"qudag-session/1\0" + session_id)


def derive_link_keys(client_seed: bytes, server_seed: bytes) -> LinkKeys:
    """Return the keys that both seeds give."""
    material = client_seed + server_seed
    return LinkKeys(
        client_to_server=_expand(material, b"qudag-stamp/1 client\0"),
        server_to_client=_expand(material, b"qudag-stamp/1 server\0"),
    )


def _expand(material: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=label).derive(material)
