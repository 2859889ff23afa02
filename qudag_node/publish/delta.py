"""What changed between two stats documents, in the form that `PeerRows.changed` applies.

Sections that changed are sent whole. A column of which many rows changed is sent whole as well: the
reader replaces it with one copy, while single values cost it about 60 ns each and 4 bytes of slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from qudag_node.wire.columns import pack_column, pack_text, unpack_text

__all__ = ["delta"]

# A column changed in more than an eighth of its rows is sent whole; when the others together touch
# more than a quarter of the rows, they are too.
_MOST_OF_COLUMN = 8
_MOST_OF_ROWS = 4
# Beyond a quarter of the rows coming or leaving, and a few, the table is sent anew.
_MOST_OF_TABLE = 4
_FEW_MEMBERS = 16

_Rows = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]
_Columns = Mapping[str, Mapping[str, object]]


def delta(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """Return ``sections`` and ``peers`` of the ``stats.delta`` that leads from one document to the other.

    Both must come from the translator.
    """
    sections = {
        name: section
        for name, section in after.items()
        if name != "peers" and (name not in before or before[name] != section)
    }
    return {"sections": sections, "peers": _change(_Table(before["peers"]), _Table(after["peers"]))}


class _Table:
    """A packed table, as numpy sees it."""

    def __init__(self, packed: object) -> None:
        self.packed = cast("Mapping[str, Mapping[str, object]]", packed)
        self.slots = _values(self.packed["slots"], "u4")
        self.text = cast("_Columns", self.packed["text"])
        self.numbers = cast("_Columns", self.packed["numbers"])

    def types(self) -> dict[str, object]:
        return {name: column["type"] for name, column in {**self.text, **self.numbers}.items()}

    def rows(self, chosen: _Rows) -> dict[str, object]:
        """Return some rows as a table of their own."""
        text = {name: unpack_text(column, len(self.slots)) for name, column in self.text.items()}
        return {
            "slots": _pack(self.slots[chosen], "u4"),
            "text": {name: pack_text(texts[row] for row in chosen) for name, texts in text.items()},
            "numbers": {name: _chosen(column, chosen) for name, column in self.numbers.items()},
        }


def _change(before: _Table, after: _Table) -> dict[str, object] | None:
    if before.packed == after.packed:
        return None
    # Rows of either table that the other has too, in the same order, since slots ascend in both.
    _, stay_before, stay_after = np.intersect1d(
        before.slots, after.slots, assume_unique=True, return_indices=True
    )
    gone = np.delete(np.arange(len(before.slots)), stay_before)
    new = np.delete(np.arange(len(after.slots)), stay_after)
    most = max(_FEW_MEMBERS, len(after.slots) // _MOST_OF_TABLE)
    if len(gone) + len(new) > most or not len(stay_after) or before.types() != after.types():
        return {"table": after.packed}
    change: dict[str, object] = {}
    if len(gone):
        change["gone"] = _pack(before.slots[gone], "u4")
    if len(new):
        change["new"] = after.rows(new)
    return change | _figures(before, after, stay_before, stay_after)


def _figures(before: _Table, after: _Table, stay_before: _Rows, stay_after: _Rows) -> dict[str, object]:
    """Return the parts of a change that tell new figures of rows that stay."""
    size = len(after.slots)
    whole: dict[str, object] = {}
    sparse: dict[str, Mapping[str, object]] = {}
    touched: _Mask = np.zeros(len(stay_after), np.bool_)
    for name, column in after.numbers.items():
        mask = _differs(before.numbers[name], column, stay_before, stay_after)
        if mask is None:
            continue
        if np.count_nonzero(mask) * _MOST_OF_COLUMN > size:
            whole[name] = column
        else:
            sparse[name] = column
            touched |= mask
    if np.count_nonzero(touched) * _MOST_OF_ROWS > size:
        whole |= sparse
        sparse = {}
        touched[:] = False
    texts: dict[str, list[str]] = {}
    for name, column in after.text.items():
        found = _texts_differ(before, after, name, stay_before, stay_after)
        if found is not None:
            texts[name] = unpack_text(column, size)
            touched |= found
    parts: dict[str, object] = {}
    if whole:
        parts["whole"] = whole
    if sparse or texts:
        rows = stay_after[touched]
        parts["rows"] = _pack(after.slots[rows], "u4")
        parts["columns"] = {name: _chosen(column, rows) for name, column in sparse.items()}
        parts["texts"] = {name: pack_text(values[row] for row in rows) for name, values in texts.items()}
    return parts


def _differs(
    before: Mapping[str, object], after: Mapping[str, object], stay_before: _Rows, stay_after: _Rows
) -> _Mask | None:
    """Return where the rows that stay have another number, None if nowhere. NaN equals NaN here."""
    if before["bin"] == after["bin"] and len(stay_before) == len(stay_after):
        same_rows = np.array_equal(stay_before, stay_after)
        if same_rows:
            return None
    bits = f"u{str(after['type'])[1]}"
    mask = _values(before, bits)[stay_before] != _values(after, bits)[stay_after]
    return mask if mask.any() else None


def _texts_differ(
    before: _Table, after: _Table, name: str, stay_before: _Rows, stay_after: _Rows
) -> _Mask | None:
    if before.text[name] == after.text[name] and np.array_equal(stay_before, stay_after):
        return None
    old = unpack_text(before.text[name], len(before.slots))
    new = unpack_text(after.text[name], len(after.slots))
    mask = np.fromiter(
        (old[was] != new[now] for was, now in zip(stay_before, stay_after, strict=True)),
        np.bool_,
        len(stay_after),
    )
    return mask if mask.any() else None


def _values(column: Mapping[str, object], type_: str) -> npt.NDArray[np.generic]:
    return np.frombuffer(cast("bytes", column["bin"]), np.dtype(f"<{type_}"))


def _chosen(column: Mapping[str, object], rows: _Rows) -> dict[str, object]:
    type_ = str(column["type"])
    return _pack(_values(column, type_)[rows], type_)


def _pack(values: npt.NDArray[np.generic], type_: str) -> dict[str, object]:
    return pack_column(type_, values.astype(f"<{type_}", copy=False).tobytes())
