"""The rarer counts of each peer: failures, drops, probes, and the newest look at TCP_INFO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qudag_node.host import TcpInfo
from qudag_node.metrics.slots import grown

__all__ = ["TCP_COUNTS", "TCP_TIMES", "PeerTallies"]

#: Columns of `PeerTallies.tcp_times` and of `PeerTallies.tcp_counts`.
TCP_TIMES = ("rtt_s", "rttvar_s", "min_rtt_s", "delivery_bytes_per_s")
TCP_COUNTS = ("retransmits", "cwnd_segments", "sent_bytes", "received_bytes")

_SENT, _LOST = 0, 1
_WIRE_BYTES = slice(2, 4)


class PeerTallies:
    """Counters by slot."""

    def __init__(self, capacity: int) -> None:
        self.failed = np.zeros(capacity, np.int64)
        self.dropped_in = np.zeros(capacity, np.int64)
        self.dropped_out = np.zeros(capacity, np.int64)
        #: Probes sent, and probes lost.
        self.probes = np.zeros((capacity, 2), np.uint32)
        #: `TCP_TIMES` of the present link, NaN where the kernel tells nothing.
        self.tcp_times = np.full((capacity, len(TCP_TIMES)), np.nan, np.float32)
        #: `TCP_COUNTS` of the present link, 0 where the kernel tells nothing.
        self.tcp_counts = np.zeros((capacity, len(TCP_COUNTS)), np.int64)
        #: Bytes that the kernel sent on the present link, those sent again included, and those sent again.
        self._resends = np.zeros((capacity, 2), np.int64)
        #: The same of the links before, since the peer is known.
        self._ended_resends = np.zeros((capacity, 2), np.int64)
        self._ended_wire_bytes = np.zeros(2, np.int64)
        self._knows_wire_bytes = False

    @property
    def nbytes(self) -> int:
        """Memory held."""
        counters = (self.failed, self.dropped_in, self.dropped_out, self.probes)
        tcp = (self.tcp_times, self.tcp_counts, self._resends, self._ended_resends)
        return sum(array.nbytes for array in (*counters, *tcp))

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self.failed = grown(self.failed, capacity)
        self.dropped_in = grown(self.dropped_in, capacity)
        self.dropped_out = grown(self.dropped_out, capacity)
        self.probes = grown(self.probes, capacity)
        self.tcp_times = grown(self.tcp_times, capacity, np.nan)
        self.tcp_counts = grown(self.tcp_counts, capacity)
        self._resends = grown(self._resends, capacity)
        self._ended_resends = grown(self._ended_resends, capacity)

    def clear(self, slot: int) -> None:
        """Make the slot as new."""
        self.end_link(slot)
        for counter in (self.failed, self.dropped_in, self.dropped_out, self.probes, self._ended_resends):
            counter[slot] = 0

    @property
    def probes_sent(self) -> npt.NDArray[np.uint32]:
        """Probes sent, by slot."""
        return self.probes[:, _SENT]

    @property
    def probes_lost(self) -> npt.NDArray[np.uint32]:
        """Probes lost, by slot."""
        return self.probes[:, _LOST]

    def probe_sent(self, slot: int) -> None:
        """Count a probe."""
        self.probes[slot, _SENT] += 1

    def probe_lost(self, slot: int) -> None:
        """Count a probe that is not answered."""
        self.probes[slot, _LOST] += 1

    def set_tcp_infos(self, slots: Sequence[int], infos: Sequence[TcpInfo]) -> None:
        """Keep the newest look at the links of some peers, all different. About 1 µs each if many."""
        at = np.array(slots, np.intp)
        times = [(info.rtt_s, info.rttvar_s, info.min_rtt_s, info.delivery_bytes_per_s) for info in infos]
        self.tcp_times[at] = np.array(times, np.float32)  # makes None to NaN
        self.tcp_counts[at] = np.array(
            [
                (info.retransmits, info.cwnd_segments, info.sent_bytes or 0, info.received_bytes or 0)
                for info in infos
            ],
            np.int64,
        )
        resends = [
            (slot, info.sent_bytes + info.retransmitted_bytes, info.retransmitted_bytes)
            for slot, info in zip(slots, infos, strict=True)
            if info.sent_bytes is not None and info.retransmitted_bytes is not None
        ]
        if resends:
            known = np.array(resends, np.int64)
            self._resends[known[:, 0]] = known[:, 1:]
        if not self._knows_wire_bytes:
            self._knows_wire_bytes = any(info.received_bytes is not None for info in infos)

    def end_link(self, slot: int) -> None:
        """Take a link's bytes into the total of those that ended."""
        self._ended_wire_bytes += self.tcp_counts[slot, _WIRE_BYTES]
        self._ended_resends[slot] += self._resends[slot]
        self._resends[slot] = 0
        self.tcp_times[slot] = np.nan
        self.tcp_counts[slot] = 0

    def resends(self) -> npt.NDArray[np.int64]:
        """Return TCP bytes sent, and of these those sent again, by slot, since the peer is known.

        Zeros where the kernel tells nothing.
        """
        return self._resends + self._ended_resends

    def wire_bytes(self) -> tuple[int, int] | None:
        """Return TCP payload bytes sent and received, as last looked at; None where no kernel told."""
        if not self._knows_wire_bytes:
            return None
        sent, received = (self.tcp_counts[:, _WIRE_BYTES].sum(axis=0) + self._ended_wire_bytes).tolist()
        return sent, received
