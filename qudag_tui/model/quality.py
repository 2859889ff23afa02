"""When a link is worse than it should be: the thresholds, in one place. Pure.

Probes ride on TCP, which repairs the loss of packets: a lossy link shows in what TCP sends again long before
a probe stays without an answer.
"""

from __future__ import annotations

__all__ = ["BAD_RATIO", "TCP_COLUMNS", "WARN_RATIO", "grade", "retransmit_grade", "tcp_note"]

#: More than one packet in a hundred lost halves what TCP carries; with one in twenty it crawls.
WARN_RATIO = 0.01
BAD_RATIO = 0.05

#: What the kernel says of a connection, passed on as it is.
TCP_COLUMNS = frozenset(
    {
        "tcp_rtt_s",
        "tcp_rttvar_s",
        "tcp_min_rtt_s",
        "tcp_retransmits",
        "tcp_cwnd_segments",
        "tcp_delivery_bytes_per_s",
        "tcp_sent_bytes",
        "tcp_received_bytes",
    }
)

_ORDER = ("", "warn", "bad")


def retransmit_grade(ratio: float | None) -> str:
    """How bad a share of unanswered probes, or of bytes sent again, is: ``bad``, ``warn`` or nothing."""
    if ratio is None or not ratio > WARN_RATIO:  # NaN is not known, hence not bad
        return ""
    return "bad" if ratio > BAD_RATIO else "warn"


def grade(unanswered_ratio: float | None, retransmit_ratio: float | None) -> str:
    """How bad a link that stands is: the worse of the two."""
    return max(retransmit_grade(unanswered_ratio), retransmit_grade(retransmit_ratio), key=_ORDER.index)


def tcp_note(tcp_info: object) -> str:
    """What stands beside the TCP figures, by ``node.tcp_info``; nothing where they are of the path."""
    return {"not-of-path": "not of the path", "unavailable": "not available here"}.get(str(tcp_info), "")
