"""PeerIds against vectors of libp2p, and keys of real certificates."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.peerid import ed25519_key_of_certificate, peer_id_of, public_key_of

# The first key is the Ed25519 vector of libp2p's peer-ids specification; the pairs are those that
# other implementations hold in their own tests.
VECTORS = {
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e": (
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
    ),
    "9c3cd0da14edbce70c1d19c660b2835750a0931794a08676ddf03c7b655a886e": (
        "12D3KooWLLFZAuusef2zws9er5e5cTziLd66EKKGiqTa6mZaJr2R"
    ),
}


@pytest.mark.parametrize(("key", "peer_id"), VECTORS.items())
def test_peer_ids_are_those_of_libp2p(key: str, peer_id: str) -> None:
    assert peer_id_of(bytes.fromhex(key)) == peer_id
    assert public_key_of(peer_id) == bytes.fromhex(key)


@given(key=st.binary(min_size=32, max_size=32))
def test_a_peer_id_gives_its_key_back(key: bytes) -> None:
    assert public_key_of(peer_id_of(key)) == key


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_has_no_peer_id(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        peer_id_of(bytes(length))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "peer1",
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p",
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0",
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq1",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",  # an RSA key's: SHA-256, not identity
        "z" * 10_000,
    ],
)
def test_other_texts_are_no_peer_ids(text: str) -> None:
    with pytest.raises(ValueError, match=r"PeerId|base58btc"):
        public_key_of(text)


def certificate(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a node")])
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1 << 150)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
    )
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def test_the_key_of_a_certificate_is_read() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert ed25519_key_of_certificate(certificate(key)) == key.public_key().public_bytes_raw()


def test_a_certificate_with_another_kind_of_key_is_refused() -> None:
    with pytest.raises(ValueError, match="not Ed25519"):
        ed25519_key_of_certificate(certificate(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize(
    "der", [b"", b"\x30", b"GET / HTTP/1.1", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\0\0"]
)
def test_other_bytes_are_no_certificate(der: bytes) -> None:
    with pytest.raises(ValueError, match="certificate"):
        ed25519_key_of_certificate(der)


@given(data=st.data())
def test_a_damaged_certificate_gives_a_key_or_a_value_error(data: st.DataObject) -> None:
    der = bytearray(CERTIFICATE)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)))
    try:
        key = ed25519_key_of_certificate(bytes(der[:cut]))
    except ValueError:
        return
    assert len(key) == 32


CERTIFICATE = certificate(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
