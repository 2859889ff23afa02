"""The four base packets of STAMP, big-endian. Source: RFC 8762 sections 4.2 and 4.3, RFC 8972 section 3
(SSID).

                                unauthenticated        authenticated
                              request    reply       request    reply
    sequence number u32           0         0            0         0
    timestamp u64                 4         4           16        16
    error estimate u16           12        12           24        24
    session id (SSID) u16        14        14           26        26
    receive timestamp u64                  16                     32
    sender's sequence number u32           24                     48
    sender's timestamp u64                 28                     64
    sender's error estimate u16            36                     72
    sender's TTL u8                        40                     80
    HMAC, 16 octets                                     96        96
    length                       44        44          112       112

All else is zero and not looked at. What follows the base packet is extensions (``tlvs``) or padding.
TWAMP-Light ends its requests after octet 14 and its replies after octet 41, at the same places: those are
read as well.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "AUTHENTICATED_BYTES",
    "BASE_BYTES",
    "SHORTEST_REPLY_BYTES",
    "SHORTEST_REQUEST_BYTES",
    "UDP_AND_IP_BYTES",
    "Reply",
    "Request",
    "pack_reply",
    "pack_request",
    "parse_reply",
    "parse_request",
]

BASE_BYTES = 44
AUTHENTICATED_BYTES = 112
#: The headers below a packet, of IPv4: a rate that is agreed on counts them.
UDP_AND_IP_BYTES = 28
#: TWAMP's: sequence number, timestamp and error estimate.
SHORTEST_REQUEST_BYTES = 14
#: TWAMP's: to the sender's TTL.
SHORTEST_REPLY_BYTES = 41

_REQUEST = struct.Struct("!IQHH28x")
_REPLY = struct.Struct("!IQHHQIQHHB3x")
_AUTHENTICATED_REQUEST = struct.Struct("!I12xQHH68x16x")
_AUTHENTICATED_REPLY = struct.Struct("!I12xQHH4xQ8xI12xQH6xB15x16x")
_SHORT_REQUEST = struct.Struct("!IQH")
_SHORT_REPLY = struct.Struct("!IQHHQIQHHB")


class Request(NamedTuple):
    """What a session's sender writes; times are in the format that its error estimate says."""

    sequence: int
    timestamp: int
    error_estimate: int
    ssid: int = 0


class Reply(NamedTuple):
    """What a reflector writes.

    Attributes:
        sequence: A stateful reflector numbers what it transmits; a stateless one copies the sender's.
        timestamp: When it transmits, as close to it as it can tell.
        received: When the request arrived, in the same format.
        sender_ttl: The IP TTL or hop limit with which the request arrived; 0 where unknown.
    """

    sequence: int
    timestamp: int
    error_estimate: int
    ssid: int
    received: int
    sender_sequence: int
    sender_timestamp: int
    sender_error_estimate: int
    sender_ttl: int


def pack_request(request: Request, *, authenticated: bool) -> bytearray:
    """Return a base packet; an authenticated one still lacks its HMAC."""
    return bytearray((_AUTHENTICATED_REQUEST if authenticated else _REQUEST).pack(*request))


def pack_reply(reply: Reply, *, authenticated: bool) -> bytearray:
    """Return a base packet; an authenticated one still lacks its HMAC."""
    if authenticated:
        return bytearray(_AUTHENTICATED_REPLY.pack(*reply))
    *fields, sender_error_estimate, sender_ttl = reply
    return bytearray(_REPLY.pack(*fields, sender_error_estimate, 0, sender_ttl))


def parse_request(data: bytes, *, authenticated: bool) -> Request | None:
    """Read a request; None when it is too short. Nothing is verified."""
    if authenticated:
        return None if len(data) < AUTHENTICATED_BYTES else Request(*_AUTHENTICATED_REQUEST.unpack_from(data))
    if len(data) >= BASE_BYTES:
        return Request(*_REQUEST.unpack_from(data))
    return None if len(data) < SHORTEST_REQUEST_BYTES else Request(*_SHORT_REQUEST.unpack_from(data))


def parse_reply(data: bytes, *, authenticated: bool) -> Reply | None:
    """Read a reply; None when it is too short. Nothing is verified."""
    if authenticated:
        return None if len(data) < AUTHENTICATED_BYTES else Reply(*_AUTHENTICATED_REPLY.unpack_from(data))
    if len(data) < SHORTEST_REPLY_BYTES:
        return None
    *fields, sender_error_estimate, _, sender_ttl = _SHORT_REPLY.unpack_from(data)
    return Reply._make((*fields, sender_error_estimate, sender_ttl))
