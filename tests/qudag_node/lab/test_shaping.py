from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.lab.impairment import CLEAN, Impairment
from qudag_node.lab.shaping import MAX_IN_FLIGHT_BYTES, Jitter, Lateness, LinkDirection
from tests.qudag_node.lab.test_impairment import IMPAIRMENTS


def test_a_clean_link_passes_at_once() -> None:
    direction = LinkDirection()
    assert direction.offer(5.0, 100) == 5.0


def test_delay_is_added_to_every_packet() -> None:
    direction = LinkDirection(Impairment(delay_s=0.020))
    assert [direction.offer(at_s, 100) for at_s in (1.0, 1.5)] == [pytest.approx(1.020), pytest.approx(1.520)]


def test_a_rate_serialises_packets_one_behind_the_other() -> None:
    direction = LinkDirection(Impairment(rate_bits_per_s=8000, delay_s=1.0))
    assert [direction.offer(0.0, 500) for _ in range(3)] == pytest.approx([1.5, 2.0, 2.5])
    assert direction.waiting_bytes(0.0) == pytest.approx(1500)
    assert direction.waiting_bytes(1.0) == pytest.approx(500)


def test_a_full_queue_drops_and_counts() -> None:
    direction = LinkDirection(Impairment(rate_bits_per_s=8000, queue_bytes=1000))
    due = [direction.offer(0.0, 500) for _ in range(4)]
    assert [at_s is None for at_s in due] == [False, False, True, True]
    assert (direction.counters.dropped_queue, direction.counters.dropped_queue_bytes) == (2, 1000)
    assert direction.offer(0.5, 500) is not None


def test_an_idle_link_takes_one_packet_whatever_its_queue() -> None:
    direction = LinkDirection(Impairment(rate_bits_per_s=8000, queue_bytes=0))
    assert direction.offer(0.0, 500) == pytest.approx(0.5)
    assert direction.offer(0.1, 500) is None
    assert direction.offer(0.5, 500) == pytest.approx(1.0)


def test_an_outage_drops_everything_until_it_ends() -> None:
    direction = LinkDirection(Impairment(outage=True))
    assert direction.offer(0.0, 100) is None
    direction.change(CLEAN, 1.0)
    assert direction.offer(1.0, 100) == 1.0
    assert direction.counters.dropped_outage == 1


def test_what_is_on_its_way_when_an_outage_begins_arrives() -> None:
    direction = LinkDirection(Impairment(delay_s=1.0))
    due_s = direction.offer(0.0, 100)
    assert due_s is not None
    direction.change(Impairment(outage=True), 0.5)
    direction.deliver(due_s, due_s, 100)
    assert direction.counters.delivered == 1


def test_the_share_of_lost_packets_is_the_one_asked_for() -> None:
    direction = LinkDirection(Impairment(loss_ratio=0.03), seed=1)
    lost = sum(direction.offer(float(at_s), 100) is None for at_s in range(10_000))
    assert lost == direction.counters.dropped_loss
    assert 240 <= lost <= 360


def test_which_packets_are_lost_depends_on_the_seed_alone() -> None:
    def lost(seed: int, impairment: Impairment) -> list[int]:
        direction = LinkDirection(impairment, seed=seed)
        return [n for n in range(300) if direction.offer(float(n), 100) is None]

    plain = Impairment(loss_ratio=0.1)
    shaken = Impairment(loss_ratio=0.1, delay_s=0.05, jitter_s=0.02)
    assert lost(1, plain) == lost(1, shaken)
    assert lost(1, plain) != lost(2, plain)


def test_jitter_stays_within_its_bounds_and_varies_both_ways() -> None:
    direction = LinkDirection(Impairment(delay_s=0.1, jitter_s=0.01))
    delays = [(direction.offer(float(n), 100) or 0.0) - n for n in range(500)]
    assert 0.0899 <= min(delays) < 0.091
    assert 0.109 < max(delays) <= 0.1101


def test_jitter_keeps_the_order_unless_asked() -> None:
    def due(reorder: bool) -> list[float]:
        direction = LinkDirection(Impairment(delay_s=0.1, jitter_s=0.05, reorder=reorder))
        return [direction.offer(n / 1000, 100) or 0.0 for n in range(200)]

    assert due(reorder=False) == sorted(due(reorder=False))
    assert due(reorder=True) != sorted(due(reorder=True))


@pytest.mark.parametrize("packets_per_s", [10, 200, 5000])
def test_jitter_adds_nothing_to_the_mean_however_dense_the_packets_are(packets_per_s: int) -> None:
    direction = LinkDirection(Impairment(delay_s=0.020, jitter_s=0.002), seed=1)
    at_s = [n / packets_per_s for n in range(40_000)]
    delays = sorted((direction.offer(sent_s, 100) or 0.0) - sent_s for sent_s in at_s)
    assert sum(delays) / len(delays) == pytest.approx(0.020, rel=0.005)
    assert [delays[int(len(delays) * share)] for share in (0.05, 0.5, 0.95)] == pytest.approx(
        [0.0182, 0.0200, 0.0218], rel=0.01
    )


def test_packets_far_apart_vary_independently() -> None:
    jitter = Jitter("seed")
    offsets = [jitter.offset_s(float(n), 0.002, reorder=False) for n in range(5000)]
    product = sum(a * b for a, b in pairwise(offsets)) / len(offsets)
    assert abs(product) < 0.05 * sum(a * a for a in offsets) / len(offsets)


