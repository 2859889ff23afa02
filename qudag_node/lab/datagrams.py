"""UDP through a link: each datagram meets the model, and replies find their way back.

A datagram from the source's own port leaves from the address at which the target knows the source. One from
any other port gets a socket of its own (a flow), so that the target's reply returns to that port.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from time import monotonic

from qudag_node.lab.forwarding import Forwarder
from qudag_node.lab.shaping import LinkDirection

__all__ = ["DatagramLink"]

Address = tuple[str, int]

#: The model counts IP packets: an IPv4 header of 20 bytes and a UDP header of 8.
_HEADER_BYTES = 28
_MAX_DATAGRAM_BYTES = 65_507
#: Flows of one direction; the one unused longest makes room.
_MAX_FLOWS = 64
_READ_BATCH = 32
#: Bursts wait here while we are late.
_BUFFER_BYTES = 4 << 20


class DatagramLink:
    """Forwards what the source of a direction sends to its target, and the replies to flows."""

    def __init__(
        self,
        forwarder: Forwarder,
        *,
        entrance: socket.socket,
        exit_: socket.socket,
        source: Address,
        target: Address,
        there: LinkDirection,
        back: LinkDirection,
    ) -> None:
        self._forwarder = forwarder
        self._entrance = entrance
        self._exit = exit_
        self._source = source
        self._target = target
        self._there = there
        self._back = back
        self._flows: OrderedDict[Address, socket.socket] = OrderedDict()
        entrance.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        forwarder.watch(entrance, self._read)

    def _read(self) -> None:
        for packet, sender in _received(self._entrance):
            leaves_from = self._exit if sender == self._source else self._flow_of(sender)
            if leaves_from is not None:
                _offer(self._forwarder, self._there, packet, leaves_from, self._target)

    def _flow_of(self, sender: Address) -> socket.socket | None:
        flow = self._flows.get(sender)
        if flow is not None:
            self._flows.move_to_end(sender)
            return flow
        if len(self._flows) >= _MAX_FLOWS:
            _, oldest = self._flows.popitem(last=False)
            self._forwarder.unwatch(oldest)
            oldest.close()
        flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            flow.bind((self._exit.getsockname()[0], 0))
        except OSError:
            flow.close()
            return None  # out of ports: as good as lost, and the sender's tests will say so
        flow.setblocking(False)
        self._flows[sender] = flow
        self._forwarder.watch(flow, lambda: self._read_reply(flow, sender))
        return flow

    def _read_reply(self, flow: socket.socket, sender: Address) -> None:
        if self._flows.get(sender) is not flow:
            return
        for packet, replier in _received(flow):
            if replier == self._target:
                _offer(self._forwarder, self._back, packet, self._entrance, sender)


class _Departure:
    """Where one datagram leaves from, and to."""

    __slots__ = ("_from", "_model", "_to")

    def __init__(self, model: LinkDirection, leaves_from: socket.socket, to: Address) -> None:
        self._model = model
        self._from = leaves_from
        self._to = to

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """Send it."""
        size_bytes = len(packet) + _HEADER_BYTES
        try:
            self._from.sendto(packet, self._to)
        except OSError:  # its flow made room for another, or the host's buffers are full: counted
            self._model.refused(size_bytes, is_udp=True)
            return
        self._model.deliver(now_s, due_s, size_bytes, is_udp=True)


def _offer(
    forwarder: Forwarder, model: LinkDirection, packet: bytes, leaves_from: socket.socket, to: Address
) -> None:
    now_s = monotonic()
    due_s = model.offer(now_s, len(packet) + _HEADER_BYTES, is_udp=True)
    if due_s is not None:
        forwarder.schedule(due_s, _Departure(model, leaves_from, to), packet)


def _received(entrance: socket.socket) -> list[tuple[bytes, Address]]:
    """What has arrived, at most a batch."""
    packets: list[tuple[bytes, Address]] = []
    try:
        while len(packets) < _READ_BATCH:
            packets.append(entrance.recvfrom(_MAX_DATAGRAM_BYTES))
    except BlockingIOError:
        pass
    return packets
