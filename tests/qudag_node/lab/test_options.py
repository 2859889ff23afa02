from typing import Any

import pytest

from qudag_node.errors import ConfigError
from qudag_node.lab.impairment import Impairment
from qudag_node.lab.load import due_by
from qudag_node.lab.options import DEMO_IMPAIRMENTS, LabOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"engine": "veth"}, "--engine: 'veth' is not one of auto, netns, relay"),
        ({"rate_per_s": -1}, "--rate: -1 is not from 0 to 100000 messages per second"),
        ({"rate_per_s": float("nan")}, "--rate: nan"),
        ({"payload_bytes": 3}, "--payload: 3 is not from 16 to 16384 bytes"),
        ({"nodes": 0}, "--nodes: 0 is not between"),
        ({"topology": "rings"}, "did you mean 'ring'"),
        ({"orders": ("peer1-peer4:delay=1ms",)}, "no link 'peer1-peer4'"),
    ],
)
def test_a_lab_that_cannot_be_is_refused_before_anything_starts(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LabOptions(directory=None, **dict[str, Any]({"nodes": 5, "topology": "line"} | wrong))
    assert message in str(caught.value)


def test_later_orders_add_to_earlier_ones() -> None:
    options = LabOptions(
        directory=None, nodes=2, orders=("peer1-peer2:delay=20ms,loss=1%", "peer2>peer1:loss=none")
    )
    found = {str(d): impairment for d, impairment in options.network().impairments.items()}
    assert found == {
        "peer1>peer2": Impairment(delay_s=0.02, loss_ratio=0.01),
        "peer2>peer1": Impairment(delay_s=0.02),
    }


def test_the_demonstration_has_two_bad_links() -> None:
    network = LabOptions(directory=None, topology="mesh", orders=DEMO_IMPAIRMENTS).network()
    assert len(network.impairments) == 4


@pytest.mark.parametrize(
    ("elapsed_s", "rate", "due"),
    [(0, 10, 1), (0.99, 10, 10), (1, 10, 11), (5, 0, 0), (0, 0.1, 1), (11, 0.1, 2)],
)
def test_messages_are_due_by_the_clock_alone(elapsed_s: float, rate: float, due: int) -> None:
    assert due_by(elapsed_s, rate) == due
