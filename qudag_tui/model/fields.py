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
    Field("name", "label", Kind.TEXT, "peer", "alias, announced name, or start of the id"),
    Field("state", "state", Kind.TEXT, "state", "connected connecting backoff known banned"),
    Field("dir", "direction", Kind.TEXT, "dir", "who dialled: in, out or none"),
    Field("rtt", "rtt_p50_s", Kind.SECONDS, "p50", "round trip, median"),
    Field("p95", "rtt_p95_s", Kind.SECONDS, "p95", "round trip, 95th percentile"),
    Field("p99", "rtt_p99_s", Kind.SECONDS, "p99", "round trip, 99th percentile"),
    Field("loss", "loss_ratio", Kind.RATIO, "unansw", "probes unanswered in the last 60 s"),
    Field(
        "resent", "tcp_retransmit_ratio", Kind.RATIO, "resent", "sent again by TCP, of all in the last 60 s"
    ),
    Field("in", "received_bytes_per_s", Kind.BITS_PER_S, "in b/s", "received in the last second"),
    Field("out", "sent_bytes_per_s", Kind.BITS_PER_S, "out b/s", "sent in the last second"),
    Field("in_msgs", "received_messages_per_s", Kind.PER_S, "in m/s", "messages received per second"),
    Field("out_msgs", "sent_messages_per_s", Kind.PER_S, "out m/s", "messages sent per second"),
    Field("queue", "queue_messages", Kind.COUNT, "queue", "messages waiting to be sent"),
    Field("drop_out", "messages_dropped_out", Kind.COUNT, "drop out", "refused by the send queue"),
    Field("drop_in", "messages_dropped_in", Kind.COUNT, "drop in", "refused by a rate limit"),
    Field("failed", "messages_failed", Kind.COUNT, "failed", "not valid, or not handled"),
    Field("jitter", "rtt_jitter_s", Kind.SECONDS, "jitter", "round trip, variation"),
    Field("last", "rtt_last_s", Kind.SECONDS, "last", "round trip, newest"),
    Field("min", "rtt_min_s", Kind.SECONDS, "min", "round trip, smallest"),
    Field("avg", "rtt_avg_s", Kind.SECONDS, "avg", "round trip, mean"),
    Field("max", "rtt_max_s", Kind.SECONDS, "max", "round trip, largest"),
    Field("samples", "rtt_samples", Kind.COUNT, "samples", "round trips behind these"),
    Field("loss_all", "loss_session_ratio", Kind.RATIO, "unanswered", "probes unanswered on this link"),
    Field("probes", "probes_sent", Kind.COUNT, "probes", "probes sent"),
    Field("lost", "probes_lost", Kind.COUNT, "lost", "probes never answered"),
    Field("up", "connected_unix_s", Kind.SINCE, "up", "time since the link was made"),
    Field("reconnects", "reconnects", Kind.COUNT, "reconn", "times it was made anew"),
    Field("util", "utilization_ratio", Kind.RATIO, "util", "share of the known capacity"),
    Field("unconf", "unconfirmed_messages", Kind.COUNT, "unconf", "sent, not yet confirmed"),
    Field("unconf_bytes", "unconfirmed_bytes", Kind.BYTES, "unconf B", "sent, not yet confirmed"),
    Field("queue_bytes", "queue_bytes", Kind.BYTES, "queue B", "waiting to be sent"),
    Field("recv", "messages_received", Kind.COUNT, "recv", "messages received"),
    Field("sent", "messages_sent", Kind.COUNT, "sent", "messages sent"),
    Field("recv_bytes", "bytes_received", Kind.BYTES, "recv B", "frame bytes received"),
    Field("sent_bytes", "bytes_sent", Kind.BYTES, "sent B", "frame bytes sent"),
    Field("tcp_rtt", "tcp_rtt_s", Kind.SECONDS, "tcp rtt", "kernel's smoothed round trip"),
    Field("tcp_var", "tcp_rttvar_s", Kind.SECONDS, "tcp var", "its variation"),
    Field("tcp_min", "tcp_min_rtt_s", Kind.SECONDS, "tcp min", "its smallest"),
    Field("retrans", "tcp_retransmits", Kind.COUNT, "retrans", "segments sent again"),
    Field("cwnd", "tcp_cwnd_segments", Kind.COUNT, "cwnd", "congestion window, segments"),
    Field("delivery", "tcp_delivery_bytes_per_s", Kind.BITS_PER_S, "tcp b/s", "TCP's delivery rate"),
    Field("tcp_in", "tcp_received_bytes", Kind.BYTES, "tcp in B", "TCP payload bytes received"),
    Field("tcp_out", "tcp_sent_bytes", Kind.BYTES, "tcp out B", "TCP payload bytes sent"),
    Field("hops", "hops", Kind.COUNT, "hops", "distance from this node"),
    Field("proto", "protocol_version", Kind.COUNT, "proto", "version of the link protocol"),
    Field("method", "rtt_method", Kind.TEXT, "rtt method", "how round trips are measured"),
    Field("address", "address", Kind.TEXT, "address", "where the peer is reached"),
    Field("agent", "agent", Kind.TEXT, "agent", "the program it says it runs"),
    Field("alias", "alias", Kind.TEXT, "alias", "the name given to it here"),
    Field("id", "id", Kind.TEXT, "id", "its identity"),
)

BY_KEY: dict[str, Field] = {field.key: field for field in FIELDS}
