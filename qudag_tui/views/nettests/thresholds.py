"""``--fail-if 'p99>50ms'``: reading thresholds, and holding a result against them. Pure."""

from __future__ import annotations

from typing import NamedTuple

from qudag_tui.errors import UsageError
from qudag_tui.views.nettests.documents import Document
from qudag_tui.views.nettests.metrics import Metric, find_metric, show_value
from qudag_tui.views.table import Column, render_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["Threshold", "Verdict", "crossed_text", "parse_thresholds", "thresholds_json", "thresholds_table"]

EXAMPLE = "write it as 'p99>50ms' or 'loss>1%'"

# The longer signs first, for the shorter ones begin them.
_RELATIONS = {
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
}
_WORDS = {">=": "at or over", "<=": "at or under", ">": "over", "<": "under"}


class Threshold(NamedTuple):
    """A condition that fails a test.

    Attributes:
        written: As it was given.
        metric: The figure it is about.
        relation: ``>``, ``>=``, ``<`` or ``<=``.
        limit: In the figure's own unit.
    """

    written: str
    metric: Metric
    relation: str
    limit: float

    def judge(self, document: Document) -> Verdict:
        """Hold a result against it; a figure that is missing fails."""
        value = self.metric.of(document)
        return Verdict(self, value, is_crossed=value is None or _RELATIONS[self.relation](value, self.limit))


class Verdict(NamedTuple):
    """What a threshold says of one result."""

    threshold: Threshold
    value: float | None
    is_crossed: bool

    @property
    def text(self) -> str:
        """One sentence, such as ``p99 is 61.2 ms, over 50.0 ms``."""
        of = self.threshold
        if self.value is None:
            return f"{of.metric.name} was not measured, so {of.written} cannot be ruled out"
        limit = show_value(of.metric, of.limit)
        word = _WORDS[of.relation] if self.is_crossed else "not " + _WORDS[of.relation]
        return f"{of.metric.name} is {show_value(of.metric, self.value)}, {word} {limit}"


def parse_thresholds(test_type: str, written: Iterable[str]) -> list[Threshold]:
    """Read the thresholds of a test; one text may hold several, joined by commas.

    Raises:
        UsageError: One is not ``FIGURE>LIMIT``, or names a figure that the test does not measure.
    """
    return [_parse(test_type, part) for text in written for part in text.split(",")]


def _parse(test_type: str, written: str) -> Threshold:
    text = written.strip()
    relation = next((sign for sign in _RELATIONS if sign in text), "")
    name, _, limit = text.partition(relation or ">")
    if not relation or not name.strip() or not limit.strip():
        raise UsageError(f"--fail-if {text!r} is no threshold", EXAMPLE)
    metric = find_metric(test_type, name)
    if metric.kind.name in {"time", "bit rate"} and limit.strip().replace(".", "").isdigit() and float(limit):
        unit = "50ms" if metric.kind.name == "time" else "50mbit"
        raise UsageError(f"--fail-if {text!r}: {metric.name} needs a unit", f"such as {unit}")
    try:
        value = metric.kind.parse(limit)
    except ValueError as exc:
        raise UsageError(f"--fail-if {text!r}: {exc}") from None
    return Threshold(text, metric, relation, value)


def crossed_text(verdicts: Iterable[Verdict]) -> str:
    """What was crossed, in one line; empty when nothing was."""
    return "; ".join(verdict.text for verdict in verdicts if verdict.is_crossed)


def thresholds_table(verdicts: Iterable[Verdict], *, colour: bool = False) -> list[str]:
    """A line for each threshold."""
    rows = [
        (
            of.threshold.written,
            show_value(of.threshold.metric, of.value),
            ("not measured", "bad")
            if of.value is None
            else ("crossed", "bad")
            if of.is_crossed
            else ("kept", "good"),
        )
        for of in verdicts
    ]
    columns = [Column("fails if"), Column("measured", right=True), Column("")]
    return render_table(columns, rows, colour=colour) if rows else []


def thresholds_json(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The same for programs; ``value`` and ``limit`` in seconds, ratios, bits per second or counts."""
    return [
        {
            "fail_if": of.threshold.written,
            "metric": of.threshold.metric.name,
            "limit": of.threshold.limit,
            "value": of.value,
            "crossed": of.is_crossed,
            "text": of.text,
        }
        for of in verdicts
    ]
