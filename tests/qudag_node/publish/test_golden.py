"""The stats document as it is on the wire. A difference here is a change of the protocol."""

from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_node.metrics.statistics import NetworkStatistics
from qudag_node.publish import delta, to_document
from qudag_node.wire import Notification, Response, encode
from tests.qudag_node.examples import EVERYTHING_KNOWN, NOTHING_KNOWN, peer_table
from tests.snapshots import FrameSnapshot


@pytest.mark.parametrize("statistics", [EVERYTHING_KNOWN, NOTHING_KNOWN], ids=["everything", "nothing"])
def test_the_document_is_frozen(statistics: NetworkStatistics, snapshot: SnapshotAssertion) -> None:
    frame = encode(Response(2, None, to_document(statistics)))
    assert frame == snapshot(extension_class=FrameSnapshot)


def test_a_delta_is_frozen(snapshot: SnapshotAssertion) -> None:
    after = replace(EVERYTHING_KNOWN, protocol_versions={"1": 3}, peers=peer_table({1: 0, 5: 3, 7: 1}))
    change = delta(to_document(EVERYTHING_KNOWN), to_document(after))
    frame = encode(Notification("stats.delta", [{"stream": 1, "seq": 2, "base": 1, **change}]))
    assert frame == snapshot(extension_class=FrameSnapshot)
