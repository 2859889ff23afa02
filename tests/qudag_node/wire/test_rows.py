"""The peers table: what a client reads, and every kind of change."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.wire import PeerRows, RemoteProtocolError, pack_column, pack_text

NAN = float("nan")
Peer = tuple[str, float, int]


def table(peers: dict[int, Peer], **others: object) -> dict[str, object]:
    slots = sorted(peers)
    return {
        "slots": pack_column("u4", array("I", slots)),
        "text": {"id": pack_text(peers[slot][0] for slot in slots)},
        "numbers": {
            "rtt_p50_s": pack_column("f4", array("f", [peers[slot][1] for slot in slots])),
            "messages_sent": pack_column("u8", array("Q", [peers[slot][2] for slot in slots])),
        },
        **others,
    }


THREE: dict[int, Peer] = {2: ("a", 0.5, 10), 5: ("b", NAN, 20), 9: ("c", 0.25, 30)}


def slots(*numbers: int) -> dict[str, object]:
    return pack_column("u4", array("I", numbers))


def sent(*numbers: int) -> dict[str, object]:
    return pack_column("u8", array("Q", numbers))


def content(rows: PeerRows) -> dict[int, tuple[object, ...]]:
    return {slot: tuple(row.values()) for slot, row in zip(rows.slots, rows.rows(), strict=True)}


def test_a_table_is_read_by_column_and_by_row() -> None:
    rows = PeerRows.from_wire(table(THREE))
    assert len(rows) == 3
    assert rows.ids == ["a", "b", "c"]
    assert rows.names == ("id", "rtt_p50_s", "messages_sent")
    assert rows.column("id") == ["a", "b", "c"]
    assert list(rows.column("messages_sent")) == [10, 20, 30]
    assert rows.row(1) == {"id": "b", "rtt_p50_s": None, "messages_sent": 20}
    assert rows.rows()[1] == rows.row(1)
    assert (rows.index_of("c"), rows.index_of("x")) == (2, None)
    with pytest.raises(KeyError):
        rows.column("nothing")


def test_an_empty_table_has_no_rows() -> None:
    for rows in (PeerRows(), PeerRows.from_wire(table({}))):
        assert len(rows) == 0
        assert rows.rows() == []
        assert rows.ids == []
        assert rows.index_of("a") is None


def test_figures_in_rows_are_what_they_were_meant_to_say() -> None:
    rows = PeerRows(
        array("I", [1]),
        {"id": ["a"], "alias": [""]},
        {
            "rtt_p50_s": array("f", [0.0204]),
            "rtt_max_s": array("f", [float("inf")]),
            "connected_unix_s": array("d", [NAN]),
            "tcp_sent_bytes": array("d", [2.0**40]),
            "tcp_retransmits": array("d", [NAN]),
            "hops": array("B", [0]),
            "rtt_samples": array("I", [0]),
        },
    )
    assert rows.row(0) == {
        "id": "a",
        "alias": None,
        "rtt_p50_s": 0.0204,
        "rtt_max_s": None,
        "connected_unix_s": None,
        "tcp_sent_bytes": 2**40,
        "tcp_retransmits": None,
        "hops": None,
        "rtt_samples": 0,
    }
    assert type(rows.row(0)["tcp_sent_bytes"]) is int


def test_changed_rows_get_new_figures_and_the_table_before_keeps_its_own() -> None:
    before = PeerRows.from_wire(table(THREE))
    after = before.changed({"rows": slots(2, 9), "columns": {"messages_sent": sent(11, 31)}})
    assert list(after.column("messages_sent")) == [11, 20, 31]
    assert list(before.column("messages_sent")) == [10, 20, 30]
    assert after.text["id"] is before.text["id"]
    assert after.numbers["rtt_p50_s"] is before.numbers["rtt_p50_s"]


def test_changed_texts_get_new_texts() -> None:
    rows = PeerRows.from_wire(table(THREE)).changed({"rows": slots(5), "texts": {"id": pack_text(["B"])}})
    assert rows.ids == ["a", "B", "c"]
    assert (rows.index_of("B"), rows.index_of("b")) == (1, None)


def test_a_whole_column_is_replaced() -> None:
    rows = PeerRows.from_wire(table(THREE)).changed({"whole": {"messages_sent": sent(1, 2, 3)}})
    assert list(rows.column("messages_sent")) == [1, 2, 3]


def test_peers_leave_and_come_in_the_order_of_their_slots() -> None:
    before = PeerRows.from_wire(table(THREE))
    assert before.index_of("c") == 2
    new = table({1: ("d", 1.0, 1), 5: ("e", 2.0, 2), 20: ("f", 3.0, 3)})
    after = before.changed({"gone": slots(5, 9), "new": new})
    assert list(after.slots) == [1, 2, 5, 20]
    assert after.ids == ["d", "a", "e", "f"]
    assert list(after.column("messages_sent")) == [1, 10, 2, 3]
    assert (after.index_of("e"), after.index_of("c")) == (2, None)
    assert before.ids == ["a", "b", "c"]


def test_a_table_may_empty_and_fill() -> None:
    empty = PeerRows.from_wire(table(THREE)).changed({"gone": slots(2, 5, 9)})
    assert len(empty) == 0
    assert empty.rows() == []
    assert empty.changed({"new": table(THREE)}).ids == ["a", "b", "c"]
    assert PeerRows().changed({"new": table(THREE)}).ids == ["a", "b", "c"]


def test_a_change_may_hold_all_its_parts_or_none() -> None:
    before = PeerRows.from_wire(table(THREE))
    after = before.changed(
        {
            "gone": slots(2),
            "new": table({3: ("d", 1.0, 1)}),
            "whole": {"messages_sent": sent(7, 8, 9)},
            "rows": slots(9),
            "columns": {"rtt_p50_s": pack_column("f4", array("f", [0.125]))},
        }
    )
    assert content(after) == {3: ("d", 1.0, 7), 5: ("b", None, 8), 9: ("c", 0.125, 9)}
    assert content(before.changed({})) == content(before)


def test_a_change_may_be_a_table_anew() -> None:
    assert PeerRows.from_wire(table({})).changed({"table": table(THREE)}).ids == ["a", "b", "c"]


MALFORMED: dict[str, object] = {
    "no map": None,
    "gone is text": {"gone": "2"},
    "gone is not there": {"gone": slots(3)},
    "gone of another type": {"gone": sent(2)},
    "slots twice": {"gone": slots(2, 2)},
    "new is none": {"new": None},
    "new takes a slot": {"new": table({2: ("d", 1.0, 1)})},
    "new without a column": {"new": {**table({3: ("d", 1.0, 1)}), "numbers": {}}},
    "new of another type": {
        "new": {**table({3: ("d", 1.0, 1)}), "numbers": {"rtt_p50_s": sent(1), "messages_sent": sent(1)}}
    },
    "rows are not there": {"rows": slots(3), "columns": {"messages_sent": sent(1)}},
    "an unknown column": {"rows": slots(2), "columns": {"nothing": sent(1)}},
    "an unknown text": {"rows": slots(2), "texts": {"nothing": pack_text(["x"])}},
    "another type": {"rows": slots(2), "columns": {"rtt_p50_s": sent(1)}},
    "too few values": {"rows": slots(2, 5), "columns": {"messages_sent": sent(1)}},
    "too few texts": {"rows": slots(2, 5), "texts": {"id": pack_text(["x"])}},
    "too long a whole": {"whole": {"messages_sent": sent(1, 2, 3, 4)}},
    "whole is no map": {"whole": []},
    "table is nil": {"table": None},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_change_is_refused(change: object) -> None:
    with pytest.raises(RemoteProtocolError):
        PeerRows.from_wire(table(THREE)).changed(change)


@pytest.mark.parametrize(
    "peers",
    [
        None,
        {},
        table(THREE, slots=slots(2, 5)),
        table(THREE, slots=slots(5, 2, 9)),
        table(THREE, text={}),
        table(THREE, text={"id": pack_text(["a", "a", "c"])}),
        table(THREE, text=None),
        table(THREE, numbers={"hops": sent(1)}),
    ],
    ids=[
        "nil",
        "empty",
        "fewer slots",
        "slots not ascending",
        "no id",
        "an id twice",
        "text is nil",
        "short column",
    ],
)
def test_a_malformed_table_is_refused(peers: object) -> None:
    with pytest.raises(RemoteProtocolError):
        PeerRows.from_wire(peers)


peer_maps = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.just(""), st.floats(0, 1, width=32), st.integers(0, 2**64 - 1)),
    max_size=12,
).map(lambda peers: {slot: (f"peer{slot}", rtt, sent) for slot, (_, rtt, sent) in peers.items()})


@given(before=peer_maps, after=peer_maps)
def test_any_membership_can_follow_any_other(before: dict[int, Peer], after: dict[int, Peer]) -> None:
    gone, come = sorted(before.keys() - after.keys()), after.keys() - before.keys()
    change: dict[str, object] = {
        "gone": slots(*gone),
        "new": table({slot: after[slot] for slot in come}),
        "rows": slots(*sorted(before.keys() & after.keys())),
        "columns": {},
    }
    rows = PeerRows.from_wire(table(before)).changed(change)
    assert list(rows.slots) == sorted(after)
    assert rows.ids == [after[slot][0] for slot in sorted(after)]
    for slot, sent_ in zip(rows.slots, rows.column("messages_sent"), strict=True):
        assert sent_ == (before[slot] if slot in before else after[slot])[2]
