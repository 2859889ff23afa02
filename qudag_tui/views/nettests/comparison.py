"""``--compare``: two results of the same test side by side, better or worse in words. Pure."""

from __future__ import annotations

from typing import NamedTuple

from qudag_tui.errors import UsageError
from qudag_tui.views.nettests.documents import Document, number, target_name, text
from qudag_tui.views.nettests.metrics import KEY_METRICS, METRICS, RATIO, Metric, show_value
from qudag_tui.views.nettests.parts import Style, wrapped
from qudag_tui.views.table import Column, paint, render_table
from qudag_tui.views.text import UNKNOWN, format_age, format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Difference",
    "check_comparable",
    "compare",
    "comparison_gist",
    "comparison_json",
    "comparison_lines",
]

#: Under this share two figures are called the same: what two runs differ by when nothing changed.
SAME_RATIO = 0.05

_STYLES = {"better": "good", "worse": "bad"}

# What describes the run and not the network.
_LEFT_OUT = frozenset(
    {"sent", "received", "offered", "delivered", "duration", "forward_lost", "backward_lost"}
)


class Difference(NamedTuple):
    """One figure before and now.

    Attributes:
        word: ``better``, ``worse``, ``same``, ``higher``, ``lower``, ``only now``, ``only before``,
            or ``too few samples`` to tell.
    """

    metric: Metric
    before: float | None
    now: float | None
    word: str

    @property
    def change(self) -> str:
        """The change as text: percentage points of a share, per cent of anything else."""
        if self.before is None or self.now is None:
            return UNKNOWN
        delta = self.now - self.before
        if not delta:
            return "0 %"
        if self.metric.kind is RATIO:
            return f"{delta * 100:+.2f} pp"
        if not self.before:
            return f"{'+' if delta > 0 else '-'}{show_value(self.metric, abs(delta))}"
        ratio = delta / self.before
        return f"{ratio * 100:+.1f} %" if abs(ratio) < 9.995 else f"x{self.now / self.before:.1f}"


def check_comparable(before: Document, test_type: str, target_id: str, name: str) -> None:
    """Refuse to compare a ping with a bandwidth test, or one peer with another.

    Raises:
        UsageError: They are not of the same type and target.
    """
    test_id, other = text(before, "test_id"), text(before, "test_type")
    if other != test_type:
        raise UsageError(
            f"{test_id} is a {other} test, this is {test_type}", "compare tests of the same type"
        )
    if text(before, "target", "id") != target_id:
        whom = target_name(before) or "the network"
        raise UsageError(
            f"{test_id} tested {whom}, this tests {name or 'the network'}", "compare the same peer"
        )


def compare(before: Document, now: Document) -> list[Difference]:
    """The figures that either has."""
    found: list[Difference] = []
    for metric in METRICS.get(text(now, "test_type"), ()):
        old, new = metric.of(before), metric.of(now)
        if metric.name in _LEFT_OUT or (old is None and new is None):
            continue
        found.append(Difference(metric, old, new, _judged(metric, before, now)))
    return found


def _judged(metric: Metric, before: Document, now: Document) -> str:
    word = _word(metric, metric.of(before), metric.of(now))
    is_judged = word in {"better", "worse"} and not (metric.has_enough(before) and metric.has_enough(now))
    return "too few samples" if is_judged else word


def _word(metric: Metric, old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return "only now" if old is None else "only before"
    delta = abs(new - old)
    if delta <= metric.kind.floor or delta <= SAME_RATIO * max(abs(old), abs(new)):
        return "same"
    if not metric.better:
        return "higher" if new > old else "lower"
    return "better" if (new < old) is (metric.better == "less") else "worse"


def comparison_lines(
    before: Document, now: Document, *, width: int | None, colour: bool = False
) -> list[str]:
    """Which run it is compared with, what was not the same about the two, and a line for each figure."""
    then, today = number(before, "started_unix_s"), number(now, "started_unix_s")
    differences = compare(before, now)
    age = f", {format_age(today - then)} before" if then is not None and today is not None else ""
    lines = [
        paint(f"compared with {text(before, 'test_id')}", "head", colour=colour)
        + f"  {format_timestamp(then)}{age}"
    ]
    lines += wrapped(_gist(differences), Style(width), indent="  ")
    lines += [f"  not the same: {note}" for note in _unlike(before, now)]
    keys = KEY_METRICS.get(text(now, "test_type"), {})
    shown = [
        of
        for of in differences
        if of.word in {"better", "worse", "higher", "lower"} or of.metric.name in keys
    ]
    rows = [
        (
            of.metric.name.replace("_", " "),
            show_value(of.metric, of.before),
            show_value(of.metric, of.now),
            of.change,
            (of.word, _STYLES.get(of.word, "")),
        )
        for of in shown
    ]
    columns = [
        Column("", least=6),
        Column("before", right=True),
        Column("now", right=True),
        Column("change", right=True),
        Column(""),
    ]
    return [*lines, *render_table(columns, rows, width=width, colour=colour, indent="  ")]


def comparison_gist(before: Document, now: Document, name: str, *, width: int | None) -> list[str]:
    """The same in a sentence, for one of several peers."""
    unlike = "".join(f"; not the same: {note}" for note in _unlike(before, now))
    gist = f"{name}: since {text(before, 'test_id')}, {_gist(compare(before, now))}{unlike}"
    return wrapped(gist, Style(width), indent="", hang="  ")


def _gist(differences: list[Difference]) -> str:
    """Better or worse, before any figure."""
    told = []
    for word in ("worse", "better"):
        names = [of.metric.name.replace("_", " ") for of in differences if of.word == word]
        if names:
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            told.append(f"{word}: {', '.join(names[:6])}{more}")
    return "; ".join(told) or "the same, as far as two runs can tell"


def _unlike(before: Document, now: Document) -> list[str]:
    """Why the two may differ without the network having changed."""
    notes = [
        f"{name} {before.get(name)} before, {now.get(name)} now"
        for name in ("method",)
        if before.get(name) != now.get(name)
    ]
    old, new = before.get("options"), now.get("options")
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        notes += [
            f"{name} {_plain(old.get(name))} before, {_plain(new.get(name))} now"
            for name in names
            if old.get(name) != new.get(name)
        ]
    for word, document in (("before", before), ("now", now)):
        environment = document.get("environment")
        if isinstance(environment, dict) and environment.get("noisy"):
            notes.append(f"the host was noisy {word}")
        if document.get("interrupted"):
            notes.append(f"the run was interrupted {word}")
    return notes


def _plain(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def comparison_json(before: Document, now: Document) -> dict[str, Any]:
    """The same for programs."""
    return {
        "with": text(before, "test_id"),
        "started_unix_s": before.get("started_unix_s"),
        "not_the_same": _unlike(before, now),
        "figures": {
            of.metric.name: {
                "before": of.before,
                "now": of.now,
                "change": None if of.before is None or of.now is None else of.now - of.before,
                "verdict": of.word,
            }
            for of in compare(before, now)
        },
    }
