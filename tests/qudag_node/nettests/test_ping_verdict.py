from __future__ import annotations

from typing import Any

import pytest

from qudag_node.nettests.ping_statistics import Silence
from qudag_node.nettests.ping_verdict import has_stopped_answering, verdict_of, why_nothing_came_back


def statistics(
    *, enough: bool = True, answered: bool = True, sent: int = 2000, **places: int
) -> dict[str, Any]:
    loss = sum(count for place, count in places.items() if place != "local_dropped")
    return {
        **dict.fromkeys(("forward_lost", "backward_lost", "unplaced_lost", "late", "local_dropped"), 0),
        **places,
        "sent": sent,
        "loss_ratio": loss / sent if sent else 0.0,
        "rtt": {"p50_s": 0.025, "p99_s": 0.05, "max_s": 0.1} if answered else {"p50_s": None},
        "sufficiency": {"enough": enough},
    }


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        (statistics(), "b: 25.0 ms round trip (median), p99 50.0 ms, by STAMP; none of 2,000 lost"),
        (
            statistics(enough=False),
            "b: 25.0 ms round trip (median), slowest 100 ms, by STAMP; none of 2,000 lost",
        ),
        (
            statistics(forward_lost=3, backward_lost=1),
            "b: 25.0 ms round trip (median), p99 50.0 ms, by STAMP; 0.2 % of 2,000 lost: "
            "3 lost on the way there, 1 lost on the way back",
        ),
        (
            statistics(late=20, unplaced_lost=20, local_dropped=5),
            "b: 25.0 ms round trip (median), p99 50.0 ms, by STAMP; 2 % of 2,000 lost: "
            "20 lost somewhere, 20 late, 5 dropped by the hosts themselves",
        ),
        (statistics(answered=False), "b: none of 2,000 packets was answered by STAMP, for a reason"),
        (statistics(answered=False, sent=0), "b: nothing was sent"),
    ],
)
def test_a_ping_comes_to_one_sentence(figures: dict[str, Any], verdict: str) -> None:
    assert verdict_of("b", figures, "by STAMP", why_nothing=", for a reason") == verdict


def test_why_nothing_came_back_is_said_as_far_as_it_is_known() -> None:
    assert "does not say" in why_nothing_came_back(None, 7)
    assert "no answer came back" in why_nothing_came_back(True, 7)
    assert "blocks UDP port 7" in why_nothing_came_back(False, 7)


def test_a_peer_that_stopped_answering_is_told_of_and_what_was_before_stands_alone() -> None:
    figures = statistics(sent=1000, forward_lost=5, backward_lost=4, unplaced_lost=540)
    assert verdict_of("b", figures, "by STAMP", silence=Silence(540, 4.59)) == (
        "b: stopped answering after 4.6 s; until then 25.0 ms round trip (median), p99 50.0 ms, by STAMP; "
        "1.96 % of 460 lost: 5 lost on the way there, 4 lost on the way back"
    )


@pytest.mark.parametrize(
    ("packets", "is_told", "is_reached", "is_all_sent", "has_stopped"),
    [
        (500, True, True, True, False),  # lost on their way: it says so
        (500, False, True, True, True),  # it hangs, or has begun anew
        (1, False, True, True, False),
        (1, False, False, True, True),
        (0, False, False, True, False),  # it went away when all was answered
        (0, False, False, False, True),
    ],
)
def test_a_peer_has_stopped_answering_when_it_says_nothing_in_the_end(
    packets: int, is_told: bool, is_reached: bool, is_all_sent: bool, has_stopped: bool
) -> None:
    found = has_stopped_answering(
        Silence(packets, 1.0), is_told=is_told, is_reached=is_reached, is_all_sent=is_all_sent
    )
    assert found == has_stopped
