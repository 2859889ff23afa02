"""Signatures over everything that outlives a link: one label for each purpose, one network each.

What is signed is ``label ‖ SHA-256(network id) ‖ message``. The label ends in ``\\0``, so no message of one
kind can pass for another kind; the network's digest keeps what was said in one network out of the next.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["KEY_BYTES", "SIGNATURE_BYTES", "Signer", "Verifier"]

KEY_BYTES = 32
SIGNATURE_BYTES = 64
# Loading a key costs a third of a verification; 4,096 loaded keys take about 1 MiB.
_MAX_LOADED_KEYS = 4096


class Signer:
    """One node's private key, used in one network.

    Attributes:
        public_key: The 32 bytes others verify with.
    """

    __slots__ = ("_network_digest", "_private_key", "public_key")

    def __init__(self, private_key: Ed25519PrivateKey, network: str) -> None:
        self._private_key = private_key
        self._network_digest = sha256(network.encode()).digest()
        self.public_key = private_key.public_key().public_bytes_raw()

    def sign(self, label: bytes, message: bytes) -> bytes:
        """Return the 64-byte signature of a message under a label."""
        return self._private_key.sign(label + self._network_digest + message)


class Verifier:
    """Checks signatures made in one network; keeps the keys it has loaded, the oldest dropped first."""

    __slots__ = ("_key_by_bytes", "_max_keys", "_network_digest")

    def __init__(self, network: str, max_keys: int = _MAX_LOADED_KEYS) -> None:
        self._network_digest = sha256(network.encode()).digest()
        self._max_keys = max_keys
        self._key_by_bytes: dict[bytes, Ed25519PublicKey] = {}

    def verify(self, public_key: bytes, label: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature is the key's over this message under this label."""
        key = self._key_by_bytes.get(public_key)
        try:
            if key is None:
                key = Ed25519PublicKey.from_public_bytes(public_key)
            key.verify(signature, label + self._network_digest + message)
        except (InvalidSignature, ValueError):
            return False
        # Only a key that has signed something is worth its place.
        if public_key not in self._key_by_bytes:
            if len(self._key_by_bytes) >= self._max_keys:
                del self._key_by_bytes[next(iter(self._key_by_bytes))]
            self._key_by_bytes[public_key] = key
        return True
