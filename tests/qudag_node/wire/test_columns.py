"""Columns of numbers and of texts."""

import math
import struct
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.wire import (
    COLUMN_TYPES,
    LocalProtocolError,
    RemoteProtocolError,
    pack_column,
    pack_text,
    unpack_column,
    unpack_text,
)

FORMATS = {"u1": "<B", "u2": "<H", "u4": "<I", "u8": "<Q", "i8": "<q", "f4": "<f", "f8": "<d"}


@pytest.mark.parametrize("type_", COLUMN_TYPES)
def test_numbers_are_little_endian_on_the_wire(type_: str) -> None:
    values = [0.5, 2.0] if type_[0] == "f" else [1, 200]
    packed = b"".join(struct.pack(FORMATS[type_], value) for value in values)
    column = pack_column(type_, array(COLUMN_TYPES[type_], values))
    assert column == {"type": type_, "bin": packed}
    assert unpack_column(column) == array(COLUMN_TYPES[type_], values)
    assert pack_column(type_, memoryview(packed)) == {"type": type_, "bin": packed}


def test_a_missing_float_is_nan() -> None:
    (value,) = unpack_column(pack_column("f4", array("f", [math.nan])))
    assert math.isnan(value)


def test_a_big_endian_machine_swaps_on_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    values = array("I", [1, 0x01020304])
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    column = pack_column("u4", values)
    swapped = array("I", values)
    swapped.byteswap()
    assert column["bin"] == swapped.tobytes()
    assert unpack_column(column) == values


@pytest.mark.parametrize("values", [array("f"), array("b"), array("l")])
def test_an_array_of_another_type_is_our_own_mistake(values: "array[float]") -> None:
    with pytest.raises(LocalProtocolError):
        pack_column("f8", values)


def test_an_unknown_type_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        pack_column("f2", b"")


@pytest.mark.parametrize(
    "column",
    [
        None,
        [],
        {},
        {"type": "f4"},
        {"type": "f2", "bin": b""},
        {"type": 4, "bin": b""},
        {"type": "f4", "bin": "text"},
        {"type": "f4", "bin": b"123"},
    ],
    ids=repr,
)
def test_other_values_are_no_columns_of_numbers(column: object) -> None:
    with pytest.raises(RemoteProtocolError):
        unpack_column(column)


texts = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), max_size=8
)


@given(values=texts)
def test_texts_come_back_in_either_form(values: list[str]) -> None:
    assert unpack_text(pack_text(values), len(values)) == values
    assert unpack_text(values, len(values)) == values


@pytest.mark.parametrize(
    ("column", "rows"),
    [
        ({"type": "str", "text": "a\0b"}, 1),
        (["a"], 2),
        (["a", 1], 2),
        ("ab", 2),
        ({"text": "a"}, 1),
        (None, 0),
    ],
    ids=repr,
)
def test_other_values_are_no_columns_of_texts(column: object, rows: int) -> None:
    with pytest.raises(RemoteProtocolError):
        unpack_text(column, rows)
