"""Everything that a node knows of one peer, as text. Pure."""

from __future__ import annotations

from qudag_tui.views.facts import facts, records
from qudag_tui.views.peers_text import peer_block, short_id
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import format_bytes, format_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["peer_info"]

# Shown in their own form; what a newer node adds is listed behind them.
_SHOWN = frozenset({"row", "by_type", "tcp", "tcp_info", "events", "path"})

_TYPE_COLUMNS = ["by type", "sent", "received", "out", "in"]


def peer_info(
    answer: Mapping[str, Any], *, at_unix_s: float, width: int | None = None, colour: bool = False
) -> list[str]:
    """The answer to ``peer``: the figures, the path, the messages by type, what happened."""
    lines = peer_block(answer.get("row", {}), at_unix_s, tcp_info=answer.get("tcp_info"), colour=colour)
    path = answer.get("path") or []
    if path:
        lines += ["  path      " + " > ".join(map(short_id, path))]
    lines += facts(
        {name: value for name, value in answer.items() if name not in _SHOWN and value}, colour=colour
    )
    by_type = {
        name: of for name, of in answer.get("by_type", {}).items() if of.get("sent") or of.get("received")
    }
    if by_type:
        rows = [
            (
                f"  {name}",
                format_count(of.get("sent")),
                format_count(of.get("received")),
                format_bytes(of.get("sent_bytes")),
                format_bytes(of.get("received_bytes")),
            )
            for name, of in by_type.items()
        ]
        columns = [Column(title, right=place > 0) for place, title in enumerate(_TYPE_COLUMNS)]
        lines += ["", *render_table(columns, rows, width=width, colour=colour)]
    events = answer.get("events") or []
    if events:
        lines += ["", *records(events, ("unix_s", "severity", "kind", "text"), width=width, colour=colour)]
    return lines
