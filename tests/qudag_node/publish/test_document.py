"""The translator: what the tree says arrives, through MessagePack, in public JSON."""

import dataclasses
import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given

from qudag_node.metrics.statistics import NetworkStatistics, PeerTable, Rates
from qudag_node.publish import Translator, to_document
from qudag_node.wire import PEER_NUMBERS, PEER_TEXTS, StatsMirror, to_json
from tests.qudag_node.examples import (
    EVERYTHING_KNOWN,
    NOTHING_KNOWN,
    peer_number,
    peer_table,
    peer_text,
    statistics_strategy,
)

TOP_LEVEL = [
    "schema",
    "node",
    "connections",
    "messages",
    "bandwidth",
    "latency",
    "performance",
    "peers",
    "protocol_versions",
    "peer_distribution",
    "test_traffic",
    "resources",
]


def through_the_wire(statistics: NetworkStatistics) -> dict[str, Any]:
    document = msgpack.unpackb(msgpack.packb(to_document(statistics)))
    tree: dict[str, Any] = json.loads(json.dumps(to_json(document), allow_nan=False))
    return tree


def public(value: object) -> object:
    """The tree in its public form, said in another way than the translator says it."""
    if isinstance(value, Rates):
        return {"1s": public(value.per_s_1), "10s": public(value.per_s_10), "60s": public(value.per_s_60)}
    if dataclasses.is_dataclass(value):
        names = {"incoming": "in", "outgoing": "out"}
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {names.get(name, name): public(inner) for name, inner in pairs}
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: public(inner) for key, inner in value.items()}
    return [public(inner) for inner in value] if isinstance(value, tuple) else value


@given(statistics=statistics_strategy())
def test_every_section_arrives(statistics: NetworkStatistics) -> None:
    tree = through_the_wire(statistics)
    for field in dataclasses.fields(statistics):
        if field.name != "peers":
            assert tree[field.name] == public(getattr(statistics, field.name)), field.name


@given(statistics=statistics_strategy())
def test_every_figure_of_every_peer_arrives(statistics: NetworkStatistics) -> None:
    table, tree = statistics.peers, through_the_wire(statistics)
    assert len(tree["peers"]) == len(table)
    for index, row in enumerate(tree["peers"]):
        assert list(row) == [*PEER_TEXTS, *PEER_NUMBERS]
        for name in PEER_TEXTS:
            assert row[name] == (table.text[name][index] or None)
        for name in PEER_NUMBERS:
            value = float(np.asarray(table.numbers[name], np.float64)[index])
            unknown = not isfinite(value) or (value == 0 and name in ("hops", "protocol_version"))
            assert row[name] == (None if unknown else pytest.approx(value, rel=1e-6)), name


def test_the_top_level_keys_are_the_agreed_ones_in_their_order() -> None:
    tree = through_the_wire(EVERYTHING_KNOWN)
    assert list(tree) == TOP_LEVEL
    assert tree["schema"] == "qudag.stats/1"
    assert (tree["connections"]["active"], tree["messages"]["sent"], tree["messages"]["received"]) == (
        2,
        10,
        9,
    )
    assert (tree["connections"]["in"], tree["connections"]["out"]) == (1, 1)
    assert tree["messages"]["sent_rate"] == {"1s": 12.0, "10s": 11.5, "60s": 11.25}


def test_numbers_of_numpy_travel_as_plain_ones() -> None:
    statistics = dataclasses.replace(
        NOTHING_KNOWN,
        protocol_versions={"1": np.int64(3)},  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
        test_traffic=dataclasses.replace(NOTHING_KNOWN.test_traffic, sent=np.uint32(4)),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    )
    tree = through_the_wire(statistics)
    assert (tree["protocol_versions"], tree["test_traffic"]["sent"]) == ({"1": 3}, 4)


def test_what_is_not_known_is_none_and_never_zero() -> None:
    tree = through_the_wire(NOTHING_KNOWN)
    assert tree["bandwidth"]["utilization_ratio"] is None
    assert tree["bandwidth"]["sent_rate"] == {"1s": None, "10s": None, "60s": None}
    assert tree["performance"]["propagation_time_s"] is None
    assert tree["peers"] == []


