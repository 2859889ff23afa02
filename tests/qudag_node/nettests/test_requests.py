import math
from dataclasses import fields

import pytest

from qudag_node.errors import ConfigError
from qudag_node.nettests.requests import (
    BandwidthOptions,
    PingOptions,
    StressOptions,
    TestType,
    TracerouteOptions,
    option_map,
    options_of,
)


@pytest.mark.parametrize("test_type", list(TestType))
def test_every_type_has_options_that_are_their_own_map(test_type: TestType) -> None:
    options = options_of(test_type, {})

    assert options_of(test_type, option_map(options)) == options
    assert all(each.metadata["help"] for each in fields(options))


@pytest.mark.parametrize("test_type", list(TestType))
def test_both_ends_of_every_range_are_accepted_and_nothing_beyond(test_type: TestType) -> None:
    for each in fields(options_of(test_type, {})):
        if "least" not in each.metadata:
            continue
        for end, beyond in (("least", -1), ("most", 1)):
            limit = each.metadata[end]
            small = {"count": 1, "rate_per_s": 0.1, "duration_s": 1_000_000.0}
            helped: dict[str, object] = {
                name: value
                for name, value in small.items()
                if name != each.name
                and name in {"count", "rate_per_s"} & set(option_map(options_of(test_type, {})))
            }
            if each.name == "packet_bytes":
                helped["protocol"] = "udp"
            if each.name == "omit_s":
                helped["duration_s"] = 3_600.0
            if each.name == "rate_per_s":
                helped["duration_s"] = 1.0
            value = getattr(options_of(test_type, {**helped, each.name: limit}), each.name)
            assert value == limit
            with pytest.raises(ConfigError, match=f"{test_type}.{each.name}: .* is not from"):
                options_of(test_type, {**helped, each.name: limit + beyond})


def test_what_is_not_given_or_nil_takes_its_default() -> None:
    assert options_of(TestType.PING, {"count": None, "via": "link"}) == PingOptions(via="link")


def test_a_whole_number_is_a_number_of_seconds() -> None:
    options = options_of(TestType.PING, {"interval_s": 1})

    assert isinstance(options, PingOptions)
    assert isinstance(options.interval_s, float)


@pytest.mark.parametrize(
    ("test_type", "values", "message"),
    [
        (TestType.PING, {"cuont": 1}, "ping.cuont: no such option; count?"),
        (TestType.PING, {"x" * 5000: 1}, f"ping.{'x' * 40}: no such option; there are: count, "),
        (TestType.PING, {"count": 1.5}, "ping.count: 1.5 is not a whole number"),
        (TestType.PING, {"count": True}, "ping.count: True is not a whole number"),
        (TestType.PING, {"count": "9"}, "ping.count: '9' is not a whole number"),
        (
            TestType.PING,
            {"count": 10**400},
            "ping.count: a number of over 18 digits is not from 1 to 1000000",
        ),
        (TestType.PING, {"interval_s": math.nan}, "ping.interval_s: nan is not from 0.0001 to 60"),
        (TestType.PING, {"interval_s": math.inf}, "ping.interval_s: inf is not from"),
        (TestType.PING, {"interval_s": [1]}, "ping.interval_s: a list is not a number"),
        (TestType.PING, {"via": "pigeon"}, "ping.via: 'pigeon' is not one of auto, udp, link, overlay"),
        (TestType.PING, {"via": 1}, "ping.via: 1 is no text"),
        (TestType.PING, {"count": 10**6, "interval_s": 1}, "ping.count: with this interval it would last"),
        (TestType.TRACEROUTE, {"underlay": 1}, "traceroute.underlay: 1 is neither true nor false"),
        (TestType.BANDWIDTH, {"find": "loss<1%"}, "bandwidth.find: only udp searches"),
        (TestType.BANDWIDTH, {"packet_bytes": 100}, "bandwidth.packet_bytes: only udp has a size of packets"),
        (TestType.BANDWIDTH, {"omit_s": 10}, "bandwidth.omit_s: nothing would be left"),
        (TestType.BANDWIDTH, {"protocol": "udp", "find": "x" * 300}, "bandwidth.find: 'x"),
        (TestType.BANDWIDTH, {"protocol": "udp", "find": "p99<1s"}, "bandwidth.find: p99 is not one of"),
        (TestType.STRESS, {"find": "p99<5parsec"}, "stress.find: 'p99<5parsec': the unit of p99"),
        (TestType.STRESS, {"find": "p99<1s\x1b[2J"}, "stress.find: 'p99<1s"),
        (TestType.STRESS, {"rate_per_s": 1e6, "duration_s": 3600}, "stress.rate_per_s: over 100 million"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    test_type: TestType, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        options_of(test_type, values)

    text = str(caught.value)
    assert text.startswith(message)
    assert text.isprintable()
    assert len(text) < 300


def test_goals_pass_where_they_mean_something() -> None:
    bandwidth = options_of(TestType.BANDWIDTH, {"protocol": "udp", "find": "loss<0.1%"})
    stress = options_of(TestType.STRESS, {"find": "p99<500ms,loss<1%"})

    assert isinstance(bandwidth, BandwidthOptions)
    assert bandwidth.find == "loss<0.1%"
    assert isinstance(stress, StressOptions)
    assert stress.find == "p99<500ms,loss<1%"


def test_a_traceroute_may_go_on_until_it_is_cancelled() -> None:
    assert options_of(TestType.TRACEROUTE, {"count": 0}) == TracerouteOptions(count=0)
