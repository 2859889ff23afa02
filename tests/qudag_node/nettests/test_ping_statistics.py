from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.ping_statistics import (
    Account,
    Probes,
    ReflectorCounts,
    account,
    guess_counts,
    ping_statistics,
    relate_clocks,
    times_of,
)

MS = 1_000_000
NOW_NS = 1_790_000_000_000_000_000
COUNTS = st.integers(0, 1000)


@dataclass
class Path:
    """A made-up path with two clocks, whose truth is known."""

    forward_ns: int = 10 * MS
    backward_ns: int = 15 * MS
    there_ns: int = 50_000
    ahead_ns: int = 0
    send_bias_ns: int = 20_000
    reply_bias_ns: int = 15_000
    interval_ns: int = 10 * MS
    probes: Probes = field(default_factory=Probes)
    numbers: int = 0

    def send(self, *, extra_ns: int = 0, answered: bool = True, kernel: bool = True) -> int:
        """One packet, which left later than the program wrote it, and whose answer did, too."""
        due = 1_000_000_000 + len(self.probes) * self.interval_ns
        written = NOW_NS + due
        sequence = self.probes.add(due, due + 300, written)
        departed = written + self.send_bias_ns
        received = departed + self.forward_ns + extra_ns + self.ahead_ns
        replied = received + self.there_ns
        arrived = replied + self.reply_bias_ns + self.backward_ns - self.ahead_ns
        if kernel:
            self.probes.departed_unix_ns[sequence] = departed
        if answered:
            self.probes.reply(sequence, self.numbers, (received, replied, arrived), is_kernels=kernel)
            if kernel:
                self.probes.reply_departed_unix_ns[sequence] = replied + self.reply_bias_ns
        self.numbers += 1
        return sequence


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_every_packet_ends_in_one_place_whatever_the_reflector_says(
    sent: int, replied: int, late: int, reach: int, received: int, far: int, unsent: int, dropped: int
) -> None:
    replied = min(replied, sent)
    reach = min(max(reach, replied), sent)
    late = min(late, replied)
    counts = ReflectorCounts(received=received, dropped=far, unsent=unsent)
    places = account(sent, replied, late, counts=counts, dropped=dropped, reach=reach)
    assert sum(places) - places.sent == places.sent == sent
    assert min(places) >= 0
    assert 0 <= places.loss_ratio <= 1


@pytest.mark.parametrize(
    ("counts", "dropped", "expected"),
    [
        (ReflectorCounts(received=95), 0, Account(100, 87, 3, 5, 5, 0, 0)),
        (ReflectorCounts(received=95, dropped=2), 0, Account(100, 87, 3, 3, 5, 2, 0)),
        (ReflectorCounts(received=95, unsent=1), 3, Account(100, 87, 3, 5, 1, 4, 0)),
        (ReflectorCounts(received=100), 50, Account(100, 87, 3, 0, 0, 10, 0)),
        (ReflectorCounts(received=0), 0, Account(100, 87, 3, 10, 0, 0, 0)),
    ],
    ids=["both ways", "dropped there", "dropped here", "more dropped than missing", "it denies all"],
)
def test_loss_is_told_by_its_place(counts: ReflectorCounts, dropped: int, expected: Account) -> None:
    assert account(100, 90, 3, counts=counts, dropped=dropped, reach=100) == expected


def test_a_late_answer_and_a_loss_are_loss_but_a_drop_of_our_own_is_not() -> None:
    assert Account(100, 80, 4, 5, 6, 3, 2).loss_ratio == 0.17
    assert Account(0, 0, 0, 0, 0, 0, 0).loss_ratio == 0.0


def test_delays_are_those_of_the_path_to_the_nanosecond() -> None:
    path = Path()
    for _ in range(20):
        path.send()
    found = ping_statistics(
        path.probes,
        counts=ReflectorCounts(received=20, has_stamps=True),
        dropped=0,
        timeout_ns=1000 * MS,
        is_same_clock=True,
    )
    assert found["rtt"]["min_s"] == found["rtt"]["max_s"] == 0.025
    assert found["forward_delay"]["p50_s"] == 0.010
    assert found["backward_delay"]["p50_s"] == 0.015
    assert found["forward_delay"]["error_bound_s"] == 1e-6
    assert found["clock_relation"] == {"method": "same-clock", "offset_s": 0.0}
    assert found["send_error"]["max_s"] == 3e-7
    assert found["jitter_s"] == 0
    assert found["timestamps"] == "kernel"


@given(st.integers(-(10**12), 10**12), st.integers(0, 50 * MS), st.integers(0, 50 * MS))
def test_a_round_trip_is_the_sum_of_its_ways_exactly(ahead_ns: int, forward: int, backward: int) -> None:
    path = Path(forward_ns=forward, backward_ns=backward, ahead_ns=ahead_ns)
    for extra in (0, 5 * MS, 3, 77):
        path.send(extra_ns=extra)
    times = times_of(path.probes)
    assert times.round_trip_ns == [
        there + back for there, back in zip(times.forward_ns, times.backward_ns, strict=True)
    ]
    assert times.round_trip_ns[0] == forward + backward
    # Negative ones are shown as they are: that is the clocks' distance.
    assert times.forward_ns[0] == forward + ahead_ns


