"""Values of options as argparse reads them: each returns the value or says in one line why it is none."""

from __future__ import annotations

from argparse import ArgumentTypeError

from qudag_tui.cli.times import parse_duration

__all__ = ["count", "duration", "positive_count", "seconds"]

# Enough for all that is counted, and every reader of JSON takes it.
_MOST_DIGITS = 15


def seconds(text: str) -> float:
    """Seconds above zero: ``2``, ``0.5``, ``5s``."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < 1e9:
        raise ArgumentTypeError(f"{text!r} is not more than 0 seconds")
    return value


def duration(text: str) -> float:
    """Seconds in ``30s``, ``10m``, ``2h``, ``7d``."""
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from None


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    if len(text) > _MOST_DIGITS:
        raise ArgumentTypeError(f"{text[:40]!r} is too much")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number, 1 or more."""
    value = 0 if text.startswith("-") and text[1:].isdecimal() else count(text)
    if not value:
        raise ArgumentTypeError(f"{text!r}: at least 1")
    return value
