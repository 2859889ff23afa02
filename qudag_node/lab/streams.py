"""TCP through a link: bytes are held for the model's delay and rate, and never lost.

Each connection is two pipes. A pipe stops reading while its link is out, while the rate's queue is full, or
while too much is on its way; the sender then feels it through its own window, as on a real path.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from time import monotonic

from qudag_node.lab.forwarding import Forwarder
from qudag_node.lab.shaping import LinkDirection

__all__ = ["StreamLink"]

#: What one pipe may hold: 100 Mbit/s for 80 ms.
_PIPE_BYTES = 1 << 20
_MAX_CHUNK_BYTES = 1 << 16
_MIN_CHUNK_BYTES = 1 << 11
#: At a low rate bytes are read in pieces of this long, so that each has a due time of its own.
_CHUNK_S = 0.01
_WAKE_S = 0.001
#: Connections of one direction of one link; a node has one, and a few while it reconnects.
_MAX_CONNECTIONS = 64
#: SO_LINGER on, 0 s: closing resets the connection, which is how a refused dial reaches the dialer.
_RESET = struct.pack("ii", 1, 0)
#: What a pipe carries last; no read returns it.
_END = b""


class StreamLink:
    """Accepts what the source of a direction dials, and connects it to the target."""

    def __init__(
        self,
        forwarder: Forwarder,
        listener: socket.socket,
        *,
        target: tuple[str, int],
        source_host: str,
        there: LinkDirection,
        back: LinkDirection,
    ) -> None:
        self._forwarder = forwarder
        self._listener = listener
        self._target = target
        self._source_host = source_host
        self._models = (there, back)
        self._connections: set[_Connection] = set()
        forwarder.watch(listener, self._accept)

    def update(self) -> None:
        """The link changed: read on, or stop."""
        for connection in tuple(self._connections):
            connection.update()

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return  # it went away again, or we are out of descriptors: the dialer tries again
        far = socket.socket()
        if len(self._connections) >= _MAX_CONNECTIONS or not self._connect(far):
            _reset(near, far)
            return
        near.setblocking(False)
        connection = _Connection(self._forwarder, near, far, self._models, self._connections)
        self._connections.add(connection)

    def _connect(self, far: socket.socket) -> bool:
        far.setblocking(False)
        try:
            far.bind((self._source_host, 0))
            far.connect(self._target)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


class _Connection:
    """One dialed connection: the near socket we accepted, the far one we made."""

    def __init__(
        self,
        forwarder: Forwarder,
        near: socket.socket,
        far: socket.socket,
        models: tuple[LinkDirection, LinkDirection],
        registry: set[_Connection],
    ) -> None:
        self._forwarder = forwarder
        self._sockets = (near, far)
        self._models = models
        self._registry = registry
        self._pipes: tuple[_Pipe, ...] = ()
        self.is_closed = False
        forwarder.watch(far, self._connected, write=True)

    def update(self) -> None:
        """The link changed: read on, or stop."""
        for pipe in self._pipes:
            pipe.update()

    def ended(self) -> None:
        """A pipe delivered its end; when both have, the connection is over."""
        if all(pipe.is_over for pipe in self._pipes):
            self._close()

    def abort(self) -> None:
        """One side broke: reset both."""
        if not self.is_closed:
            for side in self._sockets:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close()

    def _connected(self) -> None:
        """The far side answered: it stands, or it was refused."""
        near, far = self._sockets
        if self.is_closed:
            return
        if far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.abort()
            return
        self._forwarder.unwatch(far, write=True)
        for side in self._sockets:
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there, back = self._models
        self._pipes = (
            _Pipe(self, self._forwarder, there, source=near, sink=far),
            _Pipe(self, self._forwarder, back, source=far, sink=near),
        )
        self.update()

    def _close(self) -> None:
        self.is_closed = True
        self._registry.discard(self)
        for pipe in self._pipes:
            pipe.discard()
        for side in self._sockets:
            self._forwarder.unwatch(side)
            self._forwarder.unwatch(side, write=True)
            side.close()


class _Pipe:
    """One direction of one connection."""

    def __init__(
        self,
        connection: _Connection,
        forwarder: Forwarder,
        model: LinkDirection,
        *,
        source: socket.socket,
        sink: socket.socket,
    ) -> None:
        self._connection = connection
        self._forwarder = forwarder
        self._model = model
        self._source = source
        self._sink = sink
        self._outbox: deque[tuple[float, bytes]] = deque()
        self._sent_of_first = 0
        self._held_bytes = 0
        self._has_ended = False
        self._is_waking = False
        self.is_over = False

    def update(self) -> None:
        """Read while the link takes more, else leave it in the sender's hands."""
        if self._connection.is_closed or self._has_ended:
            return
        impairment = self._model.impairment
        now_s = monotonic()
        waiting_bytes = self._model.waiting_bytes(now_s)
        queue_is_full = 0 < waiting_bytes >= impairment.queue_limit_bytes
        if impairment.outage or queue_is_full or self._held_bytes >= _PIPE_BYTES:
            self._forwarder.unwatch(self._source)
            if queue_is_full and impairment.rate_bits_per_s and not self._is_waking:
                # The queue may be another connection's, whose deliveries do not wake this one.
                self._is_waking = True
                drain_s = waiting_bytes * 8 / impairment.rate_bits_per_s
                self._forwarder.schedule(now_s + max(drain_s / 2, _WAKE_S), _Wake(self), _END)
        else:
            self._forwarder.watch(self._source, self._read)

    def wake(self) -> None:
        """The queue has drained a little: look again."""
        self._is_waking = False
        self.update()

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """Hand the bytes, or the end, to the far socket."""
        if self._connection.is_closed:
            if packet:
                self._model.refused(len(packet))
            return
        self._outbox.append((due_s, packet))
        self._flush()

    def discard(self) -> None:
        """Count what was not delivered; the connection is gone."""
        for _, packet in self._outbox:
            if packet:
                self._model.refused(len(packet))
        self._outbox.clear()

    def _read(self) -> None:
        if self._connection.is_closed:
            return
        rate = self._model.impairment.rate_bits_per_s
        chunk_bytes = _MAX_CHUNK_BYTES
        if rate:
            chunk_bytes = max(_MIN_CHUNK_BYTES, min(chunk_bytes, int(rate / 8 * _CHUNK_S)))
        try:
            chunk = self._source.recv(chunk_bytes)
        except BlockingIOError:
            return
        except OSError:
            self._connection.abort()
            return
        now_s = monotonic()
        if not chunk:
            self._has_ended = True
            self._forwarder.unwatch(self._source)
            self._forwarder.schedule(self._model.due_of_end(now_s), self, _END)
            return
        self._held_bytes += len(chunk)
        self._forwarder.schedule(self._model.offer_stream(now_s, len(chunk)), self, chunk)
        self.update()

    def _flush(self) -> None:
        if self._connection.is_closed:
            return
        try:
            while self._outbox:
                due_s, packet = self._outbox[0]
                if packet:
                    self._sent_of_first += self._sink.send(memoryview(packet)[self._sent_of_first :])
                    if self._sent_of_first < len(packet):
                        continue
                    self._model.deliver(monotonic(), due_s, len(packet))
                    self._held_bytes -= len(packet)
                else:
                    self._sink.shutdown(socket.SHUT_WR)
                    self.is_over = True
                self._outbox.popleft()
                self._sent_of_first = 0
        except BlockingIOError:
            self._forwarder.watch(self._sink, self._flush, write=True)
            return
        except OSError:
            self._connection.abort()
            return
        self._forwarder.unwatch(self._sink, write=True)
        self.update()
        if self.is_over:
            self._connection.ended()


class _Wake:
    """An appointment with a pipe."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """The time has come."""
        del now_s, due_s, packet
        self._pipe.wake()


def _reset(*sockets: socket.socket) -> None:
    for ended in sockets:
        ended.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        ended.close()
