"""Series of figures over time as a table, CSV and JSON. Pure."""

from __future__ import annotations

from qudag_tui.views.csv import csv_line
from qudag_tui.views.facts import fact
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

__all__ = ["HISTORY_SCHEMA", "History", "figure_of", "history_csv", "history_json", "history_table"]

HISTORY_SCHEMA = "qudag.history/1"


class History:
    """Points at equal distances.

    Attributes:
        from_unix_s: When the first point was.
        step_s: Between two points.
        series: The points by name; NaN is "not known".
    """

    __slots__ = ("from_unix_s", "series", "step_s")

    def __init__(self, from_unix_s: float, step_s: float, series: Mapping[str, Sequence[float]]) -> None:
        self.from_unix_s = from_unix_s
        self.step_s = step_s
        self.series = series

    @property
    def length(self) -> int:
        """How many points each series has."""
        return max(map(len, self.series.values()), default=0)

    @property
    def has_points(self) -> bool:
        """Whether anything is known at all."""
        return any(value == value for values in self.series.values() for value in values)

    def rows(self) -> Iterator[tuple[float, list[float | None]]]:
        """Yield (Unix seconds, one value per series); None where a value is not known."""
        columns = [[_known(value) for value in values] for values in self.series.values()]
        for index in range(self.length):
            yield self.from_unix_s + index * self.step_s, [column[index] for column in columns]


def _known(value: float) -> float | None:
    # Points are 4-byte floats: seven digits are what was meant.
    return float(f"{value:.7g}") if value - value == 0 else None


def history_table(history: History, *, colour: bool = False) -> list[str]:
    """A line for each moment at which anything is known; units as the names of the series say."""
    names = list(history.series)
    rows = [
        [
            format_timestamp(at_unix_s),
            *(figure_of(name, value) for name, value in zip(names, values, strict=True)),
        ]
        for at_unix_s, values in history.rows()
        if any(value is not None for value in values)
    ]
    return render_table([Column("time"), *(Column(name, right=True) for name in names)], rows, colour=colour)


def figure_of(name: str, value: float | None) -> str:
    """A value of a series in the unit that its dotted name says."""
    *parents, leaf = name.split(".")
    parent = parents[-1] if parents else ""
    if leaf == "samples":
        return fact("samples", value)
    if leaf in {"1s", "10s", "60s", "per_s"}:
        return fact("bytes_per_s" if parents[0] == "bandwidth" else "per_s", value)
    if parents[:1] == ["latency"]:
        return fact("latency_s", value)
    # Of a distribution the parent names the unit: performance.processing_time_s.p99.
    return fact(parent if parent.endswith(("_s", "_bytes")) else leaf, value)


def history_csv(history: History) -> list[str]:
    """Unix seconds, then a column per series."""
    rows = (csv_line([round(at_unix_s, 3), *values]) for at_unix_s, values in history.rows())
    return [csv_line(["unix_s", *history.series]), *rows]


def history_json(history: History) -> dict[str, Any]:
    """The answer of the node with lists for columns."""
    return {
        "schema": HISTORY_SCHEMA,
        "from_unix_s": history.from_unix_s,
        "step_s": history.step_s,
        "series": {name: [_known(value) for value in values] for name, values in history.series.items()},
    }
