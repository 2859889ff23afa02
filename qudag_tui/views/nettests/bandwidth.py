"""The figures of a bandwidth test and of a stress test. Pure."""

from __future__ import annotations

from qudag_tui.views.nettests.documents import Document, at, maps, number, short, text
from qudag_tui.views.nettests.parts import Style, delays, exact, fact_lines, per_s, seconds, wrapped
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import UNKNOWN, fit, format_bits_per_s, format_bytes, format_ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bandwidth_lines", "stress_lines"]

#: More intervals than this are shown as their first and last.
MOST_INTERVALS = 12

_WAYS = {"forward": "to the peer", "reverse": "from the peer", "bidir": "both ways"}


def bandwidth_lines(document: Document, style: Style) -> list[str]:
    """The goodput, why it is not more, the delay meanwhile, and how it went."""
    if number(document, "goodput_bits_per_s") is None and not maps(document, "intervals"):
        return []
    streams, protocol = number(document, "streams"), text(document, "protocol")
    direction = text(document, "direction")
    reverse = at(document, "reverse")
    carried = [f"{protocol} x{exact(streams)}" if protocol and streams else protocol]
    control = text(document, "congestion_control")
    carried += [control] if control else []
    cap = number(document, "rate_cap_bits_per_s")
    carried += [f"capped at {format_bits_per_s(cap)}"] if cap else []
    rows: list[tuple[str, Sequence[str]]] = [
        (
            "goodput",
            [format_bits_per_s(number(document, "goodput_bits_per_s")), _WAYS.get(direction, ""), *carried],
        )
        if not isinstance(reverse, dict)
        else (
            "goodput",
            [
                f"to the peer {format_bits_per_s(number(document, 'goodput_bits_per_s'))}",
                f"from the peer {format_bits_per_s(number(reverse, 'goodput_bits_per_s'))}",
                *carried,
            ],
        )
    ]
    if isinstance(reverse, dict):
        rows += [("there", _lost(document, style)), ("back", _lost(reverse, style))]
    else:
        rows.append(("lost", _lost(document, style)))
    rows.append(("steady", _steady(document)))
    rows.append(("cpu", _cpu(document)))
    lines = fact_lines(rows, style)
    lines += _bottleneck(document, "limit", style)
    if isinstance(reverse, dict):
        lines += _bottleneck(reverse, "limit back", style)
    table = delays(
        [("rtt idle", at(document, "rtt_idle"), ""), ("rtt loaded", at(document, "rtt_loaded"), "")], style
    )
    blocks = [table, _search(document, style), _intervals(document, "interval", style)]
    if isinstance(reverse, dict):
        blocks += [_search(reverse, style), _intervals(reverse, "back", style)]
    return [*lines, *(line for block in blocks for line in _block(block))]


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _lost(figures: Document, style: Style) -> list[str]:
    told: list[str] = []
    if (resent := number(figures, "retransmits")) is not None:
        told.append(f"retransmits {exact(resent)}")
    if (sent := number(figures, "sent")) is not None:
        told.append(f"sent {exact(sent)}")
        told.append(f"received {exact(number(figures, 'received'))}")
    if (lost := number(figures, "lost")) is not None:
        told.append(f"lost {exact(lost)}")
    if (ratio := number(figures, "loss_ratio")) is not None:
        told.append(f"loss {format_ratio(ratio)}")
    if dropped := number(figures, "receiver_dropped"):
        told.append(f"dropped by the receiving host {exact(dropped)}")
    if (reordered := number(figures, "reordered")) is not None:
        told.append(f"reordered {exact(reordered)}")
    if (jitter := number(figures, "jitter_s")) is not None:
        told.append(f"jitter {seconds(jitter, style)}")
    return told


def _steady(document: Document) -> list[str]:
    omitted = number(document, "omit_s")
    left_out = [f"the first {omitted:.1f} s left out"] if omitted else []
    if document.get("steady") is False:
        return ["no: the rate still moved at the end; run longer", *left_out]
    return left_out


def _cpu(document: Document) -> list[str]:
    here, there = number(document, "cpu", "local_ratio"), number(document, "cpu", "remote_ratio")
    if here is None and there is None:
        return []
    return [f"here {format_ratio(here)}", f"peer {format_ratio(there)}"]


def _bottleneck(figures: Document, label: str, style: Style) -> list[str]:
    verdict = text(figures, "bottleneck", "text") or text(figures, "bottleneck", "verdict")
    if not verdict:
        return []
    lines = wrapped(fit(label, 10) + "  " + verdict, style, indent="", hang=" " * 12)
    evidence = at(figures, "bottleneck", "evidence")
    for item in evidence if isinstance(evidence, list) else []:
        lines += wrapped(f"- {item}", style, indent=" " * 12, hang=" " * 14)
    return lines


