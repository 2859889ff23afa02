"""Do neighbours agree on what passed between them? Pure: counts in, verdicts out.

A node tells, for each neighbour and message type, what it sent and what it received, in messages and bytes.
Nodes cannot be read at the same instant. But when three readings of all nodes follow one another, and a
direction's sender says the same in the first and the third, then nothing was sent in between, and the second
reading of its receiver belongs to just that count.

A node that is started again counts from zero. The difference to what its neighbours counted before is kept
as a baseline and taken off, so that a restart does not hide, or invent, a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from qudag_node.lab.topology import Direction, NodeName

__all__ = ["Count", "DirectionTotals", "NodeReading", "PeerReading", "Verdict", "compare", "settled"]


@dataclass(frozen=True, slots=True, order=True)
class Count:
    """Messages, and their bytes."""

    messages: int = 0
    bytes: int = 0

    def __sub__(self, other: Count) -> Count:
        return Count(self.messages - other.messages, self.bytes - other.bytes)

    def __add__(self, other: Count) -> Count:
        return Count(self.messages + other.messages, self.bytes + other.bytes)

    def to_json(self) -> dict[str, int]:
        """Both by name."""
        return {"messages": self.messages, "bytes": self.bytes}


ByType = Mapping[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReading:
    """What one node says of one neighbour.

    Attributes:
        queued: Messages that wait to be sent or handled.
        unconfirmed: Sent, and never confirmed as received.
    """

    sent: ByType = field(default_factory=dict)
    received: ByType = field(default_factory=dict)
    queued: int = 0
    unconfirmed: Count = Count()

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Read a node's answer to ``peer``."""
        row, by_type = answer["row"], answer["by_type"]
        return cls(
            sent={kind: Count(each["sent"], each["sent_bytes"]) for kind, each in by_type.items()},
            received={
                kind: Count(each["received"], each["received_bytes"]) for kind, each in by_type.items()
            },
            queued=int(row.get("queue_messages") or 0),
            unconfirmed=Count(
                int(row.get("unconfirmed_messages") or 0), int(row.get("unconfirmed_bytes") or 0)
            ),
        )


NodeReading = Mapping[NodeName, PeerReading]
"""What one node says, by neighbour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionTotals:
    """What passed in one direction, by type.

    Attributes:
        received: None where the receiver is not there to ask.
        is_consistent: The two sides were read at moments that belong together.
    """

    direction: Direction
    sent: ByType
    received: ByType | None
    unconfirmed: Count
    queued: int
    is_consistent: bool

    @property
    def difference(self) -> Count | None:
        """Sent less received, in sum; None where the receiver is not there to ask."""
        if self.received is None:
            return None
        return sum(self.sent.values(), Count()) - sum(self.received.values(), Count())

    @property
    def is_equal(self) -> bool:
        """Whether both sides agree, type by type."""
        return self.received is not None and all(
            self.sent.get(kind, Count()) == self.received.get(kind, Count())
            for kind in self.sent.keys() | self.received.keys()
        )

    @property
    def verdict(self) -> Verdict:
        """What to make of it."""
        if self.is_equal:
            return "equal"
        lost = self.difference
        if lost is None or self.received is None:
            return "receiver-down"
        # More of a type than was sent is never a loss, whatever another type lacks.
        is_loss = all(
            heard.messages <= self.sent.get(kind, Count()).messages
            and heard.bytes <= self.sent.get(kind, Count()).bytes
            for kind, heard in self.received.items()
        )
        is_known = lost.messages <= self.unconfirmed.messages and lost.bytes <= self.unconfirmed.bytes
        return "lost-with-a-link" if is_loss and is_known else "different"

    def to_json(self) -> dict[str, Any]:
        """For ``quiesce`` and ``status``."""
        received = self.received or {}
        kinds = sorted(
            kind
            for kind in self.sent.keys() | received.keys()
            if self.sent.get(kind, Count()) != Count() or received.get(kind, Count()) != Count()
        )
        return {
            "from": self.direction.source,
            "to": self.direction.target,
            "verdict": self.verdict,
            "difference": self.difference.to_json() if self.difference else None,
            "unconfirmed": self.unconfirmed.to_json(),
            "queued": self.queued,
            "by_type": {
                kind: {
                    "sent": self.sent.get(kind, Count()).to_json(),
                    "received": None if self.received is None else received.get(kind, Count()).to_json(),
                }
                for kind in kinds
            },
        }


Verdict = str
"""``equal``; ``lost-with-a-link``: no more is missing than the sender knows to be unconfirmed;
``receiver-down``: nobody to compare with; ``different``: unexplained."""


def compare(
    direction: Direction,
    rounds: tuple[Mapping[NodeName, NodeReading], ...],
    *,
    sent_before: ByType,
    received_before: ByType,
) -> DirectionTotals:
    """Compare the two sides of one direction in the last three readings of all nodes.

    Args:
        rounds: Three readings, oldest first; a node that is not there is missing from it.
        sent_before: What the sender had counted when its receiver was started again.
        received_before: What the receiver had counted when its sender was started again.
    """
    first, middle, last = (round_ for round_ in rounds)
    source, target = direction.source, direction.target
    before = first.get(source, {}).get(target)
    after = last.get(source, {}).get(target, PeerReading())
    heard = middle.get(target, {}).get(source, PeerReading()) if target in middle else None
    return DirectionTotals(
        direction=direction,
        sent=_less(after.sent, sent_before),
        received=None if heard is None else _less(heard.received, received_before),
        unconfirmed=after.unconfirmed,
        queued=after.queued + (heard.queued if heard else 0),
        is_consistent=source in last and before is not None and before.sent == after.sent,
    )


def settled(totals: DirectionTotals) -> bool:
    """Whether this direction is at rest and fully accounted for."""
    if totals.received is None or not totals.is_consistent:
        return False
    return totals.queued == 0 and totals.verdict in {"equal", "lost-with-a-link"}


def _less(counts: ByType, before: ByType) -> dict[str, Count]:
    return {kind: count - before.get(kind, Count()) for kind, count in counts.items()}
