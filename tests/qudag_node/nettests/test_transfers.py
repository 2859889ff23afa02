from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from qudag_node.nettests.bandwidth import lost_peer
from qudag_node.nettests.bottleneck import Limit
from qudag_node.nettests.bulk.samples import Samples
from qudag_node.nettests.bulksession import Half, Transfer
from qudag_node.nettests.transfers import Figures, figures_of

TICK_US = 100_000
RATE = 1_000_000  # bytes per second


def receiver(ticks: int = 40, slow: int = 5, **changed: Any) -> Half:
    """Half a second of slow start, then a steady rate."""
    samples, count = Samples(), 0
    for tick in range(ticks + 1):
        samples.add(
            {"t_us": tick * TICK_US, "bytes": count, "cpu_us": tick * 5_000, "pressed_us": tick * 10_000}
        )
        count += RATE // 10 // (5 if tick < slow else 1)
    return Half(samples, **changed)


def sender(ticks: int = 40, **changed: Any) -> Half:
    samples = Samples()
    for tick in range(ticks + 1):
        samples.add(
            {
                "t_us": tick * TICK_US,
                "bytes": tick * RATE // 10,
                "cpu_us": tick * 20_000,
                "pressed_us": tick * 30_000,
                "held_us": 0,
                "retransmits": tick,
                "sent_bytes": tick * RATE // 8,
                "resent_bytes": tick * 100,
                "rtt_us": 20_000,
                "min_rtt_us": 1_000,
                "cwnd_bytes": 20_000,
                "window_bytes": 1_000_000,
                "delivery_bytes_per_s": RATE,
                "busy_us": tick * TICK_US,
                "rwnd_limited_us": 0,
                "sndbuf_limited_us": 0,
            }
        )
    return Half(samples, congestion_control="cubic", **changed)


def figures(
    own: Half | None, other: Half | None, *, way: str = "forward", protocol: str = "tcp", **changed: Any
) -> Figures:
    halves = (own, other) if way == "forward" else (other, own)
    transfer = Transfer(way=way, sender=halves[0], receiver=halves[1], cap_bits_per_s=1e9)
    given: dict[str, Any] = {"duration_s": 4.0, "omit_s": None, **changed}
    return figures_of(transfer, protocol=protocol, **given)


def test_what_arrived_while_it_was_steady_is_the_goodput() -> None:
    found = figures(sender(), receiver())
    assert found.goodput_bits_per_s == pytest.approx(RATE * 8, rel=0.05)
    assert 0 < found.begin_s <= 0.6
    assert found.end_s == 4.0
    document = found.document
    assert document["steady"]
    assert document["retransmits"] == 40 - round(found.begin_s * 10)
    assert document["congestion_control"] == "cubic"
    assert (document["cpu"]["local_ratio"], document["cpu"]["remote_ratio"]) == pytest.approx((0.2, 0.05))
    assert found.bottleneck.limit is Limit.PATH
    assert found.errors == ()
    assert (found.sent_bytes, found.resent_bytes) == (5_000_000, 4_000)


def test_in_reverse_the_peer_is_the_sender() -> None:
    document = figures(receiver(), sender(), way="reverse").document
    assert (document["cpu"]["local_ratio"], document["cpu"]["remote_ratio"]) == pytest.approx((0.05, 0.2))
    assert {each["direction"] for each in document["intervals"]} == {"reverse"}


def pressed(half: Half, *, ratio: float, begin: int = 0, end: int = 99, **columns: float) -> Half:
    """A half whose thread wants a core so much between two ticks."""
    samples = half.samples
    names = {"pressed_us": ratio, **columns}
    made = {name: samples.column(name) for name in samples.at(0)}
    for name, share in names.items():
        made[name] = [int(max(0, min(tick, end) - begin) * TICK_US * share) for tick in range(len(samples))]
    return replace(half, samples=Samples(made))


def test_only_what_happened_while_it_was_steady_is_evidence() -> None:
    at_first = pressed(sender(), ratio=1.0, end=4, rwnd_limited_us=1.0)
    assert figures(at_first, receiver(), omit_s=1.0).bottleneck.limit is Limit.PATH
    afterwards = pressed(sender(), ratio=0.1, begin=10, rwnd_limited_us=0.9)
    assert figures(afterwards, receiver(), omit_s=1.0).bottleneck.limit is Limit.RECEIVER_WINDOW


