"""Times as people write them: ``10m``, ``2h ago``, ``2026-01-31T12:30``, Unix seconds, ``now``. Pure."""

from __future__ import annotations

from datetime import datetime

__all__ = ["parse_duration", "parse_time"]

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

# Bare numbers over this are Unix seconds (2001), not a duration.
LEAST_UNIX_S = 1_000_000_000


def parse_duration(text: str) -> float:
    """Seconds in ``30s``, ``10m``, ``2h``, ``7d``, ``1h30m`` or a bare number of seconds.

    Raises:
        ValueError: It is none of these, or not more than zero.
    """
    total_s = 0.0
    digits = ""
    for character in text.strip().lower():
        if character.isdigit() or character == ".":
            digits += character
        elif character in UNITS_S and digits:
            total_s += _number(digits, text) * UNITS_S[character]
            digits = ""
        else:
            raise ValueError(f"{text!r} is not a time such as 30s, 10m, 2h, 7d")
    total_s += _number(digits, text) if digits else 0.0
    if not 0 < total_s < 1e12:
        raise ValueError(f"{text!r} is not a time above zero, such as 30s, 10m, 2h, 7d")
    return total_s


def parse_time(text: str, now_unix_s: float) -> float:
    """Unix seconds of a moment: a duration ago, a date with or without a time, Unix seconds, ``now``.

    A date without a zone is local time.

    Raises:
        ValueError: It is none of these.
    """
    word = text.strip().removeprefix("-").removesuffix("ago").strip()
    if word == "now":
        return now_unix_s
    try:
        moment = float(word)
        return moment if moment >= LEAST_UNIX_S else now_unix_s - parse_duration(word)
    except ValueError:
        pass  # not a bare number
    try:
        return now_unix_s - parse_duration(word)
    except ValueError:
        pass  # not a duration
    try:
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is not a moment such as 10m, 2026-01-31T12:30, 1769862600 or now"
        ) from None


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 30s, 10m, 2h, 7d") from None
