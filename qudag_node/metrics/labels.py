"""What is known of a peer that is not a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LABEL_COLUMNS", "Direction", "PeerLabels"]

Direction = Literal["in", "out"]

LABEL_COLUMNS = ("name", "alias", "address", "direction", "state", "agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLabels:
    """A peer's names and kinds.

    Attributes:
        direction: ``in``, ``out`` or ``none``.
        state: ``connected``, ``connecting``, ``backoff``, ``known`` or ``banned``.
        hops: 1 for a neighbour, more for a peer that routing reaches, 0 when unknown.
    """

    name: str = ""
    alias: str = ""
    address: str = ""
    direction: str = "none"
    state: str = "known"
    agent: str = ""
    protocol_version: int = 0
    hops: int = 0
