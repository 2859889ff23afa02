"""Counting by cause. The table is bounded: causes beyond its limit count as ``other``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MAX_CAUSES", "OTHER", "CauseCounter"]

MAX_CAUSES = 64
OTHER = "other"


class CauseCounter:
    """How often each cause occurred; at most ``limit`` causes by name."""

    def __init__(self, limit: int = MAX_CAUSES) -> None:
        self._limit = limit
        self._count_by_cause: dict[str, int] = {}

    def add(self, cause: str, count: int = 1) -> None:
        """Count a cause."""
        counts = self._count_by_cause
        if cause not in counts and len(counts) >= self._limit:
            cause = OTHER
        counts[cause] = counts.get(cause, 0) + count

    def counts(self) -> Mapping[str, int]:
        """Return the counts so far; later ones do not change it."""
        return MappingProxyType(self._count_by_cause.copy())
