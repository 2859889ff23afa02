"""Deltas, applied by the mirror, lead to what the full document says."""

import dataclasses

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.metrics.statistics import NetworkStatistics
from qudag_node.publish import delta, to_document
from qudag_node.wire import StatsMirror, to_json
from tests.qudag_node.examples import NOTHING_KNOWN, peer_table, statistics_strategy

Salts = dict[int, int]


def with_peers(salt_by_slot: Salts) -> NetworkStatistics:
    return dataclasses.replace(NOTHING_KNOWN, peers=peer_table(salt_by_slot))


def applied(before: NetworkStatistics, after: NetworkStatistics) -> StatsMirror:
    mirror = StatsMirror()
    old, new = to_document(before), to_document(after)
    mirror.full(msgpack.unpackb(msgpack.packb({"seq": 1, "document": old})))
    frame = {"seq": 2, "base": 1, **delta(old, new)}
    mirror.delta(msgpack.unpackb(msgpack.packb(frame)))
    return mirror


@given(before=statistics_strategy(), after=statistics_strategy())
def test_a_delta_leads_from_any_document_to_any_other(
    before: NetworkStatistics, after: NetworkStatistics
) -> None:
    assert applied(before, after).to_json() == to_json(to_document(after))


# Large enough that few of the rows change and peers come and go without a new table.
BASE: Salts = dict.fromkeys(range(0, 200, 2), 0)
changes = st.dictionaries(st.sampled_from(sorted(BASE)), st.integers(1, 5), max_size=30)
members = st.sets(st.integers(0, 220), max_size=10)


@given(changed=changes, left=members, came=members)
def test_small_changes_to_a_large_table_arrive(changed: Salts, left: set[int], came: set[int]) -> None:
    after = {slot: salt for slot, salt in {**BASE, **changed}.items() if slot not in left}
    after |= dict.fromkeys(came, 9)
    mirror = applied(with_peers(BASE), with_peers(after))
    assert mirror.to_json()["peers"] == to_json(to_document(with_peers(after)))["peers"]


def change(before: Salts, after: Salts) -> dict[str, object]:
    peers = delta(to_document(with_peers(before)), to_document(with_peers(after)))["peers"]
    assert isinstance(peers, dict)
    return peers


def test_nothing_changed_is_nothing_sent() -> None:
    document, same = to_document(with_peers(BASE)), to_document(with_peers(BASE))
    assert delta(document, same) == {"sections": {}, "peers": None}
    assert delta(document, document) == {"sections": {}, "peers": None}


def test_a_section_that_changed_is_sent_whole() -> None:
    before = to_document(NOTHING_KNOWN)
    after = to_document(dataclasses.replace(NOTHING_KNOWN, protocol_versions={"1": 3}))
    assert delta(before, after)["sections"] == {"protocol_versions": {"1": 3}}


def test_few_changed_rows_are_sent_alone() -> None:
    found = change(BASE, {**BASE, 4: 1, 8: 3})
    assert set(found) == {"rows", "columns", "texts"}
    assert len(msgpack.packb(found) or b"") < 2500


def test_columns_of_which_many_rows_changed_are_sent_whole() -> None:
    found = change(BASE, dict.fromkeys(BASE, 2))
    assert "table" not in found
    assert "messages_sent" in found["whole"]  # type: ignore[operator]


def test_columns_that_each_change_elsewhere_are_sent_whole_when_they_touch_many_rows() -> None:
    before = peer_table(BASE)
    numbers = dict(before.numbers)
    for part, name in enumerate(("messages_sent", "messages_received", "bytes_sent", "bytes_received")):
        values = numbers[name].astype(np.uint64)
        values[part * 10 : part * 10 + 10] += np.uint64(1)
        numbers[name] = values
    after = dataclasses.replace(before, numbers=numbers)
    trees = [dataclasses.replace(NOTHING_KNOWN, peers=peers) for peers in (before, after)]
    found = delta(*map(to_document, trees))["peers"]
    assert isinstance(found, dict)
    assert set(found) == {"whole"}
    assert applied(*trees).to_json() == to_json(to_document(trees[1]))


@pytest.mark.parametrize(
    ("after", "parts"),
    [
        ({slot: 0 for slot in BASE if slot != 6}, {"gone"}),
        ({**BASE, 7: 0}, {"new"}),
        ({slot: salt for slot, salt in {**BASE, 7: 0, 8: 1}.items() if slot != 6}, {"gone", "new", "rows"}),
        ({}, {"table"}),
        (dict.fromkeys(range(1, 200, 2), 0), {"table"}),
    ],
    ids=["left", "came", "all at once", "everybody left", "others"],
)
def test_peers_that_come_and_leave(after: Salts, parts: set[str]) -> None:
    assert parts <= set(change(BASE, after))


def test_a_first_peer_makes_a_table() -> None:
    assert set(change({}, {1: 0})) == {"table"}
