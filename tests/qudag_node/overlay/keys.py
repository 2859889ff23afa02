"""Keys for tests: made from a number, so that every run sees the same."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qudag_node.overlay.signing import Signer

NETWORK = "test"


@cache
def signer_of(number: int, network: str = NETWORK) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")), network)
