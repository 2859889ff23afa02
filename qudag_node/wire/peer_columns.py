"""The columns of the peers table in the stats document: their names, their types, their order.

Both sides read this table; docs/stats-schema.md says what each column means.
"""

from __future__ import annotations

__all__ = ["PEER_NUMBERS", "PEER_TEXTS", "WHOLE_OR_UNKNOWN"]

PEER_TEXTS = ("id", "name", "alias", "address", "direction", "state", "agent", "rtt_method")
"""Columns of text; the first is the key. Empty: not known."""

PEER_NUMBERS = {
    "protocol_version": "u1",
    "hops": "u1",
    "connected_unix_s": "f8",
    "rtt_last_s": "f4",
    "rtt_min_s": "f4",
    "rtt_avg_s": "f4",
    "rtt_p50_s": "f4",
    "rtt_p95_s": "f4",
    "rtt_p99_s": "f4",
    "rtt_max_s": "f4",
    "rtt_jitter_s": "f4",
    "rtt_samples": "u4",
    "messages_sent": "u8",
    "messages_received": "u8",
    "messages_dropped_in": "u8",
    "messages_dropped_out": "u8",
    "messages_failed": "u8",
    "bytes_sent": "u8",
    "bytes_received": "u8",
    "sent_messages_per_s": "f4",
    "received_messages_per_s": "f4",
    "sent_bytes_per_s": "f4",
    "received_bytes_per_s": "f4",
    "queue_messages": "u4",
    "queue_bytes": "u4",
    "probes_sent": "u4",
    "probes_lost": "u4",
    "loss_ratio": "f4",
    "loss_session_ratio": "f4",
    "unconfirmed_messages": "u8",
    "unconfirmed_bytes": "u8",
    "tcp_rtt_s": "f4",
    "tcp_rttvar_s": "f4",
    "tcp_min_rtt_s": "f4",
    "tcp_retransmits": "f8",
    "tcp_retransmit_ratio": "f4",
    "tcp_cwnd_segments": "f8",
    "tcp_delivery_bytes_per_s": "f4",
    "tcp_sent_bytes": "f8",
    "tcp_received_bytes": "f8",
    "reconnects": "u4",
    "utilization_ratio": "f4",
}
"""Columns of numbers, each with its type; NaN: not known. ``protocol_version`` and ``hops``: 0, not known."""

# Whole numbers that may be unknown are f8, since no integer can say so; exact up to 2**53.
WHOLE_OR_UNKNOWN = frozenset({"tcp_retransmits", "tcp_cwnd_segments", "tcp_sent_bytes", "tcp_received_bytes"})
"""Columns of floats that hold whole numbers where they are known."""
