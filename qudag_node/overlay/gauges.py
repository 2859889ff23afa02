"""What the collector must be told: queues, what is unconfirmed, the kernel's view of the links."""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

from qudag_node.host import TcpInfo, tcp_info
from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.admission import Admission
from qudag_node.overlay.events import EventKind, EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.link import Link
from qudag_node.overlay.outlet import DROPPED_AT_END
from qudag_node.overlay.peertable import PeerTable

__all__ = ["TCP_LINKS_AT_A_TIME", "Gauges", "Turns"]

#: A look at a connection that is not in the processor's cache costs 5 µs: with a thousand links that would be
#: half a per cent of a core every second. So each is looked at every eighth second instead.
TCP_LINKS_AT_A_TIME = 128

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Picks some of many at a time, so that all get their turn."""

    def __init__(self, at_a_time: int) -> None:
        self._at_a_time = at_a_time
        self._taken = 0

    def next_of(self, items: list[Item]) -> list[Item]:
        """Return the next items; all of them if they are few."""
        if len(items) <= self._at_a_time:
            return items
        first = self._taken % len(items)
        self._taken = first + self._at_a_time
        return (items + items)[first : first + self._at_a_time]


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
        self._turns: Turns[Link] = Turns(TCP_LINKS_AT_A_TIME)
        collector.connections.gauges.limit = limit

    def update(self, *, banned: int) -> None:
        """Bring every gauge up to date. Costs about a microsecond a link."""
        gauges = self._collector.connections.gauges
        gauges.pending, gauges.banned = self._admission.pending_count, banned
        queued_out: Counter[str] = Counter()
        for peer in self._table:
            link, handle = self._admission.link_to(peer.id), peer.handle
            unconfirmed_messages, unconfirmed_bytes = peer.lost_messages, peer.lost_bytes
            queue_messages = queue_bytes = 0
            if link is not None:
                messages, size_bytes = link.unconfirmed
                unconfirmed_messages += messages
                unconfirmed_bytes += size_bytes
                queue = link.queue
                queue_messages = len(queue)
                if queue_messages:
                    queue_bytes = queue.size_bytes
                    queued_out.update(FRAME_NAMES[kind] for kind in queue.kinds())
            handle.unconfirmed_messages, handle.unconfirmed_bytes = unconfirmed_messages, unconfirmed_bytes
            handle.queue_messages, handle.queue_bytes = queue_messages, queue_bytes
        for name in queued_out.keys() | self._queued_out.keys():
            self._collector.change_queued_out(name, queued_out[name] - self._queued_out[name])
        self._queued_out = queued_out

    def sample_tcp(self) -> None:
        """Look at the TCP connections of some links: of all if they are few, else of the next in turn."""
        looks: list[tuple[PeerHandle, TcpInfo]] = []
        for link in self._turns.next_of(list(self._admission)):
            sock = link.socket
            info = None if sock is None else tcp_info(sock)
            if info is not None:
                looks.append((link.peer, info))
        self._collector.set_tcp_infos(looks)

    def tell_drops(self) -> None:
        """Make an event of what was dropped since the last time."""
        dropped = dict(self._collector.totals().dropped_by_cause)
        for cause, count in dropped.items():
            news = count - self._dropped.get(cause, 0)
            if news and cause != DROPPED_AT_END:
                plural = "s" if news > 1 else ""
                self._events.add_quietly(EventKind.QUEUE_DROP, cause, f"{news} message{plural} dropped")
        self._dropped = dropped
