"""Received frames that wait for their handler: bounded for each link, and taken from the links in turn.

Test messages have as little of a link's room as they have of a send queue; see ``queue``.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.link import Link
from qudag_node.overlay.queue import has_room_for_tests

__all__ = ["FULL", "Inbox", "Received"]

#: The cause of a drop here.
FULL = "receive_queue_full"

# An enum's member is looked up slowly, and this is asked for every frame.
_TEST = FrameType.TEST
# All links together; 128 links with a full queue of large frames would hold more.
_MAX_TOTAL_BYTES = 64 << 20


class Received(NamedTuple):
    """One frame, by which link and when it was read; ``identity`` is a vertex's id, once known."""

    link: Link
    kind: FrameType
    payload: bytes
    read_mono_s: float
    identity: bytes = b""


class _Waiting:
    """What waits of one link."""

    __slots__ = ("frames", "size_bytes", "test_bytes", "tests")

    def __init__(self) -> None:
        self.frames: deque[Received] = deque()
        self.size_bytes = self.tests = self.test_bytes = 0


class Inbox:
    """What waits. A link that sends much waits behind itself, not before the others."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting_by_link: dict[Link, _Waiting] = {}
        self._turns: deque[Link] = deque()
        self._messages = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._messages

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""
        return self._bytes

    def offer(self, received: Received) -> bool:
        """Queue a frame; return whether there was room."""
        link, size_bytes = received.link, len(received.payload)
        waiting = self._waiting_by_link.get(link)
        if self._bytes + size_bytes > _MAX_TOTAL_BYTES:
            return False
        if waiting is None:
            waiting = self._waiting_by_link[link] = _Waiting()
            self._turns.append(link)
        elif not self._has_room(waiting, received.kind, size_bytes):
            return False
        waiting.frames.append(received)
        waiting.size_bytes += size_bytes
        if received.kind is _TEST:
            waiting.tests += 1
            waiting.test_bytes += size_bytes
        self._messages += 1
        self._bytes += size_bytes
        return True

    def take(self) -> Received | None:
        """Remove the next frame: the oldest of the link whose turn it is."""
        if not self._turns:
            return None
        link = self._turns.popleft()
        waiting = self._waiting_by_link[link]
        received = waiting.frames.popleft()
        size_bytes = len(received.payload)
        self._messages -= 1
        self._bytes -= size_bytes
        if waiting.frames:
            waiting.size_bytes -= size_bytes
            if waiting.tests and received.kind is _TEST:
                waiting.tests -= 1
                waiting.test_bytes -= size_bytes
            self._turns.append(link)
        else:
            del self._waiting_by_link[link]
        return received

    def _has_room(self, waiting: _Waiting, kind: FrameType, size_bytes: int) -> bool:
        if kind is _TEST:
            return has_room_for_tests(
                self._max_messages, len(waiting.frames), waiting.tests
            ) and has_room_for_tests(self._max_bytes, waiting.size_bytes, waiting.test_bytes)
        return (
            len(waiting.frames) - waiting.tests < self._max_messages
            and waiting.size_bytes - waiting.test_bytes + size_bytes <= self._max_bytes
        )
