from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import ConfigError
from qudag_node.lab.impairment import (
    CLEAN,
    UDP_LOSS_ONLY,
    Impairment,
    impairment_from_json,
    parse_order,
    warnings_of,
)
from qudag_node.lab.topology import links_of

RING = links_of("ring", 5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("delay=20ms", {"delay_s": 0.020}),
        ("delay=20 ms", {"delay_s": 0.020}),
        ("delay=1.5s,jitter=250us", {"delay_s": 1.5, "jitter_s": 0.00025}),
        ("delay=250µs", {"delay_s": 0.00025}),
        ("delay=none", {"delay_s": 0.0}),
        ("loss=1%", {"loss_ratio": 0.01}),
        ("loss=.5%", {"loss_ratio": 0.005}),
        ("loss=100%", {"loss_ratio": 1.0}),
        ("loss=0", {"loss_ratio": 0.0}),
        ("rate=10mbit", {"rate_bits_per_s": 10e6}),
        ("RATE=1Gbit", {"rate_bits_per_s": 1e9}),
        ("rate=1000bit", {"rate_bits_per_s": 1e3}),
        ("rate=none", {"rate_bits_per_s": None}),
        ("queue=64kB", {"queue_bytes": 64000}),
        ("queue=64KiB", {"queue_bytes": 65536}),
        ("queue=none", {"queue_bytes": None}),
        ("outage=on", {"outage": True}),
        ("outage=off", {"outage": False}),
        ("jitter=1ms, reorder=on", {"jitter_s": 0.001, "reorder": True}),
    ],
)
def test_settings_are_read(settings: str, expected: dict[str, Any]) -> None:
    order = parse_order(f"peer1-peer2:{settings}", RING)
    assert dict(order.change) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ends", "directions"),
    [
        ("peer1-peer2", ["peer1>peer2", "peer2>peer1"]),
        ("peer2-peer1", ["peer1>peer2", "peer2>peer1"]),
        ("peer1>peer2", ["peer1>peer2"]),
        (" peer2 > peer1 ", ["peer2>peer1"]),
    ],
)
def test_a_dash_names_both_directions_and_an_arrow_one(ends: str, directions: list[str]) -> None:
    assert [str(d) for d in parse_order(f"{ends}:delay=1ms", RING).directions] == directions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("peer1-peer3:delay=1ms", "no link 'peer1-peer3'; did you mean 'peer"),
        ("xyzzy:delay=1ms", "no link 'xyzzy'"),
        ("peer1-peer2", "write it as A-B:delay=20ms,loss=1%"),
        ("peer1-peer2:", "write it as A-B:delay=20ms,loss=1%"),
        ("peer1-peer2:dely=20ms", "unknown key 'dely'; did you mean 'delay'?"),
        ("peer1-peer2:x=1", "unknown key 'x'; known are delay, jitter, loss"),
        ("peer1-peer2:delay", "delay has no value; for instance delay=20ms"),
        ("peer1-peer2:delay=20", "delay=20 has no unit; write delay=20ms"),
        ("peer1-peer2:loss=1", "loss=1 has no unit; write loss=1%"),
        ("peer1-peer2:delay=20sm", "unknown unit 'sm'; did you mean"),
        ("peer1-peer2:delay=-20ms", "is not a number with a unit; for instance delay=20ms"),
        ("peer1-peer2:delay=31s", "delay=31s is more than 30s"),
        ("peer1-peer2:loss=101%", "loss=101% is more than 100%"),
        ("peer1-peer2:rate=10mbyte", "unknown unit 'mbyte'"),
        ("peer1-peer2:rate=0bit", "less than 1kbit; outage=on lets nothing pass"),
        ("peer1-peer2:outage=maybe", "outage=maybe is neither on nor off"),
    ],
)
def test_a_mistake_is_one_line_with_what_where_and_a_hint(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_order(text, RING)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.where == f"impair {text!r}"


def test_an_order_changes_only_what_it_names() -> None:
    before = Impairment(delay_s=0.02, loss_ratio=0.01)
    order = parse_order("peer1-peer2:loss=none,outage=on", RING)
    assert order.apply(before) == Impairment(delay_s=0.02, outage=True)


@pytest.mark.parametrize(
    ("impairment", "limit_bytes"),
    [
        (CLEAN, float("inf")),
        (Impairment(rate_bits_per_s=8e6), 100_000),
        (Impairment(rate_bits_per_s=8e3), 15_000),
        (Impairment(rate_bits_per_s=8e6, queue_bytes=0), 0),
    ],
)
def test_the_queue_holds_a_tenth_of_a_second_unless_told(impairment: Impairment, limit_bytes: float) -> None:
    assert impairment.queue_limit_bytes == limit_bytes


IMPAIRMENTS = st.builds(
    Impairment,
    delay_s=st.integers(0, 30_000_000).map(lambda us: us / 1e6),
    jitter_s=st.integers(0, 9_999).map(lambda us: us / 1e6),
    loss_ratio=st.integers(0, 1000).map(lambda permille: permille / 1000),
    rate_bits_per_s=st.none() | st.integers(1000, 10**9).map(float),
    queue_bytes=st.none() | st.integers(0, 10**7),
    outage=st.booleans(),
    reorder=st.booleans(),
)


@given(impairment=IMPAIRMENTS)
def test_its_text_asks_for_the_same_again(impairment: Impairment) -> None:
    if impairment == CLEAN:
        assert str(impairment) == "clean"
        return
    again = parse_order(f"peer1-peer2:{impairment}", RING).apply(CLEAN)
    # The text keeps six digits of a time.
    for name, value in impairment.to_json().items():
        assert getattr(again, name) == (pytest.approx(value, rel=1e-5) if value is not None else None)


@given(impairment=IMPAIRMENTS)
def test_it_survives_json(impairment: Impairment) -> None:
    assert impairment_from_json(impairment.to_json()) == impairment


@given(text=st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        parse_order(text, RING)
    except ConfigError as error:
        assert str(error)


def test_a_loss_over_the_relay_is_said_to_be_of_datagrams_only() -> None:
    lossy = Impairment(delay_s=0.02, loss_ratio=0.01)
    assert lossy.over("relay") == "delay=20ms,loss=1% (UDP only)"
    assert lossy.over("netns") == str(lossy) == "delay=20ms,loss=1%"
    assert warnings_of([CLEAN, lossy], "relay") == [UDP_LOSS_ONLY]
    assert warnings_of([lossy], "netns") == warnings_of([CLEAN], "relay") == []
