"""What part of the statistics is asked for: ``--filter`` and ``--sort``, parsed, checked, applied. Pure.

``section=`` chooses the sections; ``peer=`` and ``type=`` choose rows within them and leave the node's
totals as they are. Filters of one kind add up. What names nothing is an error with the nearest spelling.
"""

from __future__ import annotations

from qudag_node.wire.peer_columns import PEER_NUMBERS, PEER_TEXTS
from qudag_tui.errors import UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from qudag_node.wire import PeerRows

__all__ = ["ALWAYS", "SECTIONS", "Figures", "Selection", "column_of", "find_peer", "parse_selection"]

#: The sections of the stats document that a filter can name, in their order.
SECTIONS = (
    "connections",
    "messages",
    "bandwidth",
    "latency",
    "performance",
    "peers",
    "protocol_versions",
    "peer_distribution",
    "test_traffic",
    "resources",
)

#: What every document carries, whatever the filter: who speaks, and when.
ALWAYS = ("schema", "node")

KINDS = ("peer", "section", "type")

#: Short words for the columns that people sort by.
SORT_WORDS = {
    "peer": "name",
    "rtt": "rtt_p50_s",
    "p95": "rtt_p95_s",
    "p99": "rtt_p99_s",
    "jitter": "rtt_jitter_s",
    "loss": "loss_ratio",
    "resent": "tcp_retransmit_ratio",
    "sent": "messages_sent",
    "received": "messages_received",
    "out": "sent_bytes_per_s",
    "in": "received_bytes_per_s",
    "queue": "queue_messages",
}


class Selection:
    """What ``--filter`` and ``--sort`` say. Empty tuples choose everything."""

    __slots__ = ("descending", "peers", "sections", "sort", "types")

    def __init__(self) -> None:
        self.sections: tuple[str, ...] = ()
        self.peers: tuple[str, ...] = ()
        self.types: tuple[str, ...] = ()
        self.sort: str | None = None
        self.descending = False

    @property
    def wire_sections(self) -> list[str] | None:
        """What to ask the node for; None is everything. The types there are stand among the messages."""
        unchosen = ["messages"] if self.types and "messages" not in self.sections else []
        return [*self.sections, *unchosen] if self.sections else None

    def apply(self, document: Mapping[str, Any], peers: PeerRows) -> Figures:
        """Narrow a document to what is asked for.

        Raises:
            UsageError: A peer, message type or column is not known to this node, or a peer is ambiguous.
        """
        chosen = self.sections or SECTIONS
        self._check_types(document)
        narrowed = {
            key: self._types_only(key, section)
            for key, section in document.items()
            if key in chosen or key in ALWAYS
        }
        rows = [find_peer(peers, name) for name in self.peers] if self.peers else list(range(len(peers)))
        return Figures(narrowed, peers, self._sorted(peers, rows), selection=self)

    def _check_types(self, document: Mapping[str, Any]) -> None:
        if self.types:
            known: Mapping[str, Any] = document.get("messages", {}).get("by_type", {})
            for name in self.types:
                if name not in known:
                    raise UsageError(f"this node has no message type {name!r}", did_you_mean(name, known))

    def _types_only(self, key: str, section: Any) -> Any:
        if not self.types or key not in {"messages", "latency"}:
            return section
        by_type: Mapping[str, Any] = section.get("by_type", {})
        return {**section, "by_type": {name: by_type[name] for name in by_type if name in self.types}}

    def _sorted(self, peers: PeerRows, rows: list[int]) -> list[int]:
        if self.sort is None:
            return rows if self.peers else sorted(rows, key=_usual_order(peers))
        column = SORT_WORDS.get(self.sort, self.sort)
        # The columns that we know and the node does not send are empty; those that only it knows will do.
        known = {*peers.names, *PEER_TEXTS, *PEER_NUMBERS}
        if column not in known:
            raise UsageError(
                f"peers have no column {self.sort!r}", did_you_mean(self.sort, known.union(SORT_WORDS))
            )
        values = column_of(peers, column)
        known_rows = [row for row in rows if values[row] == values[row]]
        unknown_rows = [row for row in rows if values[row] != values[row]]  # NaN: last either way
        return sorted(known_rows, key=lambda row: values[row], reverse=self.descending) + unknown_rows


