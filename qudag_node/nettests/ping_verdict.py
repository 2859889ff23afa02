"""What a ping comes to, in one sentence for an operator. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qudag_node.nettests.ping_statistics import Silence
from qudag_node.nettests.words import count_of, delay, percent

__all__ = ["has_stopped_answering", "verdict_of", "why_nothing_came_back"]

# Where counts are missing, so many packets without an answer at the end are no accident.
_SILENT_PACKETS = 3

_PLACES = {
    "forward_lost": "lost on the way there",
    "backward_lost": "lost on the way back",
    "unplaced_lost": "lost somewhere",
    "late": "late",
    "local_dropped": "dropped by the hosts themselves",
}


def has_stopped_answering(silence: Silence, *, is_told: bool, is_reached: bool, is_all_sent: bool) -> bool:
    """Whether the peer went away while it was being pinged.

    Args:
        silence: The packets at the end that were not answered.
        is_told: It said in the end what had arrived, so it is there.
        is_reached: There is still a way to it.
        is_all_sent: Everything could be sent, or the test was told to stop.
    """
    if is_told:
        return False
    return silence.packets >= _SILENT_PACKETS or (not is_reached and (silence.packets > 0 or not is_all_sent))


def verdict_of(
    name: str,
    statistics: Mapping[str, Any],
    by: str,
    *,
    why_nothing: str = "",
    silence: Silence | None = None,
) -> str:
    """Return the sentence.

    Args:
        name: Of the peer.
        statistics: The figures of a ping, as they stand in its result.
        by: How it was pinged.
        why_nothing: What to say when nothing came back.
        silence: Of a peer that stopped answering.
    """
    sent, rtt = statistics["sent"], statistics["rtt"]
    if not sent:
        return f"{name}: nothing was sent"
    if rtt["p50_s"] is None:
        return f"{name}: none of {count_of(sent, 'packet')} was answered {by}{why_nothing}"
    has_p99 = statistics["sufficiency"]["enough"]
    slow = f"p99 {delay(rtt['p99_s'])}" if has_p99 else f"slowest {delay(rtt['max_s'])}"
    figures = f"{delay(rtt['p50_s'])} round trip (median), {slow}, {by}"
    if silence is None:
        return f"{name}: {figures}; {_losses(statistics)}"
    until_then = _losses(_before(statistics, silence))
    return f"{name}: stopped answering after {silence.after_s:.1f} s; until then {figures}; {until_then}"


def _before(statistics: Mapping[str, Any], silence: Silence) -> dict[str, Any]:
    """Return the losses without those of the packets that were sent after the last answer."""
    places = {**statistics, "unplaced_lost": 0, "sent": statistics["sent"] - silence.packets}
    lost = places["forward_lost"] + places["backward_lost"] + places["late"]
    return {**places, "loss_ratio": lost / places["sent"]}


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
