"""What the collector must be told: queues, what is unconfirmed, the kernel's view of the links."""

from __future__ import annotations

from collections import Counter

from qudag_node.host import tcp_info
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.events import EventKind, EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.outlet import DROPPED_AT_END
from qudag_node.overlay.peertable import PeerTable

__all__ = ["Gauges"]


class Gauges:
    """Writes the gauges of one node into its collector."""

    def __init__(
        self,
        collector: MetricsCollector,
        admission: Admission,
        table: PeerTable,
        events: EventLog,
        *,
        limit: int,
    ) -> None:
        self._collector = collector
        self._admission = admission
        self._table = table
        self._events = events
        self._queued_out: Counter[str] = Counter()
        self._dropped: dict[str, int] = {}
        collector.connections.gauges.limit = limit

    def update(self, *, banned: int) -> None:
        """Bring every gauge up to date. Costs about a microsecond a link."""
        gauges = self._collector.connections.gauges
        gauges.pending, gauges.banned = self._admission.pending_count, banned
        queued_out: Counter[str] = Counter()
        for peer in self._table:
            link, handle = self._admission.link_to(peer.id), peer.handle
            messages, size_bytes = (0, 0) if link is None else link.unconfirmed
            handle.unconfirmed_messages = peer.lost_messages + messages
            handle.unconfirmed_bytes = peer.lost_bytes + size_bytes
            queue = None if link is None else link.queue
            handle.queue_messages = 0 if queue is None else len(queue)
            handle.queue_bytes = 0 if queue is None else queue.size_bytes
            if queue is not None and handle.queue_messages:
                queued_out.update(FRAME_NAMES[kind] for kind in queue.kinds())
        for name in queued_out.keys() | self._queued_out.keys():
            self._collector.change_queued_out(name, queued_out[name] - self._queued_out[name])
        self._queued_out = queued_out

    def sample_tcp(self) -> None:
        """Look at the TCP connection of every link. Costs about 3 µs a link."""
        for link in self._admission:
            sock = link.socket
            info = None if sock is None else tcp_info(sock)
            if info is not None:
                self._collector.set_tcp_info(link.peer, info)

    def tell_drops(self) -> None:
        """Make an event of what was dropped since the last time."""
        dropped = dict(self._collector.totals().dropped_by_cause)
        for cause, count in dropped.items():
            news = count - self._dropped.get(cause, 0)
            if news and cause != DROPPED_AT_END:
                plural = "s" if news > 1 else ""
                self._events.add_quietly(EventKind.QUEUE_DROP, cause, f"{news} message{plural} dropped")
        self._dropped = dropped
