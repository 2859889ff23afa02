"""How the two ends of a bandwidth test know each other: the first bytes of every stream. Pure.

    who connects   "qudagBW1" | stream u16 | purpose u16 | 4 zero bytes | proof, 16 bytes     32 bytes
    who listens    the same, with its own proof: it is the one that was to be found here      32 bytes

A proof is HMAC-SHA-256 under the session's key, cut to 16 bytes, over the 16 bytes before it and the role.
The key is new for every session, and a stream is taken once: to repeat what was overheard is of no use.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

__all__ = ["HELLO_BYTES", "TAG_BYTES", "answer", "hello", "packet_tag", "read_answer", "read_hello"]

_HEAD = struct.Struct("!8sHH4x")
_MAGIC = b"qudagBW1"
_PROOF_BYTES = 16
HELLO_BYTES: Final = _HEAD.size + _PROOF_BYTES
TAG_BYTES: Final = 8


def hello(key: bytes, stream: int, purpose: int) -> bytes:
    """Return what the connecting end sends first."""
    return _signed(key, b"connects", stream, purpose)


def answer(key: bytes, stream: int, purpose: int) -> bytes:
    """Return what the listening end answers."""
    return _signed(key, b"listens", stream, purpose)


def read_hello(key: bytes, data: bytes, purpose: int) -> int | None:
    """Return the stream that whoever knows the key opens; None for a stranger's bytes."""
    if len(data) != HELLO_BYTES or not data.startswith(_MAGIC):
        return None
    _, stream, _ = _HEAD.unpack_from(data)
    return stream if hmac.compare_digest(data, hello(key, stream, purpose)) else None


def read_answer(key: bytes, data: bytes, stream: int, purpose: int) -> bool:
    """Tell whether this is the answer of the end that was to be found."""
    return hmac.compare_digest(data, answer(key, stream, purpose))


def packet_tag(key: bytes, stream: int, purpose: int) -> bytes:
    """Return what every datagram of a stream begins with, so that a stranger's are not counted."""
    return _signed(key, b"datagram", stream, purpose)[-TAG_BYTES:]


def _signed(key: bytes, role: bytes, stream: int, purpose: int) -> bytes:
    head = _HEAD.pack(_MAGIC, stream, purpose)
    return head + hmac.digest(key, head + role, hashlib.sha256)[:_PROOF_BYTES]
