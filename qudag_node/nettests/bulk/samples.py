"""What a bandwidth test counted, sampled all along: columns of whole numbers.

A test is some hundred samples whatever its duration, so that they fit into one message between two nodes.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgpack

__all__ = ["LEAST_SAMPLE_S", "MAX_PACKED_BYTES", "SampleError", "Samples", "sample_period_s"]

LEAST_SAMPLE_S: Final = 0.1
_MAX_SAMPLES = 150
#: A message between two nodes holds 16 KiB.
MAX_PACKED_BYTES: Final = 12 << 10
_MAX_UNPACKED_BYTES = 1 << 20
_MAX_COLUMNS = 32
_MOST = 1 << 62


class SampleError(ValueError):
    """These bytes hold no samples; a stranger sent them."""


def sample_period_s(duration_s: float) -> float:
    """Return how far apart samples are taken."""
    return max(LEAST_SAMPLE_S, duration_s / _MAX_SAMPLES)


class Samples:
    """Columns of equal length; ``t_us`` is there always, and grows.

    Args:
        column_by_name: The columns.
    """

    def __init__(self, column_by_name: Mapping[str, Sequence[int]] | None = None) -> None:
        given = {"t_us": cast("Sequence[int]", ())} if column_by_name is None else column_by_name
        self._columns = {name: list(column) for name, column in given.items()}

    def __len__(self) -> int:
        return len(self._columns["t_us"])

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def add(self, row: Mapping[str, int]) -> None:
        """Take one sample; every one has the same names."""
        if not len(self):
            self._columns = {name: [] for name in row}
        for name, column in self._columns.items():
            column.append(row[name])

    def column(self, name: str) -> list[int]:
        """Return one column; zeros where there is none of this name."""
        return self._columns.get(name) or [0] * len(self)

    def at(self, index: int) -> dict[str, int]:
        """Return one sample."""
        return {name: column[index] for name, column in self._columns.items()}

    def last(self, name: str) -> int:
        """Return the newest value; 0 where there is none."""
        column = self._columns.get(name)
        return column[-1] if column else 0

    def grown(self, name: str, first: int, last: int) -> int:
        """Return by how much a column has grown between two samples."""
        column = self.column(name)
        return column[last] - column[first]

    def index_at(self, t_us: int) -> int:
        """Return the first sample at or after a time, the last one when there is none."""
        times = self._columns["t_us"]
        return next((index for index, time_us in enumerate(times) if time_us >= t_us), len(times) - 1)

    def pack(self, most_bytes: int = MAX_PACKED_BYTES) -> bytes:
        """Return so many bytes at most; every second sample goes until they fit."""
        columns = self._columns
        while True:
            packed = zlib.compress(cast("bytes", msgpack.packb(columns)))
            if len(packed) <= most_bytes or len(columns["t_us"]) < 4:
                return packed
            # The first and the last stay: totals are exact.
            columns = {name: [*column[:-1:2], column[-1]] for name, column in columns.items()}

    @classmethod
    def unpack(cls, data: bytes) -> Samples:
        """Read what ``pack`` wrote.

        Raises:
            SampleError: It is not that.
        """
        try:
            inflater = zlib.decompressobj()
            columns: object = msgpack.unpackb(inflater.decompress(data, _MAX_UNPACKED_BYTES))
        except (zlib.error, ValueError, msgpack.UnpackException) as exc:
            raise SampleError("these are no samples") from exc
        if not _is_columns(columns):
            raise SampleError("these samples have no columns of one length")
        return cls(cast("dict[str, list[int]]", columns))


def _is_columns(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    columns: dict[Any, Any] = value
    times: Any = columns.get("t_us")
    if not isinstance(times, list) or len(columns) > _MAX_COLUMNS:
        return False
    return all(
        isinstance(name, str) and isinstance(column, list) and len(column) == len(times) and _is_whole(column)
        for name, column in columns.items()
    ) and all(before <= after for before, after in itertools.pairwise(times))


def _is_whole(column: list[Any]) -> bool:
    return all(type(each) is int and 0 <= each < _MOST for each in column)
