"""The statistics as the JSON document of docs/stats-schema.md. Pure."""

from __future__ import annotations

from qudag_node.wire import to_json
from qudag_tui.views.selection import ALWAYS, SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from qudag_tui.views.selection import Figures

__all__ = ["peers_json", "stats_json"]


def stats_json(figures: Figures) -> dict[str, Any]:
    """The chosen sections in the schema's order; ``peers`` is a list of maps."""
    known: dict[str, Any] = to_json(figures.document)
    if figures.has_peers:
        known["peers"] = peers_json(figures)
    # Sections of a newer node come last.
    order = dict.fromkeys([*ALWAYS, *SECTIONS, *known])
    return {name: known[name] for name in order if name in known}


def peers_json(figures: Figures) -> list[dict[str, Any]]:
    """One flat map per chosen peer; what is not known is None."""
    every = figures.peers.rows()
    return [every[row] for row in figures.rows]
