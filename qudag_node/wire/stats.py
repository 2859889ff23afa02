"""The stats document on the client's side: kept up to date by frames, turned into public JSON.

    stats.full   {"stream", "seq", "document": {"schema", section: {…}, …, "peers": table}}
    stats.delta  {"stream", "seq", "base", "sections": {section: {…}}, "peers": change or nil}

A delta holds the sections that changed, whole, and what changed in the peers (rows.py). It applies to
the document whose ``seq`` is its ``base``; after a gap only a full frame helps.
"""

from __future__ import annotations

from qudag_node.wire._values import as_map
from qudag_node.wire.errors import RemoteProtocolError, WireError
from qudag_node.wire.rows import PeerRows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STATS_SCHEMA", "StatsGap", "StatsMirror", "to_json"]

STATS_SCHEMA = "qudag.stats/1"
"""What the document calls itself."""


class StatsGap(WireError):  # noqa: N818 - a state of the stream, and nobody's fault
    """A delta does not follow what is held: subscribe anew, or wait for the next full frame."""


class StatsMirror:
    """The newest stats document. Each frame makes new values; what was handed out before stays as it was."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()  # of the sections, peers included, in their order
        self._document: dict[str, object] = {}
        self._peers = PeerRows()
        self._seq: int | None = None

    @property
    def document(self) -> Mapping[str, object]:
        """The sections without the peers; empty before the first full frame."""
        return self._document

    @property
    def peers(self) -> PeerRows:
        """The peers."""
        return self._peers

    def full(self, frame: Mapping[str, object]) -> None:
        """Take a ``stats.full``; for the answer to a ``stats`` call, ``{"document": answer}``.

        Raises:
            RemoteProtocolError: it is malformed.
        """
        document = as_map(frame.get("document"), "a stats document")
        peers = PeerRows.from_wire(document["peers"]) if "peers" in document else PeerRows()
        self._seq = _whole_number(frame.get("seq", 0))
        self._names = tuple(document)
        self._document = {name: section for name, section in document.items() if name != "peers"}
        self._peers = peers

    def delta(self, frame: Mapping[str, object]) -> None:
        """Take a ``stats.delta``.

        Raises:
            StatsGap: it does not follow what is held, which is no longer current now.
            RemoteProtocolError: it is malformed.
        """
        base, held = _whole_number(frame.get("base")), self._seq
        # Until the frame is applied whole, nothing may build on it.
        self._seq = None
        if base != held:
            raise StatsGap(f"a change of frame {base} came while {'none' if held is None else held} was held")
        seq = _whole_number(frame.get("seq"))
        sections = as_map(frame.get("sections", {}), "sections")
        change = frame.get("peers")
        if change is not None:
            self._peers = self._peers.changed(change)
        self._document = {**self._document, **sections}
        self._seq = seq

    def to_json(self) -> dict[str, object]:
        """Return the document in its public form."""
        tree: dict[str, object] = {"schema": STATS_SCHEMA}
        for name in dict.fromkeys((*self._names, *self._document)):
            tree[name] = self._peers.rows() if name == "peers" else _finite(self._document[name])
        return tree


def to_json(document: Mapping[str, object]) -> dict[str, object]:
    """Return the answer to a ``stats`` call in its public form: docs/stats-schema.json describes it.

    The schema comes first, peers are a list of flat maps, and what is not known is None.

    Raises:
        RemoteProtocolError: the document is malformed.
    """
    mirror = StatsMirror()
    mirror.full({"document": document})
    return mirror.to_json()


def _finite(value: object) -> object:
    """Return a tree without NaN and infinities, for which JSON has no word."""
    match value:
        case float():
            return value if value - value == 0 else None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
        case _:
            return value


def _whole_number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise RemoteProtocolError("a frame of statistics has no seq or base")
