"""What became of messages, by type. The commoner counts (sent, received, processed) are folded elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.causes import CauseCounter

__all__ = ["MessageFates", "MessageTotals", "PeerTypeTraffic"]

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTypeTraffic:
    """Messages of one type exchanged with one peer."""

    sent: int
    received: int
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTotals:
    """Exact counts since the start, one entry for each of ``types`` (test traffic is not among them)."""

    types: tuple[str, ...]
    sent: Int64s
    received: Int64s
    sent_bytes: Int64s
    received_bytes: Int64s
    processed: Int64s
    failed: Int64s
    dropped_in: Int64s
    dropped_out: Int64s
    queued_out: Int64s
    duplicates: int
    failed_by_cause: Mapping[str, int]
    dropped_by_cause: Mapping[str, int]

    @property
    def queued_in(self) -> Int64s:
        """Messages received whose fate is not decided yet."""
        return self.received - self.processed - self.failed - self.dropped_in


class MessageFates:
    """Counts by type of what happens seldom enough to be counted on the spot."""

    def __init__(self, types: int) -> None:
        self.processed_untimed: Int64s = np.zeros(types, np.int64)
        self.failed: Int64s = np.zeros(types, np.int64)
        self.dropped_in: Int64s = np.zeros(types, np.int64)
        self.dropped_out: Int64s = np.zeros(types, np.int64)
        self.queued_out: Int64s = np.zeros(types, np.int64)
        self.duplicates = 0
        self.failed_by_cause = CauseCounter()
        self.dropped_by_cause = CauseCounter()
        # Of network tests, which are counted nowhere else: dropped, failed, and what did not go over links.
        self.test_drops_by_cause = CauseCounter()
        self.beside_links = PeerTypeTraffic(sent=0, received=0, sent_bytes=0, received_bytes=0)
