"""Text that peers supply: names, agents, addresses, reasons. Cleaned here, where it enters."""

from __future__ import annotations

import unicodedata

__all__ = ["clean_text"]

# Cc control, Cf format (bidi marks, zero-width, soft hyphen), Cs surrogates, Co private, Cn unassigned,
# Zl and Zp line and paragraph separators: what can move a cursor, hide, or reorder what stands beside it.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def clean_text(text: str, max_chars: int = 128) -> str:
    """Return the text with unsafe characters replaced, cut to a length. Printable ASCII stays as it is."""
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_REPLACEMENT if unicodedata.category(char) in _UNSAFE else char for char in text)
