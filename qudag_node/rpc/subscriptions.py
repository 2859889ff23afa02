"""Streams to subscribers: one group per topic and interval, each frame packed once for all of it.

A group is a numbered stream. Who joins gets a full frame of the group's present number, then the same
deltas as everybody. Who has not yet taken the last frame is passed over (conflated) and gets a full
frame once it has; who takes nothing for long is closed. Nothing is ever queued behind a slow reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

__all__ = ["Group", "Stream", "Subscriber", "Subscriptions"]

_log = logging.getLogger(__name__)

# send(2) costs about 10 µs; 50 keep one pass of the loop near half a millisecond.
WRITES_PER_PASS = 50


class Subscriber(Protocol):
    """A client, as far as a stream is concerned."""

    def pending_bytes(self) -> int:
        """Return what was written and not yet taken by the kernel."""
        ...

    def send(self, frame: bytes) -> None:
        """Write a frame."""
        ...

    def drop(self, reason: str) -> None:
        """Close the connection at once, discarding what is pending."""
        ...


class Stream(Protocol):
    """What a group sends; knows nothing of who listens."""

    def advance(self) -> bytes | None:
        """Go to the next number and return its change as a packed notification; None: nothing to say."""
        ...

    def full(self) -> bytes | None:
        """Return the present number whole, packed; None where a stream has no such thing."""
        ...


@dataclass(slots=True)
class _Membership:
    number: int  # of the last frame it was sent, or was whole at
    missed: bool = False
    blocked_since_mono_s: float | None = None


class Group:
    """The subscribers of one stream.

    Attributes:
        id: The number that every notification of the stream carries.
        skipped: Frames that slow subscribers were spared, in total.
    """

    def __init__(self, id_: int, stream: Stream, *, interval_s: float, patience_s: float) -> None:
        self.id = id_
        self.interval_s = interval_s
        self.skipped = 0
        self.due_mono_s = 0.0
        self._stream = stream
        self._patience_s = patience_s
        self._number = 0  # of the last frame; writing it to everybody may take several passes
        self._members: dict[Subscriber, _Membership] = {}

    def __len__(self) -> int:
        return len(self._members)

    def join(self, subscriber: Subscriber) -> None:
        """Add a subscriber and bring it to the stream's present number; again, if it joined before."""
        full = self._stream.full()
        if full is None:  # who joined before may still wait for the last frame, and nothing stands for it
            self._members.setdefault(subscriber, _Membership(self._number))
            return
        self._members[subscriber] = _Membership(self._number)
        subscriber.send(full)

    def leave(self, subscriber: Subscriber) -> bool:
        """Remove a subscriber; tell whether it was one."""
        return self._members.pop(subscriber, None) is not None

    def tick(self, now_mono_s: float) -> None:
        """Advance the stream and write its frame to every subscriber, some per pass of the loop."""
        frame = self._stream.advance()
        if frame is None:
            self._catch_up(now_mono_s)
            return
        self._number += 1
        self._write_some(iter(tuple(self._members)), frame, self._number, now_mono_s)

    def _catch_up(self, now_mono_s: float) -> None:
        """Bring up to date who was passed over: of a stream that has ended nothing else would follow."""
        for subscriber, membership in tuple(self._members.items()):
            if not membership.missed:
                continue
            if subscriber.pending_bytes():
                self._wait_for(subscriber, membership, now_mono_s)
                continue
            membership.missed, membership.blocked_since_mono_s = False, None
            full = self._stream.full()
            if full is not None:
                membership.number = self._number
                subscriber.send(full)

    def _write_some(
        self, waiting: Iterator[Subscriber], frame: bytes, number: int, now_mono_s: float
    ) -> None:
        batch = tuple(islice(waiting, WRITES_PER_PASS))
        for subscriber in batch:
            membership = self._members.get(subscriber)
            # Who was brought up to date since has it already.
            if membership is not None and membership.number < number:
                self._write(subscriber, membership, frame, number, now_mono_s)
        if len(batch) == WRITES_PER_PASS:
            asyncio.get_running_loop().call_soon(self._write_some, waiting, frame, number, now_mono_s)

    def _write(
        self, subscriber: Subscriber, membership: _Membership, frame: bytes, number: int, now_mono_s: float
    ) -> None:
        if subscriber.pending_bytes():
            self._pass_over(subscriber, membership, now_mono_s)
            return
        membership.blocked_since_mono_s = None
        membership.number = number
        if membership.missed:
            membership.missed = False
            full = self._stream.full()
            if full is not None:
                frame, membership.number = full, self._number
        subscriber.send(frame)

    def _pass_over(self, subscriber: Subscriber, membership: _Membership, now_mono_s: float) -> None:
        self.skipped += 1
        membership.missed = True
        self._wait_for(subscriber, membership, now_mono_s)

    def _wait_for(self, subscriber: Subscriber, membership: _Membership, now_mono_s: float) -> None:
        """Note since when it takes nothing, and drop it after its time."""
        if membership.blocked_since_mono_s is None:
            membership.blocked_since_mono_s = now_mono_s
        elif now_mono_s - membership.blocked_since_mono_s > self._patience_s:
            subscriber.drop(f"took no frame for {self._patience_s:g} s")


