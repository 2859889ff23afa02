"""This host's clock, as packets tell of it."""

from __future__ import annotations

from qudag_node.host.clock_state import read_clock_state
from qudag_node.nettests.stamp.error_estimate import ErrorEstimate

__all__ = ["clock_estimate"]

#: What a clock is wrong by of which nobody knows more.
_UNKNOWN_S = 16.0


def clock_estimate() -> ErrorEstimate:
    """Ask the kernel."""
    state = read_clock_state()
    if state is None:
        return ErrorEstimate(is_synchronised=False, error_s=_UNKNOWN_S)
    return ErrorEstimate(is_synchronised=state.is_synchronised, error_s=state.max_error_s)
