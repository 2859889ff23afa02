"""What the streams say: statistics as a full frame and deltas, events, log lines and tests as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from qudag_node.rpc.offers import Document, Offers, OffersRecords, OffersStatistics, OffersTests
from qudag_node.rpc.subscriptions import Stream
from qudag_node.wire.framing import Notification, encode

__all__ = ["EventStream", "LogStream", "StatisticsStream", "TestStream", "make_stream"]


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


class TestStream:
    """``test``: what happens to one test. Who joins, or was passed over, gets all that matters of it."""

    #: pytest looks at the name.
    __test__ = False

    def __init__(self, node: OffersTests, test_id: str, id_: int) -> None:
        self._watch = node.watch_test(test_id)
        self._about = {"stream": id_, "test_id": test_id}
        self._newest_by_kind: dict[object, Document] = {}
        self._sequence = 0
        self._take(self._watch.so_far())

    def advance(self) -> bytes | None:
        """Return what happened since the last time, if anything did."""
        events = self._watch.events_after(self._sequence)
        self._take(events)
        return self._packed(events) if events else None

    def full(self) -> bytes:
        """Return how the test stood when the stream last advanced."""
        return self._packed(sorted(self._newest_by_kind.values(), key=_seq_of))

    def _take(self, events: Sequence[Document]) -> None:
        for event in events:
            self._newest_by_kind[event["event"]] = event
            self._sequence = _seq_of(event)

    def _packed(self, events: Sequence[Document]) -> bytes:
        return encode(Notification("test", [{**self._about, "events": list(events)}]))


def _seq_of(event: Document) -> int:
    return cast("int", event["seq"])


def make_stream(node: Offers, topic: str, id_: int) -> Stream:
    """Return a new stream of a topic: one of ``methods.streams.TOPICS``, or ``test:`` and a test's id."""
    kind, colon, test_id = topic.partition(":")
    if colon and kind == "test":
        return TestStream(node, test_id, id_)
    streams: dict[str, Callable[[Offers, int], Stream]] = {
        "stats": StatisticsStream,
        "events": EventStream,
        "log": LogStream,
    }
    return streams[topic](node, id_)
