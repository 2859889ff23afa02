"""The event loop's order of service: clients first, then some links, then clients again.

A loop serves everything that is ready in one pass. With a thousand links behind on their reading that pass
takes seconds, and whoever asks the node meanwhile waits for it, just when the answer matters most. Here
the links that are ready are served some at a time, in turn; everything else is looked at between.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import ChainMap, deque
from collections.abc import Callable, Mapping, Set
from selectors import EVENT_READ, SelectorKey
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

__all__ = ["FairSelector", "fair_event_loop"]

Event: TypeAlias = tuple[SelectorKey, int]

# A pass of links is to take so long: a client's answer of 300 kB needs three of them.
_PASS_S = 0.001
# However long a pass takes: clients that ask much do not bring the links to a halt.
_MIN_LINKS, _MAX_LINKS = 4, 128
_WEIGHT_OF_LAST_PASS = 0.125


def fair_event_loop(patient: Set[int]) -> asyncio.AbstractEventLoop:
    """Return an event loop that serves sockets in ``patient`` some at a time."""
    return asyncio.SelectorEventLoop(FairSelector(patient))


class FairSelector(selectors.BaseSelector):
    """Two selectors, one inside the other: what is patient is asked for only when its last turn is over.

    Args:
        patient: File descriptors that can wait, as long as they are registered; may change at any time, and
            counts from the next registration on.
    """

    def __init__(self, patient: Set[int], clock: Callable[[], float] = time.perf_counter) -> None:
        self._patient_fds = patient
        self._clock = clock
        self._urgent = selectors.DefaultSelector()
        self._patient = selectors.DefaultSelector()
        # epoll and kqueue are files themselves; elsewhere one selector has to do.
        self._fileno = self._patient.fileno() if hasattr(self._patient, "fileno") else -1
        if self._fileno >= 0:
            self._urgent.register(self._fileno, EVENT_READ)
        self._ready: deque[Event] = deque()
        self._map = ChainMap[Any, SelectorKey](self._urgent.get_map(), self._patient.get_map())  # type: ignore[arg-type]  # it is only read
        self._served = 0
        self._served_alone = False
        self._returned_s = 0.0
        self._event_s = _PASS_S / _MIN_LINKS

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Watch a file."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        selector = self._patient if self._fileno >= 0 and fd in self._patient_fds else self._urgent
        return selector.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey:
        """Watch it no longer."""
        return self._of(fileobj).unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Watch for something else."""
        return self._of(fileobj).modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[Event]:
        """Return everything urgent that is ready, and some of what is patient."""
        self._learn()
        events = self._urgent.select(0 if self._ready else timeout)
        is_anyone_patient = False
        for at, (key, _) in enumerate(events):
            if key.fd == self._fileno:
                del events[at]
                is_anyone_patient = True
                break
        self._served_alone = not events
        if is_anyone_patient and not self._ready:
            self._ready.extend(self._patient.select(0))
        self._served = self._hand_out(events)
        self._returned_s = self._clock()
        return events

    def close(self) -> None:
        """Close both."""
        self._ready.clear()
        self._urgent.close()
        self._patient.close()

    def get_key(self, fileobj: FileDescriptorLike) -> SelectorKey:
        """Return what a file is watched for."""
        return self._of(fileobj).get_key(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, SelectorKey]:
        """Return what every file is watched for."""
        return self._map

    def _of(self, fileobj: FileDescriptorLike) -> selectors.BaseSelector:
        return self._patient if fileobj in self._patient.get_map() else self._urgent

    def _hand_out(self, events: list[Event]) -> int:
        """Add the next of those that are ready, if they are still wanted; return how many."""
        share = min(len(self._ready), max(_MIN_LINKS, min(_MAX_LINKS, int(_PASS_S / self._event_s))))
        watched = self._patient.get_map()
        for _ in range(share):
            key, ready_for = self._ready.popleft()
            # What has changed meanwhile is told of again.
            if watched.get(key.fd) is key:
                events.append((key, ready_for))
        return share

    def _learn(self) -> None:
        """Take note of what a patient event costs, from a pass with nothing else in it."""
        if self._served and self._served_alone:
            event_s = (self._clock() - self._returned_s) / self._served
            self._event_s += (event_s - self._event_s) * _WEIGHT_OF_LAST_PASS
