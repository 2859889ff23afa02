"""What can be said of one peer: the fields that the peers screen shows, sorts by and filters on.

One table; the columns, the sort keys, the filter language, the detail screen and the documentation all
read it, so that a figure has one name everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["BY_KEY", "FIELDS", "Field", "Kind"]


class Kind(Enum):
    """What a field's values are, which decides its unit, its format and what a filter may compare."""

    #: A word.
    TEXT = auto()
    #: A duration in seconds.
    SECONDS = auto()
    #: A moment in Unix seconds, shown and compared as the time since then.
    SINCE = auto()
    #: Bytes per second, shown and compared in bits per second as links are.
    BITS_PER_S = auto()
    #: A number of bytes.
    BYTES = auto()
    #: Something per second.
    PER_S = auto()
    #: How many.
    COUNT = auto()
    #: A share from 0 to 1, shown and compared in per cent.
    RATIO = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """One figure or word of a peer.

    Attributes:
        key: Its name in filters, sorting and documentation.
        column: The column of the stats document that it shows.
        title: The head of its column: at most as wide as its values.
        meaning: One sentence for the detail screen and the documentation.
    """

    key: str
    column: str
    kind: Kind
    title: str
    meaning: str


FIELDS: tuple[Field, ...] = (
    Field("name", "label", Kind.TEXT, "peer", "alias, announced name, or the start of the id"),
    Field("state", "state", Kind.TEXT, "state", "connected, connecting, backoff, known or banned"),
    Field("dir", "direction", Kind.TEXT, "dir", "who dialled: in, out, or none"),
    Field("rtt", "rtt_p50_s", Kind.SECONDS, "p50", "median round-trip time"),
    Field("p95", "rtt_p95_s", Kind.SECONDS, "p95", "95th percentile of the round-trip time"),
    Field("p99", "rtt_p99_s", Kind.SECONDS, "p99", "99th percentile of the round-trip time"),
    Field("loss", "loss_ratio", Kind.RATIO, "loss60", "probes lost in the last 60 s"),
    Field("in", "received_bytes_per_s", Kind.BITS_PER_S, "in b/s", "received in the last second"),
    Field("out", "sent_bytes_per_s", Kind.BITS_PER_S, "out b/s", "sent in the last second"),
    Field("in_msgs", "received_messages_per_s", Kind.PER_S, "in m/s", "messages received per second"),
    Field("out_msgs", "sent_messages_per_s", Kind.PER_S, "out m/s", "messages sent per second"),
    Field("queue", "queue_messages", Kind.COUNT, "queue", "messages waiting to be sent"),
    Field("drop_out", "messages_dropped_out", Kind.COUNT, "drop out", "messages refused by the send queue"),
    Field("drop_in", "messages_dropped_in", Kind.COUNT, "drop in", "messages refused by a rate limit"),
    Field("failed", "messages_failed", Kind.COUNT, "failed", "messages that failed verification or handling"),
    Field("jitter", "rtt_jitter_s", Kind.SECONDS, "jitter", "variation of the round-trip time"),
    Field("last", "rtt_last_s", Kind.SECONDS, "last", "newest round-trip time"),
    Field("min", "rtt_min_s", Kind.SECONDS, "min", "smallest round-trip time"),
    Field("avg", "rtt_avg_s", Kind.SECONDS, "avg", "mean round-trip time"),
    Field("max", "rtt_max_s", Kind.SECONDS, "max", "largest round-trip time"),
    Field("samples", "rtt_samples", Kind.COUNT, "samples", "round-trip times behind these figures"),
    Field("loss_all", "loss_session_ratio", Kind.RATIO, "loss", "probes lost since the link was made"),
    Field("probes", "probes_sent", Kind.COUNT, "probes", "probes sent"),
    Field("lost", "probes_lost", Kind.COUNT, "lost", "probes never answered"),
    Field("up", "connected_unix_s", Kind.SINCE, "up", "how long the link has been up"),
    Field("reconnects", "reconnects", Kind.COUNT, "reconn", "times the link was made anew"),
    Field("util", "utilization_ratio", Kind.RATIO, "util", "share of the link's known capacity in use"),
    Field("unconfirmed", "unconfirmed_messages", Kind.COUNT, "unconf", "messages sent, not yet confirmed"),
    Field("unconfirmed_bytes", "unconfirmed_bytes", Kind.BYTES, "unconf B", "bytes sent, not yet confirmed"),
    Field("queue_bytes", "queue_bytes", Kind.BYTES, "queue B", "bytes waiting to be sent"),
    Field("received", "messages_received", Kind.COUNT, "received", "messages received"),
    Field("sent", "messages_sent", Kind.COUNT, "sent", "messages sent"),
    Field("received_bytes", "bytes_received", Kind.BYTES, "received B", "frame bytes received"),
    Field("sent_bytes", "bytes_sent", Kind.BYTES, "sent B", "frame bytes sent"),
    Field("tcp_rtt", "tcp_rtt_s", Kind.SECONDS, "tcp rtt", "the kernel's smoothed round-trip time"),
    Field("tcp_var", "tcp_rttvar_s", Kind.SECONDS, "tcp var", "the kernel's round-trip time variation"),
    Field("tcp_min", "tcp_min_rtt_s", Kind.SECONDS, "tcp min", "the kernel's smallest round-trip time"),
    Field("retrans", "tcp_retransmits", Kind.COUNT, "retrans", "segments TCP sent again"),
    Field("cwnd", "tcp_cwnd_segments", Kind.COUNT, "cwnd", "TCP's congestion window, in segments"),
    Field("delivery", "tcp_delivery_bytes_per_s", Kind.BITS_PER_S, "tcp b/s", "TCP's delivery rate"),
    Field("tcp_in", "tcp_received_bytes", Kind.BYTES, "tcp in B", "TCP payload bytes received"),
    Field("tcp_out", "tcp_sent_bytes", Kind.BYTES, "tcp out B", "TCP payload bytes sent"),
    Field("hops", "hops", Kind.COUNT, "hops", "distance from this node"),
    Field("proto", "protocol_version", Kind.COUNT, "proto", "version of the link protocol"),
    Field("method", "rtt_method", Kind.TEXT, "rtt method", "how the round-trip time was measured"),
    Field("address", "address", Kind.TEXT, "address", "where the peer is reached"),
    Field("agent", "agent", Kind.TEXT, "agent", "the program the peer says it runs"),
    Field("alias", "alias", Kind.TEXT, "alias", "the name given to it here"),
    Field("id", "id", Kind.TEXT, "id", "the peer's identity"),
)

BY_KEY: dict[str, Field] = {field.key: field for field in FIELDS}
