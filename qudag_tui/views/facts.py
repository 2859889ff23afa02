"""Any answer of a node as lines of name and value; the unit of a figure is read from its name. Pure.

For answers whose fields may grow: what nobody listed is shown all the same.
"""

from __future__ import annotations

from qudag_tui.views.table import Column, paint, render_table
from qudag_tui.views.text import (
    UNKNOWN,
    format_age,
    format_bits_per_s,
    format_bytes,
    format_count,
    format_rate,
    format_ratio,
    format_seconds,
    format_timestamp,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["fact", "facts", "records"]

# The longest suffix that fits decides.
_UNITS = (
    ("unix_s", format_timestamp),
    ("uptime_s", format_age),
    ("age_s", format_age),
    ("bytes_per_s", lambda value: format_bits_per_s(None if value is None else value * 8)),
    ("_bits_per_s", format_bits_per_s),
    ("per_s", format_rate),
    ("_s", format_seconds),
    ("_bytes", format_bytes),
    ("bytes_sent", format_bytes),
    ("bytes_received", format_bytes),
    ("_ratio", format_ratio),
)


def fact(name: str, value: Any) -> str:
    """One value as text, in the unit that its name says."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name == "pid":
            return str(value)
        return next((unit(value) for suffix, unit in _UNITS if name.endswith(suffix)), format_count(value))
    if isinstance(value, list | tuple):
        return ", ".join(fact(name, item) for item in value) or UNKNOWN
    return str(value)


def facts(tree: Mapping[str, Any], *, colour: bool = False, indent: str = "") -> list[str]:
    """A line for each leaf; a map is a titled block, indented. The schema's name is left out."""
    flat = [(name, fact(name, value)) for name, value in tree.items() if _is_leaf(name, value)]
    lines = render_table([Column(""), Column("")], flat, indent=indent, head=False)
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            lines += [
                indent + paint(name, "head", colour=colour),
                *facts(value, colour=colour, indent=indent + "  "),
            ]
    return lines


def _is_leaf(name: str, value: Any) -> bool:
    # Lists of maps have columns of their own: see records.
    has_maps = isinstance(value, list) and any(isinstance(item, dict) for item in value)
    return name != "schema" and not isinstance(value, dict) and not has_maps


def records(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    width: int | None = None,
    colour: bool = False,
) -> list[str]:
    """A table of maps that have the same keys."""
    heads = [Column(_head(name)) for name in columns]
    cells = [[fact(name, row.get(name)) for name in columns] for row in rows]
    return render_table(heads, cells, width=width, colour=colour)


def _head(name: str) -> str:
    """The unit stands in the values."""
    return "time" if name == "unix_s" else name.removesuffix("_unix_s").removesuffix("_s").replace("_", " ")
