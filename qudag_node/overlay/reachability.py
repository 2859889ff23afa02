"""Partitions and their healing, seen from one node: changes of the set of reachable nodes. No clock.

A node counts as lost only when it has been out of reach for a moment: a link that is made anew at once is no
partition, and the word of a node that leaves in order may be on its way yet.
"""

from __future__ import annotations

import math
from collections.abc import Container, Set
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Reachability", "ReachabilityChange", "ReachabilityKind"]


class ReachabilityKind(StrEnum):
    """What happened to some nodes at once."""

    #: Reachable for the first time, or again after they had left.
    JOINED = "joined"
    #: They said that they were stopping.
    LEFT = "left"
    #: They were reachable and no longer are: they, or what lies between, stopped without a word.
    PARTITION = "partition"
    #: Reachable again after a partition.
    HEALED = "healed"


@dataclass(frozen=True, slots=True)
class ReachabilityChange:
    """Nodes, by key in ascending order, whose reachability changed alike."""

    kind: ReachabilityKind
    nodes: tuple[bytes, ...]


class Reachability:
    """Which nodes can be reached, and which of the lost ones are missed.

    Args:
        hold_s: How long a node is out of reach before it counts as lost.
        capacity: Most lost nodes remembered; the one lost longest ago is forgotten first.
    """

    __slots__ = ("_capacity", "_hold_s", "_lost", "_missing_since_mono_s", "_present")

    def __init__(self, *, hold_s: float = 1.0, capacity: int = 4096) -> None:
        self._hold_s = hold_s
        self._capacity = capacity
        self._present: set[bytes] = set()
        self._missing_since_mono_s: dict[bytes, float] = {}
        self._lost: dict[bytes, None] = {}

    @property
    def present(self) -> Set[bytes]:
        """The nodes that can be reached, or could a moment ago."""
        return self._present

    @property
    def lost(self) -> Set[bytes]:
        """The nodes behind a partition."""
        return self._lost.keys()

    @property
    def due_mono_s(self) -> float:
        """When ``update`` has something to tell although nothing has changed; infinite when never."""
        return min(self._missing_since_mono_s.values(), default=math.inf) + self._hold_s

    def update(
        self, reachable: Set[bytes], leaving: Container[bytes], now_mono_s: float
    ) -> list[ReachabilityChange]:
        """Take the nodes reachable now and those that said they were stopping; return what to tell."""
        missing = {
            node: self._missing_since_mono_s.get(node, now_mono_s) for node in self._present - reachable
        }
        left = {node for node in missing if node in leaving}
        lost = {node for node, since in missing.items() if now_mono_s >= since + self._hold_s} - left
        came = reachable - self._present
        healed = came & self._lost.keys()
        self._missing_since_mono_s = {
            node: since for node, since in missing.items() if node not in left and node not in lost
        }
        self._present = (self._present | came) - left - lost
        self._remember(healed, lost)
        by_kind = {
            ReachabilityKind.PARTITION: lost,
            ReachabilityKind.LEFT: left,
            ReachabilityKind.HEALED: healed,
            ReachabilityKind.JOINED: came - healed,
        }
        return [ReachabilityChange(kind, tuple(sorted(nodes))) for kind, nodes in by_kind.items() if nodes]

    def _remember(self, healed: Set[bytes], lost: Set[bytes]) -> None:
        for node in healed:
            del self._lost[node]
        for node in sorted(lost):
            self._lost[node] = None
        while len(self._lost) > self._capacity:
            del self._lost[next(iter(self._lost))]
