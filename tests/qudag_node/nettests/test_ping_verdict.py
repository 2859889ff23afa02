from __future__ import annotations

from typing import Any

import pytest

from qudag_node.nettests.ping_verdict import verdict_of, why_nothing_came_back


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
