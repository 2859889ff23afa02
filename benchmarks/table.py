"""One row of what `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure of ours beside a peer's from the same run.

    Attributes:
        what: What was measured.
        ours: Our figure, with its unit.
        peer: The peer and its figure, empty where there is none.
        ratio: Ours divided by the peer's, None without a peer.
        goal: What was to be reached.
        met: Whether it was; None where nothing was promised.
        method: How it was measured, in a few words; the benchmark's docstring has the rest.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    method: str = ""
