"""Proofs, against the formula written out by hand."""

import hashlib
import hmac

import pytest

from qudag_node.peerid import PeerId
from qudag_node.wire import AuthenticationError, client_proof, node_proof, read_token, verify, write_token

TOKEN = bytes(range(32))
NODE = PeerId("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")
SERVER_NONCE = b"s" * 32
CLIENT_NONCE = b"c" * 32


@pytest.mark.parametrize("certificate", [None, b"a certificate in DER"], ids=["tcp", "tls"])
def test_a_proof_is_the_documented_hmac(certificate: bytes | None) -> None:
    digest = bytes(32) if certificate is None else hashlib.sha256(certificate).digest()
    rest = NODE.encode() + digest + SERVER_NONCE + CLIENT_NONCE
    about = (TOKEN, NODE, certificate, SERVER_NONCE, CLIENT_NONCE)
    assert client_proof(*about) == hmac.new(TOKEN, b"qudag-rpc/1 client\0" + rest, "sha256").digest()
    assert node_proof(*about) == hmac.new(TOKEN, b"qudag-rpc/1 server\0" + rest, "sha256").digest()


def test_each_part_changes_the_proof() -> None:
    about = (TOKEN, NODE, None, SERVER_NONCE, CLIENT_NONCE)
    others = [
        client_proof(bytes(32), NODE, None, SERVER_NONCE, CLIENT_NONCE),
        client_proof(TOKEN, PeerId("other"), None, SERVER_NONCE, CLIENT_NONCE),
        client_proof(TOKEN, NODE, b"certificate", SERVER_NONCE, CLIENT_NONCE),
        client_proof(TOKEN, NODE, None, CLIENT_NONCE, SERVER_NONCE),
        node_proof(*about),
    ]
    assert len({client_proof(*about), *others}) == 6


def test_proofs_are_compared_whole() -> None:
    assert verify(b"x" * 32, b"x" * 32)
    assert not verify(b"x" * 32, b"x" * 31 + b"y")
    assert not verify(b"x" * 32, b"x" * 31)
    assert not verify(b"x" * 32, b"")


def test_a_token_reads_back_as_written() -> None:
    assert read_token(write_token(TOKEN)) == TOKEN
    assert read_token(TOKEN.hex().upper()) == TOKEN


@pytest.mark.parametrize(
    "text", ["", "secret", "0" * 63, "0" * 65, "0" * 63 + "g", "00 " * 21 + "0", "０" * 64]
)
def test_other_texts_are_no_tokens_and_are_not_repeated(text: str) -> None:
    with pytest.raises(AuthenticationError, match="64 hexadecimal digits") as caught:
        read_token(text)
    assert not text or text not in str(caught.value)
