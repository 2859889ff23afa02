"""Figures as people write them, with their unit: ``10ms``, ``100mbit``, ``1%``, ``64KiB``. Pure."""

from __future__ import annotations

from qudag_tui.errors import did_you_mean

__all__ = ["parse_bits_per_s", "parse_number", "parse_ratio", "parse_seconds", "parse_size"]

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_SIZES = {
    "": 1.0,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 1024.0,
    "mib": 1024.0**2,
    "gib": 1024.0**3,
}


def parse_seconds(text: str) -> float:
    """Seconds in ``10ms``, ``1.5s``, ``2m``, ``200us``; a bare number is seconds.

    Raises:
        ValueError: It is none of these; the message is one line.
    """
    number, unit = _split(text)
    return _scaled(text, number, unit or "s", _SECONDS, "a time such as 10ms, 1.5s, 2m")


def parse_bits_per_s(text: str) -> float:
    """Bits per second in ``100mbit``, ``1.5Gb/s``, ``20mbps``, ``64k``; a bare number is bits.

    Raises:
        ValueError: It is none of these.
    """
    number, unit = _split(text)
    short = (
        unit.removesuffix("/s").removesuffix("ps").removesuffix("its").removesuffix("it").removesuffix("b")
    )
    return _scaled(text, number, short, _PREFIXES, "a rate such as 100mbit, 1.5gbit, 64kbit")


def parse_ratio(text: str) -> float:
    """A ratio of 0 to 1 in ``1%`` or ``0.01``; a bare number of 1 or more needs its per cent sign.

    Raises:
        ValueError: It is neither, or beyond 100 %.
    """
    number, unit = _split(text)
    ratio = _scaled(text, number, unit, {"%": 0.01, "": 1.0}, "a share such as 1% or 0.01")
    if ratio > 1 or (ratio == 1 and not unit):
        raise ValueError(f"{text!r} is not a share such as 1% or 0.01")
    return ratio


def parse_size(text: str) -> int:
    """Bytes in ``64``, ``1200B``, ``1.5KiB``, ``1MB``.

    Raises:
        ValueError: It is none of these.
    """
    number, unit = _split(text)
    return int(_scaled(text, number, unit, _SIZES, "a size such as 64, 1200B, 16KiB"))


def parse_number(text: str) -> float:
    """A count or a rate without unit: ``1000``, ``1.5k``, ``500/s``.

    Raises:
        ValueError: It is none.
    """
    number, unit = _split(text)
    return _scaled(text, number, unit.removesuffix("/s"), _PREFIXES, "a number such as 20 or 1.5k")


def _split(text: str) -> tuple[str, str]:
    """The digits, and the unit in small letters."""
    word = text.strip().lower()
    digits = _after_digits(word, 0, "0123456789.")
    if word[digits : digits + 1] == "e":
        sign = digits + 1 + (word[digits + 1 : digits + 2] in {"+", "-"})
        exponent = _after_digits(word, sign, "0123456789")
        digits = exponent if exponent > sign else digits
    return word[:digits], word[digits:].strip()


def _after_digits(word: str, begin: int, digits: str) -> int:
    end = begin
    while end < len(word) and word[end] in digits:
        end += 1
    return end


def _scaled(text: str, number: str, unit: str, factors: dict[str, float], example: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"{text!r} is not {example}") from None
    if unit not in factors:
        hint = did_you_mean(unit, factors) if unit else ""
        near = f" ({hint})" if hint.startswith("did") else ""
        raise ValueError(f"{text!r} is not {example}{near}")
    factor = factors[unit]
    # Divided, a figure is the nearest there is: 7 / 100 is 0.07, and 7 * 0.01 is a little more.
    value = value * factor if factor >= 1 else value / round(1 / factor)
    if not value < 1e18:
        raise ValueError(f"{text!r} is too much")
    return value
