"""The mirror of the stats document, its deltas and its public form."""

import json
from array import array
from collections.abc import Mapping

import pytest

from qudag_node.wire import RemoteProtocolError, StatsGap, StatsMirror, pack_column, to_json

PEERS = {
    "slots": pack_column("u4", array("I", [1, 2])),
    "text": {"id": ["a", "b"], "name": ["peer1", ""]},
    "numbers": {"rtt_p50_s": pack_column("f4", array("f", [0.5, float("nan")]))},
}
DOCUMENT = {
    "node": {"id": "me", "uptime_s": 5.0},
    "schema": "qudag.stats/1",
    "messages": {"sent": 5, "sent_rate": {"1s": float("nan"), "10s": None}},
    "peers": PEERS,
    "protocol_versions": {"1": 2},
}


def mirror_of(document: Mapping[str, object], seq: int = 7) -> StatsMirror:
    mirror = StatsMirror()
    mirror.full({"stream": 1, "seq": seq, "document": document})
    return mirror


def test_a_full_frame_is_held() -> None:
    mirror = mirror_of(DOCUMENT)
    assert mirror.document == {key: value for key, value in DOCUMENT.items() if key != "peers"}
    assert mirror.peers.ids == ["a", "b"]


def test_a_delta_replaces_sections_and_changes_peers() -> None:
    mirror = mirror_of(DOCUMENT)
    document, peers = mirror.document, mirror.peers
    change = {"rows": pack_column("u4", array("I", [2])), "texts": {"name": ["peer2"]}}
    mirror.delta({"stream": 1, "seq": 9, "base": 7, "sections": {"messages": {"sent": 6}}, "peers": change})
    assert mirror.document["messages"] == {"sent": 6}
    assert mirror.document["node"] is document["node"]
    assert mirror.peers.text["name"] == ["peer1", "peer2"]
    # What was handed out before has not changed.
    assert document["messages"] == DOCUMENT["messages"]
    assert peers.text["name"] == ["peer1", ""]
    mirror.delta({"seq": 10, "base": 9})
    assert mirror.peers.text["name"] == ["peer1", "peer2"]


@pytest.mark.parametrize("base", [6, 8])
def test_a_delta_that_does_not_follow_needs_a_full_frame(base: int) -> None:
    mirror = mirror_of(DOCUMENT)
    with pytest.raises(StatsGap, match=f"frame {base} came while 7"):
        mirror.delta({"seq": 9, "base": base})
    with pytest.raises(StatsGap):
        mirror.delta({"seq": 8, "base": 7})
    mirror.full({"seq": 20, "document": DOCUMENT})
    mirror.delta({"seq": 21, "base": 20})


def test_a_delta_before_any_full_frame_is_a_gap() -> None:
    with pytest.raises(StatsGap, match="none was held"):
        StatsMirror().delta({"seq": 1, "base": 0})


@pytest.mark.parametrize(
    "frame",
    [
        {"base": 7},
        {"base": 7, "seq": "8"},
        {"base": 7, "seq": True},
        {"seq": 8},
        {"base": 7, "seq": 8, "sections": []},
        {"base": 7, "seq": 8, "peers": {"gone": None}},
    ],
    ids=repr,
)
def test_a_malformed_delta_is_refused_and_nothing_builds_on_it(frame: dict[str, object]) -> None:
    mirror = mirror_of(DOCUMENT)
    with pytest.raises(RemoteProtocolError):
        mirror.delta(frame)


@pytest.mark.parametrize(
    "frame", [{}, {"document": []}, {"document": {"peers": 5}}, {"document": {}, "seq": -1}], ids=repr
)
def test_a_malformed_full_frame_is_refused(frame: dict[str, object]) -> None:
    with pytest.raises(RemoteProtocolError):
        StatsMirror().full(frame)


def test_public_json_has_the_schema_first_flat_peers_and_no_nan() -> None:
    tree = to_json(DOCUMENT)
    assert list(tree) == ["schema", "node", "messages", "peers", "protocol_versions"]
    assert json.loads(json.dumps(tree, allow_nan=False)) == {
        "schema": "qudag.stats/1",
        "node": {"id": "me", "uptime_s": 5.0},
        "messages": {"sent": 5, "sent_rate": {"1s": None, "10s": None}},
        "peers": [
            {"id": "a", "name": "peer1", "rtt_p50_s": 0.5},
            {"id": "b", "name": None, "rtt_p50_s": None},
        ],
        "protocol_versions": {"1": 2},
    }
    assert mirror_of(DOCUMENT).to_json() == tree


def test_a_document_of_some_sections_has_them_alone() -> None:
    assert to_json({"node": {"listen": ["x"]}}) == {"schema": "qudag.stats/1", "node": {"listen": ["x"]}}
    assert to_json({"peers": PEERS}).keys() == {"schema", "peers"}
