"""The statistics as the JSON document of docs/stats-schema.md. Pure."""

from __future__ import annotations

from qudag_node.wire import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from qudag_tui.views.selection import Figures

__all__ = ["peers_json", "stats_json"]


def stats_json(figures: Figures) -> dict[str, Any]:
    """The chosen sections in the schema's order; ``peers`` is a list of maps."""
    document: dict[str, Any] = to_json(figures.document)
    if figures.has_peers:
        document["peers"] = peers_json(figures)
    else:
        del document["peers"]
    return document


def peers_json(figures: Figures) -> list[dict[str, Any]]:
    """One flat map per chosen peer; what is not known is None."""
    every = figures.peers.rows()
    return [every[row] for row in figures.rows]
