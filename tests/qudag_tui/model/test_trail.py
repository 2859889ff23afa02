from __future__ import annotations

from array import array
from dataclasses import replace
from math import nan

from qudag_tui.model.peers import Peers
from qudag_tui.model.sample import Bandwidth, Node, Rates, Sample
from qudag_tui.model.trail import MAX_POINTS, MAX_TRACKS, Past, Point, Trail, Window, resample


def sample(at: float, received: float | None = 1.0, peers: Peers | None = None) -> Sample:
    return Sample(
        node=Node(sampled_unix_s=at),
        bandwidth=Bandwidth(received_rate=Rates(per_s_1=received)),
        peers=peers or Peers(),
    )


def trail_of(*samples: Sample, interval_s: float = 1.0) -> Trail:
    trail = Trail()
    for one in samples:
        trail = trail.with_sample(one, interval_s)
    return trail


def received(trail: Trail, count: int, step_s: float = 1.0) -> list[float | None]:
    return resample(trail.points, "received_bytes_per_s", count, step_s)


def test_the_newest_value_is_at_the_right() -> None:
    trail = trail_of(sample(10, 1.0), sample(11, 2.0), sample(12, None))
    assert received(trail, 4) == [None, 1.0, 2.0, None]


def test_a_silence_is_a_gap_not_a_line() -> None:
    trail = trail_of(sample(10, 1.0), sample(14, 5.0))
    assert received(trail, 6) == [None, 1.0, None, None, None, 5.0]


def test_slow_samples_hold_their_value_over_their_interval() -> None:
    trail = trail_of(sample(10, 1.0), sample(15, 2.0), interval_s=5.0)
    assert received(trail, 7) == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0] or received(trail, 7)[-1] == 2.0
    assert received(trail, 3, 5.0) == [None, 1.0, 2.0]


def test_samples_that_are_a_little_early_keep_their_place() -> None:
    trail = trail_of(sample(10.0, 1.0), sample(10.97, 2.0), sample(12.02, 3.0))
    assert received(trail, 3) == [1.0, 2.0, 3.0]


def test_no_samples_are_all_gap() -> None:
    assert received(Trail(), 3) == [None, None, None]


def test_the_same_sample_twice_is_one_point() -> None:
    assert len(trail_of(sample(10), sample(10)).points) == 1


def test_a_clock_set_back_begins_anew() -> None:
    assert [point.at_unix_s for point in trail_of(sample(10), sample(11), sample(5)).points] == [5]


def test_both_memories_are_bounded() -> None:
    trail = Trail()
    for at in range(MAX_POINTS + 50):
        trail = trail.with_sample(sample(at + 1), 1.0)
    assert len(trail.points) == MAX_POINTS
    assert len(trail.tracks) == MAX_TRACKS


def test_what_the_node_remembers_fills_the_time_before() -> None:
    past = [
        Point(at_unix_s=at, interval_s=1.0, received_bytes_per_s=9.0, sent_bytes_per_s=None)
        for at in (8.5, 9.5, 10.5)
    ]
    trail = trail_of(sample(10, 1.0), sample(11, 2.0)).with_past(past)
    assert received(trail, 4) == [9.0, 9.0, 1.0, 2.0]


def peers(*rows: tuple[str, float, int]) -> Peers:
    return Peers(
        tuple(name for name, _, _ in rows),
        None,
        {
            "rtt_last_s": array("d", [rtt for _, rtt, _ in rows]),
            "probes_lost": array("I", [lost for _, _, lost in rows]),
            "sent_bytes_per_s": array("d", [100.0 for _ in rows]),
        },
    )


def test_a_peer_keeps_its_history_when_its_row_moves() -> None:
    trail = trail_of(
        sample(1, peers=peers(("a", 1.0, 0), ("b", 2.0, 0))),
        sample(2, peers=peers(("b", 2.5, 1))),
        sample(3, peers=peers(("b", nan, 1), ("c", 7.0, 0))),
    )
    window = Window(trail.tracks, 5)
    assert window.past("b") == Past([2.0, 2.5, None], [100.0] * 3, [0, 1, 0])
    assert window.past("c") == Past([None, None, 7.0], [None, None, 100.0], [0, 0, 0])
    assert Window(trail.tracks, 1).past("b") == Past([None], [100.0], [0])
    assert len(Window(trail.tracks, 2).past("nobody")) == 2


def test_a_silence_breaks_a_peers_history() -> None:
    trail = trail_of(sample(1, peers=peers(("a", 1.0, 0))), sample(9, peers=peers(("a", 1.0, 4))))
    assert Window(trail.tracks, 5).past("a") == Past([1.0, None, 1.0], [100.0, None, 100.0], [0, 0, 4])


def test_a_counter_that_went_back_lost_nothing() -> None:
    trail = trail_of(sample(1, peers=peers(("a", 1.0, 7))), sample(2, peers=peers(("a", 1.0, 0))))
    assert Window(trail.tracks, 5).past("a").lost == [0, 0]


def test_many_peers_are_remembered_for_a_shorter_time() -> None:
    many = Peers(tuple(str(n) for n in range(20_000)))
    trail = Trail()
    for at in range(1, 60):
        trail = trail.with_sample(replace(sample(at), peers=many), 1.0)
    assert len(trail.tracks) == 24