@given(
    gaps_s=st.lists(st.floats(0, 0.02), min_size=2, max_size=60),
    jitters_s=st.lists(st.floats(1e-6, 0.01), min_size=1, max_size=3),
)
def test_the_jitter_is_within_its_bounds_and_of_limited_slope(
    gaps_s: list[float], jitters_s: list[float]
) -> None:
    jitter, now_s, before_s = Jitter(0), 0.0, None
    for number, gap_s in enumerate(gaps_s):
        now_s += gap_s
        jitter_s = jitters_s[number * len(jitters_s) // len(gaps_s)]
        offset_s = jitter.offset_s(now_s, jitter_s, reorder=False)
        assert abs(offset_s) <= jitter_s
        if before_s is not None and len(jitters_s) == 1:
            assert offset_s - before_s >= -gap_s - 1e-12
        before_s = offset_s


def test_a_change_of_rate_goes_on_with_what_waits() -> None:
    direction = LinkDirection(Impairment(rate_bits_per_s=8000))
    direction.offer(0.0, 1000)
    direction.change(Impairment(rate_bits_per_s=16000), 0.5)
    assert direction.waiting_bytes(0.5) == pytest.approx(500)
    assert direction.offer(0.5, 1000) == pytest.approx(1.25)


def test_after_healing_nothing_overtakes_what_is_still_on_its_way() -> None:
    direction = LinkDirection(Impairment(delay_s=1.0))
    direction.offer(0.0, 100)
    direction.change(CLEAN, 0.5)
    assert direction.offer(0.5, 100) == 1.0
    assert direction.offer(1.5, 100) == 1.5


def test_what_one_direction_holds_is_bounded() -> None:
    direction = LinkDirection(Impairment(delay_s=30.0))
    accepted = sum(direction.offer(0.0, 65_536) is not None for _ in range(1000))
    assert accepted == MAX_IN_FLIGHT_BYTES // 65_536
    assert direction.counters.dropped_queue == 1000 - accepted


def test_a_stream_is_delayed_but_never_dropped() -> None:
    direction = LinkDirection(Impairment(loss_ratio=1.0, outage=True, delay_s=0.5))
    assert direction.offer_stream(0.0, 100) == pytest.approx(0.5)


@given(
    impairments=st.lists(IMPAIRMENTS, min_size=1, max_size=4),
    sizes=st.lists(st.integers(20, 1500), max_size=60),
    seed=st.integers(),
    pace_s=st.floats(0, 0.01),
)
def test_sent_is_delivered_plus_dropped_plus_in_flight(
    impairments: list[Impairment], sizes: list[int], seed: int, pace_s: float
) -> None:
    direction = LinkDirection(seed=seed)
    waiting: list[tuple[float, int]] = []
    for index, size in enumerate(sizes):
        now_s = index * pace_s
        direction.change(impairments[index % len(impairments)], now_s)
        due_s = direction.offer(now_s, size)
        if due_s is not None:
            assert due_s >= now_s
            waiting.append((due_s, size))
        assert direction.counters.in_flight == len(waiting)
        assert direction.counters.in_flight_bytes == sum(size for _, size in waiting)
    for due_s, size in waiting:
        direction.deliver(due_s, due_s, size)
    truth = direction.counters.to_json()
    assert truth["in_flight"] == truth["in_flight_bytes"] == 0
    assert truth["sent"] == len(sizes)
    assert truth["sent_bytes"] == sum(sizes)


@pytest.mark.parametrize(
    ("impairment", "counter"),
    [
        (Impairment(loss_ratio=1.0), "dropped_loss"),
        (Impairment(outage=True), "dropped_outage"),
        (Impairment(rate_bits_per_s=800, queue_bytes=0), "dropped_queue"),
    ],
    ids=["loss", "outage", "queue"],
)
def test_udp_is_counted_with_all_and_on_its_own(impairment: Impairment, counter: str) -> None:
    direction = LinkDirection(impairment)
    taken = [direction.offer(0.0, 100, is_udp=number % 3 == 0) for number in range(9)]
    dropped = sum(due_s is None for due_s in taken)
    dropped_udp = sum(due_s is None for due_s in taken[::3])
    assert (direction.counters.sent, direction.udp.sent, direction.udp.sent_bytes) == (9, 3, 300)
    assert (getattr(direction.counters, counter), getattr(direction.udp, counter)) == (dropped, dropped_udp)
    assert dropped > dropped_udp > 0


def test_udp_that_arrived_or_was_refused_is_no_longer_in_flight() -> None:
    direction = LinkDirection()
    for number in range(4):
        direction.offer(0.0, 100, is_udp=number < 2)
    assert (direction.counters.in_flight, direction.udp.in_flight) == (4, 2)
    direction.deliver(0.0, 0.0, 100, is_udp=True)
    direction.refused(100, is_udp=True)
    direction.refused(100)
    assert (direction.udp.delivered, direction.udp.dropped_host) == (1, 1)
    assert (direction.counters.in_flight, direction.udp.in_flight) == (1, 0)


@given(values_ns=st.lists(st.integers(0, 10**10), min_size=1))
def test_percentiles_of_the_lateness_are_right_to_three_percent(values_ns: list[int]) -> None:
    lateness = Lateness()
    for value_ns in values_ns:
        lateness.record(value_ns / 1e9)
    ordered = sorted(values_ns)
    for ratio in (0.5, 0.99, 1.0):
        rank = max(1, -int(-ratio * len(ordered) // 1))
        assert lateness.percentile_s(ratio) == pytest.approx(ordered[rank - 1] / 1e9, rel=0.035, abs=2e-9)


def test_lateness_without_packets_is_unknown() -> None:
    assert Lateness().to_json() == {"samples": 0, "avg_s": None, "p50_s": None, "p99_s": None, "max_s": None}