@pytest.mark.parametrize("ahead_ns", [-3_000_000_000, -1, 0, 7 * MS, 10**15])
def test_without_agreeing_clocks_the_ways_are_known_within_their_bound(ahead_ns: int) -> None:
    path = Path(ahead_ns=ahead_ns)
    for number in range(500):
        path.send(extra_ns=number % 7 * MS)
    times = times_of(path.probes)
    relation = relate_clocks(times, is_same=False, synchronised_error_s=None)
    assert relation is not None
    assert relation.method == "estimated"
    assert relation.error_bound_s == pytest.approx(0.0125 + 0.0002)
    for due, forward in zip(times.due_mono_ns, times.forward_ns, strict=True):
        assert abs(forward - relation.offset_ns(due) - 13 * MS) <= 3 * MS + relation.error_bound_s * 1e9
    truth_ns = path.forward_ns
    assert abs(times.forward_ns[0] - relation.offset_ns(times.due_mono_ns[0]) - truth_ns) <= 12.7 * MS


def test_the_ways_add_up_to_the_round_trip_also_by_clocks_that_do_not_agree() -> None:
    path = Path(ahead_ns=3_000_000_000)
    for number in range(500):
        path.send(extra_ns=number % 7 * MS)
    found = ping_statistics(path.probes, counts=ReflectorCounts(500), dropped=0, timeout_ns=1000 * MS)
    there, back = found["forward_delay"], found["backward_delay"]
    assert there["avg_s"] + back["avg_s"] == pytest.approx(found["rtt"]["avg_s"], abs=1e-9)
    assert there["min_s"] == pytest.approx(back["min_s"], abs=1e-9)
    assert found["clock_relation"] == {"method": "estimated", "offset_s": pytest.approx(2.9975)}


def test_synchronised_clocks_are_believed_when_they_are_the_better_ones() -> None:
    path = Path(ahead_ns=2 * MS)
    path.send()
    times = times_of(path.probes)
    close = relate_clocks(times, is_same=False, synchronised_error_s=0.005)
    assert close is not None
    assert (close.method, close.error_bound_s, close.offset_ns(times.due_mono_ns[0])) == (
        "synchronised",
        0.005,
        0,
    )
    far = relate_clocks(times, is_same=False, synchronised_error_s=0.5)
    assert far is not None
    assert far.method == "estimated"
    assert relate_clocks(times_of(Probes()), is_same=True, synchronised_error_s=None) is None


def test_a_few_missing_stamps_are_made_up_for_by_the_others() -> None:
    path = Path()
    for number in range(50):
        path.send(kernel=number % 10 != 0)
    assert set(times_of(path.probes).round_trip_ns) == {25 * MS}
    found = ping_statistics(
        path.probes, counts=ReflectorCounts(50, has_stamps=True), dropped=0, timeout_ns=1000 * MS
    )
    assert found["timestamps"] == "kernel"


@pytest.mark.parametrize(
    ("far", "near", "label"), [(True, True, "kernel"), (False, True, "mixed"), (False, False, "user")]
)
def test_where_the_times_come_from_is_said(far: bool, near: bool, label: str) -> None:
    path = Path()
    for _ in range(10):
        path.send(kernel=near)
    assert path.probes.user_arrivals == (0 if near else 10)
    found = ping_statistics(path.probes, counts=ReflectorCounts(10, has_stamps=far), dropped=0, timeout_ns=MS)
    assert found["timestamps"] == label


def test_late_answers_count_as_late_and_stay_in_the_times() -> None:
    path = Path()
    for number in range(10):
        path.send(extra_ns=500 * MS if number == 3 else 0)
    found = ping_statistics(path.probes, counts=ReflectorCounts(10), dropped=0, timeout_ns=100 * MS)
    assert (found["received"], found["late"], found["loss_ratio"]) == (9, 1, 0.1)
    assert found["rtt"]["samples"] == 10
    assert found["rtt"]["max_s"] == 0.525


def test_a_reflector_that_takes_its_time_is_told_from_a_slow_network() -> None:
    path = Path()
    for number in range(10):
        path.there_ns = 450 * MS if number == 3 else 0
        path.send()
    found = ping_statistics(path.probes, counts=ReflectorCounts(10), dropped=0, timeout_ns=400 * MS)
    assert found["rtt"]["max_s"] == 0.025
    assert found["processing"]["max_s"] == pytest.approx(0.45, abs=1e-4)
    assert (found["received"], found["late"]) == (9, 1)


