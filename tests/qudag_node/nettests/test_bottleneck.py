from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qudag_node.nettests.bottleneck import End, Limit, Sender, bottleneck

HERE = End(pressed_ratio=0.1, cpu_ratio=0.1, held_ratio=0.0, is_local=True)
THERE = replace(HERE, is_local=False)
#: A full queue before a slow link.
QUEUED = Sender(
    busy_ratio=1.0,
    rwnd_limited_ratio=0.0,
    sndbuf_limited_ratio=0.0,
    resent_ratio=0.002,
    retransmits=12,
    rtt_us=31_000,
    min_rtt_us=200,
    cwnd_bytes=60_000,
    window_bytes=7_000_000,
    delivery_bits_per_s=10e6,
)


def verdict(
    sender: Sender | None = QUEUED,
    *,
    sending: End = HERE,
    receiving: End = THERE,
    goodput: float = 10e6,
    cap: float | None = None,
    lost: float = 0.0,
    offered: bool = True,
    overflowed: bool = False,
    steady: bool = True,
    rising: bool = False,
) -> Limit:
    found = bottleneck(
        goodput_bits_per_s=goodput,
        cap_bits_per_s=cap,
        sending=sending,
        receiving=receiving,
        sender=sender,
        lost_ratio=lost,
        is_offered=offered,
        has_overflowed=overflowed,
        is_steady=steady,
        is_rising=rising,
    )
    assert ("still rising" in found.text) <= (rising and found.limit is Limit.UNKNOWN)
    assert found.document()["verdict"] == found.limit.value
    assert found.text
    assert all(found.evidence)
    return found.limit


def test_a_queue_is_the_link() -> None:
    assert verdict() is Limit.PATH


def test_the_cap_explains_itself() -> None:
    assert verdict(goodput=98e6, cap=100e6) is Limit.CAP
    assert verdict(goodput=93e6, cap=100e6, sending=replace(HERE, held_ratio=0.5)) is Limit.CAP
    assert verdict(goodput=93e6, cap=100e6, receiving=replace(THERE, held_ratio=0.5)) is Limit.CAP
    assert verdict(goodput=93e6, cap=100e6) is Limit.PATH
    assert verdict(goodput=50e6, cap=100e6, sending=replace(HERE, held_ratio=0.5)) is Limit.PATH


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"rwnd_limited_ratio": 0.8}, Limit.RECEIVER_WINDOW),
        ({"sndbuf_limited_ratio": 0.8}, Limit.SEND_BUFFER),
        ({"rwnd_limited_ratio": 0.4, "sndbuf_limited_ratio": 0.5}, Limit.SEND_BUFFER),
        ({"busy_ratio": 0.2}, Limit.UNKNOWN),
        (
            {"rtt_us": 210, "resent_ratio": 0.02, "cwnd_bytes": 20_000, "delivery_bits_per_s": 760e6},
            Limit.LOSS,
        ),
        # A congestion control that paces below its window has found the link's rate without a queue.
        (
            {"rtt_us": 210, "resent_ratio": 0.02, "cwnd_bytes": 60_000, "delivery_bits_per_s": 10e6},
            Limit.PATH,
        ),
        ({"rtt_us": 210, "resent_ratio": 0.0}, Limit.PATH),
    ],
)
def test_what_the_kernel_waited_for(change: dict[str, Any], limit: Limit) -> None:
    assert verdict(replace(QUEUED, **change)) is limit


def test_a_process_that_wants_a_core_is_the_limit_before_what_follows_from_it() -> None:
    waiting = replace(QUEUED, rwnd_limited_ratio=0.9)
    assert verdict(waiting, receiving=replace(THERE, pressed_ratio=0.95)) is Limit.REMOTE_CPU
    assert verdict(sending=replace(HERE, pressed_ratio=0.99)) is Limit.LOCAL_CPU
    assert verdict(sending=replace(THERE, pressed_ratio=0.99), receiving=HERE) is Limit.REMOTE_CPU
    assert verdict(waiting, receiving=replace(THERE, pressed_ratio=None)) is Limit.RECEIVER_WINDOW


def test_a_receiver_that_only_looks_busy_is_not_the_limit_of_a_full_queue() -> None:
    busy = replace(THERE, pressed_ratio=0.95)
    assert verdict(receiving=busy) is Limit.PATH
    assert verdict(replace(QUEUED, rtt_us=210), receiving=busy) is Limit.REMOTE_CPU


def test_udp_has_loss_only() -> None:
    assert verdict(None, lost=0.3) is Limit.PATH
    assert verdict(None) is Limit.UNKNOWN


def test_udp_names_a_process_only_where_that_could_not_keep_up() -> None:
    here, there = replace(HERE, pressed_ratio=0.95), replace(THERE, pressed_ratio=0.95)
    assert verdict(None, sending=here, receiving=there, lost=0.3) is Limit.PATH
    assert verdict(None, sending=here, lost=0.3, offered=False) is Limit.LOCAL_CPU
    assert verdict(None, receiving=there, overflowed=True) is Limit.REMOTE_CPU


def test_the_evidence_is_in_figures() -> None:
    found = bottleneck(
        goodput_bits_per_s=9.56e6, cap_bits_per_s=1e9, sending=HERE, receiving=THERE, sender=QUEUED
    )
    assert found.evidence == (
        "9.56 Mbit/s of the 1 Gbit/s that were agreed",
        "the receiver's busiest thread on the other host wanted a core 10% of the time",
        "the sender's busiest thread on this host wanted a core 10% of the time",
        "waiting for the receiver's window 0% of the time, for the send buffer 0%",
        "congestion window 59 KiB, receiver's window 6.7 MiB",
        "RTT 31.00 ms loaded, 0.20 ms at least; 12 retransmits (0.20% of the bytes)",
    )


