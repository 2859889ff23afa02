from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.config import TestsConfig
from qudag_node.errors import DeclinedError
from qudag_node.nettests.consent import KINDS, Caps, Consent, Grant
from qudag_node.peerid import PeerId

A, B, C = (PeerId(name) for name in ("A", "B", "C"))


def consent_of(**caps: object) -> Consent:
    return Consent(Caps(**caps))  # type: ignore[arg-type]  # any field


def ping(consent: Consent, peer: PeerId = A, now_s: float = 0.0, **asked: float) -> Grant:
    wanted = {"duration_s": 10.0, "packets_per_s": 10.0, **asked}
    return consent.ask(peer, "stamp", now_mono_s=now_s, **wanted)


def load(consent: Consent, peer: PeerId = A, now_s: float = 0.0, **asked: float | None) -> Grant:
    wanted = {"duration_s": 10.0, **asked}
    return consent.ask(peer, "tcp", now_mono_s=now_s, **wanted)  # type: ignore[arg-type]  # any argument


def test_caps_are_those_of_the_configuration() -> None:
    assert Caps.of(TestsConfig()) == Caps()
    config = TestsConfig(
        enabled=False,
        max_rate_bits_per_s=2e6,
        max_packets_per_s=3,
        max_duration_s=4,
        max_sessions=5,
        max_heavy_sessions=6,
        max_sessions_per_peer=7,
    )
    assert Caps.of(config) == Caps(
        is_enabled=False,
        max_rate_bits_per_s=2e6,
        max_packets_per_s=3,
        max_duration_s=4,
        max_sessions=5,
        max_heavy_sessions=6,
        max_sessions_per_peer=7,
    )


def test_a_grant_says_what_is_allowed_and_ends_by_itself() -> None:
    consent = consent_of()
    grant = load(consent, rate_bits_per_s=5e6, now_s=100.0)
    assert (grant.peer, grant.kind, grant.is_heavy) == (A, "tcp", True)
    assert (grant.rate_bits_per_s, grant.packets_per_s, grant.duration_s) == (5e6, 0, 10)
    assert consent.free_rate_bits_per_s == 995e6
    assert grant.deadline_mono_s == 120.0
    assert consent.expire(119.9) == []
    assert consent.expire(120.0) == [grant]
    assert (consent.grants, consent.free_rate_bits_per_s) == ((), 1e9)
    consent.end(grant, 121.0)
    assert consent.free_rate_bits_per_s == 1e9


def test_a_dead_askers_place_is_free_again_for_who_asks_next() -> None:
    consent = consent_of()
    load(consent, now_s=0.0)
    with pytest.raises(DeclinedError):
        load(consent, B, now_s=19.0)
    assert load(consent, B, now_s=20.0).peer == B


def test_who_names_no_rate_gets_what_is_left() -> None:
    consent = consent_of(max_heavy_sessions=3, max_rate_bits_per_s=1e6)
    assert load(consent, rate_bits_per_s=4e5).rate_bits_per_s == 4e5
    assert load(consent, rate_bits_per_s=None).rate_bits_per_s == 6e5
    with pytest.raises(DeclinedError, match="nothing is left"):
        load(consent, rate_bits_per_s=None)
    # A ping of so few packets is taken to have full ones.
    assert ping(consent_of(), packets_per_s=100).rate_bits_per_s == 1.2e6


@pytest.mark.parametrize(
    ("caps", "kind", "asked", "words"),
    [
        ({"is_enabled": False}, "stamp", {}, "it takes part in no tests (tests.enabled = false there)"),
        ({}, "icmp", {}, "'icmp' are not known"),
        ({}, "tcp", {"duration_s": 61}, "at most 60 s (tests.max_duration_s 60 there), 61 s were asked"),
        ({}, "tcp", {"duration_s": 0}, "at most 60 s"),
        ({}, "tcp", {"duration_s": math.nan}, "at most 60 s"),
        ({}, "stamp", {"duration_s": 61, "packets_per_s": 201}, "at most 60 s"),
        ({}, "stamp", {"duration_s": 3601}, "at most 3600 s"),
        (
            {},
            "tcp",
            {"rate_bits_per_s": 1.5e9},
            "at most 1 Gbit/s (tests.max_rate_bits_per_s there), 1.5 Gbit/s",
        ),
        ({}, "tcp", {"rate_bits_per_s": -1.0}, "at most 1 Gbit/s"),
        ({}, "stamp", {"packets_per_s": 10_001}, "at most 10000 packets/s (tests.max_packets_per_s there)"),
        ({}, "stamp", {"packets_per_s": 0}, "says how many packets/s"),
        ({}, "stamp", {"packets_per_s": 200, "rate_bits_per_s": 0.0}, "at least 224 kbit/s, 0 bit/s were"),
        ({}, "stamp", {"rate_bits_per_s": 11e3}, "10 stamp packets/s are at least 11.2 kbit/s"),
        ({}, "echo", {"rate_bits_per_s": 2.9e3}, "10 echo packets/s are at least 2.96 kbit/s"),
        ({}, "stamp", {"duration_s": 61, "rate_bits_per_s": 2.5e6}, "at most 60 s"),
        ({}, "stress", {"packets_per_s": 0}, "says how many packets/s"),
        ({}, "stress", {"packets_per_s": math.nan}, "says how many packets/s"),
        ({"max_sessions": 0}, "stamp", {}, "busy: 0 tests of others (tests.max_sessions)"),
        ({"max_heavy_sessions": 0}, "udp", {}, "busy: 0 tests that load the network"),
    ],
)
def test_what_exceeds_a_cap_is_declined_by_name(
    caps: dict[str, object], kind: str, asked: dict[str, float], words: str
) -> None:
    consent = consent_of(**caps)
    wanted: dict[str, float] = {"duration_s": 10.0, "packets_per_s": 10.0, **asked}
    with pytest.raises(DeclinedError) as caught:
        consent.ask(A, kind, now_mono_s=0.0, **wanted)
    assert words in caught.value.reason
    assert "\n" not in caught.value.reason
    assert consent.grants == ()


