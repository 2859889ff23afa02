"""What load does to the latency of a link: a grade, and the ratios of RFC 6349. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["GRADES", "added_latency_s", "grade", "rfc6349"]

#: Milliseconds that load adds at the 95th percentile, and the grade below each; the steps that
#: bufferbloat tests on the web have made customary.
GRADES: Final = ((0.005, "A+"), (0.030, "A"), (0.060, "B"), (0.200, "C"), (0.400, "D"))


def added_latency_s(idle_s: float | None, loaded_s: float | None) -> float | None:
    """Return what load adds, never below zero; None where either is unknown."""
    return None if idle_s is None or loaded_s is None else max(0.0, loaded_s - idle_s)


def grade(added_s: float | None) -> str | None:
    """Return A+ to F; None where nothing is known."""
    if added_s is None:
        return None
    return next((letter for limit_s, letter in GRADES if added_s < limit_s), "F")


def rfc6349(
    *,
    goodput_bits_per_s: float | None,
    bottleneck_bits_per_s: float | None,
    sent_bytes: int,
    resent_bytes: int,
    idle_rtt_s: float | None,
    loaded_rtt_s: float | None,
) -> dict[str, float | None]:
    """Return the three metrics as ratios.

    Args:
        goodput_bits_per_s: What TCP reached, alone.
        bottleneck_bits_per_s: The most that the path was seen to carry for TCP's payload.
        sent_bytes: Everything sent, what was sent again included.
        resent_bytes: What was sent again.
        idle_rtt_s: The baseline round-trip time.
        loaded_rtt_s: The mean round-trip time during the transfer.

    Source: RFC 6349 section 4.1 to 4.3.
    """
    time_ratio = (
        bottleneck_bits_per_s / goodput_bits_per_s if goodput_bits_per_s and bottleneck_bits_per_s else None
    )
    delay_ratio = (
        (loaded_rtt_s - idle_rtt_s) / idle_rtt_s if idle_rtt_s and loaded_rtt_s is not None else None
    )
    return {
        "tcp_transfer_time_ratio": time_ratio,
        "tcp_efficiency_ratio": (sent_bytes - resent_bytes) / sent_bytes if sent_bytes > 0 else None,
        "buffer_delay_ratio": delay_ratio,
    }
