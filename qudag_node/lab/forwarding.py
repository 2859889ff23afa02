"""The loop that both engines forward packets in: one thread, what is readable, and what is due.

Waiting is by ``select`` on the selector's own descriptor, because ``epoll`` rounds its timeout up to a whole
millisecond. It ends a little early and the rest is polled away (``Waiting``), because an idle processor wakes
late. What is late all the same is counted (``LinkDirection.lateness``).
"""

from __future__ import annotations

import heapq
import itertools
import select
import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol

from qudag_node.lab.linux import set_real_time

__all__ = ["Forwarder", "Outlet", "Waiting"]

#: A relay this busy, at real-time priority, would starve the very nodes it serves.
_BUSY_RATIO = 0.7
#: It gets the priority back when it has calmed down.
_CALM_RATIO = 0.3
_BUSY_WINDOW_S = 0.25
_IDLE_S = 1.0
#: A timer of a virtual machine fires 50 to 90 µs late here.
_EARLY_S = 100e-6
#: What polling may cost: of two processors that five nodes share.
_POLLING_RATIO = 0.05


class Outlet(Protocol):
    """Where packets leave to when they are due."""

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """Hand the packet over, and count it."""
        ...


class Waiting:
    """How long to sleep before what is due next: less than that, while the polling that follows is cheap."""

    def __init__(self) -> None:
        self._window_s = float("-inf")
        self._asked_s = 0.0
        self._polls = False
        self._polled_s = 0.0

    def timeout_s(self, now_s: float, due_s: float) -> float:
        """Return for how long to sleep, never beyond ``due_s``; zero while it is to be polled."""
        if self._polls:
            self._polled_s += now_s - self._asked_s
        if now_s - self._window_s >= _BUSY_WINDOW_S:
            self._window_s, self._polled_s = now_s, 0.0
        wait_s = max(due_s - now_s, 0.0)
        if self._polled_s > _POLLING_RATIO * _BUSY_WINDOW_S:
            self._polls = False
            return wait_s
        self._asked_s, self._polls = now_s, 0.0 < wait_s <= _EARLY_S
        return max(wait_s - _EARLY_S, 0.0)


class Forwarder:
    """Reads what is readable, delivers what is due."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Outlet, bytes]] = []
        self._order = itertools.count()
        self._running = True
        self.real_time = self._may_be_real_time = set_real_time(True)
        self._window: tuple[float, float] = (time.monotonic(), time.process_time())

    def watch(self, fd: Any, handler: Callable[[], None], *, write: bool = False) -> None:
        """Call ``handler`` whenever ``fd`` (a descriptor or a socket) is readable, or writable."""
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        key = self._selector.get_map().get(fd)
        if key is None:
            self._selector.register(fd, events, {events: handler})
        else:
            self._selector.modify(fd, key.events | events, key.data | {events: handler})

    def unwatch(self, fd: Any, *, write: bool = False) -> None:
        """Stop watching ``fd`` for reading, or for writing."""
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        key = self._selector.get_map().get(fd)
        if key is None or not key.events & events:
            return
        rest = {event: handler for event, handler in key.data.items() if event != events}
        if rest:
            self._selector.modify(fd, key.events & ~events, rest)
        else:
            self._selector.unregister(fd)

    def schedule(self, due_s: float, outlet: Outlet, packet: bytes) -> None:
        """Deliver the packet at ``due_s``; packets due at the same time leave in the order they came."""
        heapq.heappush(self._due, (due_s, next(self._order), outlet, packet))

    def stop(self) -> None:
        """Leave the loop after this pass."""
        self._running = False

    def run(self) -> None:
        """Forward until ``stop``."""
        clock, selector, due, waiting = time.monotonic, self._selector, self._due, Waiting()
        wake = [selector.fileno()]
        while self._running:
            now_s = clock()
            while due and due[0][0] <= now_s:
                due_s, _, outlet, packet = heapq.heappop(due)
                outlet.deliver(now_s, due_s, packet)
                now_s = clock()
            select.select(wake, (), (), waiting.timeout_s(now_s, due[0][0] if due else now_s + _IDLE_S))
            for key, events in selector.select(0):
                for event, handler in tuple(key.data.items()):
                    if events & event:
                        handler()
            self._watch_load()

    def _watch_load(self) -> None:
        """Give up real-time priority while the links need most of a processor."""
        since_s, cpu_since_s = self._window
        now_s = time.monotonic()
        if now_s - since_s < _BUSY_WINDOW_S:
            return
        cpu_s = time.process_time()
        busy_ratio = (cpu_s - cpu_since_s) / (now_s - since_s)
        if self._may_be_real_time and (
            busy_ratio > _BUSY_RATIO if self.real_time else busy_ratio < _CALM_RATIO
        ):
            self.real_time = set_real_time(not self.real_time)
        self._window = (now_s, cpu_s)
