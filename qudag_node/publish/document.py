"""`NetworkStatistics` as the stats document of the wire. docs/stats-schema.md describes every field.

The tree keeps its names, with few exceptions: a rate is a map by window, ``incoming`` and ``outgoing``
are ``in`` and ``out``, and the table of peers is packed in columns. NaN and infinities become None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from qudag_node.metrics.statistics import ConnectionStatistics, NetworkStatistics, PeerTable, Rates
from qudag_node.wire.columns import pack_column, pack_text
from qudag_node.wire.peer_columns import PEER_NUMBERS, PEER_TEXTS, WHOLE_OR_UNKNOWN
from qudag_node.wire.stats import STATS_SCHEMA

__all__ = ["Document", "Translator", "to_document"]

Document = dict[str, object]
"""A stats document as it is packed: plain maps, lists, texts, numbers and bytes. Never changed once made."""

_SHORTER = {"incoming": "in", "outgoing": "out"}
_NUL_STANDS_FOR = "\ufffd"


def to_document(statistics: NetworkStatistics) -> Document:
    """Translate one tree of statistics."""
    return Translator().document(statistics)


class Translator:
    """Translates one tree after the other; columns of text that stay the same are packed once."""

    def __init__(self) -> None:
        self._packed_text: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {}

    def document(self, statistics: NetworkStatistics) -> Document:
        """Return the stats document."""
        document: Document = {"schema": STATS_SCHEMA}
        for field in fields(statistics):
            section = getattr(statistics, field.name)
            document[field.name] = self._peers(section) if isinstance(section, PeerTable) else _plain(section)
        return document

    def _peers(self, table: PeerTable) -> Document:
        order = None if _is_ascending(table.slots) else np.argsort(table.slots)
        slots = table.slots if order is None else table.slots[order]
        return {
            "slots": pack_column("u4", slots.astype("<u4").tobytes()),
            "text": {name: self._text(name, table, order) for name in PEER_TEXTS},
            "numbers": {
                name: pack_column(type_, _numbers(table, name, type_, order).tobytes())
                for name, type_ in PEER_NUMBERS.items()
            },
        }

    def _text(self, name: str, table: PeerTable, order: npt.NDArray[np.intp] | None) -> dict[str, object]:
        texts = table.text[name]
        known = self._packed_text.get(name)
        if known is not None and known[0] is texts and order is None:
            return known[1]
        in_order = texts if order is None else [texts[row] for row in order]
        packed = pack_text(text.replace("\0", _NUL_STANDS_FOR) if "\0" in text else text for text in in_order)
        if order is None:
            self._packed_text[name] = texts, packed
        return packed


def _numbers(
    table: PeerTable, name: str, type_: str, order: npt.NDArray[np.intp] | None
) -> npt.NDArray[np.generic]:
    """Return one column in the type of the wire; a float column that the node does not keep is not known."""
    dtype = np.dtype(f"<{type_}")
    values = table.numbers.get(name)
    if values is None and dtype.kind == "f":
        return np.full(len(table), np.nan, dtype)
    values = table.numbers[name]
    if order is not None:
        values = values[order]
    if name in WHOLE_OR_UNKNOWN and values.dtype.kind == "u":
        # The kernel tells all of TCP_INFO or nothing; a count cannot say so, the time beside it can.
        values = np.where(np.isnan(_numbers(table, "tcp_rtt_s", "f4", order)), np.nan, values)
    if dtype.kind == "u" and values.dtype != dtype:
        limits = np.iinfo(dtype)
        values = np.clip(values, limits.min, limits.max)
    return values.astype(dtype, copy=False)


def _is_ascending(slots: npt.NDArray[np.uint32]) -> bool:
    return bool(np.all(slots[1:] > slots[:-1]))


def _plain(value: object) -> object:
    """Return a part of the tree as maps, lists, texts and numbers."""
    match value:
        case None | str() | bool() | int():
            return value
        case float():
            return float(value) if isfinite(value) else None
        case Rates():
            return {"1s": _plain(value.per_s_1), "10s": _plain(value.per_s_10), "60s": _plain(value.per_s_60)}
        case np.generic():
            return _plain(value.item())
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case tuple():
            return [_plain(inner) for inner in value]
        case ConnectionStatistics():
            return {_SHORTER.get(name, name): inner for name, inner in _fields(value).items()}
        case _ if is_dataclass(value):
            return _fields(value)
        case _:
            raise TypeError(f"statistics hold a {type(value).__name__}, which the wire cannot carry")


def _fields(value: Any) -> dict[str, object]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
