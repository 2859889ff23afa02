from __future__ import annotations

import pytest

from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of

LABEL = b"qudag-example/1\0"


def test_a_signature_holds_for_its_key_label_message_and_network_only() -> None:
    signer = signer_of(1)
    signature = signer.sign(LABEL, b"message")
    verifier = Verifier(NETWORK)
    assert verifier.verify(signer.public_key, LABEL, b"message", signature)
    assert not verifier.verify(signer_of(2).public_key, LABEL, b"message", signature)
    assert not verifier.verify(signer.public_key, b"qudag-other/1\0", b"message", signature)
    assert not verifier.verify(signer.public_key, LABEL, b"massage", signature)
    assert not Verifier("elsewhere").verify(signer.public_key, LABEL, b"message", signature)


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(65)])
def test_what_is_no_signature_does_not_hold(signature: bytes) -> None:
    assert not Verifier(NETWORK).verify(signer_of(1).public_key, LABEL, b"message", signature)


@pytest.mark.parametrize("key", [b"", bytes(31), b"\xff" * 32], ids=["empty", "short", "no point"])
def test_what_is_no_key_verifies_nothing(key: bytes) -> None:
    assert not Verifier(NETWORK).verify(key, LABEL, b"message", signer_of(1).sign(LABEL, b"message"))


def test_more_keys_than_fit_are_verified_all_the_same() -> None:
    verifier = Verifier(NETWORK, max_keys=2)
    for number in (1, 2, 3, 1, 2, 3):
        signer = signer_of(number)
        assert verifier.verify(signer.public_key, LABEL, b"m", signer.sign(LABEL, b"m"))
