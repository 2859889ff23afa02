"""Making whatever a node sends safe for one line of a terminal. Applied once, where it enters a client.

On top of ``model.clean``, square brackets lose their meaning too, so that text that reaches something
that reads markup by mistake stays text.
"""

from __future__ import annotations

from qudag_tui.model import clean as _model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["MAX_SENTENCE", "MAX_TEXT", "clean", "clean_tree"]

#: No text that a peer supplies is longer than this on a screen.
MAX_TEXT = _model.LIMIT

#: What the node itself says may be longer: a line of its log is up to 2,048 characters, each of which may be
#: escaped with six. What it says last, what to do, must not be lost.
MAX_SENTENCE = 16_384

_IPV6 = frozenset("0123456789abcdefABCDEF:.")


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Make a stranger's text safe for one line of a terminal, a log or a label.

    What ``model.clean`` replaces becomes U+FFFD; square brackets become round ones, unless they hold an
    IPv6 address; at most ``limit`` characters are kept. Idempotent.
    """
    text = _model.clean(text, limit)
    return _without_markup(text) if "[" in text or "]" in text else text


def _without_markup(text: str) -> str:
    parts: list[str] = []
    rest = text
    while "[" in rest:
        before, _, after = rest.partition("[")
        inside, closed, behind = after.partition("]")
        address, percent, zone = inside.partition("%")
        is_address = ":" in address and _IPV6.issuperset(address) and (zone.isalnum() if percent else True)
        if closed and is_address:
            parts += [before.replace("]", ")"), "[", inside, "]"]
            rest = behind
        else:
            parts += [before.replace("]", ")"), "("]
            rest = after
    parts.append(rest.replace("]", ")"))
    return "".join(parts)


def clean_tree(value: Any) -> Any:
    """``clean`` every string in nested maps and lists, keys too; bytes and numbers pass unchanged.

    A column of texts, ``{"type": "str", "text": …}``, is what peers say of themselves: it is cleaned text
    by text, and each cut to ``MAX_TEXT``. Elsewhere the node speaks, up to ``MAX_SENTENCE``.
    """
    if isinstance(value, str):
        return clean(value, MAX_SENTENCE)
    if isinstance(value, dict):
        if value.get("type") == "str" and isinstance(text := value.get("text"), str):
            return {"type": "str", "text": "\0".join(_clean_all(text.split("\0"), MAX_TEXT))}
        return {clean_tree(key): clean_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if set(map(type, value)) == {str}:
            return _clean_all(value, MAX_SENTENCE)
        return [clean_tree(item) for item in value]
    return value


def _clean_all(texts: Sequence[str], limit: int) -> list[str]:
    """Clean many texts; ten thousand harmless ones cost one scan."""
    joined = "".join(texts)
    if joined.isprintable() and joined.isascii() and "[" not in joined and "]" not in joined:
        return [text[:limit] for text in texts]
    return [clean(text, limit) for text in texts]
