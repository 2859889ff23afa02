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

__all__ = ["Count", "DirectionTotals", "NodeReading", "PeerReading", "Round", "Verdict", "compare", "settled"]


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
    def from_answer(cls, answer: Mapping[str, Any], kinds: frozenset[str] | None = None) -> Self:
        """Read a node's answer to ``peer``; only ``kinds`` of messages, if given."""
        row = answer["row"]
        by_type = {
            kind: counts for kind, counts in answer["by_type"].items() if kinds is None or kind in kinds
        }
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


Round = Mapping[NodeName, NodeReading]
"""What all nodes say; one that is not there is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionTotals:
    """What passed in one direction, by type.

    Attributes:
        sent: None where the sender is not there to ask.
        received: None where the receiver is not there to ask.
        is_consistent: The two sides were read at moments that belong together.
    """

    direction: Direction
    sent: ByType | None
    received: ByType | None
    unconfirmed: Count
    queued: int
    is_consistent: bool

    @property
    def difference(self) -> Count | None:
        """Sent less received, in sum; None where one side is not there to ask."""
        if self.sent is None or self.received is None:
            return None
        return sum(self.sent.values(), Count()) - sum(self.received.values(), Count())

    @property
    def verdict(self) -> Verdict:
        """What to make of it."""
        sent, received = self.sent, self.received
        if sent is None:
            return "sender-down"
        if received is None:
            return "receiver-down"
        lost = {kind: _of(sent, kind) - _of(received, kind) for kind in sent.keys() | received.keys()}
        if not any(each.messages or each.bytes for each in lost.values()):
            return "equal"
        # More of a type than was sent is never a loss, whatever another type lacks.
        is_loss = all(each.messages >= 0 and each.bytes >= 0 for each in lost.values())
        total = sum(lost.values(), Count())
        is_known = total.messages <= self.unconfirmed.messages and total.bytes <= self.unconfirmed.bytes
        return "unconfirmed" if is_loss and is_known else "different"

    def to_json(self) -> dict[str, Any]:
        """For ``quiesce``."""
        return {
            "from": self.direction.source,
            "to": self.direction.target,
            "verdict": self.verdict,
            "difference": self.difference.to_json() if self.difference is not None else None,
            "unconfirmed": self.unconfirmed.to_json(),
            "queued": self.queued,
            "by_type": {
                kind: {"sent": _json_of(self.sent, kind), "received": _json_of(self.received, kind)}
                for kind in sorted({*(self.sent or ()), *(self.received or ())})
                if _of(self.sent, kind) != Count() or _of(self.received, kind) != Count()
            },
        }


Verdict = str
"""``equal``; ``unconfirmed``: no more is missing than the sender knows to be unconfirmed;
``receiver-down``, ``sender-down``: nobody to compare with; ``different``: unexplained."""


def compare(
    direction: Direction,
    rounds: tuple[Round, Round, Round],
    *,
    sent_before: ByType,
    received_before: ByType,
) -> DirectionTotals:
    """Compare the two sides of one direction in the last three readings of all nodes.

    Args:
        rounds: Three readings of all nodes, oldest first.
        sent_before: What the sender had counted when its receiver was started again.
        received_before: What the receiver had counted when its sender was started again.
    """
    first, middle, last = rounds
    source, target = direction.source, direction.target
    before = first.get(source, {}).get(target)
    after = last.get(source, {}).get(target)
    heard = middle.get(target, {}).get(source)
    return DirectionTotals(
        direction=direction,
        sent=None if after is None else _less(after.sent, sent_before),
        received=None if heard is None else _less(heard.received, received_before),
        unconfirmed=Count() if after is None else after.unconfirmed,
        queued=(after.queued if after else 0) + (heard.queued if heard else 0),
        is_consistent=before is not None and after is not None and before.sent == after.sent,
    )


def settled(totals: DirectionTotals) -> bool:
    """Whether this direction is at rest and fully accounted for."""
    return totals.is_consistent and totals.queued == 0 and totals.verdict in {"equal", "unconfirmed"}


def _less(counts: ByType, before: ByType) -> dict[str, Count]:
    return {kind: count - before.get(kind, Count()) for kind, count in counts.items()}


def _of(counts: ByType | None, kind: str) -> Count:
    return (counts or {}).get(kind, Count())


def _json_of(counts: ByType | None, kind: str) -> dict[str, int] | None:
    return None if counts is None else _of(counts, kind).to_json()