class Subscriptions:
    """All groups of a server, and the task that ticks them."""

    def __init__(
        self,
        make_stream: Callable[[str, int], Stream],
        *,
        patience_s: float,
        max_groups: int = 64,
        max_tests: int = 64,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Args: ``make_stream`` gets the topic and the number of a new group; ``max_tests`` is for tests."""
        self._make_stream = make_stream
        self._patience_s = patience_s
        # Apart, so that who watches many tests keeps nobody from the figures.
        self._most = {False: max_groups, True: max_tests}
        self._groups: dict[tuple[str, float], Group] = {}
        self._next_id = 1
        self._changed = asyncio.Event()
        self._clock = clock or asyncio.get_running_loop().time

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def group(self, topic: str, interval_s: float) -> Group | None:
        """Return the group of a topic and an interval; None when there are too many different ones.

        A group that nobody joins before the loop's next pass is forgotten at its first tick.
        """
        key = (topic, interval_s)
        group = self._groups.get(key)
        if group is None:
            is_test = _is_test(topic)
            if sum(_is_test(each) is is_test for each, _ in self._groups) >= self._most[is_test]:
                return None
            stream = self._make_stream(topic, self._next_id)
            group = Group(self._next_id, stream, interval_s=interval_s, patience_s=self._patience_s)
            self._next_id += 1
            group.due_mono_s = self._clock() + interval_s
            self._groups[key] = group
            self._changed.set()
        return group

    def hurry(self, topic: str) -> None:
        """Tick the groups of a topic in the loop's next pass: something happened that cannot wait."""
        for (each, _), group in self._groups.items():
            if each == topic:
                group.due_mono_s = self._clock()
                self._changed.set()

    def leave(self, subscriber: Subscriber, id_: int | None = None) -> bool:
        """Unsubscribe from one stream, or from all; tell whether there was one."""
        left = False
        for key, group in tuple(self._groups.items()):
            if id_ is None or group.id == id_:
                left |= group.leave(subscriber)
                if len(group) == 0:
                    del self._groups[key]
        return left

    async def run(self) -> None:
        """Tick every group when it is due, for ever."""
        while True:
            self._changed.clear()
            self._tick_due(self._clock())
            next_due = min((each.due_mono_s for each in self._groups.values()), default=None)
            timeout = None if next_due is None else max(0.0, next_due - self._clock())
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _tick_due(self, now_mono_s: float) -> None:
        for key, group in tuple(self._groups.items()):
            if len(group) == 0:
                del self._groups[key]
            elif group.due_mono_s <= now_mono_s:
                # A loop that was late does not make up for what it missed.
                group.due_mono_s = max(group.due_mono_s + group.interval_s, now_mono_s + group.interval_s / 2)
                try:
                    group.tick(now_mono_s)
                except Exception:  # noqa: BLE001  # the boundary between one stream and all others
                    _log.exception("stream %d failed; its subscribers wait for the next tick", group.id)


def _is_test(topic: str) -> bool:
    return topic.startswith("test:")
