"""The peers a node knows: a slot number for each, its labels, and the handle that callers record with.

Everything kept per peer lies in arrays indexed by slot, and a peer keeps its slot while it is known.
Slot 0 is nobody in particular: what happens before a peer is known, or beyond the limit, counts there.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.census import PeerCensus
from qudag_node.metrics.labels import LABEL_COLUMNS, PeerLabels
from qudag_node.metrics.slots import grown

__all__ = ["NOBODY_SLOT", "TEXT_COLUMNS", "PeerHandle", "PeerRegistry"]

NOBODY_SLOT: Final = 0
TEXT_COLUMNS = ("id", *LABEL_COLUMNS, "rtt_method")
_FIRST_CAPACITY = 64
_MOST_HOPS = 255
_NO_LABELS = PeerLabels()
#: A handle, its strings and its places in dictionaries: measured, as growth of the process.
_BYTES_PER_HANDLE = 450


class PeerHandle:
    """One peer, for recording. The gauges are plain attributes, set by whoever owns the queue.

    Attributes:
        key: Its part of a traffic key, and the key of its round-trip times; see `MetricsCollector.log`.
        queue_messages: Messages that wait to be sent to it.
        queue_bytes: Their bytes.
        unconfirmed_messages: Messages sent on links to it and not confirmed received.
        unconfirmed_bytes: Their bytes.
    """

    __slots__ = (
        "_registry",
        "id",
        "key",
        "queue_bytes",
        "queue_messages",
        "rtt_method",
        "slot",
        "unconfirmed_bytes",
        "unconfirmed_messages",
    )

    def __init__(self, peer_id: str, slot: int, registry: PeerRegistry) -> None:
        self.id = peer_id
        self.slot = slot
        self.key = 0.0
        self.queue_messages = 0
        self.queue_bytes = 0
        self.unconfirmed_messages = 0
        self.unconfirmed_bytes = 0
        self.rtt_method = ""
        self._registry = registry

    def __repr__(self) -> str:
        return f"<PeerHandle {self.id!r} slot={self.slot}>"

    @property
    def labels(self) -> PeerLabels:
        """The labels last set, nobody's being empty; `dataclasses.replace` makes the next."""
        return self._registry.labels(self)

    def set_labels(self, labels: PeerLabels) -> None:
        """Replace all labels."""
        self._registry.set_labels(self, labels)

    def set_rtt_method(self, method: str) -> None:
        """Say how this peer's round-trip times are obtained, for instance ``link-ping``."""
        if method != self.rtt_method:
            self.rtt_method = method
            self._registry.rtt_method_changed(self)