def test_rows_are_put_in_the_order_of_their_slots() -> None:
    table = peer_table({1: 0, 2: 0, 3: 0})
    order = [2, 0, 1]
    shuffled = PeerTable(
        slots=table.slots[order],
        text={name: tuple(texts[row] for row in order) for name, texts in table.text.items()},
        numbers={name: values[order] for name, values in table.numbers.items()},
    )
    for peers in (table, shuffled):
        tree = through_the_wire(dataclasses.replace(NOTHING_KNOWN, peers=peers))
        assert [row["id"] for row in tree["peers"]] == [peer_text(slot, "id") for slot in (1, 2, 3)]
        assert [row["messages_sent"] for row in tree["peers"]] == [
            peer_number(slot, "messages_sent") for slot in (1, 2, 3)
        ]


def test_columns_of_other_types_are_brought_to_those_of_the_wire() -> None:
    table = peer_table({1: 0})
    numbers = {
        **table.numbers,
        "queue_bytes": np.array([2**40], np.int64),
        "hops": np.array([300], np.int64),
        "rtt_p50_s": np.array([0.5], np.float64),
        "tcp_rtt_s": np.array([0.01], np.float64),
        "tcp_retransmits": np.array([7], np.uint32),
        "sent_bytes_per_s": np.array([1.0], np.dtype(">f4")),
    }
    tree = through_the_wire(
        dataclasses.replace(NOTHING_KNOWN, peers=dataclasses.replace(table, numbers=numbers))
    )
    (row,) = tree["peers"]
    assert (row["queue_bytes"], row["hops"], row["rtt_p50_s"]) == (2**32 - 1, 255, 0.5)
    assert (row["tcp_retransmits"], row["sent_bytes_per_s"]) == (7, 1.0)


def test_a_float_column_that_is_not_kept_is_not_known_and_a_count_must_be_kept() -> None:
    table = peer_table({1: 0, 2: 0})
    without = {name: values for name, values in table.numbers.items() if name != "tcp_rtt_s"}
    statistics = dataclasses.replace(NOTHING_KNOWN, peers=dataclasses.replace(table, numbers=without))
    assert [row["tcp_rtt_s"] for row in through_the_wire(statistics)["peers"]] == [None, None]
    del without["messages_sent"]
    with pytest.raises(KeyError, match="messages_sent"):
        to_document(statistics)


def test_counts_of_the_kernel_are_not_known_where_it_tells_nothing() -> None:
    table = peer_table({1: 0, 2: 0})
    numbers = {
        **table.numbers,
        "tcp_rtt_s": np.array([np.nan, 0.01], np.float32),
        "tcp_retransmits": np.array([0, 0], np.uint32),
    }
    statistics = dataclasses.replace(NOTHING_KNOWN, peers=dataclasses.replace(table, numbers=numbers))
    assert [row["tcp_retransmits"] for row in through_the_wire(statistics)["peers"]] == [None, 0]


def test_nul_in_a_text_cannot_split_a_column() -> None:
    table = peer_table({1: 0, 2: 0})
    text = {**table.text, "agent": ("a\0b", "c")}
    statistics = dataclasses.replace(NOTHING_KNOWN, peers=dataclasses.replace(table, text=text))
    assert [row["agent"] for row in through_the_wire(statistics)["peers"]] == ["a\ufffdb", "c"]


def test_a_text_column_that_stays_is_packed_once() -> None:
    translator = Translator()
    first = translator.document(EVERYTHING_KNOWN)
    again = translator.document(dataclasses.replace(EVERYTHING_KNOWN, protocol_versions={"2": 1}))
    mirror = StatsMirror()
    mirror.full({"document": again})
    text = [document["peers"]["text"]["id"] for document in (first, again)]  # type: ignore[index]  # pyright: ignore
    assert text[0] is text[1]
    assert mirror.document["protocol_versions"] == {"2": 1}


def test_what_the_wire_cannot_carry_is_our_own_mistake() -> None:
    statistics = dataclasses.replace(NOTHING_KNOWN, protocol_versions={"1": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="cannot carry"):
        to_document(statistics)
