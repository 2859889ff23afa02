"""How wrong a packet's times may be: the 16 bits beside them.

     15   14   13      8   7           0
    +---+---+------------+--------------+
    | S | Z |   scale    |  multiplier  |      error = multiplier * 2^-32 * 2^scale seconds
    +---+---+------------+--------------+

S: the clock is synchronised to UTC by an outside source. Z: the times are in PTP's format. A multiplier of 0
is forbidden, and a packet that has it is to be discarded. Source: RFC 4656 section 4.1.2, RFC 8186 section 2.
"""

from __future__ import annotations

from typing import NamedTuple

from qudag_node.nettests.stamp.timestamps import TimeFormat

__all__ = ["ErrorEstimate", "decode_error", "encode_error"]

_SYNCHRONISED = 0x8000
_PTP = 0x4000
_MAX_SCALE = 63
_MAX_MULTIPLIER = 255


class ErrorEstimate(NamedTuple):
    """What is said of a time.

    Attributes:
        is_synchronised: By an outside source; without it the error says nothing of the distance from UTC.
    """

    is_synchronised: bool
    error_s: float
    time_format: TimeFormat = TimeFormat.NTP


def encode_error(estimate: ErrorEstimate) -> int:
    """Return the 16 bits; the error is rounded up, to the largest that can be written at most."""
    units = min(max(estimate.error_s, 0.0) * 2.0**32, _MAX_MULTIPLIER * 2.0**_MAX_SCALE)
    scale = 0
    while units > _MAX_MULTIPLIER * 2.0**scale:
        scale += 1
    multiplier = max(-int(-units // 2.0**scale), 1)
    flags = estimate.is_synchronised * _SYNCHRONISED | (estimate.time_format is TimeFormat.PTP) * _PTP
    return flags | scale << 8 | multiplier


def decode_error(field: int) -> ErrorEstimate | None:
    """Read the 16 bits; None for the forbidden multiplier of 0."""
    multiplier = field & 0xFF
    if not multiplier:
        return None
    return ErrorEstimate(
        is_synchronised=bool(field & _SYNCHRONISED),
        error_s=multiplier * 2.0 ** ((field >> 8 & 0x3F) - 32),
        time_format=TimeFormat.PTP if field & _PTP else TimeFormat.NTP,
    )
