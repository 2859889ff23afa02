"""PeerIds as libp2p writes them, and the Ed25519 key inside a DER certificate. Stdlib only, no I/O.

A PeerId is the identity multihash of the public key's protobuf, in base58btc:

    00      24      08 01     12 20
    +-------+-------+---------+---------+---------------------+
    | ident | 36    | type    | data    | Ed25519 public key  |   base58btc -> 12D3KooW…
    | ity   | bytes | Ed25519 | 32 bytes| (32 bytes)          |
    +-------+-------+---------+---------+---------------------+

Source: the libp2p peer-ids specification; RFC 5280 section 4.1 and RFC 8410 for certificates.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NewType

    PeerId = NewType("PeerId", str)
else:
    # `typing` would cost a command's start more than all of this module.
    PeerId = str

__all__ = ["PeerId", "ed25519_key_of_certificate", "peer_id_of", "public_key_of"]

KEY_BYTES = 32

_PREFIX = bytes.fromhex("002408011220")
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT_OF = {character: digit for digit, character in enumerate(_ALPHABET)}
# 38 bytes whose first is zero: one leading "1" and at most 51 further digits.
_LONGEST = 52

_SEQUENCE = 0x30
_INTEGER = 0x02
_BIT_STRING = 0x03
_EXPLICIT_VERSION = 0xA0
# SEQUENCE { OID 1.3.101.112 }: Ed25519 has no parameters (RFC 8410, section 3).
_ED25519_ALGORITHM = bytes.fromhex("06032b6570")
_LONG_FORM = 0x80
_LARGEST_LENGTH_FIELD = 3


def peer_id_of(public_key: bytes) -> PeerId:
    """Return the PeerId of an Ed25519 public key.

    Raises:
        ValueError: the key is not 32 bytes long.
    """
    if len(public_key) != KEY_BYTES:
        raise ValueError(f"an Ed25519 public key has {KEY_BYTES} bytes, not {len(public_key)}")
    return PeerId(_base58(_PREFIX + public_key))


def public_key_of(peer_id: str) -> bytes:
    """Return the Ed25519 public key inside a PeerId.

    Raises:
        ValueError: it is not base58btc, or not the PeerId of an Ed25519 key.
    """
    if len(peer_id) > _LONGEST:
        raise ValueError(f"a PeerId has {_LONGEST} characters, not {len(peer_id)}")
    data = _unbase58(peer_id)
    if len(data) != len(_PREFIX) + KEY_BYTES or not data.startswith(_PREFIX):
        raise ValueError(f"{peer_id!r} is not the PeerId of an Ed25519 key (they begin with 12D3KooW)")
    return data[len(_PREFIX) :]


def ed25519_key_of_certificate(der: bytes) -> bytes:
    """Return the raw public key of an X.509 certificate.

    Only the shape on the way to SubjectPublicKeyInfo is read; signatures and dates are not checked.

    Raises:
        ValueError: it is not a certificate, or its key is not Ed25519.
    """
    certificate, _ = _element(der, 0, _SEQUENCE)
    fields, _ = _element(certificate, 0, _SEQUENCE)
    at = 0
    if fields[:1] == bytes([_EXPLICIT_VERSION]):
        _, at = _element(fields, at, _EXPLICIT_VERSION)
    _, at = _element(fields, at, _INTEGER)  # serial number
    for _ in range(4):  # signature algorithm, issuer, validity, subject
        _, at = _element(fields, at, _SEQUENCE)
    key_info, _ = _element(fields, at, _SEQUENCE)
    algorithm, at = _element(key_info, 0, _SEQUENCE)
    if algorithm != _ED25519_ALGORITHM:
        raise ValueError("the certificate's key is not Ed25519")
    bits, _ = _element(key_info, at, _BIT_STRING)
    if len(bits) != 1 + KEY_BYTES or bits[0] != 0:
        raise ValueError("the certificate's Ed25519 key is damaged")
    return bits[1:]


def _element(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Return the contents of the DER element at an offset, and the offset behind it."""
    header = data[at : at + 2]
    if len(header) != 2 or header[0] != tag:
        raise ValueError("not a DER certificate")
    at += 2
    length = header[1]
    if length & _LONG_FORM:
        width = length & ~_LONG_FORM
        if not 1 <= width <= _LARGEST_LENGTH_FIELD:
            raise ValueError("not a DER certificate: an element claims over 16 MiB")
        length = int.from_bytes(data[at : at + width], "big")
        at += width
    end = at + length
    if end > len(data):
        raise ValueError("the certificate is truncated")
    return data[at:end], end


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def _unbase58(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _DIGIT_OF.get(character)
        if digit is None:
            raise ValueError(f"{text!r} is not base58btc: {character!r} is no digit of it")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
