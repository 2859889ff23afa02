"""The rarer counts of each peer: failures, drops, probes, and the newest look at TCP_INFO."""

from __future__ import annotations

import numpy as np

from qudag_node.host import TcpInfo
from qudag_node.metrics.slots import grown

__all__ = ["TCP_FIGURES", "PeerTallies"]

TCP_FIGURES = (
    "rtt_s",
    "rttvar_s",
    "min_rtt_s",
    "retransmits",
    "cwnd_segments",
    "delivery_bytes_per_s",
    "sent_bytes",
    "received_bytes",
)
_SENT, _RECEIVED = TCP_FIGURES.index("sent_bytes"), TCP_FIGURES.index("received_bytes")


class PeerTallies:
    """Counters by slot."""

    def __init__(self, capacity: int) -> None:
        self.failed = np.zeros(capacity, np.int64)
        self.dropped_in = np.zeros(capacity, np.int64)
        self.dropped_out = np.zeros(capacity, np.int64)
        self.probes_sent = np.zeros(capacity, np.uint32)
        self.probes_lost = np.zeros(capacity, np.uint32)
        #: `TCP_FIGURES` of the present link, NaN where the kernel tells nothing.
        self.tcp = np.full((capacity, len(TCP_FIGURES)), np.nan)
        self._ended_wire_bytes = [0.0, 0.0]
        self._knows_wire_bytes = False

    @property
    def nbytes(self) -> int:
        """Memory held."""
        counters = (self.failed, self.dropped_in, self.dropped_out, self.probes_sent, self.probes_lost)
        return sum(array.nbytes for array in counters) + self.tcp.nbytes

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self.failed = grown(self.failed, capacity)
        self.dropped_in = grown(self.dropped_in, capacity)
        self.dropped_out = grown(self.dropped_out, capacity)
        self.probes_sent = grown(self.probes_sent, capacity)
        self.probes_lost = grown(self.probes_lost, capacity)
        self.tcp = grown(self.tcp, capacity, np.nan)

    def clear(self, slot: int) -> None:
        """Make the slot as new."""
        self.end_link(slot)
        for counter in (self.failed, self.dropped_in, self.dropped_out, self.probes_sent, self.probes_lost):
            counter[slot] = 0

    def set_tcp_info(self, slot: int, info: TcpInfo) -> None:
        """Keep the newest look at a peer's link. About 2 µs."""
        self.tcp[slot] = (
            info.rtt_s,
            info.rttvar_s,
            np.nan if info.min_rtt_s is None else info.min_rtt_s,
            info.retransmits,
            info.cwnd_segments,
            np.nan if info.delivery_bytes_per_s is None else info.delivery_bytes_per_s,
            np.nan if info.sent_bytes is None else info.sent_bytes,
            np.nan if info.received_bytes is None else info.received_bytes,
        )
        self._knows_wire_bytes = self._knows_wire_bytes or info.received_bytes is not None

    def end_link(self, slot: int) -> None:
        """Take a link's bytes into the total of those that ended."""
        self._ended_wire_bytes[0] += float(np.nan_to_num(self.tcp[slot, _SENT]))
        self._ended_wire_bytes[1] += float(np.nan_to_num(self.tcp[slot, _RECEIVED]))
        self.tcp[slot] = np.nan

    def wire_bytes(self) -> tuple[int, int] | None:
        """Return TCP payload bytes sent and received, as last looked at; None where no kernel told."""
        if not self._knows_wire_bytes:
            return None
        sent, received = np.nansum(self.tcp[:, [_SENT, _RECEIVED]], axis=0)
        return int(sent + self._ended_wire_bytes[0]), int(received + self._ended_wire_bytes[1])
