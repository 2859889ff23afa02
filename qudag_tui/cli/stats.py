"""``qudag network stats``: one snapshot, or a stream of them. Light: see the imports.

Formats: ``table`` is an overview and a line per peer, in a stream one line per sample; ``detailed`` is
every figure; ``json`` and ``ndjson`` are the document of docs/stats-schema.md; ``csv`` is one row of the
scalar figures per sample, or one row per peer with ``--filter section=peers``.
"""

from __future__ import annotations

from qudag_tui.cli.options import Options
from qudag_tui.cli.output import READING, Paper, check_format, print_json, print_lines
from qudag_tui.cli.session import open_node, open_stream_of_node
from qudag_tui.errors import UsageError
from qudag_tui.views.selection import parse_selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from qudag_node.wire import PeerRows
    from qudag_tui.views.selection import Figures, Selection

__all__ = ["FORMATS", "StatsOptions", "match_once", "run", "run_once"]

FORMATS = ("table", "json", "detailed", "csv", "ndjson")

LEAST_INTERVAL_S = 0.1
# A head every so many lines, so that one is always on the screen.
LINES_PER_HEAD = 20


class StatsOptions(Options):
    """What the command line says for the fast path; argparse makes the same attributes."""

    def __init__(self) -> None:
        self.once = False
        self.redact = False
        self.filters: list[str] = []
        self.sort: str | None = None


_FAST_VALUES = {
    "--node": "node",
    "--data-dir": "data_dir",
    "--token-file": "token_file",
    "--format": "format",
    "--sort": "sort",
}
_FAST_FLAGS = {"--once": "once", "--redact": "redact", "--no-color": "no_color"}


def match_once(words: Sequence[str]) -> StatsOptions | None:
    """Read ``network stats --once …`` by hand; None is for argparse, which also explains what is wrong."""
    if "--once" not in words:
        return None
    options = StatsOptions()
    command: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _FAST_FLAGS:
            setattr(options, _FAST_FLAGS[word], True)
        elif not word.startswith("-"):
            command.append(word)
        elif name in _FAST_VALUES or name in {"--filter", "--timeout"}:
            if not equals:
                value = next(rest, "")
            if not value or (value.startswith("-") and name != "--sort"):
                return None
            if name == "--filter":
                options.filters.append(value)
            elif name == "--timeout":
                if not (value.isascii() and value.isdigit() and 0 < int(value) < 100_000):
                    return None
                options.timeout_s = float(value)
            else:
                setattr(options, _FAST_VALUES[name], value)
        else:
            return None
    return options if command == ["network", "stats"] else None


def run_once(options: Options) -> int:
    """Print one snapshot."""
    selection, show = _prepare(options)
    with open_node(options) as connection:
        sections = selection.wire_sections
        document = connection.call("stats", {"sections": ["node", *sections]} if sections else None)
    from qudag_node.wire import StatsMirror

    mirror = StatsMirror()
    with READING:
        mirror.full({"document": document})
        show(_figures(options, selection, mirror.document, mirror.peers))
    return 0


def run(options: Options) -> int:
    """Print snapshots until ``--count`` of them were printed, or the reader has had enough."""
    if options.once:
        return run_once(options)
    if not options.interval_s >= LEAST_INTERVAL_S:
        raise UsageError(f"--interval {options.interval_s:g}: at least {LEAST_INTERVAL_S:g} s")
    if options.count is not None and options.count < 1:
        raise UsageError(f"--count {options.count}: at least 1")
    selection, show = _prepare(options)
    from qudag_tui.client.stats_stream import stats_stream

    with open_stream_of_node(options) as connection:
        samples = stats_stream(connection, interval_s=options.interval_s, timeout_s=options.timeout_s)
        for number, mirror in enumerate(samples, 1):
            with READING:
                show(_figures(options, selection, mirror.document, mirror.peers))
            if number == options.count:
                break
    return 0


def _figures(options: Options, selection: Selection, document: Mapping[str, Any], peers: PeerRows) -> Figures:
    figures = selection.apply(document, peers)
    if options.redact:
        from qudag_tui.views.redact import redact

        figures = redact(figures)
    return figures


def _prepare(options: Options) -> tuple[Selection, Callable[[Figures], None]]:
    """Check what was asked for before a node is bothered."""
    selection = parse_selection(options.filters, options.sort)
    paper = Paper(no_color=options.no_color)
    match check_format(options.format, FORMATS):
        case "json":
            return selection, _json(2)
        case "ndjson":
            return selection, _json(None)
        case "csv":
            return selection, _csv()
        case "detailed":
            from qudag_tui.views.stats_text import stats_detailed

            return selection, _texts(stats_detailed, paper, options)
        case _ if options.once or options.filters or options.sort:
            from qudag_tui.views.stats_text import stats_table

            return selection, _texts(stats_table, paper, options)
        case _:
            return selection, _lines(paper)


def _texts(view: Callable[..., list[str]], paper: Paper, options: Options) -> Callable[[Figures], None]:
    def show(figures: Figures) -> None:
        lines = view(figures, width=paper.width, colour=paper.colour)
        print_lines(lines if options.once else [*lines, ""])

    return show


def _lines(paper: Paper) -> Callable[[Figures], None]:
    from qudag_tui.views.stats_text import line_head, sample_line

    printed = 0

    def show(figures: Figures) -> None:
        nonlocal printed
        head = [line_head(colour=paper.colour)] if printed % LINES_PER_HEAD == 0 else []
        # In a pipe one head is enough.
        print_lines([*(head if paper.width or printed == 0 else []), sample_line(figures.document)])
        printed += 1

    return show


def _json(indent: int | None) -> Callable[[Figures], None]:
    from qudag_tui.views.stats_json import stats_json

    return lambda figures: print_json(stats_json(figures), indent=indent)


def _csv() -> Callable[[Figures], None]:
    from qudag_tui.views.stats_csv import csv_head, csv_rows

    printed = False

    def show(figures: Figures) -> None:
        nonlocal printed
        print_lines([*([] if printed else [csv_head(figures)]), *csv_rows(figures)])
        printed = True

    return show
