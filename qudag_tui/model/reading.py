"""The one translator from the stats document of the wire to the ``Sample`` of the screens.

Lenient on purpose: a field that is absent or of another type is "not known", a field that is not known
here is ignored; so a monitor can watch an older or newer node. Every text is cleaned here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

from qudag_tui.model.clean import clean, clean_column
from qudag_tui.model.peers import Peers
from qudag_tui.model.sample import (
    Bandwidth,
    Connections,
    Latency,
    Messages,
    MessageType,
    Node,
    Peak,
    Performance,
    Rates,
    Resources,
    Sample,
    Summary,
)

__all__ = ["MAX_NAMES", "Rows", "flat", "read_message_type", "read_sample"]

#: A table by name (message types, causes) shows at most so many names of a node that invents them.
MAX_NAMES = 64

#: The text columns of the peers section that a stranger may fill.
TEXT_COLUMNS = ("name", "alias", "address", "direction", "state", "agent", "rtt_method")

Tree = Mapping[str, object]


class Rows(Protocol):
    """The peers section as the wire decodes it: ``qudag_node.wire.stats.PeerRows``."""

    @property
    def ids(self) -> Sequence[str]:
        """The peer ids, one per row."""
        ...

    @property
    def text(self) -> Mapping[str, Sequence[str]]:
        """The text columns."""
        ...

    @property
    def numbers(self) -> Mapping[str, Sequence[float]]:
        """The number columns."""
        ...


def read_sample(document: Tree, rows: Rows | None = None, previous: Sample | None = None) -> Sample:
    """Translate one document; ``previous`` spares cleaning the names that have not changed."""
    return Sample(
        node=_node(_tree(document, "node")),
        connections=_connections(_tree(document, "connections")),
        messages=_messages(_tree(document, "messages")),
        bandwidth=_bandwidth(_tree(document, "bandwidth")),
        latency=_latency(_tree(document, "latency")),
        performance=_performance(_tree(document, "performance")),
        resources=_resources(_tree(document, "resources")),
        peers=Peers() if rows is None else _peers(rows, previous.peers if previous else Peers()),
    )


def flat(tree: object, prefix: str = "") -> dict[str, str | float]:
    """Return a nested answer as ``{"tcp.rtt_s": 0.02}``: for showing fields nobody listed. Cleaned."""
    found: dict[str, str | float] = {}
    if isinstance(tree, Mapping):
        for key, value in list(cast("Mapping[object, object]", tree).items())[: MAX_NAMES * 4]:
            found |= flat(value, f"{prefix}{clean(str(key), 64)}.")
    elif isinstance(tree, bool):
        found[prefix[:-1]] = "yes" if tree else "no"
    elif isinstance(tree, (int, float)):
        found[prefix[:-1]] = tree
    elif isinstance(tree, str):
        found[prefix[:-1]] = clean(tree)
    elif isinstance(tree, (list, tuple)):
        texts = [item for item in cast("Sequence[object]", tree) if isinstance(item, str)]
        found[prefix[:-1]] = clean(", ".join(texts))
    return found


def _peers(rows: Rows, previous: Peers) -> Peers:
    raw = {"id": rows.ids} | {name: rows.text[name] for name in TEXT_COLUMNS if name in rows.text}
    text = {
        # The wire replaces a column that changed, so the same object has the same names.
        name: previous.text(name) if previous.raw.get(name) is column else clean_column(column)
        for name, column in raw.items()
    }
    return Peers(text.pop("id"), text, dict(rows.numbers), raw=raw, like=previous)


def _node(tree: Tree) -> Node:
    return Node(
        id=_text(tree, "id"),
        name=_text(tree, "name"),
        version=_text(tree, "version"),
        network=_text(tree, "network"),
        listen=_texts(tree, "listen"),
        started_unix_s=_number(tree, "started_unix_s") or 0.0,
        uptime_s=_number(tree, "uptime_s") or 0.0,
        sampled_unix_s=_number(tree, "sampled_unix_s") or 0.0,
        interval_s=_number(tree, "interval_s") or 1.0,
        tick=_count(tree, "tick"),
        platform=_text(tree, "platform"),
        is_lab=tree.get("lab") is True,
        tcp_info=_text(tree, "tcp_info") or "unavailable",
    )


def _connections(tree: Tree) -> Connections:
    return Connections(
        active=_count(tree, "active"),
        incoming=_count(tree, "in"),
        outgoing=_count(tree, "out"),
        pending=_count(tree, "pending"),
        total=_count(tree, "total"),
        closed=_count(tree, "closed"),
        banned=_count(tree, "banned"),
        limit=_count(tree, "limit"),
        errors=_counts(tree, "errors"),
        duration_s=_summary(_tree(tree, "duration_s")),
    )


def _messages(tree: Tree) -> Messages:
    trees = _tree(tree, "by_type")
    by_type = {clean(name, 32): read_message_type(_tree(trees, name)) for name in list(trees)[:MAX_NAMES]}
    return Messages(
        total=replace(
            read_message_type(tree),
            sent_bytes=sum(counts.sent_bytes for counts in by_type.values()),
            received_bytes=sum(counts.received_bytes for counts in by_type.values()),
        ),
        duplicates=_count(tree, "duplicates"),
        sent_rate=_rates(tree, "sent_rate"),
        received_rate=_rates(tree, "received_rate"),
        failed_by_cause=_counts(tree, "failed_by_cause"),
        dropped_by_cause=_counts(tree, "dropped_by_cause"),
        by_type=by_type,
    )


def read_message_type(found: object) -> MessageType:
    """Read the counts of one message type."""
    tree = cast("Tree", found) if isinstance(found, Mapping) else {}
    return MessageType(
        sent=_count(tree, "sent"),
        received=_count(tree, "received"),
        processed=_count(tree, "processed"),
        failed=_count(tree, "failed"),
        dropped_in=_count(tree, "dropped_in"),
        dropped_out=_count(tree, "dropped_out"),
        queued_in=_count(tree, "queued_in"),
        queued_out=_count(tree, "queued_out"),
        sent_bytes=_count(tree, "sent_bytes"),
        received_bytes=_count(tree, "received_bytes"),
    )


def _bandwidth(tree: Tree) -> Bandwidth:
    return Bandwidth(
        sent_bytes=_count(tree, "sent_bytes"),
        received_bytes=_count(tree, "received_bytes"),
        sent_rate=_rates(tree, "sent_rate"),
        received_rate=_rates(tree, "received_rate"),
        sent_peak=_peak(tree, "sent_peak"),
        received_peak=_peak(tree, "received_peak"),
        capacity_bits_per_s=_number(tree, "capacity_bits_per_s"),
        utilization_ratio=_number(tree, "utilization_ratio"),
    )


def _latency(tree: Tree) -> Latency:
    by_type = _tree(tree, "by_type")
    return Latency(
        links=_summary(_tree(tree, "links")),
        by_type={clean(name, 32): _summary(_tree(by_type, name)) for name in list(by_type)[:MAX_NAMES]},
        routing=_summary(_tree(tree, "routing")),
    )


def _performance(tree: Tree) -> Performance:
    propagation = _tree(tree, "propagation_time_s")
    return Performance(
        tps=_rates(tree, "tps"),
        mps=_rates(tree, "mps"),
        queue_depth=_count(tree, "queue_depth"),
        queue_bytes=_count(tree, "queue_bytes"),
        processing_time_s=_summary(_tree(tree, "processing_time_s")),
        propagation_time_s=_summary(propagation) if propagation else None,
    )


def _resources(tree: Tree) -> Resources:
    def known(name: str) -> int | None:
        return None if tree.get(name) is None else _count(tree, name)

    return Resources(
        cpu_ratio=_number(tree, "cpu_ratio"),
        rss_bytes=known("rss_bytes"),
        open_files=known("open_files"),
        open_files_limit=known("open_files_limit"),
        threads=known("threads"),
        loop_lag_s=_summary(_tree(tree, "loop_lag_s")),
        collector_cpu_ratio=_number(tree, "collector_cpu_ratio"),
    )


def _summary(tree: Tree) -> Summary:
    return Summary(
        samples=_count(tree, "samples"),
        min=_number(tree, "min"),
        avg=_number(tree, "avg"),
        p50=_number(tree, "p50"),
        p95=_number(tree, "p95"),
        p99=_number(tree, "p99"),
        max=_number(tree, "max"),
        method=_text(tree, "method"),
        error_bound_s=_number(tree, "error_bound_s"),
    )


def _rates(tree: Tree, name: str) -> Rates:
    found = _tree(tree, name)
    return Rates(per_s_1=_number(found, "1s"), per_s_10=_number(found, "10s"), per_s_60=_number(found, "60s"))


def _peak(tree: Tree, name: str) -> Peak | None:
    found = _tree(tree, name)
    per_s, at_unix_s = _number(found, "per_s"), _number(found, "at_unix_s")
    return None if per_s is None or at_unix_s is None else Peak(per_s=per_s, at_unix_s=at_unix_s)


def _tree(tree: Tree, name: str) -> Tree:
    found = tree.get(name)
    return cast("Tree", found) if isinstance(found, Mapping) else {}


def _number(tree: Tree, name: str) -> float | None:
    found = tree.get(name)
    # The comparison leaves out NaN and the infinities, which no screen can show.
    if isinstance(found, (int, float)) and not isinstance(found, bool) and abs(found) < float("inf"):
        return float(found)
    return None


def _count(tree: Tree, name: str) -> int:
    return int(_number(tree, name) or 0)


def _text(tree: Tree, name: str) -> str:
    found = tree.get(name)
    return clean(found) if isinstance(found, str) else ""


def _texts(tree: Tree, name: str) -> tuple[str, ...]:
    found = tree.get(name)
    if not isinstance(found, (list, tuple)):
        return ()
    texts = cast("Sequence[object]", found)
    return tuple([clean(item) for item in texts[:MAX_NAMES] if isinstance(item, str)])


def _counts(tree: Tree, name: str) -> dict[str, int]:
    found = _tree(tree, name)
    return {clean(str(key), 64): _count(found, key) for key in list(found)[:MAX_NAMES]}
