"""The model of one direction of a link. Pure: time is an argument, randomness a seed.

    offer ──> outage? ──> loss? ──> queue before the rate ──> delay ± jitter ──> deliver
                │           │              │ full
                └───────────┴──────────────┴──> dropped, counted by cause; by the host, if its kernel refuses

The counters are the truth that measurements are compared with. At every instant, in packets and in bytes,
``sent = delivered + dropped by loss, queue, outage or host + in flight``. UDP is counted a second time on its
own, by the same identity: what a test by UDP lost is then not mixed with what the links' TCP did.

Delays do not reorder unless asked, and jitter adds nothing to the mean: see ``Jitter``. An outage drops what
is offered while it lasts; what is already on its way arrives.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from qudag_node.lab.impairment import CLEAN, Impairment

__all__ = ["MAX_IN_FLIGHT_BYTES", "Counters", "Jitter", "Lateness", "LinkDirection"]

#: Bounds what one direction may hold: 2 Gbit/s for 100 ms. Beyond it packets are dropped as by a full queue.
MAX_IN_FLIGHT_BYTES = 32 << 20
#: The same for small packets, whose Python objects cost more than their bytes.
MAX_IN_FLIGHT_PACKETS = 50_000


@dataclass(slots=True)
class Counters:
    """What became of the packets of one direction, since the lab went up."""

    sent: int = 0
    sent_bytes: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    dropped_loss: int = 0
    dropped_loss_bytes: int = 0
    dropped_queue: int = 0
    dropped_queue_bytes: int = 0
    dropped_outage: int = 0
    dropped_outage_bytes: int = 0
    dropped_host: int = 0
    dropped_host_bytes: int = 0

    @property
    def in_flight(self) -> int:
        """Packets waiting for their time."""
        dropped = self.dropped_loss + self.dropped_queue + self.dropped_outage + self.dropped_host
        return self.sent - self.delivered - dropped

    @property
    def in_flight_bytes(self) -> int:
        """Bytes waiting for their time."""
        dropped = self.dropped_loss_bytes + self.dropped_queue_bytes
        dropped += self.dropped_outage_bytes + self.dropped_host_bytes
        return self.sent_bytes - self.delivered_bytes - dropped

    def to_json(self) -> dict[str, int]:
        """All counters, and what is in flight, by name."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"in_flight": self.in_flight, "in_flight_bytes": self.in_flight_bytes}


