"""The two time formats of STAMP packets, both 64 bits; a time of ours is whole nanoseconds since 1970.

    NTP   seconds since 1900, modulo 2^32 (32) | fraction in units of 2^-32 s (32)      RFC 5905 section 6
    PTP   seconds since 1970, modulo 2^32 (32) | nanoseconds (32)                       RFC 8186 section 2

RFC 8186 counts PTP's seconds in TAI; what is deployed puts UTC there, and so do we. A packet does not say in
which era (136 years) it was sent: it is read as the one next to a time the reader knows.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["TimeFormat", "decode_time", "encode_time"]

_SECOND_NS = 1_000_000_000
_NTP_EPOCH_S = 2_208_988_800
_ERA_S = 1 << 32
_ERA_NS = _ERA_S * _SECOND_NS


class TimeFormat(Enum):
    """How a packet writes a time; the value is the Z bit of the error estimate beside it."""

    #: The default, which every implementation reads.
    NTP = 0
    #: Truncated PTPv2.
    PTP = 1


def encode_time(unix_ns: int, time_format: TimeFormat) -> int:
    """Return the 64 bits for a time. The fraction is cut off, at less than a nanosecond."""
    seconds, nanoseconds = divmod(unix_ns, _SECOND_NS)
    if time_format is TimeFormat.NTP:
        return (seconds + _NTP_EPOCH_S) % _ERA_S << 32 | (nanoseconds << 32) // _SECOND_NS
    return seconds % _ERA_S << 32 | nanoseconds


def decode_time(value: int, time_format: TimeFormat, near_unix_ns: int) -> int:
    """Return the time that is written, in the era that puts it nearest to ``near_unix_ns``.

    Nothing is refused: PTP nanoseconds beyond a second count as what they are.
    """
    seconds, fraction = value >> 32, value & 0xFFFF_FFFF
    if time_format is TimeFormat.NTP:
        in_era_ns = (seconds - _NTP_EPOCH_S) * _SECOND_NS + (fraction * _SECOND_NS + (1 << 31) >> 32)
    else:
        in_era_ns = seconds * _SECOND_NS + fraction
    return in_era_ns + (near_unix_ns - in_era_ns + _ERA_NS // 2) // _ERA_NS * _ERA_NS
