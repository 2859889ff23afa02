"""The way out of one link: its queue, and what the kernel has taken of it.

*Sent* means handed to the kernel. A batch counts when the buffer of the socket in this process is empty
again; what is still in it when the link ends counts as dropped, like what was never written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from qudag_node.metrics import MetricsCollector, PeerHandle
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.frames import FRAME_NAMES, FrameType
from qudag_node.overlay.queue import Queued, QueueLimits, SendQueue
from qudag_node.overlay.tls import TlsChannel

__all__ = ["DROPPED_AT_END", "Outlet"]

#: The cause of what was queued or half written when its link ended.
DROPPED_AT_END = "link_closed"

# One record of TLS, and how many of them one pass of the loop encrypts for one link.
_BATCH_BYTES = 16 * 1024
_BATCHES_PER_PASS = 16


class Outlet:
    """The sending half of a link.

    Attributes:
        queue: What waits.
        is_open: Whether anything is taken; set by the link while messages flow.
        sent_messages: Frames the kernel has taken whole.
        sent_bytes: Their bytes.
    """

    __slots__ = (
        "_clock",
        "_collector",
        "_flush_is_due",
        "_loop",
        "_peer",
        "_sent_key",
        "_tls",
        "_transport",
        "_unsettled",
        "is_open",
        "queue",
        "sent_bytes",
        "sent_messages",
    )

    def __init__(
        self, limits: QueueLimits, tls: TlsChannel, collector: MetricsCollector, clock: Clock
    ) -> None:
        self.queue = SendQueue(limits)
        self.is_open = False
        self.sent_messages = 0
        self.sent_bytes = 0
        self._tls = tls
        self._collector = collector
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._peer = collector.nobody
        self._sent_key = collector.sent_keys
        self._transport: asyncio.Transport | None = None
        self._flush_is_due = False
        self._unsettled: list[Queued] = []

    @property
    def written_messages(self) -> int:
        """Frames the kernel has taken at least a part of, so that they may have arrived."""
        return self.sent_messages + len(self._unsettled)

    @property
    def written_bytes(self) -> int:
        """Their bytes."""
        return self.sent_bytes + sum(len(entry.frame) for entry in self._unsettled)

    def attach(self, transport: asyncio.Transport) -> None:
        """Write here. The only buffer below the queue shall be the kernel's."""
        transport.set_write_buffer_limits(high=0)
        self._transport = transport

    def open(self, peer: PeerHandle) -> None:
        """Take messages from now on, and record them under ``peer``."""
        self._peer = peer
        self.is_open = True

    def offer(self, kind: FrameType, frame: bytes, now_mono_s: float) -> bool:
        """Queue a whole frame; return whether there was room. What is refused is counted as dropped."""
        if not self.is_open:
            return False
        cause = self.queue.offer(kind, frame, now_mono_s)
        if cause is not None:
            self._collector.record_message_dropped(self._peer, FRAME_NAMES[kind], "out", cause)
            return False
        if not self._flush_is_due and not self._unsettled:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)
        return True

    def close(self, last: FrameType, frame: bytes) -> None:
        """Drop what waits, and send a last frame."""
        self.shut()
        self._write([Queued(last, frame, self._clock.monotonic())])

    def shut(self) -> None:
        """Drop what waits, and take nothing more."""
        self.is_open = False
        self._drop(self.queue.clear())

    def drained(self) -> None:
        """The kernel has taken everything that was written."""
        batch, self._unsettled = self._unsettled, []
        if batch:
            self._settle(batch)
        self._flush()

    def detach(self) -> None:
        """The socket is gone; what the kernel had not taken is dropped."""
        self._transport = None
        self._drop(self._unsettled)
        self._unsettled = []

    def _flush(self) -> None:
        self._flush_is_due = False
        for _ in range(_BATCHES_PER_PASS):
            if self._unsettled or not self.is_open:
                return
            batch = self.queue.take(_BATCH_BYTES)
            if not batch:
                break
            self._write(batch)
        else:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)
        self._collector.fold_if_due()

    def _write(self, batch: list[Queued]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or not self._tls.can_send:
            self._drop(batch)
            return
        self._tls.send(b"".join([entry.frame for entry in batch]))
        transport.write(self._tls.outgoing())
        if transport.is_closing():
            self._drop(batch)
        elif transport.get_write_buffer_size():
            self._unsettled += batch
        else:
            self._settle(batch)

    def _settle(self, batch: list[Queued]) -> None:
        key, sent_key, log = self._peer.key, self._sent_key, self._collector.log
        total_bytes = 0
        for kind, frame, _ in batch:
            size_bytes = len(frame)
            total_bytes += size_bytes
            log(key + sent_key[kind] + size_bytes)
        self.sent_messages += len(batch)
        self.sent_bytes += total_bytes
        # One of each write shows the wait well enough, and its last is the one that waited behind all.
        # A ping's latency is that of its answer.
        kind, _, queued_mono_s = batch[-1]
        if kind is not FrameType.PING:
            waited_s = self._clock.monotonic() - queued_mono_s
            self._collector.record_type_latency(FRAME_NAMES[kind], waited_s, method="queue-to-kernel")

    def _drop(self, batch: Iterable[Queued]) -> None:
        for kind, count in Counter(entry.kind for entry in batch).items():
            self._collector.record_message_dropped(
                self._peer, FRAME_NAMES[kind], "out", DROPPED_AT_END, count
            )
