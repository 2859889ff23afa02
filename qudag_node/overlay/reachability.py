"""Partitions and their healing, seen from one node: the difference between two sets of reachable nodes."""

from __future__ import annotations

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
        capacity: Most lost nodes remembered; the one lost longest ago is forgotten first.
    """

    __slots__ = ("_capacity", "_lost", "_reachable")

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._reachable: Set[bytes] = frozenset()
        self._lost: dict[bytes, None] = {}

    @property
    def reachable(self) -> Set[bytes]:
        """The nodes that can be reached."""
        return self._reachable

    @property
    def lost(self) -> Set[bytes]:
        """The nodes behind a partition."""
        return self._lost.keys()

    def update(self, reachable: Set[bytes], leaving: Container[bytes]) -> list[ReachabilityChange]:
        """Take the nodes reachable now and those that said they were stopping; return what changed."""
        gone, came = self._reachable - reachable, reachable - self._reachable
        self._reachable = frozenset(reachable)
        left = {node for node in gone if node in leaving}
        healed = {node for node in came if node in self._lost}
        for node in healed:
            del self._lost[node]
        for node in sorted(gone - left):
            self._lost[node] = None
        while len(self._lost) > self._capacity:
            del self._lost[next(iter(self._lost))]
        nodes_by_kind = {
            ReachabilityKind.PARTITION: gone - left,
            ReachabilityKind.LEFT: left,
            ReachabilityKind.HEALED: healed,
            ReachabilityKind.JOINED: came - healed,
        }
        return [
            ReachabilityChange(kind, tuple(sorted(nodes))) for kind, nodes in nodes_by_kind.items() if nodes
        ]
