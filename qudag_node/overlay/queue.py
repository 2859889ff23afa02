"""What waits to be sent on one link: bounded in messages and bytes, control before data.

A full queue refuses the newest message and names the cause; it never grows and never blocks. Control frames
have room of their own, so a flood of data cannot silence the pings that show it. Test messages wait among the
data, so that they meet what data meet, and take no room from them: they may fill half of a queue that is
empty, and a twentieth of one that is not, and so no more than that of a link that others fill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from qudag_node.overlay.frames import CONTROL_TYPES, FrameType

__all__ = ["DropCause", "QueueLimits", "Queued", "SendQueue", "has_room_for_tests"]

# An enum's member is looked up slowly, and this is asked for every message.
_TEST = FrameType.TEST
# What tests may take of the way of others.
_TESTS_PART = 20


class DropCause(StrEnum):
    """Why a message was not queued; the text is the cause in the statistics."""

    #: It would have put more bytes in the queue than allowed.
    BYTES = "queue_full_bytes"
    #: The queue holds as many messages as allowed.
    MESSAGES = "queue_full_messages"
    #: A test message, and tests have as much of the queue as they may.
    TESTS = "queue_full_tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait on one link, above what the kernel holds.

    Attributes:
        control_bytes: Room for control frames, apart; the adverts of 1,000 nodes are about 300 KiB.
    """

    data_bytes: int = 1 << 20
    data_messages: int = 4096
    control_bytes: int = 1 << 20
    control_messages: int = 4096

    def __post_init__(self) -> None:
        if min(self.data_bytes, self.data_messages, self.control_bytes, self.control_messages) < 1:
            raise ValueError("every limit of a queue is at least 1")


class Queued(NamedTuple):
    """One whole frame, and since when it waits."""

    kind: FrameType
    frame: bytes
    queued_mono_s: float


def has_room_for_tests(limit: int, waiting: int, tests: int) -> bool:
    """Tell whether a queue takes another test message.

    Args:
        limit: What the queue holds, tests apart.
        waiting: What waits in it, tests included.
        tests: The tests among them.
    """
    return waiting * 2 < limit or tests * _TESTS_PART < limit


class _Lane:
    __slots__ = ("entries", "max_bytes", "max_messages", "size_bytes", "test_bytes", "tests")

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self.entries: deque[Queued] = deque()
        self.size_bytes = 0
        self.tests = self.test_bytes = 0
        self.max_bytes = max_bytes
        self.max_messages = max_messages

    def take(self, taken: list[Queued], taken_bytes: int, max_bytes: int) -> int:
        """Move entries while they fit; the first one always does, so that a large frame is never stuck."""
        entries = self.entries
        while entries:
            size_bytes = len(entries[0].frame)
            if taken and taken_bytes + size_bytes > max_bytes:
                break
            entry = entries.popleft()
            taken.append(entry)
            taken_bytes += size_bytes
            self.size_bytes -= size_bytes
            if self.tests and entry.kind is _TEST:
                self.tests -= 1
                self.test_bytes -= size_bytes
        return taken_bytes


class SendQueue:
    """The queue of one link."""

    __slots__ = ("_control", "_data")

    def __init__(self, limits: QueueLimits | None = None) -> None:
        limits = QueueLimits() if limits is None else limits
        self._control = _Lane(limits.control_bytes, limits.control_messages)
        self._data = _Lane(limits.data_bytes, limits.data_messages)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._control.entries) + len(self._data.entries)

    @property
    def size_bytes(self) -> int:
        """How many bytes wait."""
        return self._control.size_bytes + self._data.size_bytes

    def kinds(self) -> Iterator[FrameType]:
        """The type of each message that waits."""
        return (entry.kind for lane in (self._control, self._data) for entry in lane.entries)

    def offer(self, kind: FrameType, frame: bytes, now_mono_s: float) -> DropCause | None:
        """Queue a whole frame; return None, or why it was dropped instead."""
        lane = self._control if kind in CONTROL_TYPES else self._data
        size_bytes = len(frame)
        if kind is _TEST:
            if not (
                has_room_for_tests(lane.max_messages, len(lane.entries), lane.tests)
                and has_room_for_tests(lane.max_bytes, lane.size_bytes, lane.test_bytes)
            ):
                return DropCause.TESTS
            lane.tests += 1
            lane.test_bytes += size_bytes
        elif len(lane.entries) - lane.tests >= lane.max_messages:
            return DropCause.MESSAGES
        elif lane.size_bytes - lane.test_bytes + size_bytes > lane.max_bytes:
            return DropCause.BYTES
        lane.entries.append(Queued(kind, frame, now_mono_s))
        lane.size_bytes += size_bytes
        return None

    def take(self, max_bytes: int) -> list[Queued]:
        """Remove what should be sent next: control first, each kind in its order.

        Returns at least one frame when any waits, and otherwise no more than ``max_bytes``.
        """
        taken: list[Queued] = []
        taken_bytes = self._control.take(taken, 0, max_bytes)
        if not self._control.entries:
            self._data.take(taken, taken_bytes, max_bytes)
        return taken

    def clear(self) -> list[Queued]:
        """Empty the queue of a link that has ended; return what was never sent."""
        rest = [*self._control.entries, *self._data.entries]
        for lane in (self._control, self._data):
            lane.entries.clear()
            lane.size_bytes = lane.tests = lane.test_bytes = 0
        return rest
