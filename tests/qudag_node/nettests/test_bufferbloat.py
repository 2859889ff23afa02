from __future__ import annotations

import pytest

from qudag_node.nettests.bufferbloat import added_latency_s, grade, rfc6349


@pytest.mark.parametrize(
    ("added_s", "letter"),
    [
        (0.0, "A+"),
        (0.0049, "A+"),
        (0.005, "A"),
        (0.03, "B"),
        (0.06, "C"),
        (0.2, "D"),
        (0.4, "F"),
        (9.0, "F"),
        (None, None),
    ],
)
def test_a_grade_says_what_load_adds(added_s: float | None, letter: str | None) -> None:
    assert grade(added_s) == letter


def test_load_never_makes_a_link_faster() -> None:
    assert added_latency_s(0.010, 0.060) == pytest.approx(0.050)
    assert added_latency_s(0.010, 0.009) == 0
    assert added_latency_s(None, 0.009) is None
    assert added_latency_s(0.010, None) is None


def test_the_ratios_of_rfc_6349() -> None:
    ratios = rfc6349(
        goodput_bits_per_s=80e6,
        bottleneck_bits_per_s=100e6,
        sent_bytes=102_000,
        resent_bytes=2_000,
        idle_rtt_s=0.025,
        loaded_rtt_s=0.032,
    )
    # The RFC's own examples: 102,000 bytes sent, 2,000 of them again; 25 ms that become 32 ms.
    assert ratios["tcp_efficiency_ratio"] == pytest.approx(0.98, abs=0.001)
    assert ratios["buffer_delay_ratio"] == pytest.approx(0.28)
    assert ratios["tcp_transfer_time_ratio"] == pytest.approx(1.25)


def test_what_is_not_known_is_not_guessed() -> None:
    ratios = rfc6349(
        goodput_bits_per_s=None,
        bottleneck_bits_per_s=1e6,
        sent_bytes=0,
        resent_bytes=0,
        idle_rtt_s=0.0,
        loaded_rtt_s=None,
    )
    assert set(ratios.values()) == {None}
