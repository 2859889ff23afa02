"""The figures of traceroute, routing and connectivity tests. Pure."""

from __future__ import annotations

from qudag_tui.views.nettests.documents import Document, at, count_of, maps, number, short, text
from qudag_tui.views.nettests.parts import Style, counted, exact, fact_lines, seconds, wrapped
from qudag_tui.views.table import Column, render_table
from qudag_tui.views.text import UNKNOWN, format_ratio

__all__ = ["connectivity_lines", "routing_lines", "traceroute_lines"]


def _peer(row: Document) -> str:
    return text(row, "name") or short(text(row, "peer")) or UNKNOWN


def _plus(value: float | None, style: Style) -> str:
    if value is None:
        return UNKNOWN
    return f"+{seconds(value, style)}" if value > 0 else seconds(value, style)


def traceroute_lines(document: Document, style: Style) -> list[str]:
    """A line for each hop, the routes that were seen, and the IP path below each hop."""
    rows = [
        (
            exact(number(hop, "ttl")),
            _peer(hop) if number(hop, "received") or hop.get("peer") else "*",
            format_ratio(number(hop, "loss_ratio")),
            exact(number(hop, "sent")),
            seconds(number(hop, "rtt", "min_s"), style),
            seconds(number(hop, "rtt", "p50_s"), style),
            seconds(number(hop, "rtt", "p95_s"), style),
            seconds(number(hop, "rtt", "max_s"), style),
            _plus(number(hop, "added_s"), style),
        )
        for hop in maps(document, "hops")
    ]
    columns = [
        Column("hop", right=True),
        Column("peer", least=8),
        Column("loss", right=True),
        Column("sent", right=True, rank=3),
        Column("min", right=True, rank=2),
        Column("p50", right=True),
        Column("p95", right=True, rank=1),
        Column("max", right=True, rank=4),
        Column("adds", right=True),
    ]
    lines = render_table(columns, rows, width=style.width, colour=style.colour) if rows else []
    lines += _remarks(maps(document, "hops"), style)
    changes = number(document, "route_changes")
    routes = maps(document, "routes")
    if len(routes) > 1:
        lines += ["", f"routes     {counted(changes, 'change')} during the run"]
        for route in routes:
            path, given = at(route, "path"), at(route, "names")
            names = [str(name or "*") for name in given] if isinstance(given, list) else []
            names = names or _names(document, path if isinstance(path, list) else [])
            lines += wrapped(
                f"{exact(number(route, 'count'))}x {' > '.join(names)}", style, indent="  ", hang="    "
            )
    lines += _underlay(document, style)
    return lines


#: What a row's verdict says when there is nothing to say.
_UNREMARKABLE = frozenset({"ok", "passes on"})


def _remarks(rows: list[Document], style: Style) -> list[str]:
    """What the node has to say about single rows, whole: below the table, where there is room for it."""
    lines: list[str] = []
    for row in rows:
        verdict = text(row, "verdict")
        if verdict and verdict not in _UNREMARKABLE:
            lines += wrapped(f"{_peer(row)}: {verdict}", style, indent="  ", hang="    ")
    return lines


def _names(document: Document, path: list[object]) -> list[str]:
    known = {text(hop, "peer"): text(hop, "name") for hop in maps(document, "hops")}
    known[text(document, "target", "id")] = text(document, "target", "name")
    known[text(document, "environment", "node", "id")] = text(document, "environment", "node", "name")
    return ["*" if peer is None else known.get(str(peer)) or short(str(peer)) for peer in path]


def _underlay(document: Document, style: Style) -> list[str]:
    lines: list[str] = []
    for part in maps(document, "underlay"):
        between, given = at(part, "between"), at(part, "names")
        ends = [str(name) for name in given] if isinstance(given, list) else []
        ends = ends or _names(document, between if isinstance(between, list) else [])
        lines += ["", f"ip path {' > '.join(ends)}"]
        if error := text(part, "error"):
            lines += wrapped(error, style, indent="  ")
        rows = [
            (
                exact(number(hop, "ttl")),
                text(hop, "address") or "*",
                seconds(number(hop, "rtt", "min_s"), style),
                seconds(number(hop, "rtt", "p50_s"), style),
                seconds(number(hop, "rtt", "max_s"), style),
            )
            for hop in maps(part, "hops")
        ]
        if rows:
            columns = [
                Column("hop", right=True),
                Column("address"),
                Column("min", right=True),
                Column("p50", right=True),
                Column("max", right=True),
            ]
            lines += render_table(columns, rows, width=style.width, colour=style.colour, indent="  ")
    return lines