def column_of(peers: PeerRows, name: str) -> Sequence[Any]:
    """One column, text or number; one that this node does not send is empty texts."""
    try:
        return peers.column(name)
    except KeyError:
        return ("",) * len(peers)


class Figures:
    """The statistics as they are to be shown.

    Attributes:
        document: The chosen scalar sections.
        peers: Every peer, as columns.
        rows: The chosen peers, in the order to show them.
    """

    __slots__ = ("document", "peers", "rows", "selection")

    def __init__(
        self, document: Mapping[str, Any], peers: PeerRows, rows: Sequence[int], *, selection: Selection
    ) -> None:
        self.document = document
        self.peers = peers
        self.rows = rows
        self.selection = selection

    @property
    def has_peers(self) -> bool:
        """Whether the peers are among the chosen sections."""
        return not self.selection.sections or "peers" in self.selection.sections


def parse_selection(filters: Iterable[str], sort: str | None = None) -> Selection:
    """Read ``--filter`` texts and a ``--sort`` text.

    Raises:
        UsageError: A filter is not KIND=VALUE, or names an unknown kind or section.
    """
    selection = Selection()
    chosen: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for text in filters:
        kind, equals, value = text.partition("=")
        if kind not in chosen:
            raise UsageError(f"--filter {text}: unknown filter {kind!r}", did_you_mean(kind, KINDS))
        if not equals or not value:
            raise UsageError(f"--filter {text}: nothing behind {kind!r}", f"write {kind}=VALUE")
        if kind == "section" and value not in SECTIONS:
            raise UsageError(f"--filter {text}: unknown section {value!r}", did_you_mean(value, SECTIONS))
        if value not in chosen[kind]:
            chosen[kind].append(value)
    selection.sections = tuple(name for name in SECTIONS if name in chosen["section"])
    selection.peers = tuple(chosen["peer"])
    selection.types = tuple(chosen["type"])
    if sort is not None:
        selection.descending = sort.startswith("-")
        selection.sort = sort.removeprefix("-")
        if not selection.sort:
            raise UsageError(f"--sort {sort}: no column is named", "write --sort=COLUMN or --sort=-COLUMN")
    if selection.sections:
        _check_rows_are_chosen(selection)
    return selection


def _check_rows_are_chosen(selection: Selection) -> None:
    """What chooses rows of sections that are left out would choose nothing, silently."""
    for kind, named, sections in (
        ("peer", selection.peers, ("peers",)),
        ("type", selection.types, ("messages", "latency")),
    ):
        if named and not set(sections).intersection(selection.sections):
            raise UsageError(
                f"--filter {kind}={named[0]} chooses rows of {' and '.join(sections)}, which are left out",
                f"add --filter section={sections[0]}",
            )


def find_peer(peers: PeerRows, name: str) -> int:
    """The row of the peer with this name, alias, address or beginning of an id.

    Raises:
        UsageError: There is none, or there are several.
    """
    texts = {column: column_of(peers, column) for column in ("name", "alias", "address")}
    for column in ("alias", "name", "address"):
        rows = [row for row, text in enumerate(texts[column]) if text == name]
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise _ambiguous(name, peers, rows)
    rows = [row for row, peer_id in enumerate(peers.ids) if peer_id.startswith(name)]
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise _ambiguous(name, peers, rows)
    known = {text for column in ("name", "alias") for text in texts[column] if text}
    raise UsageError(f"no peer is called {name!r}", did_you_mean(name, known) or "see `qudag peer list`")


def _ambiguous(name: str, peers: PeerRows, rows: Sequence[int]) -> UsageError:
    names = column_of(peers, "name")
    listed = ", ".join(f"{names[row] or 'unnamed'} ({peers.ids[row]})" for row in rows[:8])
    return UsageError(f"{name!r} fits {len(rows)} peers: {listed}", "use more of the id")


_STATE_ORDER = {"connected": 0, "connecting": 1, "backoff": 2, "banned": 4}


def _usual_order(peers: PeerRows) -> Callable[[int], tuple[object, ...]]:
    """Linked peers first, then by name, where peer10 follows peer9."""
    states, names = column_of(peers, "state"), column_of(peers, "name")

    def order(row: int) -> tuple[object, ...]:
        name = str(names[row])
        stem = name.rstrip("0123456789")
        return (
            _STATE_ORDER.get(str(states[row]), 3),
            not name,
            stem,
            int(name[len(stem) :] or 0),
            peers.ids[row],
        )

    return order
