"""The names of the themes, for the command line, which must not wait for Textual to know them."""

from __future__ import annotations

__all__ = ["THEME_NAMES"]

THEME_NAMES = ("dark", "light", "contrast", "colourblind", "ansi", "none")
