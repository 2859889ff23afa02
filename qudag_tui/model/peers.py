"""Every peer at one instant, as columns: ten thousand rows cost a few array references, not objects."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

__all__ = ["Peers", "Value", "natural_key"]

T = TypeVar("T")
Value = str | float | None

#: Enough of an id to name a peer to a command: the eight characters all ids share, and six of its own.
SHORT_ID = 14

#: The states of a peer with a link, or one being made; the others are known by hearsay, or banned.
LINK_STATES = frozenset({"connected", "connecting", "backoff"})

#: The columns in which a plain word of a filter is looked for.
WORD_COLUMNS = ("alias", "name", "id", "address")


class Peers:
    """The peers of one sample; row ``i`` of every column is one peer. Never mutated.

    ``text`` columns are cleaned already; a number that is not known is NaN in its column and
    ``None`` in ``value``. What is derived from names (index, labels, their order) is kept with the
    columns it came from and passed on to the next sample, where names are mostly the same.

    Attributes:
        ids: The peer ids, one per row.
        raw: What the text columns were cleaned from, to see cheaply that nothing changed.
    """

    __slots__ = ("_memo", "_numbers", "_text", "ids", "raw")

    def __init__(
        self,
        ids: Sequence[str] = (),
        text: Mapping[str, Sequence[str]] | None = None,
        numbers: Mapping[str, Sequence[float]] | None = None,
        *,
        raw: Mapping[str, Sequence[str]] | None = None,
        like: Peers | None = None,
    ) -> None:
        """Take the columns; ``raw`` is what they were cleaned from, ``like`` the sample before."""
        self.ids = ids
        self.raw: Mapping[str, Sequence[str]] = raw or {}
        self._text: Mapping[str, Sequence[str]] = text or {}
        self._numbers: Mapping[str, Sequence[float]] = numbers or {}
        self._memo: dict[str, tuple[tuple[object, ...], Any]] = like._memo if like is not None else {}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def index_of(self, peer_id: str | None) -> int | None:
        """Return the row of ``peer_id``, or None when it is not among these."""
        if peer_id is None:
            return None
        index = self._derived("index", ("id",), lambda: {known: row for row, known in enumerate(self.ids)})
        return index.get(peer_id)

    def text(self, name: str) -> Sequence[str]:
        """Return a text column; one that the node does not send is empty strings."""
        if name == "id":
            return self.ids
        if name == "label":
            return self.labels
        found = self._text.get(name)
        return found if found is not None else ("",) * len(self.ids)

    def numbers(self, name: str) -> Sequence[float]:
        """Return a number column; one that the node does not send is NaN throughout."""
        found = self._numbers.get(name)
        return found if found is not None else array("d", [float("nan")]) * len(self.ids)

    def column(self, name: str) -> Sequence[float] | None:
        """Return a number column as it came; None when the node does not send it."""
        return self._numbers.get(name)

    def value(self, name: str, row: int) -> Value:
        """Return one cell: text, a number, or None where the number is not known."""
        if name in self._numbers:
            return self.number(name, row)
        if name in {"id", "label"} or name in self._text:
            return self.text(name)[row]
        return None

    def number(self, name: str, row: int) -> float | None:
        """Return one number, or None where it is not known."""
        column = self._numbers.get(name)
        if column is None:
            return None
        number = column[row]
        return number if number == number else None  # NaN differs from itself

    def only(self, names: Sequence[str], like: Peers | None) -> Peers:
        """Return the same rows with these number columns alone, to keep beside ``like``, the tick before."""
        numbers = {name: self._numbers[name] for name in names if name in self._numbers}
        same_rows = like is not None and like.ids is self.ids
        return Peers(self.ids, None, numbers, like=like if same_rows else None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that the node sent."""
        return ("id", *self._text, *self._numbers)

    @property
    def labels(self) -> Sequence[str]:
        """What a person calls each peer: alias, name, or enough of its id for a command."""
        return self._derived("labels", ("alias", "name", "id"), self._make_labels)

    @property
    def by_label(self) -> Sequence[int]:
        """The rows in the order of their labels, ``peer2`` before ``peer10``."""
        return self._derived("by_label", ("alias", "name", "id"), self._make_by_label)

    @property
    def neighbours(self) -> Sequence[int]:
        """The rows of the peers that have, had or should have a link to this node, by label."""
        return self._derived("neighbours", ("state", "alias", "name", "id"), self._make_neighbours)

    def folded(self, name: str) -> Sequence[str]:
        """Return a text column without distinction of case; ``words`` is all that names a peer."""
        if name != "words":
            return self._derived(
                f"folded {name}",
                ("alias", "name", "id") if name == "label" else (name,),
                lambda: [text.casefold() for text in self.text(name)],
            )
        return self._derived("words", WORD_COLUMNS, self._make_words)

    def _derived(self, key: str, sources: tuple[str, ...], make: Callable[[], T]) -> T:
        columns = tuple([self.ids if name == "id" else self._text.get(name) for name in sources])
        memo = self._memo.get(key)
        if memo is None or any(a is not b for a, b in zip(memo[0], columns, strict=True)):
            memo = self._memo[key] = (columns, make())
        return memo[1]

    def _make_labels(self) -> Sequence[str]:
        columns = zip(self.text("alias"), self.text("name"), self.ids, strict=True)
        return tuple([alias or name or peer_id[:SHORT_ID] for alias, name, peer_id in columns])

    def _make_by_label(self) -> Sequence[int]:
        keys = [natural_key(label) for label in self.labels]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def _make_neighbours(self) -> Sequence[int]:
        states = self.text("state")
        return [row for row in self.by_label if states[row] in LINK_STATES]

    def _make_words(self) -> Sequence[str]:
        # A line break joins them: no cleaned text holds one, so no word matches across two columns.
        columns = [self.text(name) for name in WORD_COLUMNS]
        return ["\n".join(texts).casefold() for texts in zip(*columns, strict=True)]


def natural_key(text: str) -> tuple[str, int, str]:
    """Order by the text before the trailing number, then by that number."""
    folded = text.casefold()
    stem = folded.rstrip("0123456789")
    digits = folded[len(stem) :][:18]
    return stem, int(digits) if digits else -1, folded
