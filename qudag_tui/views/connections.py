"""The panels of plain figures: the connections, and the node as a process. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qudag_tui.model.sample import Sample, Summary
from qudag_tui.model.state import UiState
from qudag_tui.views.figures import format_per_s
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.layout import Pair, pairs, title
from qudag_tui.views.spans import Box, Line, Role, beside, cut_lines
from qudag_tui.views.text import UNKNOWN, format_age, format_bytes, format_count, format_ratio, format_seconds

__all__ = ["causes", "connections"]

#: Open files beyond this share of the limit deserve a warning.
MANY_FILES = 0.8

LABEL_WIDTH = 8
CELL_WIDTH = 26
#: Of the node's figures: ``propagation``, and ``31.8 ms ±1.10 ms`` or ``27 msgs 11.1 KiB`` beside it.
NODE_LABEL_WIDTH = 11
NODE_CELL_WIDTH = 31
SHORT_CELL_WIDTH = 22


def connections(state: UiState, box: Box, glyphs: Glyphs) -> list[Line]:
    """Draw the connections, and below them the node's own figures where there is room."""
    lines = [title("Connections", "", box.width, glyphs)]
    sample = state.seen.sample
    if sample is not None:
        columns = max(1, box.width // CELL_WIDTH)
        lines += pairs(_connections(sample), box.width, LABEL_WIDTH, columns)
        node = _node_lines(_node(sample, glyphs), box.width)
        if box.height >= len(lines) + 2 + len(node):
            lines += [(), title("Node", "times are p95, propagation p50", box.width, glyphs), *node]
    return cut_lines(lines, box)


def _connections(sample: Sample) -> list[Pair]:
    """What there is to say of the connections, the most telling first."""
    now = sample.connections
    failed = sum(now.errors.values())
    return [
        Pair(
            "active",
            str(now.active),
            f"of {now.limit}" if now.limit else "",
            Role.STRONG if now.active else Role.WARN,
        ),
        Pair("in, out", f"{now.incoming}, {now.outgoing}"),
        Pair("errors", str(failed), causes(now.errors, 1), Role.WARN if failed else Role.TEXT),
        Pair("pending", str(now.pending)),
        Pair("banned", str(now.banned)),
        Pair("closed", format_count(now.closed), f"of {format_count(now.total)}"),
        Pair("lasted", format_age(now.duration_s.p50), "median"),
        Pair("longest", format_age(now.duration_s.max)),
    ]


def _node_lines(items: Sequence[Pair], width: int) -> list[Line]:
    """Lay out the node's figures; where two columns share little room, the longer figures get more of it."""
    columns = width // NODE_CELL_WIDTH
    if columns >= 2 or width < 2 * CELL_WIDTH:
        return pairs(items, width, NODE_LABEL_WIDTH, max(1, columns))
    rest = width - SHORT_CELL_WIDTH
    left = pairs(items[::2], SHORT_CELL_WIDTH, NODE_LABEL_WIDTH - 1, 1)
    return beside(left, pairs(items[1::2], rest, NODE_LABEL_WIDTH, 1), (SHORT_CELL_WIDTH, rest), 0)


def _node(sample: Sample, glyphs: Glyphs) -> list[Pair]:
    """What there is to say of the node as a process and of its work."""
    host, work = sample.resources, sample.performance

    def seconds(value: float | None) -> str:
        return format_seconds(value, ascii_only=glyphs.is_ascii)

    is_short_of_files = (
        host.open_files is not None
        and bool(host.open_files_limit)
        and host.open_files > MANY_FILES * (host.open_files_limit or 0)
    )
    return [
        Pair("cpu", format_ratio(host.cpu_ratio)),
        Pair("memory", format_bytes(host.rss_bytes)),
        Pair("loop lag", seconds(host.loop_lag_s.p95)),
        Pair(
            "files",
            format_count(host.open_files),
            f"of {format_count(host.open_files_limit)}",
            Role.WARN if is_short_of_files else Role.TEXT,
        ),
        Pair("vertices", f"{format_per_s(work.tps.per_s_1)}/s", "new"),
        Pair("queue", f"{format_count(work.queue_depth)} msgs", format_bytes(work.queue_bytes)),
        Pair("processing", seconds(work.processing_time_s.p95)),
        Pair("propagation", _bounded(work.propagation_time_s, glyphs)),
    ]


def _bounded(summary: Summary | None, glyphs: Glyphs) -> str:
    """A median between two clocks: never without its error bound, nor when that is the larger of the two."""
    if summary is None or summary.p50 is None or summary.error_bound_s is None:
        return UNKNOWN
    if summary.error_bound_s > summary.p50:
        return UNKNOWN
    value, bound = (
        format_seconds(figure, ascii_only=glyphs.is_ascii) for figure in (summary.p50, summary.error_bound_s)
    )
    return f"{value}{glyphs.plus_minus}{bound}"


def causes(counts: Mapping[str, int], most: int = 3) -> str:
    """The most frequent causes in one remark: ``timeout 2, reset 1``."""
    found = sorted(((-count, name) for name, count in counts.items() if count))
    return ", ".join(f"{name} {format_count(-count)}" for count, name in found[:most])
