"""What the streams say: statistics as a full frame and deltas, events and log lines as they come."""

from __future__ import annotations

from collections.abc import Callable

from qudag_node.rpc.offers import Document, Offers, OffersRecords, OffersStatistics
from qudag_node.rpc.subscriptions import Stream
from qudag_node.wire.framing import Notification, encode

__all__ = ["EventStream", "LogStream", "StatisticsStream", "make_stream"]


class StatisticsStream:
    """``stats.full`` for who joins or was passed over, ``stats.delta`` for all others."""

    def __init__(self, node: OffersStatistics, id_: int) -> None:
        self._node = node
        self._id = id_
        self._sequence = 0
        self._document: Document | None = None
        self._packed_full: bytes | None = None

    def advance(self) -> bytes:
        """Take the statistics of now and return what changed."""
        before, after = self._document, self._node.statistics(fresh=True)
        self._document = after
        self._packed_full = None
        self._sequence += 1
        if before is None:
            return self.full()
        change = self._node.delta(before, after)
        numbers = {"stream": self._id, "seq": self._sequence, "base": self._sequence - 1}
        return encode(Notification("stats.delta", [{**numbers, **change}]))

    def full(self) -> bytes:
        """Return the statistics that the last delta led to; packed once, however many ask."""
        if self._document is None:
            self._document = self._node.statistics(fresh=True)
        if self._packed_full is None:
            whole = {"stream": self._id, "seq": self._sequence, "document": self._document}
            self._packed_full = encode(Notification("stats.full", [whole]))
        return self._packed_full


class EventStream:
    """``events`` as they happen. Who was passed over sees a gap in ``seq`` and can call ``events``."""

    def __init__(self, node: OffersRecords, id_: int) -> None:
        self._node = node
        self._id = id_
        self._sequence = node.events_after(0)[0]

    def advance(self) -> bytes | None:
        """Return the events since the last time, if there were any."""
        self._sequence, events = self._node.events_after(self._sequence)
        if not events:
            return None
        return encode(Notification("events", [{"stream": self._id, "events": list(events)}]))

    def full(self) -> None:
        """Nothing: ``events`` tells the past."""


class LogStream:
    """``log`` lines as they are written."""

    def __init__(self, node: OffersRecords, id_: int) -> None:
        self._node = node
        self._id = id_
        self._sequence = node.log_after(0)[0]

    def advance(self) -> bytes | None:
        """Return the lines since the last time, if there were any."""
        self._sequence, lines = self._node.log_after(self._sequence)
        if not lines:
            return None
        return encode(Notification("log", [{"stream": self._id, "lines": list(lines)}]))

    def full(self) -> None:
        """Nothing: ``log`` tells the past."""


def make_stream(node: Offers, topic: str, id_: int) -> Stream:
    """Return a new stream of a topic, which is one of ``methods.streams.TOPICS``."""
    streams: dict[str, Callable[[Offers, int], Stream]] = {
        "stats": StatisticsStream,
        "events": EventStream,
        "log": LogStream,
    }
    return streams[topic](node, id_)
