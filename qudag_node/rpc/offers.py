"""What a node offers to its clients, cut into what one group of methods needs.

Results are what goes on the wire: plain maps, lists, texts, numbers and bytes. The node obtains them
from ``publish``; a method only reads parameters, asks, and answers.
Every offer raises the errors of ``qudag_node.errors``; the dispatcher turns them into responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qudag_node.rpc.caller import Caller
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
    "OffersTests",
    "OffersTokens",
    "WatchesTest",
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


class WatchesTest(Protocol):
    """What happens to one test. Events carry ``seq``, ascending."""

    def events_after(self, seq: int) -> Sequence[Document]:
        """Return what happened after a number, oldest first; of much the newest."""
        ...

    def so_far(self) -> Sequence[Document]:
        """Return all that who comes now has to know: the state, the newest progress, the result."""
        ...


class OffersTests(Protocol):
    """Tests of the network."""

    def start_test(
        self,
        test_type: str,
        target: str | None,
        options: Mapping[str, object],
        *,
        owner: Caller,
        cancel_with_owner: bool,
    ) -> Document:
        """Start or queue a test.

        Raises:
            RpcError: There is no such type of test.
            ConfigError, NotFoundError, AmbiguousError, PeerRefusedError: It cannot be, or not now.
        """
        ...

    def cancel_test(self, test_id: str) -> Document:
        """End a test early."""
        ...

    async def find_test(self, test_id: str) -> None:
        """Make sure that a test can be watched.

        Raises:
            NotFoundError: There is none of this id.
        """
        ...

    def watch_test(self, test_id: str) -> WatchesTest:
        """Return what happens to a test that was found just now."""
        ...

    async def list_tests(self, limit: int, test_type: str | None, target: str | None) -> Document:
        """Return the newest tests."""
        ...

    async def show_test(self, test_id: str) -> Document:
        """Return a test's state and result."""
        ...

    def plan_test(self, test_type: str, target: str | None, options: Mapping[str, object]) -> Document:
        """Return what a test would send."""
        ...

    def caller_gone(self, caller: object) -> None:
        """End the tests that were to end with who started them."""
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
    OffersTests,
    OffersLab,
    Protocol,
):
    """Everything above."""
