"""What this node lets others test, and how much: caps, and the grants in force. Pure; time is an argument.

A test of another node's is a session here. It begins with a grant, which ends when the session does, and in
any case at its deadline: nobody need say goodbye. Heavy sessions load the network and are few; light ones are
pings. What is declined is declined with one line that says which limit it was.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.peerid import PeerId

__all__ = ["BULK_KINDS", "HEAVY_KINDS", "KINDS", "LIGHT_KINDS", "Caps", "Consent", "Grant"]

#: What loads the network.
HEAVY_KINDS: Final = frozenset({"tcp", "udp", "stress"})
#: What does not.
LIGHT_KINDS: Final = frozenset({"stamp", "echo"})
KINDS: Final = HEAVY_KINDS | LIGHT_KINDS
#: What is bounded by its rate alone.
BULK_KINDS: Final = frozenset({"tcp", "udp"})

# Beyond its duration a session has so long to be set up and to report.
_GRACE_S = 10.0
# A light session of so many packets a second, of full frames at most, is no load to anybody and may last
# long: an hour by default.
_GENTLE_PACKETS_PER_S = 200.0
_GENTLE_BITS_PER_S = _GENTLE_PACKETS_PER_S * 1500 * 8
_GENTLE_FACTOR = 60.0
# Whoever says no size sends packets that fill an Ethernet frame.
_FULL_PACKET_BITS = 1500 * 8
# The smallest authenticated packet with its headers; the head of an echo.
_SMALLEST_PACKET_BITS: Final = {"stamp": 140 * 8, "echo": 37 * 8}
# What a sum of floating-point numbers may fall short by.
_ROUNDING = 0.999
# Heavy sessions of one peer take half of the time in the long run, and ten of full length at once.
_SHARE_PER_S = 0.5
_SHARE_BURST = 10.0
_MAX_SHARES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The limits; see the ``[tests]`` section of the configuration."""

    is_enabled: bool = True
    max_rate_bits_per_s: float = 1e9
    max_packets_per_s: float = 10_000.0
    max_duration_s: float = 60.0
    max_sessions: int = 8
    max_heavy_sessions: int = 1
    max_sessions_per_peer: int = 4

    @classmethod
    def of(cls, config: TestsConfig) -> Caps:
        """Return those of a configuration."""
        return cls(
            is_enabled=config.enabled,
            max_rate_bits_per_s=config.max_rate_bits_per_s,
            max_packets_per_s=config.max_packets_per_s,
            max_duration_s=config.max_duration_s,
            max_sessions=config.max_sessions,
            max_heavy_sessions=config.max_heavy_sessions,
            max_sessions_per_peer=config.max_sessions_per_peer,
        )

    @property
    def max_gentle_duration_s(self) -> float:
        """How long a light session of at most 200 packets and 2.4 Mbit a second may last."""
        return self.max_duration_s * _GENTLE_FACTOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One session that may be.

    Attributes:
        number: Tells grants apart.
        kind: One of ``KINDS``.
        rate_bits_per_s: What it may send and receive at most; ``packets_per_s`` likewise, 0 for bulk.
        duration_s: How long it may send.
        deadline_mono_s: When the session ends if it has not before.
    """

    number: int
    peer: PeerId
    kind: str
    rate_bits_per_s: float
    packets_per_s: float
    duration_s: float
    began_mono_s: float
    deadline_mono_s: float

    @property
    def is_heavy(self) -> bool:
        """Whether it loads the network."""
        return self.kind in HEAVY_KINDS


class Consent:
    """Decides what others may test here, and knows what they are testing.

    Attributes:
        caps: The limits.
    """

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self._grant_by_number: dict[int, Grant] = {}
        self._numbers = 0
        self._own_heavy = 0
        # Seconds of heavy sessions that each peer may still have.
        self._share_by_peer: OrderedDict[PeerId, TokenBucket] = OrderedDict()

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What is in force, the oldest first."""
        return tuple(self._grant_by_number.values())

    @property
    def free_rate_bits_per_s(self) -> float:
        """What the grants leave of the rate."""
        taken = math.fsum(grant.rate_bits_per_s for grant in self.grants)
        return max(0.0, self.caps.max_rate_bits_per_s - taken)

    @property
    def free_packets_per_s(self) -> float:
        """What the grants leave of the packets."""
        taken = math.fsum(grant.packets_per_s for grant in self.grants)
        return max(0.0, self.caps.max_packets_per_s - taken)

    @property
    def heavy(self) -> int:
        """How many heavy sessions there are."""
        return sum(grant.is_heavy for grant in self.grants)

    def ask(
        self,
        peer: PeerId,
        kind: str,
        *,
        duration_s: float,
        now_mono_s: float,
        rate_bits_per_s: float | None = None,
        packets_per_s: float = 0.0,
    ) -> Grant:
        """Grant a session, or decline.

        Args:
            peer: Who asks, proved.
            kind: What for.
            duration_s: How long it will send.
            now_mono_s: The time.
            rate_bits_per_s: What it will send at most; None for as much as there is.
            packets_per_s: Packets or messages at most; 0 for bulk (tcp, udp), which the rate bounds.

        Raises:
            DeclinedError: With the limit that stands against it.
        """
        self.expire(now_mono_s)
        self.require_enabled()
        if kind not in KINDS:
            raise DeclinedError(f"tests of kind {kind!r} are not known here")
        if kind in LIGHT_KINDS and rate_bits_per_s is None:
            rate_bits_per_s = packets_per_s * _FULL_PACKET_BITS
        self._require_within_caps(kind, duration_s, rate_bits_per_s, packets_per_s)
        self._require_room(peer, kind)
        rate = self._free_rate(rate_bits_per_s)
        if packets_per_s > self.free_packets_per_s:
            left = f"{self.free_packets_per_s:.0f} packets/s are left of {self.caps.max_packets_per_s:.0f}"
            raise DeclinedError(
                f"busy with tests of others: {left}, {packets_per_s:.0f} were asked", is_passing=True
            )
        if kind in HEAVY_KINDS:
            self._take_share(peer, duration_s, now_mono_s)
        self._numbers += 1
        grant = Grant(
            number=self._numbers,
            peer=peer,
            kind=kind,
            rate_bits_per_s=rate,
            packets_per_s=packets_per_s,
            duration_s=duration_s,
            began_mono_s=now_mono_s,
            deadline_mono_s=now_mono_s + duration_s + _GRACE_S,
        )
        self._grant_by_number[grant.number] = grant
        return grant

    def end(self, grant: Grant, now_mono_s: float) -> None:
        """A session is over; ending it twice does nothing."""
        if self._grant_by_number.pop(grant.number, None) is None or not grant.is_heavy:
            return
        share = self._share_by_peer.get(grant.peer)
        if share is not None:
            share.put_back(max(0.0, grant.duration_s - (now_mono_s - grant.began_mono_s)))

    def expire(self, now_mono_s: float) -> list[Grant]:
        """End what has reached its deadline, and return it."""
        over = [grant for grant in self.grants if grant.deadline_mono_s <= now_mono_s]
        for grant in over:
            self.end(grant, now_mono_s)
        return over

    def begin_own(self) -> None:
        """A test of this node's own loads the network: others wait until ``end_own``."""
        self._own_heavy += 1

    def end_own(self) -> None:
        """It is over."""
        if not self._own_heavy:
            raise ValueError("no test of our own has begun")
        self._own_heavy -= 1

    def require_enabled(self) -> None:
        """Raise DeclinedError where the operator wants no tests."""
        if not self.caps.is_enabled:
            raise DeclinedError("it takes part in no tests (tests.enabled = false there)")

    def _require_within_caps(
        self, kind: str, duration_s: float, rate_bits_per_s: float | None, packets_per_s: float
    ) -> None:
        caps = self.caps
        is_gentle = (
            kind in LIGHT_KINDS
            and packets_per_s <= _GENTLE_PACKETS_PER_S
            and (rate_bits_per_s or 0.0) <= _GENTLE_BITS_PER_S
        )
        most_s = caps.max_gentle_duration_s if is_gentle else caps.max_duration_s
        if not 0 < duration_s <= most_s:
            raise DeclinedError(
                f"it allows at most {most_s:g} s (tests.max_duration_s {caps.max_duration_s:g} there), "
                f"{duration_s:g} s were asked"
            )
        if rate_bits_per_s is not None and not 0 <= rate_bits_per_s <= caps.max_rate_bits_per_s:
            raise DeclinedError(
                f"it allows at most {_rate(caps.max_rate_bits_per_s)} (tests.max_rate_bits_per_s there), "
                f"{_rate(rate_bits_per_s)} were asked"
            )
        if kind not in BULK_KINDS and not packets_per_s > 0:
            raise DeclinedError(f"a {kind} session says how many packets/s it will send")
        if not 0 <= packets_per_s <= caps.max_packets_per_s:
            raise DeclinedError(
                f"it allows at most {caps.max_packets_per_s:g} packets/s (tests.max_packets_per_s there), "
                f"{packets_per_s:g} were asked"
            )
        least = packets_per_s * _SMALLEST_PACKET_BITS.get(kind, 0)
        if rate_bits_per_s is not None and rate_bits_per_s < least * _ROUNDING:
            raise DeclinedError(
                f"{packets_per_s:g} {kind} packets/s are at least {_rate(least)}, "
                f"{_rate(rate_bits_per_s)} were asked"
            )

    def _require_room(self, peer: PeerId, kind: str) -> None:
        caps = self.caps
        if len(self._grant_by_number) >= caps.max_sessions:
            raise DeclinedError(
                f"busy: {caps.max_sessions} tests of others (tests.max_sessions)", is_passing=True
            )
        if sum(grant.peer == peer for grant in self.grants) >= caps.max_sessions_per_peer:
            raise DeclinedError(
                f"busy: {caps.max_sessions_per_peer} tests of yours (tests.max_sessions_per_peer)",
                is_passing=True,
            )
        if kind not in HEAVY_KINDS:
            return
        if self.heavy >= caps.max_heavy_sessions:
            raise DeclinedError(
                f"busy: {self.heavy} tests that load the network (tests.max_heavy_sessions "
                f"{caps.max_heavy_sessions})",
                is_passing=True,
            )
        if self._own_heavy:
            raise DeclinedError("busy: a test of its own loads its network", is_passing=True)

    def _free_rate(self, asked_bits_per_s: float | None) -> float:
        free = self.free_rate_bits_per_s
        if asked_bits_per_s is None:
            if free <= 0:
                raise DeclinedError(
                    "busy with tests of others: nothing is left of tests.max_rate_bits_per_s", is_passing=True
                )
            return free
        if asked_bits_per_s > free:
            left = f"{_rate(free)} are left of {_rate(self.caps.max_rate_bits_per_s)}"
            raise DeclinedError(
                f"busy with tests of others: {left}, {_rate(asked_bits_per_s)} were asked", is_passing=True
            )
        return asked_bits_per_s

    def _take_share(self, peer: PeerId, duration_s: float, now_mono_s: float) -> None:
        """Take a heavy session's time from what the peer may have, so that none takes all there is."""
        share = self._share_by_peer.get(peer)
        if share is None:
            while len(self._share_by_peer) >= _MAX_SHARES:
                self._share_by_peer.popitem(last=False)
            burst = self.caps.max_duration_s * _SHARE_BURST
            share = self._share_by_peer[peer] = TokenBucket(_SHARE_PER_S, burst, now_mono_s)
        self._share_by_peer.move_to_end(peer)
        if not share.take(duration_s, now_mono_s):
            wait_s = math.ceil(share.ready_mono_s(duration_s) - now_mono_s)
            raise DeclinedError(
                f"you have had your share of tests that load the network: again in {wait_s} s"
            )


def _rate(bits_per_s: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_s >= size:
            return f"{bits_per_s / size:.3g} {unit}"
    return f"{bits_per_s:.3g} bit/s"
