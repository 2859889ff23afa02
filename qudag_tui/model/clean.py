"""Making peer-supplied text safe for one terminal line. Called once, where text enters the model.

A name may carry escape sequences, line breaks, bidirectional overrides, invisible characters or a tower
of accents that climbs over the lines above. What does not print becomes U+FFFD, so that the reader sees
that something was there.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LIMIT", "clean", "clean_column"]

#: No field that a peer supplies is longer than this on a screen.
LIMIT = 256

_REPLACEMENT = "\ufffd"

# A base character may carry this many combining marks.
_MAX_COMBINING = 2


def clean(text: str, limit: int = LIMIT) -> str:
    """Return ``text`` cut to ``limit`` characters, every character that does not print replaced."""
    text = text[:limit]
    if not text.isprintable():
        # str.isprintable() is false for controls, format characters (bidi, zero width), separators other
        # than the space, surrogates and unassigned code points.
        text = "".join([c if c.isprintable() else _REPLACEMENT for c in text])
    return text if text.isascii() else _without_stacks(text)


def clean_column(texts: Sequence[str]) -> tuple[str, ...]:
    """Return every text cleaned; ten thousand harmless ones cost one scan."""
    joined = "".join(texts)
    if joined.isascii() and joined.isprintable() and max(map(len, texts), default=0) <= LIMIT:
        return tuple(texts)
    return tuple([clean(text) for text in texts])


def _without_stacks(text: str) -> str:
    from unicodedata import category

    kept: list[str] = []
    stacked = 0
    for character in text:
        stacked = stacked + 1 if category(character) in {"Mn", "Me"} else 0
        if "\ufe00" <= character <= "\ufe0f":
            # A variation selector prints, but changes the width that a terminal gives to its neighbour.
            kept.append(_REPLACEMENT)
        elif stacked <= _MAX_COMBINING:
            kept.append(character)
    return "".join(kept)