def routing_lines(document: Document, style: Style) -> list[str]:
    """A line for each peer, the relays, and who reaches whom."""
    names = {text(row, "peer"): _peer(row) for row in maps(document, "peers")}
    names[text(document, "environment", "node", "id")] = text(document, "environment", "node", "name")
    rows = [
        (
            _peer(row),
            ("yes", "good") if row.get("reachable") else ("NO", "bad"),
            exact(number(row, "hops")),
            exact(number(row, "best_hops")),
            seconds(number(row, "rtt", "p50_s"), style),
            seconds(number(row, "best_known_s"), style),
            _stretch(number(row, "stretch")),
        )
        for row in maps(document, "peers")
    ]
    columns = [
        Column("peer", least=8),
        Column("reached"),
        Column("hops", right=True),
        Column("best", right=True, rank=2),
        Column("rtt p50", right=True),
        Column("best known", right=True, rank=1),
        Column("stretch", right=True),
    ]
    lines = render_table(columns, rows, width=style.width, colour=style.colour) if rows else []
    lines += _remarks(maps(document, "peers"), style)
    relays = [
        (
            _peer(row),
            _forwards(text(row, "forwarding")),
            f"{exact(number(row, 'passed'))} of {exact(number(row, 'offered'))}",
            exact(count_of(row, "misroutes")),
            exact(count_of(row, "dropped")),
        )
        for row in maps(document, "relays")
    ]
    if relays:
        heads = [
            Column("relay", least=8),
            Column("forwards"),
            Column("passed", right=True, rank=1),
            Column("misroutes", right=True),
            Column("dropped", right=True),
        ]
        lines += ["", *render_table(heads, relays, width=style.width, colour=style.colour)]
        lines += _remarks(maps(document, "relays"), style)
    return [*lines, *_matrix(document, names, style)]


def _stretch(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}x"


def _forwards(word: str) -> tuple[str, str]:
    return {"yes": ("yes", "good"), "partly": ("PARTLY", "bad"), "no": ("NO", "bad")}.get(
        word, (word or UNKNOWN, "warn")
    )


# A wider matrix is read in the JSON.
_MOST_IN_MATRIX = 12


def _matrix(document: Document, names: dict[str, str], style: Style) -> list[str]:
    """Hops from each peer (rows) to each other one, by the map of links."""
    peers, hops = at(document, "matrix", "peers"), at(document, "matrix", "hops")
    if not isinstance(peers, list) or not isinstance(hops, list) or not 2 < len(peers) <= _MOST_IN_MATRIX:
        return []
    given = at(document, "matrix", "names")
    called = (
        [str(name) for name in given]
        if isinstance(given, list) and len(given) == len(peers)
        else [names.get(str(peer)) or short(str(peer)) for peer in peers]
    )
    rows = [
        (called[i], *(_hop_cell(cell, i == j) for j, cell in enumerate(row)))
        for i, row in enumerate(hops)
        if isinstance(row, list) and i < len(called)
    ]
    if any(len(row) != len(called) + 1 for row in rows):
        return []
    columns = [Column("hops from", least=8), *(Column(name[-8:], right=True) for name in called)]
    lines = render_table(columns, rows, colour=style.colour)
    fits = style.width is None or max(len(line) for line in lines) <= style.width + 16 * style.colour
    return ["", *lines] if fits else []


def _hop_cell(cell: object, is_self: bool) -> str:
    if is_self:
        return "."
    return str(cell) if isinstance(cell, int) and cell > 0 else UNKNOWN


def connectivity_lines(document: Document, style: Style) -> list[str]:
    """Step by step; what failed says why."""
    steps = maps(document, "steps")
    rows = [
        (
            text(step, "step"),
            ("ok", "good") if step.get("ok") else ("-", "") if step.get("ok") is None else ("FAILED", "bad"),
            seconds(number(step, "duration_s"), style),
            text(step, "detail") or (text(step, "reason") if step.get("ok") is None else ""),
        )
        for step in steps
    ]
    columns = [Column("step"), Column(""), Column("took", right=True), Column("", least=20)]
    lines = render_table(columns, rows, width=style.width, colour=style.colour) if rows else []
    for step in steps:
        reason = text(step, "reason")
        if step.get("ok") is False and reason:
            lines += ["", *wrapped(f"{text(step, 'step')}: {reason}", style, indent="", hang="  ")]
    reachable = document.get("reachable_from_outside")
    if isinstance(reachable, bool):
        by = text(document, "by_name") or text(document, "by")
        lines += [
            "",
            *fact_lines(
                [
                    (
                        "outside",
                        ["reachable" if reachable else "NOT reachable", f"asked {short(by)}" if by else ""],
                    )
                ],
                style,
            ),
        ]
    return lines