def test_gentle_pings_last_an_hour() -> None:
    assert ping(consent_of(), duration_s=3600.0, packets_per_s=200.0).duration_s == 3600.0


def test_one_peer_has_so_many_and_all_together_so_many() -> None:
    consent = consent_of(max_sessions=3, max_sessions_per_peer=2)
    ping(consent, A)
    ping(consent, A)
    with pytest.raises(DeclinedError, match="2 tests of yours"):
        ping(consent, A)
    ping(consent, B)
    with pytest.raises(DeclinedError, match="3 tests of others"):
        ping(consent, C)


def test_heavy_ones_are_one_at_a_time_and_light_ones_go_on() -> None:
    consent = consent_of()
    grant = load(consent, rate_bits_per_s=1e6)
    with pytest.raises(DeclinedError, match=r"busy: 1 tests that load the network"):
        load(consent, B, rate_bits_per_s=1e6)
    ping(consent, B)
    consent.end(grant, 1.0)
    load(consent, B, rate_bits_per_s=1e6)


def test_our_own_heavy_test_keeps_others_away() -> None:
    consent = consent_of()
    consent.begin_own()
    with pytest.raises(DeclinedError, match="a test of its own"):
        load(consent)
    ping(consent)
    consent.end_own()
    load(consent)
    with pytest.raises(ValueError, match="has begun"):
        consent.end_own()


def test_packets_and_rates_are_shared_by_all() -> None:
    consent = consent_of(max_packets_per_s=100)
    ping(consent, A, packets_per_s=60)
    with pytest.raises(DeclinedError, match="40 packets/s are left of 100, 50 were asked"):
        ping(consent, B, packets_per_s=50)
    ping(consent, B, packets_per_s=40)
    narrow = consent_of(max_rate_bits_per_s=1e6, max_heavy_sessions=2)
    load(narrow, A, rate_bits_per_s=9e5)
    with pytest.raises(DeclinedError, match=r"100 kbit/s are left of 1 Mbit/s, 200 kbit/s were asked"):
        load(narrow, B, rate_bits_per_s=2e5)


def test_nobody_keeps_the_heavy_place_for_ever() -> None:
    consent = consent_of()
    now_s = 0.0
    while True:
        try:
            grant = load(consent, duration_s=60.0, now_s=now_s)
        except DeclinedError as exc:
            assert "your share" in exc.reason
            break
        now_s += 60.0
        consent.end(grant, now_s)
    # Ten at once, and half of the time that has passed since.
    assert now_s == 19 * 60.0
    assert load(consent, B, duration_s=60.0, now_s=now_s).peer == B


def test_time_that_was_not_used_costs_nothing() -> None:
    consent = consent_of()
    for number in range(200):
        grant = load(consent, duration_s=60.0, now_s=float(number))
        consent.end(grant, number + 0.1)


@given(
    asks=st.lists(
        st.tuples(
            st.sampled_from([A, B, C]),
            st.sampled_from(sorted(KINDS)),
            st.none() | st.floats(0, 2e9),
            st.floats(0, 12_000),
            st.floats(0, 80),
            st.floats(0, 5),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_cap_is_ever_exceeded(
    asks: list[tuple[PeerId, str, float | None, float, float, float, bool]],
) -> None:
    caps = Caps(max_sessions=5, max_heavy_sessions=2, max_sessions_per_peer=3)
    consent, now_s = Consent(caps), 0.0
    for peer, kind, rate, packets, duration_s, passed_s, ends in asks:
        now_s += passed_s
        try:
            grant = consent.ask(
                peer,
                kind,
                duration_s=duration_s,
                rate_bits_per_s=rate,
                packets_per_s=packets,
                now_mono_s=now_s,
            )
        except DeclinedError:
            continue
        grants = consent.grants
        assert all(each.deadline_mono_s > now_s for each in grants)
        assert len(grants) <= 5
        assert sum(each.is_heavy for each in grants) <= 2
        assert sum(each.peer == peer for each in grants) <= 3
        assert sum(each.rate_bits_per_s for each in grants) <= caps.max_rate_bits_per_s * (1 + 1e-9)
        assert sum(each.packets_per_s for each in grants) <= caps.max_packets_per_s * (1 + 1e-9)
        if ends:
            consent.end(grant, now_s)
