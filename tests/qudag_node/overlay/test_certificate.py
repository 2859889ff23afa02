"""The certificate of a node: its key, and nothing that changes."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qudag_node.overlay.certificate import certificate_of, server_context
from qudag_node.overlay.identity import Identity
from qudag_node.peerid import ed25519_key_of_certificate


def test_the_certificate_carries_the_key() -> None:
    identity = Identity.generate()
    assert ed25519_key_of_certificate(certificate_of(identity)) == identity.public_key


def test_the_certificate_signs_itself() -> None:
    certificate = x509.load_der_x509_certificate(certificate_of(Identity.generate()))
    key = certificate.public_key()
    assert isinstance(key, Ed25519PublicKey)
    key.verify(certificate.signature, certificate.tbs_certificate_bytes)


def test_one_identity_has_one_certificate() -> None:
    identity = Identity.generate()
    assert certificate_of(identity) == certificate_of(Identity(identity.private_key))
    assert certificate_of(identity) != certificate_of(Identity.generate())


def test_no_key_is_left_in_a_file() -> None:
    before = {path.name for path in Path("/tmp").iterdir()}  # noqa: S108  # where a leak would be
    server_context(Identity.generate())
    after = {path.name for path in Path("/tmp").iterdir()}  # noqa: S108
    assert not [name for name in after - before if name.startswith("qudag-")]
