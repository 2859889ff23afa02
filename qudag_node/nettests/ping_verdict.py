"""What a ping comes to, in one sentence for an operator. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qudag_node.nettests.words import count_of, delay, percent

__all__ = ["verdict_of", "why_nothing_came_back"]

_PLACES = {
    "forward_lost": "lost on the way there",
    "backward_lost": "lost on the way back",
    "unplaced_lost": "lost somewhere",
    "late": "late",
    "local_dropped": "dropped by the hosts themselves",
}


def verdict_of(name: str, statistics: Mapping[str, Any], by: str, *, why_nothing: str = "") -> str:
    """Return the sentence.

    Args:
        name: Of the peer.
        statistics: The figures of a ping, as they stand in its result.
        by: How it was pinged.
        why_nothing: What to say when nothing came back.
    """
    sent, rtt = statistics["sent"], statistics["rtt"]
    if not sent:
        return f"{name}: nothing was sent"
    if rtt["p50_s"] is None:
        return f"{name}: none of {count_of(sent, 'packet')} was answered {by}{why_nothing}"
    has_p99 = statistics["sufficiency"]["enough"]
    slow = f"p99 {delay(rtt['p99_s'])}" if has_p99 else f"slowest {delay(rtt['max_s'])}"
    return f"{name}: {delay(rtt['p50_s'])} round trip (median), {slow}, {by}; {_losses(statistics)}"


def _losses(statistics: Mapping[str, Any]) -> str:
    lost = [f"{statistics[place]:,} {text}" for place, text in _PLACES.items() if statistics[place]]
    if not lost:
        return f"none of {statistics['sent']:,} lost"
    return f"{percent(statistics['loss_ratio'])} of {statistics['sent']:,} lost: {', '.join(lost)}"


def why_nothing_came_back(has_reached: bool | None, port: int) -> str:
    """Say what is known of why: whether any packet reached the peer, None when it could not be asked."""
    if has_reached is None:
        return ", and the peer does not say whether any arrived"
    if has_reached:
        return ": they arrived there, but no answer came back"
    return f": none arrived there, something on the way blocks UDP port {port}; --via link needs none"
