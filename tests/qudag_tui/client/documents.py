"""The frozen example of ``tests.qudag_tui.examples`` as a node sends it, and as a client holds it."""

from __future__ import annotations

from array import array
from typing import Any

from qudag_node.wire import PeerRows, pack_column, pack_text
from tests.qudag_tui import examples

_TYPES = {"B": "u1", "H": "u2", "I": "u4", "Q": "u8", "q": "i8", "f": "f4", "d": "f8"}


def wire_peers(tick: int = 600, count: int = 5) -> dict[str, Any]:
    """The peers section on the wire."""
    rows = examples.rows(tick, count)
    return {
        "slots": pack_column("u4", array("I", range(count))),
        "text": {name: pack_text(column) for name, column in {"id": rows.ids, **rows.text}.items()},
        "numbers": {
            name: pack_column(_TYPES[column.typecode], column)
            for name, column in rows.numbers.items()
            if isinstance(column, array)
        },
    }


def wire_document(tick: int = 600, count: int = 5) -> dict[str, Any]:
    """The whole document on the wire."""
    return {**examples.document(tick), "peers": wire_peers(tick, count)}


def peer_rows(tick: int = 600, count: int = 5) -> PeerRows:
    """The peers section as a client holds it."""
    return PeerRows.from_wire(wire_peers(tick, count))