@pytest.mark.parametrize("change", [{}, {"sndbuf_limited_ratio": 0.8}, {"rwnd_limited_ratio": 0.8}])
def test_while_the_rate_rises_nothing_that_tcp_waits_for_is_the_limit(change: dict[str, Any]) -> None:
    rising = replace(QUEUED, rtt_us=50_900, min_rtt_us=50_000, **change)
    found = bottleneck(
        goodput_bits_per_s=180e6,
        cap_bits_per_s=1e9,
        sending=HERE,
        receiving=THERE,
        sender=rising,
        is_steady=False,
        is_rising=True,
    )
    assert found.limit is Limit.UNKNOWN
    assert found.text == "the limit is unknown: the rate was still rising; run longer"
    assert found.document()["text"] == found.text
    # What the processes and the cap say holds all the same.
    assert verdict(rising, steady=False, rising=True, cap=10e6) is Limit.CAP
    assert verdict(rising, steady=False, rising=True, sending=replace(HERE, pressed_ratio=0.99)) is (
        Limit.LOCAL_CPU
    )


def test_a_rate_that_has_not_come_to_rest_is_the_link_s_only_where_a_queue_is() -> None:
    empty = replace(QUEUED, rtt_us=210)
    assert verdict(steady=False) is Limit.PATH
    assert verdict(replace(empty, resent_ratio=0.0)) is Limit.PATH
    assert verdict(replace(empty, resent_ratio=0.0), steady=False) is Limit.UNKNOWN
    lossy = replace(empty, resent_ratio=0.02, cwnd_bytes=20_000, delivery_bits_per_s=760e6)
    assert verdict(lossy, steady=False) is Limit.LOSS
    assert verdict(lossy, steady=False, rising=True) is Limit.UNKNOWN


#: Loss without a queue, and a window that is full.
LOSSY = replace(QUEUED, rtt_us=210, resent_ratio=0.02, cwnd_bytes=20_000, delivery_bits_per_s=760e6)
WINDOW_BITS_PER_S = 20_000 * 8e6 / 210


@pytest.mark.parametrize(
    ("case", "below", "above"),
    [
        # Each pair stands right beside one limit.
        ({"cap": 100e6}, {"goodput": 96.9e6}, {"goodput": 97.1e6}),
        (
            {"cap": 100e6, "goodput": 93e6},
            {"sending": replace(HERE, held_ratio=0.09)},
            {"sending": replace(HERE, held_ratio=0.11)},
        ),
        (
            {"cap": 100e6, "sending": replace(HERE, held_ratio=0.5)},
            {"goodput": 89.9e6},
            {"goodput": 90.1e6},
        ),
    ],
)
def test_from_where_on_the_cap_is_the_limit(
    case: dict[str, Any], below: dict[str, Any], above: dict[str, Any]
) -> None:
    assert verdict(**case, **below) is Limit.PATH
    assert verdict(**case, **above) is Limit.CAP


@pytest.mark.parametrize(
    ("sender", "below", "above", "limits"),
    [
        (QUEUED, {"rwnd_limited_ratio": 0.24}, {"rwnd_limited_ratio": 0.26}, "path receiver_window"),
        (QUEUED, {"sndbuf_limited_ratio": 0.24}, {"sndbuf_limited_ratio": 0.26}, "path send_buffer"),
        (QUEUED, {"busy_ratio": 0.49}, {"busy_ratio": 0.51}, "unknown path"),
        (LOSSY, {"resent_ratio": 0.0009}, {"resent_ratio": 0.0011}, "path loss"),
        # A queue: half a millisecond, on a long path half of its delay.
        (LOSSY, {"rtt_us": 690}, {"rtt_us": 710}, "loss path"),
        (
            LOSSY,
            {"min_rtt_us": 10_000, "rtt_us": 14_900},
            {"min_rtt_us": 10_000, "rtt_us": 15_100},
            "loss path",
        ),
        (
            LOSSY,
            {"delivery_bits_per_s": WINDOW_BITS_PER_S / 1.31},
            {"delivery_bits_per_s": WINDOW_BITS_PER_S / 1.29},
            "path loss",
        ),
    ],
)
def test_from_where_on_tcp_tells_its_limit(
    sender: Sender, below: dict[str, Any], above: dict[str, Any], limits: str
) -> None:
    assert [verdict(replace(sender, **change)) for change in (below, above)] == limits.split()


def test_from_where_on_a_process_is_the_limit() -> None:
    assert verdict(sending=replace(HERE, pressed_ratio=0.84)) is Limit.PATH
    assert verdict(sending=replace(HERE, pressed_ratio=0.86)) is Limit.LOCAL_CPU
    busy = replace(THERE, pressed_ratio=0.95)
    assert verdict(replace(QUEUED, rwnd_limited_ratio=0.09), receiving=busy) is Limit.PATH
    assert verdict(replace(QUEUED, rwnd_limited_ratio=0.11), receiving=busy) is Limit.REMOTE_CPU


def test_from_where_on_udp_has_lost_to_the_path() -> None:
    assert verdict(None, lost=0.0009) is Limit.UNKNOWN
    assert verdict(None, lost=0.0011) is Limit.PATH
