"""What a ping says: loss by its place, delays by direction, from the times of its packets. Pure.

A packet has four times, whole nanoseconds since 1970: T1 it left, T2 it arrived there, T3 the reply left, T4
the reply arrived. Then, exactly,

    round trip = (T4 - T1) - (T3 - T2) = forward + backward        forward = T2 - T1, backward = T4 - T3

and every packet that was sent ends in one place:

    sent = received + late + forward_lost + backward_lost + local_dropped + unplaced_lost

``received`` came back within the time-out (T4 - T1), ``late`` after it: those are loss to whoever waited, but
their times are known and stay in the statistics, which would look better than the network is without them.
``local_dropped`` was dropped by one of the two hosts' own sockets, or not answered by the reflector's limit:
the network did not lose it. ``unplaced_lost`` is what was sent after the last reply when the reflector could
not be asked in the end.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qudag_node.nettests.samples import hdr_blob, jitter_ns, sufficiency, time_statistics

__all__ = [
    "Account",
    "ClockRelation",
    "Probes",
    "ReflectorCounts",
    "Silence",
    "Times",
    "account",
    "guess_counts",
    "ping_statistics",
    "relate_clocks",
    "silence_of",
    "times_of",
]

_SECOND_NS = 1e9
#: Clocks of the same host agree; what is left is the stamps' own grain.
_SAME_CLOCK_S = 1e-6
#: Two clocks that nobody disciplines drift apart by some 50 ppm, seldom by more than twice that.
_DRIFT = 100e-6
_WINDOW_NS = 2_000_000_000
_SLACK_NS = 1_000_000
#: With so large a part of all times from the kernel the rest, corrected by their median, changes nothing.
_KERNEL_RATIO = 0.9


def _longs() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Probes:
    """The packets of a session in the order of their numbers; 0 is a time that is not known.

    Attributes:
        due_mono_ns: When each should have been sent, by the monotonic clock; ``written`` when it was.
        written_unix_ns: T1 as the program knows it; ``departed`` as the kernel does.
        received_unix_ns: T2.
        replied_unix_ns: T3 as the reflector's program knows it; ``reply_departed`` as its kernel does.
        arrived_unix_ns: T4.
        user_arrivals: How many T4 are the program's.
        duplicates: Replies to what had been replied to.
        reordered: Replies that came after that to a later packet.
        impossible: Replies whose T2 and T3 cannot be; they count as sent on at once.
    """

    due_mono_ns: array[int] = field(default_factory=_longs)
    written_mono_ns: array[int] = field(default_factory=_longs)
    written_unix_ns: array[int] = field(default_factory=_longs)
    departed_unix_ns: array[int] = field(default_factory=_longs)
    received_unix_ns: array[int] = field(default_factory=_longs)
    replied_unix_ns: array[int] = field(default_factory=_longs)
    reply_departed_unix_ns: array[int] = field(default_factory=_longs)
    arrived_unix_ns: array[int] = field(default_factory=_longs)
    replied: int = 0
    user_arrivals: int = 0
    duplicates: int = 0
    reordered: int = 0
    impossible: int = 0
    highest: int = -1
    highest_reply: int = -1

    def __len__(self) -> int:
        """How many were sent."""
        return len(self.due_mono_ns)

    def add(self, due_mono_ns: int, written_mono_ns: int, written_unix_ns: int) -> int:
        """Note a packet that is about to be sent; return its number."""
        self.departed_unix_ns.append(0)
        self.received_unix_ns.append(0)
        self.replied_unix_ns.append(0)
        self.reply_departed_unix_ns.append(0)
        self.arrived_unix_ns.append(0)
        self.written_mono_ns.append(written_mono_ns)
        self.written_unix_ns.append(written_unix_ns)
        self.due_mono_ns.append(due_mono_ns)
        return len(self.due_mono_ns) - 1

    def forget_last(self) -> None:
        """The newest packet was not sent after all."""
        for column in self._columns():
            column.pop()

    def reply(
        self, sequence: int, reply_sequence: int | None, times: tuple[int, int, int], *, is_kernels: bool
    ) -> bool:
        """Note a reply with its T2, T3 and T4; False when it is a duplicate.

        Args:
            sequence: Which packet it answers.
            reply_sequence: Its own number, if who answers numbers its replies.
            times: T2, T3 and T4, Unix nanoseconds.
            is_kernels: T4 is the kernel's.
        """
        if self.arrived_unix_ns[sequence]:
            self.duplicates += 1
            return False
        if sequence < self.highest:
            self.reordered += 1
        else:
            self.highest = sequence
        if reply_sequence is not None:
            self.highest_reply = max(self.highest_reply, reply_sequence)
        received, replied, arrived = times
        if not self._could_be(sequence, replied - received, arrived):
            self.impossible += 1
            replied = received
        self.received_unix_ns[sequence] = received
        self.replied_unix_ns[sequence] = replied
        self.arrived_unix_ns[sequence] = arrived
        self.replied += 1
        self.user_arrivals += not is_kernels
        return True

    def follow_up(self, sequence: int, departed_unix_ns: int) -> None:
        """Note when the reply to a packet truly left, unless it cannot have."""
        processing_ns = departed_unix_ns - self.received_unix_ns[sequence]
        is_later = departed_unix_ns >= self.replied_unix_ns[sequence]
        if is_later and self._could_be(sequence, processing_ns, self.arrived_unix_ns[sequence]):
            self.reply_departed_unix_ns[sequence] = departed_unix_ns

    def _could_be(self, sequence: int, processing_ns: int, arrived_unix_ns: int) -> bool:
        """Whether a peer can have taken so long; what it says is a stranger's, and clocks run differently."""
        elapsed_ns = arrived_unix_ns - self.written_unix_ns[sequence]
        return 0 <= processing_ns <= elapsed_ns + elapsed_ns // 1000 + _SLACK_NS

    def _columns(self) -> tuple[array[int], ...]:
        return (
            self.due_mono_ns,
            self.written_mono_ns,
            self.written_unix_ns,
            self.departed_unix_ns,
            self.received_unix_ns,
            self.replied_unix_ns,
            self.reply_departed_unix_ns,
            self.arrived_unix_ns,
        )