def _intervals(figures: Document, title: str, style: Style) -> list[str]:
    rows = maps(figures, "intervals")
    if not rows:
        return []
    most = max(number(row, "bits_per_s") or 0.0 for row in rows) or 1.0
    bar = "#" if style.ascii_only else "█"
    cells = [
        [
            f"{number(row, 'start_s') or 0:.1f}-{number(row, 'end_s') or 0:.1f} s",
            format_bits_per_s(number(row, "bits_per_s")),
            exact(number(row, "retransmits")),
            seconds(number(row, "rtt_s"), style),
            format_bytes(number(row, "cwnd_bytes")),
            exact(number(row, "packets")),
            seconds(number(row, "jitter_s"), style),
            "left out" if row.get("omitted") else bar * round(12 * (number(row, "bits_per_s") or 0.0) / most),
        ]
        for row in rows
    ]
    columns = [
        Column(title),
        Column("goodput", right=True),
        Column("resent", right=True),
        Column("rtt", right=True, rank=1),
        Column("window", right=True, rank=2),
        Column("packets", right=True),
        Column("jitter", right=True, rank=1),
        Column("", rank=3),
    ]
    if len(cells) > MOST_INTERVALS:
        half = MOST_INTERVALS // 2
        more = [f"({len(cells) - 2 * half} more)", *[""] * (len(columns) - 1)]
        cells = [*cells[:half], more, *cells[-half:]]
    return _telling(columns, cells, style)


def _telling(columns: list[Column], rows: list[list[str]], style: Style) -> list[str]:
    """A table without the columns that say nothing."""
    kept = [i for i in range(len(columns)) if not i or any(row[i] not in {"", UNKNOWN} for row in rows)]
    return render_table(
        [columns[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        width=style.width,
        colour=style.colour,
    )


def _search(document: Document, style: Style) -> list[str]:
    steps = maps(document, "capacity_search") or maps(document, "steps")
    if not steps:
        return []
    rows = [
        [
            _tried(step),
            format_bits_per_s(number(step, "received_bits_per_s")),
            format_ratio(number(step, "loss_ratio")),
            seconds(number(step, "jitter_s"), style),
            seconds(number(step, "latency", "p99_s"), style),
            "met" if step.get("is_met", step.get("has_met")) else "not met",
        ]
        for step in steps
    ]
    columns = [
        Column("tried", right=True),
        Column("arrived", right=True),
        Column("loss", right=True),
        Column("jitter", right=True),
        Column("p99", right=True),
        Column("goal"),
    ]
    return _telling(columns, rows, style)


def _tried(step: Document) -> str:
    rate = number(step, "rate_bits_per_s")
    return per_s(number(step, "rate_per_s")) if rate is None else format_bits_per_s(rate)


def stress_lines(document: Document, style: Style) -> list[str]:
    """What was offered and what came, how late, and where the rest went."""
    found = number(document, "found_rate_per_s")
    lines = fact_lines(
        [
            ("found", [f"{per_s(found)} meets the goal"] if found is not None else []),
            (
                "messages",
                [
                    f"offered {exact(number(document, 'offered'))}",
                    f"delivered {exact(number(document, 'delivered'))}",
                    f"loss {format_ratio(number(document, 'loss_ratio'))}",
                ]
                if number(document, "offered") is not None
                else [],
            ),
            (
                "rate",
                [
                    f"asked {per_s(number(document, 'rate_per_s'))}",
                    f"offered {per_s(number(document, 'offered_per_s'))}",
                    f"delivered {per_s(number(document, 'throughput_per_s'))}",
                    f"goodput {format_bits_per_s(number(document, 'goodput_bits_per_s'))}",
                ]
                if number(document, "throughput_per_s") is not None
                else [],
            ),
        ],
        style,
    )
    table = delays([("latency", at(document, "latency"), "")], style)
    drops = [
        (
            text(row, "where") or UNKNOWN,
            short(text(row, "name") or text(row, "peer")) or UNKNOWN,
            text(row, "cause") or UNKNOWN,
            exact(number(row, "count")),
        )
        for row in maps(document, "drops")
    ]
    dropped = render_table(
        [Column("dropped"), Column("peer"), Column("cause"), Column("messages", right=True)],
        drops,
        width=style.width,
        colour=style.colour,
    )
    return [
        *lines,
        *_block(table),
        *_block(_search(document, style)),
        *(_block(dropped) if drops else []),
    ]
