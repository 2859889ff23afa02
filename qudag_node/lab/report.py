"""The answers of the lab as text for people. Pure; JSON is for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["quiesce_lines", "status_lines"]


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """``lab status``: engine, nodes, links with their truth, load."""
    load = status["load"]
    priority = "real-time priority" if status["real_time"] else "normal priority"
    yield f"engine {status['engine']} ({priority})  topology {status['topology']}  dir {status['dir']}"
    yield f"load {load['rate_per_s']:g}/s  due {load['due']}  accepted {load['accepted']}" + (
        f"  refused {load['refused']}  skipped {load['skipped']}"
    )
    yield ""
    yield from _table(
        ("NODE", "STATE", "PID", "LISTEN", "ID"),
        ((n["name"], n["state"], str(n["pid"] or "-"), n["listen"], n["id"] or "-") for n in status["nodes"]),
    )
    yield ""
    yield from _table(
        (
            "LINK",
            "SENT",
            "DELIVERED",
            "LOSS",
            "QUEUE",
            "OUTAGE",
            "HOST",
            "LATE p99",
            "UNCONFIRMED",
            "IMPAIRMENT",
        ),
        (_link_row(link) for link in status["links"]),
    )


def quiesce_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """``lab quiesce``: per direction, what was sent and received, and the difference."""
    yield from _table(
        ("LINK", "VERDICT", "TYPE", "SENT", "RECEIVED", "BYTES SENT", "BYTES RECEIVED", "DIFFERENCE"),
        (row for link in answer["links"] for row in _totals_rows(link)),
    )


def _link_row(link: Mapping[str, Any]) -> tuple[str, ...]:
    truth = link["truth"]
    late_s = truth["late"]["p99_s"]
    unconfirmed = link["unconfirmed"]
    return (
        f"{link['from']}>{link['to']}",
        str(truth["sent"]),
        str(truth["delivered"]),
        str(truth["dropped_loss"]),
        str(truth["dropped_queue"]),
        str(truth["dropped_outage"]),
        str(truth["dropped_host"] + truth["dropped_before"]),
        "-" if late_s is None else f"{late_s * 1e6:.0f} us",
        "-" if unconfirmed is None else f"{unconfirmed['messages']} ({unconfirmed['bytes']} B)",
        link["text"],
    )


def _totals_rows(link: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    name, verdict = f"{link['from']}>{link['to']}", link["verdict"]
    for kind, counts in link["by_type"].items():
        sent, received = counts["sent"], counts["received"]
        lost = "-" if sent is None or received is None else str(sent["messages"] - received["messages"])
        cells = [
            "-" if side is None else str(side[unit])
            for unit in ("messages", "bytes")
            for side in (sent, received)
        ]
        yield (name, verdict, kind, *cells, lost)
        name = verdict = ""
    # On a link whose two ends agree, what was once not confirmed is no difference.
    if link["unconfirmed"]["messages"] and link["verdict"] != "equal":
        lost = link["unconfirmed"]
        yield ("", "", "unconfirmed", str(lost["messages"]), "", str(lost["bytes"]), "", "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