class ReflectorCounts(NamedTuple):
    """What the reflector says in the end.

    Attributes:
        received: Packets that arrived there, each counted once.
        dropped: What its socket dropped for want of room, and what its limit left unanswered.
        unsent: Replies that its kernel did not take.
        has_stamps: Its times are its kernel's.
    """

    received: int
    dropped: int = 0
    unsent: int = 0
    has_stamps: bool = False


class Account(NamedTuple):
    """Where the packets are; the sum of all but ``sent`` is ``sent``."""

    sent: int
    received: int
    late: int
    forward_lost: int
    backward_lost: int
    local_dropped: int
    unplaced_lost: int

    @property
    def loss_ratio(self) -> float:
        """What the network lost or brought too late, of what was sent; 0 of nothing."""
        lost = self.late + self.forward_lost + self.backward_lost + self.unplaced_lost
        return lost / self.sent if self.sent else 0.0


def account(
    sent: int, replied: int, late: int, *, counts: ReflectorCounts, dropped: int, reach: int
) -> Account:
    """Put every packet in its place. What the reflector says is a stranger's: it cannot upset the sum.

    Args:
        sent: Packets sent.
        replied: Those whose reply came, ``late`` ones included.
        late: Of those, the ones that came after the time-out.
        counts: The reflector's.
        dropped: What our own socket dropped.
        reach: Of how many packets, from the first on, the reflector's counts tell; beyond, nobody knows.
    """
    missing = reach - replied
    not_there = reach - min(max(counts.received, replied), reach)
    dropped_there = min(max(counts.dropped, 0), not_there)
    not_back = missing - not_there
    dropped_here = min(max(counts.unsent, 0) + max(dropped, 0), not_back)
    return Account(
        sent=sent,
        received=replied - late,
        late=late,
        forward_lost=not_there - dropped_there,
        backward_lost=not_back - dropped_here,
        local_dropped=dropped_there + dropped_here,
        unplaced_lost=sent - reach,
    )


