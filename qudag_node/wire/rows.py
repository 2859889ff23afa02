"""The peers table as columns: decoding, and changes applied without numpy. A table never changes.

Whole:

    {"slots": column u4,  "text": {name: texts},  "numbers": {name: column}}

One row per peer, in ascending order of slots; a peer keeps its slot while it is known. A change, every
part of which may be absent:

    {"gone":    column u4,                           slots whose rows leave
     "new":     {"slots", "text", "numbers"},        rows that come, whole, in ascending order of slots
     "whole":   {name: column},                      columns replaced, as long as the table now is
     "rows":    column u4,                           slots of the rows that change …
     "columns": {name: column},                      … and their new numbers
     "texts":   {name: texts}}                       … and their new texts

or {"table": the table anew, whole}, after a change too large to tell otherwise.
"""

from __future__ import annotations

from array import array
from itertools import pairwise

from qudag_node.wire._values import as_map
from qudag_node.wire.columns import unpack_column, unpack_text
from qudag_node.wire.errors import RemoteProtocolError
from qudag_node.wire.peer_columns import WHOLE_OR_UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeVar

    from qudag_node.wire.columns import NumberColumn

    _Column = TypeVar("_Column", NumberColumn, list[str])

__all__ = ["PeerRows"]

_SLOT_TYPECODE = "I"


