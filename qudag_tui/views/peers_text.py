"""Peers as text: one line each, or everything that is known of each. Pure."""

from __future__ import annotations

from qudag_tui.model.quality import retransmit_grade, tcp_note
from qudag_tui.views.selection import column_of
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
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from qudag_tui.views.selection import Figures
    from qudag_tui.views.table import Cell

    _Unit = Callable[[float | None], str]

__all__ = ["STATE_STYLES", "peer_block", "peer_label", "peers_detailed", "peers_table", "short_id"]

STATE_STYLES = {"connected": "good", "connecting": "warn", "backoff": "warn", "banned": "bad", "known": "dim"}


def short_id(peer_id: str) -> str:
    """The part of an id that tells it from others: all begin with ``12D3KooW``."""
    return f"{peer_id[:8]}…{peer_id[-6:]}" if len(peer_id) > 20 else peer_id or UNKNOWN


def peer_label(name: str, alias: str, peer_id: str) -> str:
    """What a person calls a peer."""
    return alias or name or short_id(peer_id)


def _bits(bytes_per_s: float | None) -> str:
    return format_bits_per_s(None if bytes_per_s is None else bytes_per_s * 8)


_FIGURES: tuple[tuple[str, str, Callable[[float | None], str], int], ...] = (
    ("rtt p50", "rtt_p50_s", format_seconds, 0),
    ("p95", "rtt_p95_s", format_seconds, 3),
    ("p99", "rtt_p99_s", format_seconds, 4),
    ("unanswered", "loss_ratio", format_ratio, 2),
    ("resent", "tcp_retransmit_ratio", format_ratio, 0),
    ("out", "sent_bytes_per_s", _bits, 0),
    ("in", "received_bytes_per_s", _bits, 0),
    ("sent", "messages_sent", format_count, 6),
    ("received", "messages_received", format_count, 5),
    ("queue", "queue_messages", format_count, 2),
)


# Painted where they are too much.
_GRADED = frozenset({"loss_ratio", "tcp_retransmit_ratio"})

_TEXTS = ("name", "alias", "state", "direction", "rtt_method", "address")


def peers_table(figures: Figures, *, width: int | None = None, colour: bool = False) -> list[str]:
    """One line for each chosen peer."""
    peers = figures.peers
    columns = [
        Column("peer", least=8),
        Column("state"),
        Column("dir", rank=1),
        *(Column(title, right=True, rank=rank) for title, _, _, rank in _FIGURES),
        Column("rtt by", rank=7),
        Column("address", rank=8),
        Column("id", rank=9),
    ]
    texts = {name: column_of(peers, name) for name in _TEXTS}
    numbers = [(column_of(peers, name), name, unit) for _, name, unit, _ in _FIGURES]
    rows: list[list[Cell]] = []
    for row in figures.rows:
        state = texts["state"][row]
        values = [(_number(column[row]), name, unit) for column, name, unit in numbers]
        cells: list[Cell] = [
            peer_label(texts["name"][row], texts["alias"][row], peers.ids[row]),
            (state, STATE_STYLES.get(state, "")),
            texts["direction"][row],
            *(
                (unit(value), retransmit_grade(value) if name in _GRADED else "")
                for value, name, unit in values
            ),
            texts["rtt_method"][row] or UNKNOWN,
            texts["address"][row] or UNKNOWN,
            short_id(peers.ids[row]),
        ]
        rows.append(cells)
    if not rows:
        return [paint("no peers", "dim", colour=colour)]
    return render_table(columns, rows, width=width, colour=colour)


def _number(value: Any) -> float | None:
    """A cell's number; a column that this node does not send holds empty texts."""
    return value if isinstance(value, int | float) else None


def peers_detailed(figures: Figures, *, colour: bool = False) -> list[str]:
    """A block for each chosen peer with everything that the document says of it."""
    if not figures.rows:
        return [paint("no peers", "dim", colour=colour)]
    node = figures.document.get("node", {})
    lines: list[str] = []
    for row in figures.rows:
        block = peer_block(
            figures.peers.row(row),
            node.get("sampled_unix_s"),
            tcp_info=node.get("tcp_info"),
            colour=colour,
        )
        lines += [*block, ""]
    return lines[:-1]


