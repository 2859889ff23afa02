"""What the collector and the aggregator really make goes over the wire and fits the schema."""

import json

import msgpack
import pytest
from jsonschema import Draft202012Validator

from qudag_node.history import History
from qudag_node.host import TcpInfo
from qudag_node.metrics import MetricsCollector, PeerLabels
from qudag_node.metrics.statistics import NodeStatistics
from qudag_node.monitors import StatsAggregator
from qudag_node.publish import Translator, delta
from qudag_node.wire import PEER_NUMBERS, StatsMirror
from tests.conftest import REPO
from tests.qudag_node.examples import NOW_UNIX_S

VALIDATOR = Draft202012Validator(
    json.loads((REPO / "docs" / "stats-schema.json").read_text(encoding="utf-8"))
)


def test_a_node_that_lives_for_a_while_is_told_by_deltas() -> None:
    collector = MetricsCollector(message_types=("hello", "ping", "data", "test"))
    aggregator = StatsAggregator(
        collector,
        started_mono_s=0.0,
        started_unix_s=NOW_UNIX_S,
        node=NodeStatistics(id="12D3KooW", name="peer1", version="0.1.0", network="lab"),
    )
    translator, mirror, history = Translator(), StatsMirror(), History()
    before: dict[str, object] = {}
    handles = [collector.open_peer(f"peer{number}") for number in range(40)]
    for tick in range(1, 75):
        now_unix_s = NOW_UNIX_S + tick
        if tick % 7 == 0:
            collector.forget_peer(handles.pop(tick % 11), now_mono_s=tick)
            handles.append(collector.open_peer(f"later{tick}"))
        for number, peer in enumerate(handles):
            if number % 5 == tick % 5:
                peer.set_labels(PeerLabels(name=f"n{number}", state="connected", direction="in", hops=1))
                collector.connection_opened(peer, "in", now_mono_s=tick, now_unix_s=now_unix_s)
                collector.record_message_sent(peer, "data", 100 + number)
                collector.record_latency(peer, 0.001 * (number + 1), method="link-ping")
                collector.set_tcp_info(
                    peer, TcpInfo(rtt_s=0.01, rttvar_s=0.001, cwnd_segments=10, retransmits=tick)
                )
        collector.record_message_received(handles[0], "data", 200)
        collector.record_message_failed(handles[0], "data", "signature")
        aggregator.tick(now_mono_s=tick, now_unix_s=now_unix_s)
        statistics = aggregator.aggregate(now_mono_s=tick, now_unix_s=now_unix_s)
        history.append(statistics)
        document = translator.document(statistics)
        assert set(statistics.peers.numbers) == set(PEER_NUMBERS)
        if tick == 1:
            mirror.full(msgpack.unpackb(msgpack.packb({"seq": 1, "document": document})))
        else:
            frame = {"seq": tick, "base": tick - 1, **delta(before, document)}
            mirror.delta(msgpack.unpackb(msgpack.packb(frame)))
        whole = StatsMirror()
        whole.full({"document": document})
        assert mirror.to_json() == whole.to_json()
        before = document
    tree = json.loads(json.dumps(mirror.to_json(), allow_nan=False))
    assert [error.message for error in VALIDATOR.iter_errors(tree)] == []
    sent = history.read(["messages.sent"], NOW_UNIX_S + 1).series["messages.sent"]
    assert sent[-1] == tree["messages"]["sent"] == pytest.approx(8 * 74)
