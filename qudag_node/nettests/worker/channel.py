"""The two ends' frames, and the worker's end of the channel to its node.

    0               4                       4 + length
    +---------------+------------------------+
    | length u32 BE | one MessagePack map    |
    +---------------+------------------------+

The node's first frame is ``{"job": "module:function", "params": {…}}``, the others are orders:
``{"op": "stop"}`` and what a job understands besides. The worker's frames are events: ``{"event": …}``; the
last is ``done`` with the ``result`` or ``failed`` with the ``error``. When the node's end is closed the
process ends at once.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections import deque
from typing import Any, cast

import msgpack

__all__ = ["LENGTH", "MAX_FRAME_BYTES", "Channel", "pack_frame", "read_frame", "unpack_payload"]

LENGTH = struct.Struct("!I")
#: The samples of a long test travel in one frame: a million of them in three columns of 8 bytes fit.
MAX_FRAME_BYTES = 64 << 20
_MAX_ORDERS = 256


def pack_frame(message: dict[str, Any]) -> bytes:
    """Return the bytes of one frame.

    Raises:
        ValueError: It would be too large.
    """
    payload = cast("bytes", msgpack.packb(message))
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(payload)} bytes is larger than {MAX_FRAME_BYTES}")
    return LENGTH.pack(len(payload)) + payload


def unpack_payload(payload: bytes) -> dict[str, Any]:
    """Read a frame's payload.

    Raises:
        ValueError: It is not a map.
    """
    message = msgpack.unpackb(payload, max_bin_len=MAX_FRAME_BYTES, max_str_len=1 << 20)
    if not isinstance(message, dict):
        raise ValueError(f"{type(message).__name__} where a map was expected")  # noqa: TRY004  # what came is bad
    return cast("dict[str, Any]", message)


def read_frame(sock: socket.socket) -> dict[str, Any] | None:
    """Wait for one frame; None when the other end is closed."""
    head = _read_exactly(sock, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes is larger than {MAX_FRAME_BYTES}")
    payload = _read_exactly(sock, length)
    return None if payload is None else unpack_payload(payload)


class Channel:
    """A job's line to the node that started it. Any thread may emit.

    Args:
        sock: Connected to the node, blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._stopping = threading.Event()
        self._orders: deque[dict[str, Any]] = deque(maxlen=_MAX_ORDERS)
        self._is_done = False
        self._listener = threading.Thread(target=self._take_orders, name="orders", daemon=True)

    def emit(self, event: str, **fields: object) -> None:
        """Tell the node; arrays travel as bytes. A node that is gone has ended this process already."""
        frame = pack_frame({**fields, "event": event})
        with self._sending:
            try:
                self._sock.sendall(frame)
            except (BrokenPipeError, ConnectionResetError):
                os._exit(0)

    def is_stopping(self) -> bool:
        """Whether the node wants the job to finish early and report what it has."""
        return self._stopping.is_set()

    def wait_stop(self, timeout_s: float | None) -> bool:
        """Wait until the job should finish early, at most so long; return whether it should."""
        return self._stopping.wait(timeout_s)

    def orders(self) -> list[dict[str, Any]]:
        """Take the orders that came since the last call, ``stop`` apart; of too many the newest."""
        taken: list[dict[str, Any]] = []
        while self._orders:
            taken.append(self._orders.popleft())
        return taken

    def listen(self) -> None:
        """Take orders from now on; end the process when the node's end is closed."""
        self._listener.start()

    def leave(self, timeout_s: float) -> None:
        """All is said: wait until the node has closed its end, at most so long.

        To close this end while an order that nobody has read is on its way would reset the connection, and
        the node might lose the last event.
        """
        self._is_done = True
        self._listener.join(timeout_s)

    def _take_orders(self) -> None:
        while True:
            try:
                order = read_frame(self._sock)
            except (OSError, ValueError):
                order = None
            if order is None and self._is_done:
                return
            if order is None:
                os._exit(0)
            if order.get("op") == "stop":
                self._stopping.set()
            else:
                self._orders.append(order)


def _read_exactly(sock: socket.socket, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = sock.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