_RTTS = ("last", "min", "avg", "p50", "p95", "p99", "max", "jitter")

# What each line of a block lists: (label, column, unit).
_LINES: dict[str, tuple[tuple[str, str, _Unit], ...]] = {
    "rtt": (
        *((key, f"rtt_{key}_s", format_seconds) for key in _RTTS),
        ("samples", "rtt_samples", format_count),
    ),
    "probes": (
        ("sent", "probes_sent", format_count),
        ("unanswered", "probes_lost", format_count),
        ("in 60 s", "loss_ratio", format_ratio),
        ("session", "loss_session_ratio", format_ratio),
    ),
    "messages": (
        ("sent", "messages_sent", format_count),
        ("received", "messages_received", format_count),
        ("dropped in", "messages_dropped_in", format_count),
        ("dropped out", "messages_dropped_out", format_count),
        ("failed", "messages_failed", format_count),
        ("queued", "queue_messages", format_count),
        ("unconfirmed", "unconfirmed_messages", format_count),
    ),
    "bytes": (
        ("sent", "bytes_sent", format_bytes),
        ("received", "bytes_received", format_bytes),
        ("queued", "queue_bytes", format_bytes),
        ("unconfirmed", "unconfirmed_bytes", format_bytes),
    ),
    "rates": (
        ("out", "sent_bytes_per_s", _bits),
        ("in", "received_bytes_per_s", _bits),
        ("out msg/s", "sent_messages_per_s", format_rate),
        ("in msg/s", "received_messages_per_s", format_rate),
        ("utilization", "utilization_ratio", format_ratio),
    ),
    "tcp": (
        ("rtt", "tcp_rtt_s", format_seconds),
        ("var", "tcp_rttvar_s", format_seconds),
        ("min", "tcp_min_rtt_s", format_seconds),
        ("retransmits", "tcp_retransmits", format_count),
        ("resent in 60 s", "tcp_retransmit_ratio", format_ratio),
        ("cwnd", "tcp_cwnd_segments", format_count),
        ("delivery", "tcp_delivery_bytes_per_s", _bits),
        ("sent", "tcp_sent_bytes", format_bytes),
        ("received", "tcp_received_bytes", format_bytes),
    ),
}


def peer_block(
    row: Mapping[str, Any], at_unix_s: float | None, *, tcp_info: object = None, colour: bool = False
) -> list[str]:
    """Everything of one peer, from its row of the public document; ``tcp_info`` is of the node's section."""

    def word(name: str) -> str:
        return row.get(name) or UNKNOWN

    since = row.get("connected_unix_s")
    up_s = at_unix_s - since if at_unix_s and since and row.get("state") == "connected" else None
    facts = [
        ("id", word("id")),
        (
            "link",
            f"{word('direction')}  {word('address')}  up {format_age(up_s)}"
            f"  reconnects {format_count(row.get('reconnects'))}  hops {format_count(row.get('hops'))}",
        ),
        ("agent", f"{word('agent')}  protocol {format_count(row.get('protocol_version'))}"),
    ]
    for name, listed in _LINES.items():
        text = "  ".join(f"{label} {unit(row.get(column))}" for label, column, unit in listed)
        if name == "rtt":
            text += f"  {word('rtt_method')}"
        elif name == "tcp" and (note := tcp_note(tcp_info)):
            text = f"({note})  {text}"
        facts.append((name, text))
    label = peer_label(row.get("name") or "", row.get("alias") or "", row.get("id") or "")
    state = word("state")
    title = (
        f"{paint(label, 'head', colour=colour)}  {paint(state, STATE_STYLES.get(state, ''), colour=colour)}"
    )
    return [title, *render_table([Column(""), Column("")], facts, indent="  ", head=False)]