class PeerRegistry:
    """Gives peers their slots and keeps their labels as columns.

    Args:
        max_peers: Most peers known at a time.
    """

    def __init__(self, max_peers: int) -> None:
        self.max_peers = max_peers
        self.capacity = min(_FIRST_CAPACITY, max_peers + 1)
        self.census = PeerCensus()
        self.nobody = PeerHandle("", NOBODY_SLOT, self)
        #: How round-trip times are obtained: ``mixed`` if not always in one way, None before the first.
        self.rtt_method: str | None = None
        #: How often each slot was given out: a reader of rings sees that a slot changed hands.
        self.generation = np.zeros(self.capacity, np.uint32)
        self.protocol_version = np.zeros(self.capacity, np.uint8)
        self.hops = np.zeros(self.capacity, np.uint8)
        self._handle_by_id: dict[str, PeerHandle] = {}
        self._handles: list[PeerHandle | None] = [None]
        self._free: list[int] = []
        self._text_by_slot: dict[str, list[str]] = {name: [""] for name in TEXT_COLUMNS}
        self._text_by_row: dict[str, tuple[str, ...]] = {}
        self._slots: npt.NDArray[np.uint32] | None = None
        self._rows: tuple[PeerHandle, ...] = ()

    def __len__(self) -> int:
        return len(self._handle_by_id)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays and lists, and by estimate that of the handles."""
        arrays = self.generation.nbytes + self.protocol_version.nbytes + self.hops.nbytes
        texts = sum(texts.__sizeof__() for texts in self._text_by_slot.values())
        return arrays + texts + len(self) * _BYTES_PER_HANDLE

    def get(self, peer_id: str) -> PeerHandle | None:
        """Return the handle of a known peer."""
        return self._handle_by_id.get(peer_id)

    def open(self, peer_id: str) -> PeerHandle:
        """Return the peer's handle, with a slot of its own; `nobody` when all slots are taken."""
        known = self._handle_by_id.get(peer_id)
        if known is not None:
            return known
        if len(self) >= self.max_peers:
            return self.nobody
        slot = self._take_slot()
        handle = PeerHandle(peer_id, slot, self)
        self.generation[slot] += 1
        self._handles[slot] = self._handle_by_id[peer_id] = handle
        self._rows_changed()
        self._write(handle, _NO_LABELS)
        self.census.replace(None, _NO_LABELS)
        return handle

    def forget(self, handle: PeerHandle) -> None:
        """Free the peer's slot; the handle is nobody's from now on."""
        del self._handle_by_id[handle.id]
        self._handles[handle.slot] = None
        self._free.append(handle.slot)
        self._rows_changed()
        self.census.replace(handle.labels, None)
        handle.slot = NOBODY_SLOT

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1."""
        self.capacity = capacity
        self.generation = grown(self.generation, capacity)
        self.protocol_version = grown(self.protocol_version, capacity)
        self.hops = grown(self.hops, capacity)

    def slots(self) -> npt.NDArray[np.uint32]:
        """Return the slots in use, ascending: one row of every table each. Not to be written to."""
        if self._slots is None:
            self._rows = tuple(handle for handle in self._handles if handle is not None)
            self._slots = np.array([handle.slot for handle in self._rows], np.uint32)
        return self._slots

    def handles(self) -> tuple[PeerHandle, ...]:
        """Return the handles in the order of `slots`."""
        self.slots()
        return self._rows

    def text(self, column: str) -> tuple[str, ...]:
        """Return one text column in the order of `slots`."""
        cached = self._text_by_row.get(column)
        if cached is None:
            cached = self._text_by_row[column] = self._select(self._text_by_slot[column])
        return cached

    def labels(self, handle: PeerHandle) -> PeerLabels:
        """Put a peer's labels together again; with 10,000 peers, objects to keep would take 1 MB."""
        slot = handle.slot
        if slot == NOBODY_SLOT:
            return _NO_LABELS
        texts = {column: self._text_by_slot[column][slot] for column in LABEL_COLUMNS}
        return PeerLabels(
            **texts, protocol_version=int(self.protocol_version[slot]), hops=int(self.hops[slot])
        )

    def set_labels(self, handle: PeerHandle, labels: PeerLabels) -> None:
        """Take a handle's new labels into the columns and the census."""
        before = handle.labels
        if handle.slot == NOBODY_SLOT or labels == before:
            return
        self._write(handle, labels)
        self.census.replace(before, handle.labels)

    def rtt_method_changed(self, handle: PeerHandle) -> None:
        """Take a handle's new method into its column."""
        known = self.rtt_method
        self.rtt_method = handle.rtt_method if known in (None, handle.rtt_method) else "mixed"
        self.text_changed(handle, "rtt_method", handle.rtt_method)

    def text_changed(self, handle: PeerHandle, column: str, text: str) -> None:
        """Set one text of one peer."""
        texts = self._text_by_slot[column]
        if handle.slot != NOBODY_SLOT and texts[handle.slot] != text:
            texts[handle.slot] = text
            self._text_by_row.pop(column, None)

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._handles)
        if slot >= self.capacity:
            self.grow(min(self.capacity * 2, self.max_peers + 1))
        self._handles.append(None)
        for texts in self._text_by_slot.values():
            texts.append("")
        return slot

    def _write(self, handle: PeerHandle, labels: PeerLabels) -> None:
        self.protocol_version[handle.slot] = labels.protocol_version
        self.hops[handle.slot] = min(labels.hops, _MOST_HOPS)
        self.text_changed(handle, "id", handle.id)
        self.text_changed(handle, "rtt_method", handle.rtt_method)
        for column in LABEL_COLUMNS:
            self.text_changed(handle, column, getattr(labels, column))

    def _rows_changed(self) -> None:
        self._slots = None
        self._text_by_row.clear()

    def _select(self, texts: list[str]) -> tuple[str, ...]:
        slots: list[int] = self.slots().tolist()
        if len(slots) < 2:
            return tuple(texts[slot] for slot in slots)
        selected: tuple[str, ...] = itemgetter(*slots)(texts)
        return selected