def guess_counts(probes: Probes) -> tuple[ReflectorCounts, int]:
    """Return the reflector's counts, and their reach, as its newest reply tells them.

    It numbers its replies, so what it has received up to then is known; of what was sent later nothing is.
    Where replies have no number, nothing is known of what did not come back.
    """
    if probes.highest_reply < 0:
        return ReflectorCounts(received=probes.replied), probes.replied
    reach = probes.highest + 1
    return ReflectorCounts(received=min(probes.highest_reply + 1, reach)), reach


class Silence(NamedTuple):
    """The packets at the end that nobody answered.

    Attributes:
        packets: How many were sent after the last that was answered.
        after_s: When that one was due, from the first packet on; 0 when none was.
    """

    packets: int
    after_s: float


def silence_of(probes: Probes) -> Silence:
    """Return how the session ended: with answers, or in silence."""
    if probes.highest < 0:
        return Silence(len(probes), 0.0)
    due = probes.due_mono_ns
    return Silence(len(probes) - probes.highest - 1, (due[probes.highest] - due[0]) / _SECOND_NS)


class Times(NamedTuple):
    """The delays of what came back, in the order of sending, in ns; the clocks are as they are."""

    due_mono_ns: list[int]
    round_trip_ns: list[int]
    forward_ns: list[int]
    backward_ns: list[int]
    processing_ns: list[int]


def times_of(probes: Probes) -> Times:
    """Return the delays, each from the best times there are.

    Where the kernel's T1 or T3 is missing for a few packets, the program's is corrected by the median
    distance of the two in the others.
    """
    send_bias = _median_distance(probes.written_unix_ns, probes.departed_unix_ns)
    reply_bias = _median_distance(probes.replied_unix_ns, probes.reply_departed_unix_ns)
    times = Times([], [], [], [], [])
    columns = zip(
        probes.due_mono_ns,
        probes.written_unix_ns,
        probes.departed_unix_ns,
        probes.received_unix_ns,
        probes.replied_unix_ns,
        probes.reply_departed_unix_ns,
        probes.arrived_unix_ns,
        strict=True,
    )
    for due, written, departed, received, replied, reply_departed, arrived in columns:
        if arrived:
            forward = received - (departed or written + send_bias)
            left_again = reply_departed or replied + reply_bias
            backward = arrived - left_again
            times.processing_ns.append(left_again - received)
            times.due_mono_ns.append(due)
            times.round_trip_ns.append(forward + backward)
            times.forward_ns.append(forward)
            times.backward_ns.append(backward)
    return times


