"""What a node offers to its clients, cut into what one group of methods needs.

Results are what goes on the wire: plain maps, lists, texts, numbers and bytes. The node obtains them
from ``publish``; a method only reads parameters, asks, and answers.
Every offer raises the errors of ``qudag_node.errors``; the dispatcher turns them into responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qudag_node.wire.framing import Packed
from qudag_node.wire.methods import Role

__all__ = [
    "Document",
    "Offers",
    "OffersHistory",
    "OffersItself",
    "OffersLab",
    "OffersPeers",
    "OffersRecords",
    "OffersStatistics",
    "OffersSubmission",
    "OffersTokens",
]

Document = Mapping[str, object]


class OffersStatistics(Protocol):
    """Everything at one instant."""

    def statistics(self, *, fresh: bool = False) -> Document:
        """Return the statistics, as of now or as recent as is cheap; its maps never change afterwards."""
        ...

    def packed_statistics(self) -> Packed:
        """Return what ``statistics()`` does, packed once for all who ask."""
        ...

    def forget_statistics(self) -> None:
        """Give nobody statistics from before this moment any more: a call has changed something."""
        ...

    def delta(self, before: Document, after: Document) -> Document:
        """Return what changed between two documents."""
        ...


class OffersPeers(Protocol):
    """Neighbours, known nodes, and what an administrator does with them."""

    def peer(self, name: str) -> Document:
        """Return everything of one peer.

        Raises:
            NotFoundError, AmbiguousError: The name fits no peer, or several.
        """
        ...

    def connections(self) -> Document:
        """Return the links and the bans."""
        ...

    def topology(self) -> Document:
        """Return the nodes and links that routing knows."""
        ...

    def add_peer(self, address: str) -> Document:
        """Keep a link to an address from now on."""
        ...

    def remove_peer(self, name: str) -> Document:
        """Keep no link to a peer any more, and close the present one."""
        ...

    def ban_peer(self, name: str, duration_s: float | None, reason: str) -> Document:
        """Refuse a peer or an address; for ever without a duration."""
        ...

    def unban_peer(self, name: str) -> Document:
        """End a ban."""
        ...

    def alias_peer(self, name: str, alias: str) -> Document:
        """Give a peer a name of ours; an empty one takes it away."""
        ...


class OffersHistory(Protocol):
    """The past."""

    def history(
        self,
        series: Sequence[str] | None,
        from_unix_s: float | None,
        to_unix_s: float | None,
        step_s: float | None,
    ) -> Document:
        """Return points of some series; without series, what there is."""
        ...


class OffersRecords(Protocol):
    """What happened."""

    def log_lines(self, count: int, level: str) -> Sequence[str]:
        """Return the newest lines of the log."""
        ...

    def log_after(self, sequence: int) -> tuple[int, Sequence[str]]:
        """Return the newest line's number, and the lines after the given one."""
        ...

    def events_after(self, sequence: int) -> tuple[int, Sequence[Document]]:
        """Return the newest event's number, and the events after the given one."""
        ...


class OffersItself(Protocol):
    """The process."""

    def status(self) -> Document:
        """Return who the node is and how it does, without ``role``."""
        ...

    def configuration(self) -> Document:
        """Return every setting, and where it came from."""
        ...

    def shut_down(self, by: str) -> None:
        """Begin to stop in order."""
        ...


class OffersTokens(Protocol):
    """The named tokens."""

    def tokens(self) -> Document:
        """Return names and roles, no secrets."""
        ...

    def add_token(self, name: str, role: Role) -> Document:
        """Make a token; its secret is shown this once."""
        ...

    def revoke_token(self, name: str) -> Document:
        """Forget a token, and close what it opened."""
        ...


class OffersSubmission(Protocol):
    """The network itself."""

    async def submit(self, payloads: Sequence[bytes]) -> int:
        """Sign the payloads as vertices and send them out; return how many were accepted."""
        ...


class OffersLab(Protocol):
    """What only a laboratory asks for."""

    def hold(self, *, held: bool) -> Document:
        """Send nothing of the node's own accord, or go on.

        Raises:
            RpcError: The node was not started for a laboratory.
        """
        ...


class Offers(
    OffersStatistics,
    OffersPeers,
    OffersHistory,
    OffersRecords,
    OffersItself,
    OffersTokens,
    OffersSubmission,
    OffersLab,
    Protocol,
):
    """Everything above."""
