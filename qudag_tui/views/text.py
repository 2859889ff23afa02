"""Text for one terminal line: cleaning what strangers wrote, fitting cells, and units that do not jump.

Pure, and light enough for a command that prints once: no ``re``, no Rich. Every figure has three
significant digits, so that a column of them keeps its width; ``None`` is "not known" and prints as ``-``.
"""

from __future__ import annotations

import time

from qudag_tui.client.clean import MAX_TEXT, clean, clean_tree

__all__ = [
    "MAX_TEXT",
    "UNKNOWN",
    "cell_width",
    "clean",
    "clean_tree",
    "fit",
    "format_age",
    "format_bits_per_s",
    "format_bytes",
    "format_clock",
    "format_count",
    "format_rate",
    "format_ratio",
    "format_seconds",
    "format_timestamp",
]

#: What stands where a figure is not known; never zero.
UNKNOWN = "-"


def cell_width(text: str) -> int:
    """How many terminal cells a cleaned text takes; East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(map(_CELLS.__getitem__, text))


class _Cells(dict[str, int]):
    """The cells of each character that was seen: a chart asks for the same few hundred, again and again."""

    LIMIT = 8192

    def __missing__(self, character: str) -> int:
        from unicodedata import category, east_asian_width

        cells = 2 if east_asian_width(character) in {"W", "F"} else 1
        if category(character) in {"Mn", "Me", "Cf"}:
            cells = 0
        if len(self) < self.LIMIT:
            self[character] = cells
        return cells


_CELLS = _Cells()


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Pad or cut to exactly ``width`` cells; what is cut ends in ``ellipsis``."""
    if width <= 0:
        return ""
    cells = cell_width(text)
    if cells > width:
        text, cells = _cut(text, width, ellipsis)
    return " " * (width - cells) + text if right else text + " " * (width - cells)


def _cut(text: str, width: int, ellipsis: str) -> tuple[str, int]:
    room = width - len(ellipsis)
    if room < 0:
        return "", 0
    kept: list[str] = []
    used = 0
    for character in text:
        cells = _CELLS[character]
        if used + cells > room:
            break
        kept.append(character)
        used += cells
    return "".join(kept) + ellipsis, used + len(ellipsis)


def _digits(value: float) -> str:
    """Three significant digits of a number from 0 to under 1,000, without a jump where it rounds up."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _scaled(value: float, step: float, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """The digits and the prefix, for instance ``("1.23", "M")``."""
    size = abs(value)
    index = 0
    while size >= 999.5 and index < len(prefixes) - 1:
        size /= step
        index += 1
    return ("-" if value < 0 else "") + _digits(size), prefixes[index]


_SI = ("", "k", "M", "G", "T", "P", "E")
_IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_BITS = ("b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s")


def _unknown(value: float | None) -> bool:
    return value is None or value != value or value in (float("inf"), float("-inf"))


def format_count(value: float | None) -> str:
    """``999``, ``1.23k``, ``12.3M``: whole numbers under a thousand are exact."""
    if value is None or _unknown(value):
        return UNKNOWN
    if abs(value) < 1000 and value == int(value):
        return str(int(value))
    digits, prefix = _scaled(value, 1000, _SI)
    return digits + prefix


def format_rate(value: float | None) -> str:
    """A rate without its unit: ``0.00``, ``4.20``, ``128``, ``1.23k``; the column's head names the unit."""
    if value is None or _unknown(value):
        return UNKNOWN
    digits, prefix = _scaled(value, 1000, _SI)
    return digits + prefix


def format_bytes(value: float | None) -> str:
    """``512 B``, ``1.50 KiB``, ``12.3 MiB``."""
    if value is None or _unknown(value):
        return UNKNOWN
    if abs(value) < 1000 and value == int(value):
        return f"{int(value)} B"
    digits, unit = _scaled(value, 1024, _IEC)
    return f"{digits} {unit}"


def format_bits_per_s(value: float | None) -> str:
    """``1.23 Mb/s``; the argument is in bits."""
    if value is None or _unknown(value):
        return UNKNOWN
    digits, unit = _scaled(value, 1000, _BITS)
    return f"{digits} {unit}"


def format_seconds(value: float | None, *, ascii_only: bool = False) -> str:
    """A latency: ``412 µs``, ``1.23 ms``, ``2.50 s``; always six to seven cells."""
    if value is None or _unknown(value):
        return UNKNOWN
    size = abs(value)
    if size >= 0.9995:
        scale, unit = 1.0, "s"
    elif size >= 0.0009995:
        scale, unit = 1e3, "ms"
    else:
        scale, unit = 1e6, "us" if ascii_only else "µs"
    digits = _digits(size * scale)
    return f"{'-' if value < 0 else ''}{digits} {unit}"


def format_ratio(value: float | None) -> str:
    """A ratio of 0 to 1 as per cent: ``0.00 %``, ``12.5 %``, ``100 %``."""
    if value is None or _unknown(value):
        return UNKNOWN
    return f"{'-' if value < 0 else ''}{_digits(abs(value) * 100)} %"


def format_age(seconds: float | None) -> str:
    """How long something lasts, in its two largest units: ``9s``, ``3m 07s``, ``5h 12m``, ``12d 04h``."""
    if seconds is None or _unknown(seconds):
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def format_clock(unix_s: float | None, *, utc: bool = False) -> str:
    """``12:30:01``, in local time unless ``utc``."""
    if unix_s is None or _unknown(unix_s):
        return UNKNOWN
    return time.strftime("%H:%M:%S", time.gmtime(unix_s) if utc else time.localtime(unix_s))


def format_timestamp(unix_s: float | None) -> str:
    """``2026-01-31T12:30:01Z``: for files and pipes, where local time has no meaning."""
    if unix_s is None or _unknown(unix_s):
        return UNKNOWN
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
