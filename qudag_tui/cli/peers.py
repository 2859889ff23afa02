"""``qudag peer …``: the peers of a node, and what the node is told about them."""

from __future__ import annotations

from qudag_node.wire import PeerRows
from qudag_tui.cli.output import READING, Paper, print_json, print_lines
from qudag_tui.cli.session import open_node
from qudag_tui.errors import UsageError
from qudag_tui.views.selection import Figures, parse_selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from qudag_tui.cli.options import Options
    from qudag_tui.views.selection import Selection

__all__ = ["add", "alias", "ban", "info", "list_", "remove", "unban"]

PEERS_SCHEMA = "qudag.peers/1"
PEER_SCHEMA = "qudag.peer/1"

LINK_STATES = frozenset({"connected", "connecting", "backoff"})


def list_(options: Options) -> int:
    """Print a line for each peer; below, who is dialled in vain and who is banned."""
    selection = parse_selection(options.filters, options.sort)
    if selection.sections or selection.types:
        raise UsageError("peer list filters by peer only", "use `qudag network stats` for sections and types")
    with open_node(options) as connection:
        answer = connection.call("stats", {"sections": ["node", "peers"]})
        # Lines of csv and ndjson are peers alone, and so is what was chosen from them.
        has_more = options.format not in {"csv", "ndjson"} and not options.filters
        others = connection.call("connections") if has_more else {}
    with READING:
        figures = _figures(answer, selection, options)
        _print(figures, _others(others, options), options)
    return 0


def _others(answer: Mapping[str, Any], options: Options) -> dict[str, list[Mapping[str, Any]]]:
    """What is told of addresses without a link, and of bans, by the names of the sections."""
    found = {"dialling": list(answer.get("dials", ())), "bans": list(answer.get("bans", ()))}
    if options.redact:
        from qudag_tui.views.connections_text import redact_connections

        return {name: [*redact_connections(entries)] for name, entries in found.items()}
    return found


def _figures(answer: Mapping[str, Any], selection: Selection, options: Options) -> Figures:
    peers = PeerRows.from_wire(answer["peers"])
    figures = selection.apply({"schema": PEERS_SCHEMA, "node": answer["node"]}, peers)
    if options.links:
        states = peers.text.get("state", ())
        rows = [row for row in figures.rows if states[row] in LINK_STATES]
        figures = Figures(figures.document, peers, rows, selection=selection)
    if options.redact:
        from qudag_tui.views.redact import redact

        return redact(figures)
    return figures


def _print(figures: Figures, others: Mapping[str, list[Mapping[str, Any]]], options: Options) -> None:
    from qudag_tui.views.connections_text import bans_table, dialling_table
    from qudag_tui.views.csv import csv_line
    from qudag_tui.views.peers_text import peers_detailed, peers_table
    from qudag_tui.views.stats_json import peers_json

    paper = Paper(no_color=options.no_color)
    match options.format:
        case "json":
            print_json({"schema": PEERS_SCHEMA, "peers": peers_json(figures), **others})
        case "ndjson":
            for peer in peers_json(figures):
                print_json(peer, indent=None)
        case "csv":
            rows = (csv_line(peer.values()) for peer in peers_json(figures))
            print_lines([csv_line(figures.peers.names), *rows])
        case _:
            lines = (
                peers_detailed(figures, colour=paper.colour)
                if options.format == "detailed"
                else peers_table(figures, width=paper.width, colour=paper.colour)
            )
            for section in (
                dialling_table(others["dialling"], width=paper.width, colour=paper.colour),
                bans_table(others["bans"], width=paper.width, colour=paper.colour),
            ):
                lines += ["", *section] if section else []
            print_lines(lines)


def info(options: Options) -> int:
    """Print everything about one peer."""
    with open_node(options) as connection:
        answer = connection.call("peer", {"peer": options.peer})
    import time

    from qudag_tui.views.peer_info import peer_info

    with READING:
        if options.format == "json":
            print_json({"schema": PEER_SCHEMA, **answer})
        else:
            paper = Paper(no_color=options.no_color)
            print_lines(peer_info(answer, at_unix_s=time.time(), width=paper.width, colour=paper.colour))
    return 0


def add(options: Options) -> int:
    """Keep a link to a peer."""
    return _tell(options, "peer.add", {"address": options.address}, f"keeping a link to {options.address}")


def remove(options: Options) -> int:
    """Keep no link to a peer."""
    return _tell(options, "peer.remove", {"peer": options.peer}, f"{options.peer} is removed")


def ban(options: Options) -> int:
    """Refuse a peer."""
    params: dict[str, object] = {"peer": options.peer}
    if options.duration_s is not None:
        params["duration_s"] = options.duration_s
    if options.reason is not None:
        params["reason"] = options.reason
    return _tell(options, "peer.ban", params, f"{options.peer} is banned")


def unban(options: Options) -> int:
    """End a ban."""
    return _tell(options, "peer.unban", {"peer": options.peer}, f"{options.peer} is welcome again")


def alias(options: Options) -> int:
    """Give a peer a local name."""
    what = (
        f"{options.peer} is called {options.alias} here" if options.alias else f"{options.peer} has no alias"
    )
    return _tell(options, "peer.alias", {"peer": options.peer, "alias": options.alias}, what)


def _tell(options: Options, method: str, params: dict[str, object], done: str) -> int:
    """Call what changes something; say on stderr that it was done, since there is no data."""
    import sys

    with open_node(options) as connection:
        connection.call(method, params)
    print(done, file=sys.stderr)
    return 0