class Lateness:
    """How much later than due packets left: the emulation's own error.

    A log-linear histogram of nanoseconds with 16 steps to the octave: percentiles are right to 3 %.
    """

    __slots__ = ("_buckets", "count", "max_s", "sum_s")

    def __init__(self) -> None:
        self._buckets = [0] * 640
        self.count = 0
        self.sum_s = 0.0
        self.max_s = 0.0

    def record(self, late_s: float) -> None:
        """Count one packet that left ``late_s`` after it was due; earlier counts as zero."""
        late_s = max(late_s, 0.0)
        late_ns = int(late_s * 1e9)
        exponent = max(late_ns.bit_length() - 5, 0)
        self._buckets[min((exponent << 4) + (late_ns >> exponent), 639)] += 1
        self.count += 1
        self.sum_s += late_s
        self.max_s = max(self.max_s, late_s)

    def percentile_s(self, ratio: float) -> float | None:
        """The nearest-rank percentile, as the middle of its bucket; None without packets."""
        rank = max(1, -int(-ratio * self.count // 1))
        seen = 0
        for index, count in enumerate(self._buckets):
            seen += count
            if count and seen >= rank:
                exponent = max((index >> 4) - 1, 0)
                low = (index - (exponent << 4)) << exponent
                return min((low + ((1 << exponent) - 1) / 2) / 1e9, self.max_s)
        return None

    def to_json(self) -> dict[str, Any]:
        """Samples, mean, p50, p99 and maximum in seconds; None without packets."""
        return {
            "samples": self.count,
            "avg_s": self.sum_s / self.count if self.count else None,
            "p50_s": self.percentile_s(0.50),
            "p99_s": self.percentile_s(0.99),
            "max_s": self.max_s if self.count else None,
        }


class Jitter:
    """What varies the delay: uniform from -1 to 1 times the jitter, however dense the packets are.

    Packets further apart than twice the jitter vary independently. Between closer ones the delay wanders, at
    half a second for a second at most, so none overtakes another. (To let a packet wait for the one before it
    keeps the order, too, but then each has the largest delay of its neighbourhood: with ``jitter=2ms`` and
    five thousand packets a second the mean would be a millisecond too long.)
    """

    __slots__ = ("_at_s", "_offset_s", "_random", "_slope")

    #: Seconds of delay gained or lost in a second. At -1 packets would all arrive at once.
    SLOPE = 0.5

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)
        self._at_s = float("-inf")
        self._offset_s = 0.0
        self._slope = self.SLOPE

    def offset_s(self, now_s: float, jitter_s: float, *, reorder: bool) -> float:
        """What is added to the delay of a packet that sets out at ``now_s``."""
        drawn = self._random.random()
        elapsed_s, self._at_s = max(now_s - self._at_s, 0.0), now_s
        if reorder or elapsed_s >= 2 * jitter_s:
            self._offset_s = jitter_s * (2 * drawn - 1)
            return self._offset_s
        # Turning around at random, and at the bounds, leaves the distribution uniform: a random telegraph.
        if drawn < elapsed_s / (2 * jitter_s):
            self._slope = -self._slope
        offset_s = self._offset_s + self._slope * elapsed_s
        if abs(offset_s) > jitter_s:
            bound_s = jitter_s if offset_s > 0 else -jitter_s
            offset_s, self._slope = max(-jitter_s, min(2 * bound_s - offset_s, jitter_s)), -self._slope
        self._offset_s = offset_s
        return offset_s


class LinkDirection:
    """Decides when, or whether, each packet arrives.

    Attributes:
        counters: Of all packets.
        udp: Of those that are UDP.

    Losses and jitter are drawn from generators of their own, each seeded: the n-th packet of a
    direction is lost or not by the seed alone, whatever the other settings.
    """

    def __init__(self, impairment: Impairment = CLEAN, *, seed: int | str = 0) -> None:
        self.impairment = impairment
        self.counters = Counters()
        self.udp = Counters()
        self._all = (self.counters,)
        self._udp_and_all = (self.counters, self.udp)
        self.lateness = Lateness()
        self._loss = random.Random(f"{seed}/loss")
        self._jitter = Jitter(f"{seed}/jitter")
        self._free_s = 0.0
        self._last_due_s = 0.0
        self._is_clean = impairment == CLEAN

    def change(self, impairment: Impairment, now_s: float) -> None:
        """Use other settings from now on; what waits for the rate goes on at the new one."""
        waiting_bytes = self.waiting_bytes(now_s)
        self.impairment = impairment
        self._is_clean = impairment == CLEAN
        rate = impairment.rate_bits_per_s
        self._free_s = now_s + waiting_bytes * 8 / rate if rate else now_s

    def waiting_bytes(self, now_s: float) -> float:
        """What has not yet passed the rate."""
        rate = self.impairment.rate_bits_per_s
        return max(0.0, self._free_s - now_s) * rate / 8 if rate else 0.0

    def offer(self, now_s: float, size_bytes: int, *, is_udp: bool = False) -> float | None:
        """Take one packet; return when it is due at the far end, or None if it is dropped."""
        impairment = self.impairment
        for counters in self._counted(is_udp):
            counters.sent += 1
            counters.sent_bytes += size_bytes
        if self._is_clean and self._last_due_s <= now_s:
            return now_s
        if impairment.outage:
            for counters in self._counted(is_udp):
                counters.dropped_outage += 1
                counters.dropped_outage_bytes += size_bytes
            return None
        if impairment.loss_ratio and self._loss.random() < impairment.loss_ratio:
            for counters in self._counted(is_udp):
                counters.dropped_loss += 1
                counters.dropped_loss_bytes += size_bytes
            return None
        if self._is_full(now_s, size_bytes):
            for counters in self._counted(is_udp):
                counters.dropped_queue += 1
                counters.dropped_queue_bytes += size_bytes
            return None
        return self._schedule(now_s, size_bytes)

    def offer_stream(self, now_s: float, size_bytes: int) -> float:
        """Take bytes of a stream, of which none may be lost: only rate, delay and jitter apply.

        Who forwards a stream holds it back itself, by ``waiting_bytes`` and ``counters.in_flight_bytes``.
        """
        self.counters.sent += 1
        self.counters.sent_bytes += size_bytes
        return self._schedule(now_s, size_bytes)

    def due_of_end(self, now_s: float) -> float:
        """When the end of a stream arrives: it travels as bytes do, and weighs nothing."""
        return max(now_s + self.impairment.delay_s, self._last_due_s)

    def deliver(self, now_s: float, due_s: float, size_bytes: int, *, is_udp: bool = False) -> None:
        """Count one packet handed over at ``now_s``, due at ``due_s``."""
        for counters in self._counted(is_udp):
            counters.delivered += 1
            counters.delivered_bytes += size_bytes
        self.lateness.record(now_s - due_s)

    def refused(self, size_bytes: int, *, is_udp: bool = False) -> None:
        """Count one packet that the far end's kernel would not take."""
        for counters in self._counted(is_udp):
            counters.dropped_host += 1
            counters.dropped_host_bytes += size_bytes

    def _counted(self, is_udp: bool) -> tuple[Counters, ...]:
        return self._udp_and_all if is_udp else self._all

    def _is_full(self, now_s: float, size_bytes: int) -> bool:
        counters = self.counters
        # The packet in question is already counted as sent, hence in flight.
        if counters.in_flight > MAX_IN_FLIGHT_PACKETS or counters.in_flight_bytes > MAX_IN_FLIGHT_BYTES:
            return True
        waiting = self.waiting_bytes(now_s)
        return waiting > 0 and waiting + size_bytes > self.impairment.queue_limit_bytes

    def _schedule(self, now_s: float, size_bytes: int) -> float:
        impairment = self.impairment
        due_s = now_s
        if impairment.rate_bits_per_s:
            self._free_s = max(self._free_s, now_s) + size_bytes * 8 / impairment.rate_bits_per_s
            due_s = self._free_s
        delay_s = impairment.delay_s
        if impairment.jitter_s:
            delay_s += self._jitter.offset_s(due_s, impairment.jitter_s, reorder=impairment.reorder)
        due_s += max(delay_s, 0.0)
        if not impairment.reorder:
            due_s = max(due_s, self._last_due_s)
        self._last_due_s = max(due_s, self._last_due_s)
        return due_s
