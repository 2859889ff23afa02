"""Reading a result document: what is missing is None, and what is of another shape is missing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Document", "at", "count_of", "duration_text", "maps", "number", "short", "target_name", "text"]

#: ``qudag.test/1``, as docs/test-results.md describes it.
Document = Mapping[str, Any]


def at(document: Document, *path: str) -> Any:
    """What stands there; None where the way ends."""
    found: Any = document
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def number(document: Document, *path: str) -> float | None:
    """The number that stands there."""
    value = at(document, *path)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return value


def maps(document: Document, *path: str) -> list[Document]:
    """The list of maps that stands there; empty where there is none."""
    value = at(document, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count_of(document: Document, name: str) -> float | None:
    """How many: of a number itself, of a list its length, of counts by cause their sum."""
    value = document.get(name)
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict):
        return sum(count for count in value.values() if isinstance(count, int))
    return number(document, name)


def text(document: Document, *path: str) -> str:
    """The text that stands there, or an empty one."""
    value = at(document, *path)
    return value if isinstance(value, str) else ""


def short(peer_id: str) -> str:
    """An id that fits a line: its beginning and its last six characters."""
    return peer_id if len(peer_id) <= 16 else f"{peer_id[:8]}…{peer_id[-6:]}"


def target_name(document: Document) -> str:
    """What the tested peer is called; an empty text for the network as a whole."""
    return text(document, "target", "name") or short(text(document, "target", "id"))


def duration_text(seconds: float | None) -> str:
    """How long a test ran, to a tenth of a second under a minute."""
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return (
        f"{whole // 60}m {whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    )