class PeerRows:
    """One row per peer, as columns that must not be written to.

    Args:
        slots: The number of each row, ascending.
        text: Columns of text by name; ``id`` is among them when there are rows.
        numbers: Columns of numbers by name. NaN is "not known".
    """

    __slots__ = ("_row_by_id", "_row_by_slot", "numbers", "slots", "text")

    def __init__(
        self,
        slots: NumberColumn | None = None,
        text: dict[str, list[str]] | None = None,
        numbers: dict[str, NumberColumn] | None = None,
    ) -> None:
        self.slots: NumberColumn = array(_SLOT_TYPECODE) if slots is None else slots
        self.text: Mapping[str, list[str]] = text or {}
        self.numbers: Mapping[str, NumberColumn] = numbers or {}
        self._row_by_id: dict[str, int] | None = None
        self._row_by_slot: dict[int, int] | None = None

    @classmethod
    def from_wire(cls, peers: object) -> PeerRows:
        """Read a whole table.

        Raises:
            RemoteProtocolError: it is malformed.
        """
        table = as_map(peers, "peers")
        slots = _slots(table.get("slots"))
        text = {
            name: unpack_text(column, len(slots))
            for name, column in as_map(table.get("text"), "peers.text").items()
        }
        numbers = {
            name: _numbers(name, column, len(slots))
            for name, column in as_map(table.get("numbers"), "peers.numbers").items()
        }
        if slots and len(set(text.get("id", ()))) != len(slots):
            raise RemoteProtocolError("peers has no id for each row, or one twice")
        return cls(slots, text, numbers)

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def ids(self) -> list[str]:
        """The PeerId of each row."""
        return self.text.get("id", [])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, texts first."""
        return (*self.text, *self.numbers)

    def column(self, name: str) -> Sequence[str] | Sequence[float]:
        """Return a column by name.

        Raises:
            KeyError: there is none of this name.
        """
        found = self.text.get(name)
        return self.numbers[name] if found is None else found

    def row(self, index: int) -> dict[str, object]:
        """Return one row as public JSON has it: ``None`` where a figure or a text is not known."""
        return {name: column[0] for name, column in self._public(range(index, index + 1))}

    def rows(self) -> list[dict[str, object]]:
        """Return every row, as `row` does."""
        names, columns = zip(*self._public(range(len(self))), strict=True) if self.slots else ((), ())
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def index_of(self, peer_id: str) -> int | None:
        """Return the row of a peer, None if it is not in the table."""
        if self._row_by_id is None:
            self._row_by_id = {id_: row for row, id_ in enumerate(self.ids)}
        return self._row_by_id.get(peer_id)

    def changed(self, change: object) -> PeerRows:
        """Return the table after a change. Columns that did not change are the same objects.

        Raises:
            RemoteProtocolError: the change is malformed, or does not fit this table.
        """
        parts = as_map(change, "a change of peers")
        if "table" in parts:
            return PeerRows.from_wire(parts["table"])
        after = self
        if "gone" in parts or "new" in parts:
            gone = _slots(parts["gone"]) if "gone" in parts else array(_SLOT_TYPECODE)
            new = PeerRows.from_wire(parts["new"]) if "new" in parts else None
            after = self._with_members(gone, new)
        if "whole" in parts or "rows" in parts:
            after = after._with_figures(parts)
        return after

    def _with_members(self, gone: NumberColumn, new: PeerRows | None) -> PeerRows:
        """Return the table without the rows that left and with those that came."""
        leaving = set(gone)
        if not leaving <= self._row_of_slots().keys():
            raise RemoteProtocolError("a peer that is not in the table left it")
        if new is None:
            new = PeerRows(
                text={n: [] for n in self.text}, numbers={n: c[:0] for n, c in self.numbers.items()}
            )
        if not self.slots:
            return new
        if new.text.keys() != self.text.keys() or _types(new.numbers) != _types(self.numbers):
            raise RemoteProtocolError("new peers do not have the columns of the table")
        slots = self.slots + new.slots
        order = [row for row, slot in enumerate(self.slots) if slot not in leaving]
        order += range(len(self.slots), len(slots))
        order.sort(key=slots.__getitem__)
        runs = _runs(order)
        slots = _spliced(slots, runs)
        if len(set(slots)) != len(slots):
            raise RemoteProtocolError("a new peer has a slot that is taken")
        return PeerRows(
            slots,
            {name: _spliced(column + new.text[name], runs) for name, column in self.text.items()},
            {name: _spliced(column + new.numbers[name], runs) for name, column in self.numbers.items()},
        )

    def _with_figures(self, parts: dict[str, object]) -> PeerRows:
        """Return the table with the same rows and other figures in them."""
        numbers = dict(self.numbers)
        for name, packed in as_map(parts.get("whole", {}), "whole").items():
            numbers[name] = self._replacement(name, packed, len(self))
        text = dict(self.text)
        if "rows" in parts:
            row_of = self._row_of_slots()
            try:
                rows = [row_of[slot] for slot in _slots(parts["rows"])]
            except KeyError as error:
                raise RemoteProtocolError(f"slot {error} changed, but is not in the table") from None
            for name, packed in as_map(parts.get("columns", {}), "columns").items():
                values = self._replacement(name, packed, len(rows))
                # A copy: whoever holds the former table keeps its figures.
                numbers[name] = _with_values(numbers[name][:], rows, values)
            for name, packed in as_map(parts.get("texts", {}), "texts").items():
                if name not in text:
                    raise RemoteProtocolError(f"the column {name!r} changed, but is not in the table")
                text[name] = _with_values(text[name][:], rows, unpack_text(packed, len(rows)))
        after = PeerRows(self.slots, text, numbers)
        after._row_by_slot = self._row_by_slot
        if "id" in self.text and text["id"] is self.text["id"]:
            after._row_by_id = self._row_by_id
        return after

    def _replacement(self, name: str, packed: object, length: int) -> NumberColumn:
        """Decode numbers for a column that the table has, of the type it has."""
        present = self.numbers.get(name)
        values = _numbers(name, packed, length)
        if present is None or present.typecode != values.typecode:
            raise RemoteProtocolError(f"the column {name!r} changed, but is not in the table with this type")
        return values

    def _row_of_slots(self) -> dict[int, int]:
        if self._row_by_slot is None:
            self._row_by_slot = {slot: row for row, slot in enumerate(self.slots)}
        return self._row_by_slot

    def _public(self, rows: range) -> Iterable[tuple[str, list[object]]]:
        """Yield each column of these rows with the values that public JSON has."""
        part = slice(rows.start, rows.stop)
        for name, texts in self.text.items():
            yield name, [text or None for text in texts[part]]
        for name, column in self.numbers.items():
            values = column[part]
            if column.typecode == "f":
                yield name, [_seven_digits(value) for value in values]
            elif name in WHOLE_OR_UNKNOWN:
                yield name, [int(value) if value - value == 0 else None for value in values]
            elif column.typecode == "d":
                yield name, [value if value - value == 0 else None for value in values]
            elif name in ("protocol_version", "hops"):
                yield name, [value or None for value in values]
            else:
                yield name, list(values)


def _seven_digits(value: float) -> float | None:
    """Return what a 4-byte float was meant to say, None for NaN and the infinities."""
    return float(f"{value:.7g}") if value - value == 0 else None


def _types(numbers: Mapping[str, NumberColumn]) -> dict[str, str]:
    return {name: column.typecode for name, column in numbers.items()}


def _slots(column: object) -> NumberColumn:
    slots = unpack_column(column)
    if slots.typecode != _SLOT_TYPECODE or any(a >= b for a, b in pairwise(slots)):
        raise RemoteProtocolError("slots must be a column of u4, each larger than the one before")
    return slots


def _numbers(name: str, packed: object, rows: int) -> NumberColumn:
    values = unpack_column(packed)
    if len(values) != rows:
        raise RemoteProtocolError(f"the column {name!r} has {len(values)} values for {rows} rows")
    return values


def _with_values(column: _Column, rows: list[int], values: _Column) -> _Column:
    for row, value in zip(rows, values, strict=True):
        column[row] = value
    return column


def _runs(order: list[int]) -> list[slice]:
    """Return a list of rows as slices of consecutive ones."""
    runs: list[slice] = []
    start = previous = -1
    for row in order:
        if row != previous + 1 or start < 0:
            if start >= 0:
                runs.append(slice(start, previous + 1))
            start = row
        previous = row
    if start >= 0:
        runs.append(slice(start, previous + 1))
    return runs


def _spliced(column: _Column, runs: list[slice]) -> _Column:
    """Return the rows of a column that the slices name, in their order."""
    out = column[:0]
    for run in runs:
        out += column[run]
    return out