@pytest.mark.parametrize(
    ("way", "who", "limit"),
    [
        ("forward", "sender", Limit.LOCAL_CPU),
        ("forward", "receiver", Limit.REMOTE_CPU),
        ("reverse", "sender", Limit.REMOTE_CPU),
        ("reverse", "receiver", Limit.LOCAL_CPU),
    ],
)
def test_whose_processor_is_the_limit(way: str, who: str, limit: Limit) -> None:
    sending, receiving = sender(), receiver()
    if who == "sender":
        sending = pressed(sending, ratio=1.0)
    else:
        sending = pressed(sending, ratio=0.1, rwnd_limited_us=0.9)
        receiving = pressed(receiving, ratio=1.0)
    own, other = (sending, receiving) if way == "forward" else (receiving, sending)
    assert figures(own, other, way=way).bottleneck.limit is limit


def test_intervals_cover_the_test_once_and_say_what_was_left_out() -> None:
    found = figures(sender(), receiver())
    intervals = found.document["intervals"]
    assert intervals[0]["start_s"] == 0
    assert intervals[-1]["end_s"] == 4.0
    for before, after in itertools.pairwise(intervals):
        assert before["end_s"] == after["start_s"]
    assert [each["omitted"] for each in intervals] == sorted(
        (each["omitted"] for each in intervals), reverse=True
    )
    kept = [each for each in intervals if not each["omitted"]]
    assert kept[0]["start_s"] == found.begin_s
    moved = sum(each["bits_per_s"] * (each["end_s"] - each["start_s"]) for each in kept)
    assert moved / (4.0 - found.begin_s) == pytest.approx(found.goodput_bits_per_s)
    assert sum(each["retransmits"] for each in intervals) == 40
    assert sum(each["retransmits"] for each in kept) == found.document["retransmits"] < 40
    assert any(f"{found.document['retransmits']} retransmits (" in line for line in found.bottleneck.evidence)
    assert all(each["rtt_s"] == pytest.approx(0.02) for each in intervals)
    assert all(each["cwnd_bytes"] == 20_000 for each in intervals)
    assert all(each["delivery_bits_per_s"] == RATE * 8 for each in intervals)


def test_what_comes_after_the_end_does_not_count() -> None:
    found = figures(sender(), receiver(ticks=60), duration_s=4.05)
    assert found.end_s == 4.0


def test_the_time_before_the_first_byte_does_not_count() -> None:
    half = receiver(slow=0)
    late = Samples(
        {
            name: [0] * 10 + half.samples.column(name)
            if name == "bytes"
            else [n * TICK_US for n in range(51)]
            if name == "t_us"
            else [0] * 51
            for name in ("t_us", "bytes", "cpu_us", "pressed_us")
        }
    )
    found = figures(sender(), Half(late), duration_s=5.0, omit_s=0.0)
    assert found.goodput_bits_per_s == pytest.approx(RATE * 8)


def test_without_the_peer_s_count_what_was_acknowledged_counts_and_is_said_to() -> None:
    found = figures(sender(), Half(Samples(), why_early="the peer's counts are missing: it is gone"))
    assert found.goodput_bits_per_s == pytest.approx(RATE * 8)
    assert found.errors == (
        "forward, the receiver: the peer's counts are missing: it is gone",
        "forward: what arrived is what the peer's kernel acknowledged, not its own count",
    )
    assert found.document["cpu"]["remote_ratio"] is None


def test_a_test_that_was_to_end_early_has_no_errors_but_missing_counts() -> None:
    early = receiver(why_early="ended after 4.0 s: the other end closed the connection")
    assert figures(sender(), early, is_stopped=True).errors == ()
    assert len(figures(sender(), early).errors) == 1
    missing = Half(Samples(), why_early="the peer's counts are missing: no answer")
    assert len(figures(sender(), missing, is_stopped=True).errors) == 2


def udp(received: int, dropped: int, sent: int = 1000) -> dict[str, Any]:
    counts = {
        "received": received,
        "receiver_dropped": dropped,
        "duplicates": 1,
        "reordered": 2,
        "jitter_ns": 50_000,
    }
    half = receiver(slow=0)
    return figures(
        Half(receiver().samples, packets=sent), Half(half.samples, counts=counts), protocol="udp"
    ).document


def test_what_the_receiver_had_no_room_for_is_no_loss_of_the_path() -> None:
    found = udp(900, 60)
    assert (found["sent"], found["received"], found["lost"], found["receiver_dropped"]) == (1000, 900, 40, 60)
    assert found["loss_ratio"] == 0.04
    assert (found["duplicates"], found["reordered"], found["jitter_s"]) == (1, 2, 50e-6)
    assert found["retransmits"] is None


