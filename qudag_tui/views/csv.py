"""CSV as RFC 4180 has it, lines ending in LF. Pure, and lighter than the library's module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["csv_line"]


def csv_line(values: Iterable[object]) -> str:
    """One row, quoted where it must be; None is an empty cell, and a truth ``true`` or ``false``.

    A spreadsheet would run a text that begins like a formula, and such texts come from strangers: an
    apostrophe before it keeps it a text.
    """
    return ",".join(map(_cell, values))


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str) and text.startswith(("=", "+", "-", "@")):
        text = f"'{text}"
    if any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
