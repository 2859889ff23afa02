"""What ``connections`` says besides links, as text: addresses that are dialled in vain, and bans. Pure."""

from __future__ import annotations

from qudag_tui.views.peers_text import STATE_STYLES, short_id
from qudag_tui.views.redact import redact_address, redact_id
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import UNKNOWN, format_age, format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qudag_tui.views.table import Cell

__all__ = ["bans_table", "dialling_table", "redact_connections"]


def dialling_table(
    dials: Sequence[Mapping[str, Any]], *, width: int | None = None, colour: bool = False
) -> list[str]:
    """One line for each address that a link is to be kept to and has none; nothing if there is none."""
    columns = [
        Column("dialling"),
        Column("state"),
        Column("tries", right=True, rank=2),
        Column("next in", right=True, rank=1),
        Column("id", rank=3),
        Column("last error", least=12),
    ]
    rows: list[list[Cell]] = [
        [
            str(dial["address"]),
            (str(dial["state"]), STATE_STYLES.get(dial["state"], "")),
            str(dial["attempts"]),
            format_age(dial["next_dial_s"]),
            short_id(dial["peer"] or ""),
            str(dial["last_error"] or UNKNOWN),
        ]
        for dial in dials
    ]
    return render_table(columns, rows, width=width, colour=colour) if rows else []


def bans_table(
    bans: Sequence[Mapping[str, Any]], *, width: int | None = None, colour: bool = False
) -> list[str]:
    """One line for each ban, of a peer or of an IP address; nothing if there is none."""
    columns = [
        Column("bans", least=8),
        Column("until"),
        Column("address", rank=2),
        Column("id", rank=1),
        Column("reason", least=12),
    ]
    rows: list[list[Cell]] = [
        [
            str(ban["name"] or short_id(ban["peer"] or "") if ban["peer"] else ban["address"]),
            "for ever" if ban["until_unix_s"] is None else format_timestamp(ban["until_unix_s"]),
            str(ban["address"] or UNKNOWN),
            short_id(ban["peer"] or ""),
            str(ban["reason"] or UNKNOWN),
        ]
        for ban in bans
    ]
    return render_table(columns, rows, width=width, colour=colour) if rows else []


def redact_connections(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Dials or bans without addresses, most of the ids, and free text, which may hold either."""
    texts = {"reason": "", "last_error": ""}
    return [
        {
            **entry,
            **{name: empty for name, empty in texts.items() if name in entry},
            "address": redact_address(entry["address"]),
            "peer": redact_id(entry["peer"] or "") or None,
        }
        for entry in entries
    ]
