import pytest

from qudag_tui.views.nettests.parts import Style
from qudag_tui.views.nettests.plan import plan_lines


@pytest.mark.parametrize(
    ("sent_bytes", "rate_bits_per_s", "told"),
    [
        (None, None, "in all      as much as it carries  takes 15.0 s or less, with all around it"),
        (10_000_000, 8e6, "at most 9.54 MiB  at most 8.00 Mb/s  takes 15.0 s or less, with all around it"),
    ],
)
def test_a_load_says_how_much_it_is_at_most(
    sent_bytes: int | None, rate_bits_per_s: float | None, told: str
) -> None:
    plan = {
        "test_type": "bandwidth",
        "plan": {
            "line": "1 tcp stream",
            "packets": None,
            "sent_bytes": sent_bytes,
            "rate_bits_per_s": rate_bits_per_s,
            "duration_s": 15.0,
        },
    }
    assert told in "\n".join(plan_lines(plan, Style(200, False, True)))


def test_what_would_fail_is_said_to_fail() -> None:
    plan = {"test_type": "bandwidth", "refusal": "c is no neighbour"}
    assert "it would fail: c is no neighbour" in "\n".join(plan_lines(plan, Style(200, False, True)))
