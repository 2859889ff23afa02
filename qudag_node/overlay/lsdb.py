"""The adverts a node knows: the newest of each origin, bounded, rate limited, forgotten with age. No I/O.

The order of the checks is the order of their costs: structure, then sequence, then the origin's rate, then
room, and the signature last, because only an advert that would change something is worth verifying. A
signature that does not hold is the sender's fault, since every correct node checks before it passes on.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum

from qudag_node.overlay.advert import Advert, is_signed_by_its_origin
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.signing import Verifier

__all__ = ["AdvertDatabase", "DatabaseLimits", "Outcome"]


class Outcome(StrEnum):
    """What became of a received advert; the text of a refusal is its cause in the statistics."""

    #: New or newer: pass it on.
    ACCEPTED = "accepted"
    #: The very one that is known already.
    KNOWN = "duplicate"
    #: Older than the known one: the sender should be told that.
    OLDER = "advert_older"
    #: Its origin sends too often.
    RATE = "advert_rate"
    #: Its sender tells of unknown origins too fast.
    STRANGERS = "advert_new_origins"
    #: As many origins are known as may be, all of them reachable.
    FULL = "advert_origins_full"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLimits:
    """How much of the network a node remembers.

    Attributes:
        origins: Most nodes in the map. One with 8 links costs about 3 KiB.
        per_origin_per_s: Adverts accepted from one origin over time; a correct one makes half as many.
        per_origin_burst: The same at once.
    """

    origins: int = 4096
    per_origin_per_s: float = 4.0
    per_origin_burst: float = 32.0

    def __post_init__(self) -> None:
        if self.origins < 1 or self.per_origin_per_s <= 0 or self.per_origin_burst < 1:
            raise ValueError("limits of the advert database must be positive")


@dataclass(slots=True)
class _Entry:
    advert: Advert
    expires_mono_s: float
    bucket: TokenBucket


class AdvertDatabase:
    """The newest advert of every origin but ourselves.

    Attributes:
        changes: Rises whenever what the adverts say has changed, not when one is merely renewed.
    """

    __slots__ = ("_entry_by_origin", "_limits", "_verifier", "changes")

    def __init__(self, verifier: Verifier, limits: DatabaseLimits | None = None) -> None:
        self._verifier = verifier
        self._limits = DatabaseLimits() if limits is None else limits
        # In the order in which they were last renewed, so that the oldest is found at once.
        self._entry_by_origin: dict[bytes, _Entry] = {}
        self.changes = 0

    def __len__(self) -> int:
        return len(self._entry_by_origin)

    def __iter__(self) -> Iterator[Advert]:
        """Every advert, the one renewed longest ago first."""
        return (entry.advert for entry in self._entry_by_origin.values())

    def get(self, origin: bytes) -> Advert | None:
        """Return the newest advert of an origin."""
        entry = self._entry_by_origin.get(origin)
        return None if entry is None else entry.advert

    def receive(
        self, advert: Advert, now_mono_s: float, *, needed: Container[bytes], neighbours: Container[bytes]
    ) -> Outcome:
        """Judge an advert and keep it when it is new.

        Args:
            advert: Decoded, its signature not looked at.
            now_mono_s: The receiver's clock.
            needed: Origins that must not be forgotten for the sake of another: those that are reachable.
            neighbours: Origins that must be let in even then.

        Raises:
            RemoteFault: ``advert_signature``.
        """
        entry = self._entry_by_origin.get(advert.origin)
        if entry is not None:
            if not advert.is_newer_than(entry.advert):
                return Outcome.KNOWN if advert.encoded == entry.advert.encoded else Outcome.OLDER
            if entry.bucket.available(now_mono_s) < 1:
                return Outcome.RATE
        victim: bytes | None = None
        if entry is None and len(self._entry_by_origin) >= self._limits.origins:
            victim = self._victim(needed, neighbours, is_neighbour=advert.origin in neighbours)
            if victim is None:
                return Outcome.FULL
        self.require_signature(advert)
        if victim is not None:
            self._forget(victim)
        self._keep(advert, entry, now_mono_s)
        return Outcome.ACCEPTED

    def require_signature(self, advert: Advert) -> None:
        """Raise RemoteFault ``advert_signature`` unless the advert is its origin's."""
        if not is_signed_by_its_origin(advert, self._verifier):
            raise RemoteFault(
                "advert_signature", f"an advert of {advert.origin.hex()[:16]} is not signed by it"
            )

    def expire(self, now_mono_s: float) -> bool:
        """Forget what was not renewed within its lifetime; return whether there was any."""
        gone = [o for o, entry in self._entry_by_origin.items() if entry.expires_mono_s <= now_mono_s]
        for origin in gone:
            self._forget(origin)
        return bool(gone)

    def _keep(self, advert: Advert, known: _Entry | None, now_mono_s: float) -> None:
        if known is None:
            limits = self._limits
            bucket = TokenBucket(limits.per_origin_per_s, limits.per_origin_burst, now_mono_s)
        else:
            bucket = known.bucket
            del self._entry_by_origin[advert.origin]
        bucket.take(1, now_mono_s)
        if known is None or not advert.says_the_same_as(known.advert):
            self.changes += 1
        self._entry_by_origin[advert.origin] = _Entry(advert, now_mono_s + advert.lifetime_s, bucket)

    def _forget(self, origin: bytes) -> None:
        del self._entry_by_origin[origin]
        self.changes += 1

    def _victim(
        self, needed: Container[bytes], neighbours: Container[bytes], *, is_neighbour: bool
    ) -> bytes | None:
        """The origin to forget for a new one: the longest unrenewed that nobody needs."""
        for origin in self._entry_by_origin:
            if origin not in needed:
                return origin
        if is_neighbour:
            for origin in self._entry_by_origin:
                if origin not in neighbours:
                    return origin
        return None
