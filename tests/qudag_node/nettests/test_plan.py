import pytest

from qudag_node.nettests.plan import limit_s, plan_map, plan_of
from qudag_node.nettests.requests import TestType, options_of


@pytest.mark.parametrize(
    ("test_type", "options", "hops", "expected"),
    [
        (TestType.PING, {"count": 100, "interval_s": 0.01}, 1, (2.0, 100, 18_000, 144_000.0)),
        (TestType.PING, {"count": 10, "interval_s": 1, "size_bytes": 1000}, 1, (11.0, 10, 10_280, 8_224.0)),
        (TestType.PING, {"count": 10, "interval_s": 1, "size_bytes": 1000}, 3, (11.0, 10, 11_800, 9_440.0)),
        (TestType.PING, {"count": 10, "interval_s": 1, "via": "link", "size_bytes": 9}, 1, (11, 10, 90, 72)),
        (TestType.TRACEROUTE, {"count": 5, "interval_s": 0.2}, 3, (2.0, 15, 2_310, 18_480.0)),
        (TestType.TRACEROUTE, {"count": 0, "interval_s": 1}, 2, (None, None, None, 2_464.0)),
        (TestType.BANDWIDTH, {"rate_bits_per_s": 8e6}, 1, (15.0, None, 10_000_000, 8e6)),
        (TestType.BANDWIDTH, {}, 1, (15.0, None, None, None)),
        (TestType.LATENCY, {"load": True}, 1, (32.0, None, None, None)),
        (TestType.LATENCY, {"duration_s": 1, "interval_s": 0.1}, 1, (3.0, 10, 1_800, 14_400.0)),
        (TestType.ROUTING, {"count": 5, "interval_s": 0.2}, 1, (3.0, 20, 3_080, 24_640.0)),
        (TestType.STRESS, {"rate_per_s": 100, "duration_s": 10}, 2, (12.0, 1_000, 692_000, 553_600.0)),
        (TestType.CONNECTIVITY, {"timeout_s": 2}, 1, (14.0, None, None, None)),
    ],
)  # fmt: skip
def test_what_a_test_would_send(
    test_type: TestType, options: dict[str, object], hops: int, expected: tuple[object, ...]
) -> None:
    plan = plan_of(options_of(test_type, options), hops=hops, peers=4)

    found = (plan.duration_s, plan.packets, plan.sent_bytes, plan.rate_bits_per_s)
    assert found == pytest.approx(expected)
    assert plan.line
    assert set(plan_map(plan)) == {"duration_s", "packets", "sent_bytes", "rate_bits_per_s", "line"}


@pytest.mark.parametrize("test_type", list(TestType))
def test_every_test_gets_more_time_than_it_plans_to_take_and_an_end(test_type: TestType) -> None:
    options = options_of(test_type, {})
    planned_s = plan_of(options, hops=1, peers=1).duration_s

    assert planned_s is not None
    assert 2 * planned_s < limit_s(options) < 86_400


def test_what_goes_on_until_it_is_cancelled_ends_after_a_day() -> None:
    assert limit_s(options_of(TestType.TRACEROUTE, {"count": 0})) == 86_400


@pytest.mark.parametrize(
    ("test_type", "options", "line"),
    [
        (TestType.TRACEROUTE, {"max_hops": 1}, "10 rounds of 1 traces"),
        (TestType.TRACEROUTE, {"max_hops": 2, "count": 0}, "2 traces every 0.2 s, until it is cancelled"),
        (
            TestType.BANDWIDTH,
            {"protocol": "udp", "find": "loss<1%", "rate_bits_per_s": 5e6},
            "1 udp stream from here for 35 s at most, searching for the highest rate, to at most 5 Mbit/s",
        ),
        (
            TestType.STRESS,
            {"find": "loss<1%", "rate_per_s": 5, "duration_s": 2},
            "up to 20000 messages of 512 bytes in 2 s, searching from 5 to at most 10000 each second",
        ),
    ],
)
def test_what_is_told_of_a_plan(test_type: TestType, options: dict[str, object], line: str) -> None:
    assert plan_of(options_of(test_type, options), hops=4, peers=1).line == line


def test_a_search_takes_the_time_of_a_search() -> None:
    plan = plan_of(options_of(TestType.BANDWIDTH, {"protocol": "udp", "duration_s": 10}), hops=1, peers=1)

    assert plan.duration_s == 40.0
