"""What a link costs: its round-trip time, smoothed, and told to others only when it has really changed."""

from __future__ import annotations

from qudag_node.overlay.advert import MAX_COST_US

__all__ = ["UNKNOWN_COST_US", "LinkCost"]

# Claimed for a link that was not measured yet: worse than most, so that traffic waits for the measurement.
UNKNOWN_COST_US = 100_000
# The gain of a new sample, as for TCP's SRTT (RFC 6298, section 2).
_GAIN = 1 / 8
# A change smaller than either is noise to every other node.
_CHANGE_RATIO = 0.25
_CHANGE_US = 1_000


class LinkCost:
    """The cost of one link of ours.

    Attributes:
        advertised_us: What others were told last, and what our own map uses, so that all maps agree.
    """

    __slots__ = ("_smoothed_us", "advertised_us")

    def __init__(self, rtt_s: float | None = None) -> None:
        self._smoothed_us: float | None = None
        if rtt_s is not None:
            self.sample(rtt_s)
        self.advertised_us = self.smoothed_us

    @property
    def smoothed_us(self) -> int:
        """The smoothed round-trip time, at least 1; a high one while nothing is known."""
        if self._smoothed_us is None:
            return UNKNOWN_COST_US
        return min(max(round(self._smoothed_us), 1), MAX_COST_US)

    @property
    def is_measured(self) -> bool:
        """Whether there was a sample."""
        return self._smoothed_us is not None

    def sample(self, rtt_s: float) -> None:
        """Fold in one round-trip time.

        Raises:
            ValueError: It is negative, which means a broken clock.
        """
        if rtt_s < 0:
            raise ValueError(f"a round-trip time of {rtt_s} s")
        rtt_us = rtt_s * 1e6
        if self._smoothed_us is None:
            self._smoothed_us = rtt_us
        else:
            self._smoothed_us += _GAIN * (rtt_us - self._smoothed_us)

    @property
    def is_worth_telling(self) -> bool:
        """Whether it differs from what was advertised by over a quarter and over a millisecond."""
        change_us = abs(self.smoothed_us - self.advertised_us)
        return change_us > _CHANGE_US and change_us > _CHANGE_RATIO * self.advertised_us

    def advertise(self) -> int:
        """Return what others are told from now on."""
        self.advertised_us = self.smoothed_us
        return self.advertised_us
