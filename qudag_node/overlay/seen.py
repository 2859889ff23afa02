"""What has been seen before: two generations of ids, so that memory is fixed and every step is O(1).

New ids go into the young generation. When that is half the capacity, or older than the time asked for, it
becomes the old one and the former old one is forgotten at once. So the last ``capacity // 2`` different ids
are always remembered, and never more than ``capacity``.
"""

from __future__ import annotations

__all__ = ["SeenCache"]


class SeenCache:
    """Remembers ids for a while.

    Args:
        capacity: Most ids held, at least 2; an id of 32 bytes costs about 130.
        ttl_s: Also forget what was seen longer ago: after this time at the earliest, twice at the latest.
    """

    __slots__ = ("_half", "_old", "_ttl_s", "_young", "_young_since_mono_s")

    def __init__(self, capacity: int, *, ttl_s: float | None = None, now_mono_s: float = 0.0) -> None:
        if capacity < 2:
            raise ValueError(f"capacity {capacity} is below 2")
        self._half = capacity // 2
        self._ttl_s = ttl_s
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._young_since_mono_s = now_mono_s

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, identity: bytes) -> bool:
        return identity in self._young or identity in self._old

    def add(self, identity: bytes, now_mono_s: float) -> bool:
        """Remember an id from now on; return whether it was unknown."""
        if self._ttl_s is not None and now_mono_s - self._young_since_mono_s >= self._ttl_s:
            self._turn(now_mono_s)
        if identity in self._young:
            return False
        # An id that comes again moves to the young generation: what still circulates is not forgotten.
        is_new = identity not in self._old
        if len(self._young) >= self._half:
            self._turn(now_mono_s)
        else:
            self._old.discard(identity)
        self._young.add(identity)
        return is_new

    def _turn(self, now_mono_s: float) -> None:
        self._old = self._young
        self._young = set()
        self._young_since_mono_s = now_mono_s
