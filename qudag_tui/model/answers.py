"""Translating the node's other answers: events, one peer, history. Lenient, and every text is cleaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from qudag_node.wire import RemoteProtocolError, unpack_column
from qudag_tui.model.clean import clean
from qudag_tui.model.fields import FIELDS
from qudag_tui.model.reading import MAX_NAMES, flat, read_message_type
from qudag_tui.model.state import NodeEvent, PeerDetail, Severity
from qudag_tui.model.trail import MAX_POINTS, Point

__all__ = ["HISTORY_SERIES", "read_detail", "read_events", "read_past"]

#: The series that fill the throughput charts.
HISTORY_SERIES = ("bandwidth.received_rate.1s", "bandwidth.sent_rate.1s")

_SEVERITIES = {str(severity): severity for severity in Severity}

#: What the page of a peer shows at its own place.
_TOLD = frozenset({"row", "by_type", "events", "path", "peer"})
_COLUMNS = frozenset(field.column for field in FIELDS)

#: More lines in one answer than this are not read.
MAX_LINES = 2000


def read_events(found: object) -> tuple[NodeEvent, ...]:
    """Read a list of event maps; what is no map is passed over."""
    if not isinstance(found, (list, tuple)):
        return ()
    events: list[NodeEvent] = []
    for item in cast("Sequence[object]", found)[-MAX_LINES:]:
        if not isinstance(item, Mapping):
            continue
        fields = cast("Mapping[str, object]", item)
        events.append(
            NodeEvent(
                seq=int(_number(fields.get("seq"))),
                unix_s=_number(fields.get("unix_s")),
                kind=clean(str(fields.get("kind", "")), 24),
                severity=_SEVERITIES.get(str(fields.get("severity")), Severity.INFO),
                subject=clean(str(fields.get("subject") or ""), 64),
                text=clean(str(fields.get("text") or "")),
            )
        )
    return tuple(events)


def read_detail(peer_id: str, answer: Mapping[str, object]) -> PeerDetail:
    """Read the answer to ``peer``: the counts by type, the events, and whatever else it holds."""
    by_type = answer.get("by_type")
    trees = cast("Mapping[str, object]", by_type) if isinstance(by_type, Mapping) else {}
    row = answer.get("row")
    extra = flat({key: value for key, value in answer.items() if key not in _TOLD}) | flat(row)
    path = answer.get("path")
    ids = cast("Sequence[object]", path) if isinstance(path, (list, tuple)) else ()
    return PeerDetail(
        peer_id=peer_id,
        by_type={clean(name, 32): read_message_type(trees[name]) for name in list(trees)[:MAX_NAMES]},
        events=tuple(reversed(read_events(answer.get("events")))),
        path=tuple([clean(item) for item in ids[:MAX_NAMES] if isinstance(item, str)]),
        extra={
            name: value
            for name, value in extra.items()
            if value != "" and name.replace(".", "_") not in _COLUMNS and name not in {"name", "slot"}
        },
    )


def read_past(answer: Mapping[str, object]) -> tuple[Point, ...]:
    """Read the answer to ``history`` for ``HISTORY_SERIES``; a value that is not known leaves a gap."""
    start, step_s = _number(answer.get("from_unix_s")), _number(answer.get("step_s"))
    series = answer.get("series")
    if not isinstance(series, Mapping) or step_s <= 0:
        return ()
    columns = [_column(cast("Mapping[str, object]", series).get(name)) for name in HISTORY_SERIES]
    length = min(MAX_POINTS, max(len(column) for column in columns))
    points: list[Point] = []
    for place in range(length):
        received, sent = (column[place] if place < len(column) else None for column in columns)
        if received is not None or sent is not None:
            points.append(
                Point(
                    # Said of an interval, so it belongs to its middle.
                    at_unix_s=start + (place + 0.5) * step_s,
                    interval_s=step_s,
                    received_bytes_per_s=received,
                    sent_bytes_per_s=sent,
                )
            )
    return tuple(points)


def _column(found: object) -> list[float | None]:
    try:
        values = unpack_column(found)
    except RemoteProtocolError:
        return []  # the node has no such series
    # NaN differs from itself.
    return [float(value) if value == value else None for value in values]


def _number(found: object) -> float:
    is_number = isinstance(found, (int, float)) and abs(found) < float("inf")
    return float(cast("float", found)) if is_number else 0.0
