"""Printing results in the format that was asked for, and the exit code that they mean."""

from __future__ import annotations

import sys

from qudag_tui.cli.nettests.live import is_ascii
from qudag_tui.cli.output import Paper, print_json, print_lines
from qudag_tui.errors import EXIT_OK, ProtocolError, QudagError, RefusedError
from qudag_tui.views.nettests.parts import Style, ascii_text
from qudag_tui.views.nettests.thresholds import parse_thresholds, thresholds_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qudag_tui.cli.nettests.follow import Outcome
    from qudag_tui.cli.options import Options
    from qudag_tui.views.nettests.thresholds import Verdict

__all__ = ["RESULTS_SCHEMA", "Printer", "print_text", "style_of"]

RESULTS_SCHEMA = "qudag.test-results/1"
EVENT_SCHEMA = "qudag.test-event/1"


def style_of(options: Options) -> Style:
    """How stdout is printed on."""
    paper = Paper(no_color=options.no_color)
    return Style(paper.width, paper.colour, is_ascii(sys.stdout))


def print_text(lines: Sequence[str], style: Style) -> None:
    """Print a table or sentences in the letters that stdout has."""
    print_lines(map(ascii_text, lines) if style.ascii_only else lines)


class Printer:
    """Prints results of one type; made before the test runs, so that what is misspelt costs nothing.

    Attributes:
        test_type: What was tested.
    """

    def __init__(self, options: Options, test_type: str, *, one: bool) -> None:
        self.test_type = test_type
        self._thresholds = parse_thresholds(test_type, options.fail_if)
        self._format = options.format or "table"
        self._options = options
        self._is_one = one

    def event(self, test_id: str, event: Mapping[str, Any]) -> None:
        """An event as it comes; only ndjson streams."""
        if self._format == "ndjson" and event.get("event") in {"state", "progress"}:
            print_json({"schema": EVENT_SCHEMA, "test_id": test_id, **event}, indent=None)

    def one(self, result: object, before: Mapping[str, Any] | None) -> int:
        """Print a single result; return the exit code."""
        if not isinstance(result, dict):
            raise ProtocolError("the node's result is no map", "is it much newer or older than this program?")
        verdicts = self._judge(result)
        if self._format == "table":
            from qudag_tui.views.nettests.comparison import comparison_lines
            from qudag_tui.views.nettests.summary import summary_lines

            style = style_of(self._options)
            lines = summary_lines(result, style, verdicts)
            if before is not None:
                lines += ["", *comparison_lines(before, result, width=style.width, colour=style.colour)]
            print_text(lines, style)
        elif self._format == "csv":
            from qudag_tui.views.nettests.table_csv import csv_head, csv_rows

            print_lines([csv_head(self.test_type), *csv_rows(result)])
        else:
            print_json(self._judged(result, verdicts, before), indent=2 if self._format == "json" else None)
        return _code(result, verdicts)

    def many(
        self, outcomes: Sequence[Outcome], before: Mapping[str, Mapping[str, Any]], *, worst_first: bool
    ) -> int:
        """Print the results of several peers; return the worst exit code."""
        judged = [(o, self._judge(o.result) if o.result is not None else []) for o in outcomes]
        codes = [
            _code(o.result, v) if o.result is not None else (o.error.exit_code if o.error else 1)
            for o, v in judged
        ]
        if self._format == "table":
            self._many_table(judged, before, worst_first=worst_first)
        elif self._format == "csv":
            from qudag_tui.views.nettests.table_csv import csv_head, csv_rows

            rows = [row for o, _ in judged if o.result is not None for row in csv_rows(o.result)]
            print_lines([csv_head(self.test_type), *rows])
        else:
            documents = [
                self._judged(o.result, v, before.get(o.target.name))
                for o, v in judged
                if o.result is not None
            ]
            if self._format == "ndjson":
                for document in documents:
                    print_json(document, indent=None)
            else:
                errors = [
                    {"peer": o.target.name, "error": str(o.error)} for o, _ in judged if o.error is not None
                ]
                print_json({"schema": RESULTS_SCHEMA, "results": documents, "errors": errors})
        if self._format != "table":
            for o, _ in judged:
                if o.error is not None:
                    print(f"qudag: {o.target.name}: {o.error}", file=sys.stderr)
        return max(codes, default=EXIT_OK)

    def _many_table(
        self,
        judged: Sequence[tuple[Outcome, Sequence[Verdict]]],
        before: Mapping[str, Mapping[str, Any]],
        *,
        worst_first: bool,
    ) -> None:
        from qudag_tui.views.nettests.comparison import comparison_gist
        from qudag_tui.views.nettests.summary import many_table
        from qudag_tui.views.nettests.summary import worst_first as by_worst

        style = style_of(self._options)
        rows = [(o.target.name, o.result, str(o.error or ""), v) for o, v in judged]
        if worst_first:
            rows = by_worst(rows, self.test_type)
        lines = many_table(rows, self.test_type, style)
        compared = [
            line
            for name, result, _, _ in rows
            if result is not None and name in before
            for line in comparison_gist(before[name], result, name, width=style.width)
        ]
        print_text([*lines, *([""] if compared else []), *compared], style)

    def _judge(self, result: Mapping[str, Any]) -> list[Verdict]:
        return [threshold.judge(result) for threshold in self._thresholds]

    def _judged(
        self, result: Mapping[str, Any], verdicts: Sequence[Verdict], before: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The document, with what was asked about it."""
        document = dict(result)
        if verdicts:
            document["thresholds"] = thresholds_json(verdicts)
        if before is not None:
            from qudag_tui.views.nettests.comparison import comparison_json

            document["comparison"] = comparison_json(before, result)
        return document


def _code(result: Mapping[str, Any], verdicts: Sequence[Verdict]) -> int:
    if result.get("declined"):
        return RefusedError.exit_code
    is_crossed = any(verdict.is_crossed for verdict in verdicts)
    return EXIT_OK if result.get("success") and not is_crossed else QudagError.exit_code
