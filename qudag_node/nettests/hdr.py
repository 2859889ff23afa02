"""Histograms in HdrHistogram's V2 format, compressed and in base64: every HDR tool reads them.

    cookie 0x1c849314 u32 | length u32 | zlib of:
        cookie 0x1c849313 u32 | payload length u32 | normalising offset u32 (0) | significant digits u32 (2)
        lowest u64 (1) | highest u64 | ratio f64 (1.0) | counts, ZigZag LEB128; a run of n empty buckets is -n

The buckets are those of the node's own histograms: every power of two in 2^7 parts, so a value is known
within 0.39 %.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable

__all__ = ["hdr_blob"]

_HEAD = struct.Struct("!II")
_FIELDS = struct.Struct("!IIIIQQd")
_COMPRESSED_COOKIE = 0x1C849304 | 0x10
_COOKIE = 0x1C849303 | 0x10
_DIGITS = 2
_SUB_BUCKET_BITS = 7
#: 4.9 hours: a longer time is counted as this long.
_HIGHEST_NS = (1 << 44) - 1


def hdr_blob(values_ns: Iterable[int]) -> str:
    """Return the histogram of some times; a negative one counts as 0."""
    counts = Counter(_bucket_of(min(max(value, 0), _HIGHEST_NS)) for value in values_ns)
    payload = bytearray()
    end = 0
    for bucket in sorted(counts):
        if bucket > end:
            _append(payload, end - bucket)
        _append(payload, counts[bucket])
        end = bucket + 1
    body = _FIELDS.pack(_COOKIE, len(payload), 0, _DIGITS, 1, _HIGHEST_NS, 1.0) + payload
    packed = zlib.compress(body)
    return base64.b64encode(_HEAD.pack(_COMPRESSED_COOKIE, len(packed)) + packed).decode("ascii")


def _bucket_of(value: int) -> int:
    shift = max(value.bit_length() - (_SUB_BUCKET_BITS + 1), 0)
    return (shift << _SUB_BUCKET_BITS) + (value >> shift)


def _append(payload: bytearray, number: int) -> None:
    """ZigZag, then seven bits an octet, the lowest first; a ninth octet holds eight."""
    rest = (number << 1) ^ (number >> 63)
    while rest > 0x7F:
        payload.append(rest & 0x7F | 0x80)
        rest >>= 7
    payload.append(rest)