@pytest.mark.parametrize(("received", "dropped"), [(1000, 0), (0, 0), (990, 50), (1200, 0), (0, 5000)])
def test_whatever_a_peer_says_the_fates_add_up(received: int, dropped: int) -> None:
    found = udp(received, dropped)
    assert found["lost"] >= 0
    assert 0 <= found["loss_ratio"] <= 1
    assert found["received"] + found["lost"] + found["receiver_dropped"] == max(1000, received)


def test_udp_without_the_peer_s_count_knows_nothing_of_what_arrived() -> None:
    found = figures(Half(receiver().samples, packets=1000), Half(Samples(), why_early="gone"), protocol="udp")
    assert found.goodput_bits_per_s is None
    assert (found.document["sent"], found.document["received"], found.document["lost"]) == (1000, None, None)
    assert found.document["loss_ratio"] is None


def test_nothing_at_all() -> None:
    for protocol in ("tcp", "udp"):
        found = figures(None, None, protocol=protocol)
        assert found.goodput_bits_per_s is None
        assert found.document["intervals"] == []
        assert not found.document["steady"]


def test_columns_that_a_peer_left_out_are_none() -> None:
    strange = Half(Samples({"t_us": [0, 1_000_000, 4_000_000], "bytes": [0, 5, 9], "retransmits": [0, 1, 2]}))
    found = figures(receiver(), strange, way="reverse")
    assert found.document["retransmits"] == 1
    assert found.goodput_bits_per_s is not None


def test_what_the_goodput_takes_of_the_link_counts_the_headers() -> None:
    found = figures(sender(header_ratio=1500 / 1448), receiver())
    assert found.goodput_bits_per_s is not None
    assert found.link_bits_per_s == pytest.approx(found.goodput_bits_per_s * 1500 / 1448)
    assert found.document["link_bits_per_s"] == found.link_bits_per_s
    assert figures(sender(), receiver()).link_bits_per_s is None


def test_a_rate_that_climbs_to_the_end_has_no_limit_yet() -> None:
    """A link with delay and some loss, and five seconds of a congestion control that still searches."""
    samples, count = Samples(), 0
    for tick in range(51):
        samples.add({"t_us": tick * TICK_US, "bytes": count, "cpu_us": 0, "pressed_us": 0})
        count += 50_000 * tick
    sending = sender(ticks=50)
    columns = {name: sending.samples.column(name) for name in sending.samples.at(0)}
    columns |= {"rtt_us": [50_900] * 51, "min_rtt_us": [50_000] * 51, "delivery_bytes_per_s": [10**8] * 51}
    for ratio in (0.0, 0.6):
        columns["sndbuf_limited_us"] = [int(tick * TICK_US * ratio) for tick in range(51)]
        found = figures(replace(sending, samples=Samples(columns)), Half(samples), duration_s=5.0)
        assert not found.document["steady"]
        assert found.document["bottleneck"]["verdict"] == "unknown"
        assert "still rising; run longer" in found.document["bottleneck"]["text"]


def gone(half: Half) -> Half:
    return replace(half, samples=Samples(), why_early="the peer's counts are missing: gone", is_gone=True)


@pytest.mark.parametrize("way", ["forward", "reverse"])
def test_the_silence_after_a_peer_went_away_does_not_count(way: str) -> None:
    own = (sender if way == "forward" else receiver)()
    columns = {name: own.samples.column(name) for name in own.samples.at(0)}
    # It moves for two seconds, of four.
    columns["bytes"] = [min(count, columns["bytes"][20]) for count in columns["bytes"]]
    found = figures(replace(own, samples=Samples(columns)), gone(own), way=way)
    assert (found.has_lost_peer, found.is_short, found.end_s) == (True, True, 2.0)
    assert found.goodput_bits_per_s == pytest.approx(RATE * 8, rel=0.05)
    assert lost_peer({way: found}).startswith("went away after 2.0 s; until then ")


def test_who_answers_no_more_at_the_end_did_not_go_away_before() -> None:
    found = figures(sender(), gone(receiver()))
    assert (found.has_lost_peer, found.is_short) == (True, False)
    assert lost_peer({"forward": found}).startswith("answers no more; until then 8")
    assert not figures(sender(), gone(receiver()), is_stopped=True).has_lost_peer
    assert not figures(sender(), receiver()).has_lost_peer


def test_of_packets_to_a_peer_that_went_away_nothing_is_known() -> None:
    found = figures(Half(receiver().samples, packets=1000), gone(receiver()), protocol="udp")
    assert lost_peer({"forward": found}).endswith("is not known")