class ClockRelation(NamedTuple):
    """How the two hosts' clocks are related, which is what one-way delays hang on.

    Attributes:
        method: ``same-clock``, ``synchronised`` or ``estimated``.
        offsets_ns: How far the other clock is ahead, in each window of two seconds, by its number.
        error_bound_s: By how much a one-way delay may be wrong.
    """

    method: str
    offsets_ns: dict[int, int]
    error_bound_s: float

    def offset_ns(self, due_mono_ns: int) -> int:
        """How far the other clock is ahead at some time."""
        return self.offsets_ns.get(due_mono_ns // _WINDOW_NS, 0)


def relate_clocks(times: Times, *, is_same: bool, synchronised_error_s: float | None) -> ClockRelation | None:
    """Relate the two clocks in the way that leaves the smallest error; None without a sample.

    Where they are not held together by something else, the shortest round trip of each window tells: the true
    delays are not negative, so the offset cannot be wrong by more than half of it.

    Args:
        times: The delays.
        is_same: Both ends run by one clock.
        synchronised_error_s: The sum of both clocks' errors, when both are synchronised.
    """
    if not times.round_trip_ns:
        return None
    if is_same:
        return ClockRelation("same-clock", {}, _SAME_CLOCK_S)
    shortest: dict[int, tuple[int, int]] = {}
    for due, round_trip, forward, backward in zip(*times[:4], strict=True):
        window = due // _WINDOW_NS
        best = shortest.get(window)
        if best is None or round_trip < best[0]:
            shortest[window] = round_trip, (forward - backward) // 2
    longest_ns = max(round_trip for round_trip, _ in shortest.values())
    error_bound_s = longest_ns / 2 / _SECOND_NS + _DRIFT * _WINDOW_NS / _SECOND_NS
    if synchronised_error_s is not None and synchronised_error_s <= error_bound_s:
        return ClockRelation("synchronised", {}, synchronised_error_s)
    return ClockRelation(
        "estimated", {window: offset for window, (_, offset) in shortest.items()}, error_bound_s
    )


def ping_statistics(
    probes: Probes,
    *,
    counts: ReflectorCounts | None,
    dropped: int,
    timeout_ns: int,
    is_same_clock: bool = False,
    synchronised_error_s: float | None = None,
) -> dict[str, Any]:
    """Return the figures of a ping by STAMP, as they stand in its result.

    Args:
        probes: The packets.
        counts: What the reflector said in the end; None when it could not be asked.
        dropped: What our own socket dropped.
        timeout_ns: A reply that took longer is late.
        is_same_clock: Both ends run by one clock.
        synchronised_error_s: The sum of both clocks' errors, when both are synchronised.
    """
    times = times_of(probes)
    late = sum(map(lambda *parts: sum(parts) > timeout_ns, times.round_trip_ns, times.processing_ns))
    known, reach = guess_counts(probes) if counts is None else (counts, len(probes))
    places = account(len(probes), probes.replied, late, counts=known, dropped=dropped, reach=reach)
    relation = relate_clocks(times, is_same=is_same_clock, synchronised_error_s=synchronised_error_s)
    return {
        **_common(places, probes.duplicates, probes.reordered, times.round_trip_ns),
        **_one_way(times, relation),
        "processing": time_statistics(times.processing_ns),
        "send_error": time_statistics(_differences(probes.written_mono_ns, probes.due_mono_ns)),
        "timestamps": _stamps(probes, has_far_stamps=counts is not None and counts.has_stamps),
    }


def _common(
    places: Account, duplicates: int, reordered: int, round_trips_ns: Sequence[int]
) -> dict[str, Any]:
    jitter = jitter_ns(round_trips_ns)
    return {
        **places._asdict(),
        "duplicates": duplicates,
        "reordered": reordered,
        "loss_ratio": places.loss_ratio,
        "rtt": time_statistics(round_trips_ns),
        "jitter_s": None if jitter is None else jitter / _SECOND_NS,
        "sufficiency": sufficiency(round_trips_ns)._asdict(),
        "hdr": hdr_blob(round_trips_ns),
    }


def _one_way(times: Times, relation: ClockRelation | None) -> dict[str, Any]:
    if relation is None:
        empty = time_statistics(()) | {"error_bound_s": None}
        return {"forward_delay": empty, "backward_delay": empty, "clock_relation": None}
    offsets = [relation.offset_ns(due) for due in times.due_mono_ns]
    forward = [delay - offset for delay, offset in zip(times.forward_ns, offsets, strict=True)]
    backward = [delay + offset for delay, offset in zip(times.backward_ns, offsets, strict=True)]
    bound = {"error_bound_s": relation.error_bound_s}
    return {
        "forward_delay": time_statistics(forward) | bound,
        "backward_delay": time_statistics(backward) | bound,
        "clock_relation": {"method": relation.method, "offset_s": offsets[-1] / _SECOND_NS},
    }


def _stamps(probes: Probes, *, has_far_stamps: bool) -> str:
    """Where the times come from: ``kernel`` all four, ``user`` none of them, or ``mixed``."""
    if not probes.replied:
        return "none"
    departed = sum(map(bool, probes.departed_unix_ns)) / len(probes)
    replied = sum(map(bool, probes.reply_departed_unix_ns)) / probes.replied
    arrived = 1 - probes.user_arrivals / probes.replied
    shares = (departed, replied, arrived, float(has_far_stamps))
    if min(shares) >= _KERNEL_RATIO:
        return "kernel"
    return "mixed" if max(shares) > 0 else "user"


def _median_distance(user_ns: Sequence[int], kernel_ns: Sequence[int]) -> int:
    distances = sorted(
        kernel - user for user, kernel in zip(user_ns, kernel_ns, strict=True) if kernel and user
    )
    return distances[len(distances) // 2] if distances else 0


def _differences(later_ns: Sequence[int], earlier_ns: Sequence[int]) -> list[int]:
    return [later - earlier for later, earlier in zip(later_ns, earlier_ns, strict=True)]