@pytest.mark.parametrize("lie_ns", [-1, -(10**15), 26 * MS + 2 * MS, 10**15])
def test_times_that_cannot_be_make_no_round_trip_shorter(lie_ns: int) -> None:
    path = Path(reply_bias_ns=0)
    path.send(answered=False)
    probes = path.probes
    left = probes.departed_unix_ns[0]
    received, arrived = left + 10 * MS, left + 25 * MS
    assert probes.reply(0, 0, (received, received + lie_ns, arrived), is_kernels=True)
    probes.follow_up(0, received + lie_ns)
    times = times_of(probes)
    assert (times.round_trip_ns, times.processing_ns, probes.impossible) == ([25 * MS], [0], 1)
    assert times.forward_ns[0] + times.backward_ns[0] == 25 * MS


def test_a_peer_that_tells_one_time_for_both_is_believed() -> None:
    path = Path(there_ns=0)
    path.send(kernel=False)
    assert path.probes.impossible == 0


def test_a_follow_up_corrects_what_it_can_and_nothing_else() -> None:
    path = Path()
    path.send(kernel=False)
    probes = path.probes
    replied = probes.replied_unix_ns[0]
    for departed in (replied - 1, replied + 10**12):
        probes.follow_up(0, departed)
        assert probes.reply_departed_unix_ns[0] == 0
    probes.follow_up(0, replied + 15_000)
    assert probes.reply_departed_unix_ns[0] == replied + 15_000


def test_duplicates_and_reordering_are_counted_exactly() -> None:
    path = Path()
    for number in range(8):
        path.send(answered=number not in {2, 5})
    probes = path.probes
    again = (probes.received_unix_ns[1], probes.replied_unix_ns[1], probes.arrived_unix_ns[1] + 99 * MS)
    assert not probes.reply(1, 90, again, is_kernels=True)
    assert probes.reply(2, 8, (NOW_NS, NOW_NS, NOW_NS), is_kernels=True)
    assert probes.reply(5, 9, (NOW_NS, NOW_NS, NOW_NS), is_kernels=True)
    assert not probes.reply(5, 9, (NOW_NS, NOW_NS, NOW_NS), is_kernels=True)
    assert (probes.duplicates, probes.reordered, probes.replied) == (2, 2, 8)
    assert times_of(probes).round_trip_ns[1] == 25 * MS  # the first answer counts


def test_without_the_peers_counts_its_numbers_tell_up_to_its_last_answer() -> None:
    path = Path()
    for number in range(20):
        if number in {3, 4, 5}:  # lost on the way there: the reflector does not number them
            sequence = path.send(answered=False)
            path.numbers -= 1
            assert sequence == number
        else:
            path.send(answered=number not in {7, 18, 19})
    counts, reach = guess_counts(path.probes)
    assert reach == 18
    found = ping_statistics(path.probes, counts=None, dropped=0, timeout_ns=1000 * MS)
    assert (found["forward_lost"], found["backward_lost"], found["unplaced_lost"]) == (3, 1, 2)
    assert (found["received"], found["sent"], counts.received) == (14, 20, 15)


def test_answers_without_numbers_place_no_loss() -> None:
    probes = Probes()
    for number in range(10):
        probes.add(number, number, number)
    for number in (0, 1, 9):
        probes.reply(number, None, (number + 1, number + 1, number + 2), is_kernels=False)
    counts, reach = guess_counts(probes)
    places = account(10, probes.replied, 0, counts=counts, dropped=0, reach=reach)
    assert (places.forward_lost, places.backward_lost, places.unplaced_lost) == (0, 0, 7)


def test_nothing_that_came_back_says_nothing() -> None:
    path = Path()
    for _ in range(5):
        path.send(answered=False)
    found = ping_statistics(path.probes, counts=ReflectorCounts(2), dropped=0, timeout_ns=MS)
    assert (found["forward_lost"], found["backward_lost"]) == (3, 2)
    assert found["forward_delay"] == found["rtt"] | {"error_bound_s": None}
    assert (found["jitter_s"], found["clock_relation"], found["timestamps"]) == (None, None, "none")
    nothing = ping_statistics(Probes(), counts=None, dropped=0, timeout_ns=MS)
    assert (nothing["sent"], nothing["loss_ratio"]) == (0, 0.0)


def test_a_packet_that_was_not_sent_is_forgotten() -> None:
    path = Path()
    path.send()
    path.send(answered=False)
    path.probes.forget_last()
    found = ping_statistics(path.probes, counts=ReflectorCounts(1), dropped=0, timeout_ns=100 * MS)
    assert (found["sent"], found["received"]) == (1, 1)


def test_a_random_history_is_accounted_for_whole() -> None:
    rng = random.Random(7)
    path, arrived_there = Path(), 0
    lost = {"there": 0, "back": 0}
    for _ in range(500):
        fate = rng.random()
        if fate < 0.1:
            lost["there"] += 1
            path.send(answered=False)
        else:
            arrived_there += 1
            lost["back"] += fate < 0.2
            path.send(answered=fate >= 0.2)
    found = ping_statistics(
        path.probes, counts=ReflectorCounts(arrived_there), dropped=0, timeout_ns=100 * MS
    )
    assert (found["forward_lost"], found["backward_lost"]) == (lost["there"], lost["back"])
    assert found["received"] == 500 - lost["there"] - lost["back"]
