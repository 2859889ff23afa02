"""Which packet each of a socket's transmit stamps belongs to: the kernel numbers them, we count along."""

from __future__ import annotations

import socket
from typing import Generic, TypeVar

from qudag_node.host.timestamps import restart_transmit_numbers, take_transmit_stamps

__all__ = ["Departures"]

T = TypeVar("T")

#: Far more than the error queue holds; what is older will not be stamped any more.
_MAX_AWAITED = 4096


class Departures(Generic[T]):
    """The packets that have left a socket whose stamps are on.

    Args:
        sock: The socket; all that it sends is told here.
        has_stamps: Without them nothing is ever taken.
    """

    def __init__(self, sock: socket.socket, *, has_stamps: bool) -> None:
        self._sock = sock
        self._has_stamps = has_stamps
        self._next_number = 0
        self._awaited: dict[int, tuple[T, int]] = {}

    def sent(self, packet: T, before_unix_ns: int) -> None:
        """A packet was handed to the kernel, not before that moment."""
        if not self._has_stamps:
            return
        if len(self._awaited) >= _MAX_AWAITED:
            del self._awaited[next(iter(self._awaited))]
        self._awaited[self._next_number] = packet, before_unix_ns
        self._next_number = self._next_number + 1 & 0xFFFF_FFFF

    def failed(self) -> None:
        """A packet was not taken: whether the kernel has counted it nobody knows, so begin to count anew."""
        if self._has_stamps:
            take_transmit_stamps(self._sock)
            restart_transmit_numbers(self._sock)
            self._awaited.clear()
            self._next_number = 0

    def take(self) -> list[tuple[T, int]]:
        """Return the packets whose departure is known since the last call, and when that was, in ns.

        One from before its packet was written belongs to another, of before a failure: it is left out.
        """
        if not self._awaited:
            return []
        known: list[tuple[T, int]] = []
        for number, sent_unix_ns in take_transmit_stamps(self._sock):
            awaited = self._awaited.pop(number, None)
            if awaited is not None and sent_unix_ns >= awaited[1]:
                known.append((awaited[0], sent_unix_ns))
        return known

    @property
    def awaited(self) -> int:
        """How many packets have no stamp yet."""
        return len(self._awaited)
