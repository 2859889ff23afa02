"""What this node offers to its clients: the parts' answers, translated for the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from qudag_node import __version__, publish
from qudag_node.config import LoadedConfig, config_tree
from qudag_node.errors import NotFoundError
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.job import Watch
from qudag_node.nettests.requests import TestType
from qudag_node.nettests.tester import ConnectivityTester
from qudag_node.node.figures import Figures
from qudag_node.node.identify import dialable_address
from qudag_node.node.logs import LogRing
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.overlay import Overlay
from qudag_node.peerid import PeerId, peer_id_of
from qudag_node.rpc import Document, RpcServer, TokenStore
from qudag_node.rpc.caller import Caller
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.framing import Packed
from qudag_node.wire.methods import Role
from qudag_node.wire.rows import PeerRows

__all__ = ["NodeOffers"]

_PEER_EVENTS = 50


class NodeOffers:
    """Implements ``rpc.Offers``.

    Attributes:
        server: Filled in by the composition root, since server and offers need each other.
    """

    server: RpcServer

    def __init__(
        self,
        *,
        loaded: LoadedConfig,
        overlay: Overlay,
        collector: MetricsCollector,
        figures: Figures,
        events: EventLog,
        log_ring: LogRing,
        tokens: TokenStore,
        tester: ConnectivityTester,
        stamp_address: str,
        stop: Callable[[str], None],
    ) -> None:
        self._loaded = loaded
        self._overlay = overlay
        self._collector = collector
        self._figures = figures
        self._events = events
        self._log_ring = log_ring
        self._tokens = tokens
        self._tester = tester
        self._stamp_address = stamp_address
        self._stop = stop

    # Figures

    def statistics(self, *, fresh: bool = False) -> Document:
        """Return the statistics, as of now or as recent as is cheap."""
        return self._figures.document(fresh=fresh)

    def packed_statistics(self) -> Packed:
        """Return the same packed, once for all who ask."""
        return self._figures.packed()

    def forget_statistics(self) -> None:
        """Return none from before this moment any more."""
        self._figures.forget()

    def delta(self, before: Document, after: Document) -> Document:
        """Return what changed between two documents."""
        return publish.delta(before, after)

    def history(
        self,
        series: Sequence[str] | None,
        from_unix_s: float | None,
        to_unix_s: float | None,
        step_s: float | None,
    ) -> Document:
        """Return points of series; without series, the names of all."""
        history = self._figures.history
        if series is None:
            return publish.to_history(names=history.names())
        try:
            return publish.to_history(history.read(series, from_unix_s, to_unix_s, step_s))
        except KeyError as exc:
            raise RpcError(
                ErrorCode.NOT_FOUND, f"no series {exc.args[0]!r}", "history without series lists the names"
            ) from exc
        except ValueError as exc:
            raise RpcError(ErrorCode.BAD_REQUEST, str(exc)) from exc

    # Peers

    def peer(self, name: str) -> Document:
        """Return everything of one peer."""
        peer_id = self._overlay.resolve(name)
        statistics = self.statistics()
        rows = PeerRows.from_wire(statistics["peers"])
        index = rows.index_of(peer_id)
        handle = self._collector.registry.get(peer_id)
        if index is None or handle is None:
            raise NotFoundError(f"{peer_id} is known, but metrics.max_peers leaves no room for its figures")
        row = rows.row(index)
        tcp = {name.removeprefix("tcp_"): value for name, value in row.items() if name.startswith("tcp_")}
        return {
            "row": row,
            "aliases": [row["alias"]] if row["alias"] else [],
            "path": [peer_id_of(key) for key in self._overlay.path(peer_id)],
            "by_type": publish.traffic_maps(self._collector.peer_types(handle)),
            "tcp": tcp,
            "tcp_info": cast("Document", statistics["node"])["tcp_info"],
            "events": self._events_of(peer_id, row),
        }

    def connections(self) -> Document:
        """Return links, what is dialled, and bans."""
        return {
            "links": publish.link_maps(self._overlay.peers()),
            "dials": publish.dial_maps(self._overlay.dials(), time.monotonic()),
            "bans": [publish.ban_map(ban) for ban in self._overlay.bans()],
        }

    def topology(self) -> Document:
        """Return the map that routing has."""
        return publish.topology_document(*self._overlay.topology())

    def add_peer(self, address: str) -> Document:
        """Keep a link to an address."""
        return {"added": self._overlay.add(address)}

    def remove_peer(self, name: str) -> Document:
        """Keep no link to a peer."""
        self._overlay.remove(name)
        return {}

    def ban_peer(self, name: str, duration_s: float | None, reason: str) -> Document:
        """Refuse a peer or an address."""
        if name == self._overlay.peer_id:
            raise RpcError(ErrorCode.BAD_REQUEST, f"{name} is this node")
        return publish.ban_map(self._overlay.ban(name, duration_s=duration_s, reason=reason))

    def unban_peer(self, name: str) -> Document:
        """End a ban."""
        self._overlay.unban(name)
        return {}

    def alias_peer(self, name: str, alias: str) -> Document:
        """Name a peer."""
        return {"peer": self._overlay.alias(name, alias), "alias": alias}

    async def submit(self, payloads: Sequence[bytes]) -> int:
        """Send payloads out as signed vertices."""
        try:
            return await self._overlay.submit(payloads)
        except ValueError as exc:
            raise RpcError(ErrorCode.BAD_REQUEST, str(exc)) from exc

    def hold(self, *, held: bool) -> Document:
        """Send nothing of our own accord, or go on."""
        if not self._loaded.config.lab.faults:
            hint = "start the node with --lab-faults; nodes of `qudag lab` are"
            raise RpcError(ErrorCode.FORBIDDEN, "this node was not started for a laboratory", hint)
        self._overlay.hold(held=held)
        return {}

    # Records

    def log_lines(self, count: int, level: str) -> Sequence[str]:
        """Return the newest lines of the log."""
        return self._log_ring.newest(count, level=level)

    def log_after(self, sequence: int) -> tuple[int, Sequence[str]]:
        """Return the lines after a number."""
        return self._log_ring.after(sequence)

    def events_after(self, sequence: int) -> tuple[int, Sequence[Document]]:
        """Return the events after a number."""
        return self._events.seq, [publish.event_map(event) for event in self._events.since(sequence)]

    # The process

    def status(self) -> Document:
        """Return who the node is and how it does."""
        config = self._loaded.config
        return {
            "schema": "qudag.status/1",
            "node": {
                "id": self._overlay.peer_id,
                "name": config.node.name,
                "version": __version__,
                "network": config.node.network,
            },
            "pid": os.getpid(),
            "data_dir": str(config.node.data_dir),
            "listen": list(self._overlay.listen_addresses),
            "advertise": list(self._overlay.advertised_addresses),
            "dialable": [*filter(None, map(dialable_address, self._overlay.advertised_addresses))],
            "rpc": list(self.server.addresses),
            "stamp": self._stamp_address,
            "clients": self.server.clients,
            "peers": len(self._overlay.links()),
            "uptime_s": self._figures.uptime_s,
        }

    def configuration(self) -> Document:
        """Return every setting and its source."""
        return {"config": config_tree(self._loaded), "sources": dict(self._loaded.sources)}

    def shut_down(self, by: str) -> None:
        """Begin to stop in order."""
        self._stop(f"shutdown by {by}")

    # Tests

    def start_test(
        self,
        test_type: str,
        target: str | None,
        options: Mapping[str, object],
        *,
        owner: Caller,
        cancel_with_owner: bool,
    ) -> Document:
        """Start or queue a test."""
        test_id = self._tester.start(
            _test_type(test_type),
            target,
            options,
            owner=owner,
            cancel_with_owner=cancel_with_owner,
            asked_by=owner.label,
        )
        return {"test_id": test_id}

    def cancel_test(self, test_id: str) -> Document:
        """End a test early."""
        return {"state": self._tester.cancel(test_id).value}

    async def find_test(self, test_id: str) -> None:
        """Make sure that a test can be watched."""
        await self._tester.find(test_id)

    def watch_test(self, test_id: str) -> Watch:
        """Return what happens to a test that was found just now."""
        return self._tester.watch(test_id)

    async def list_tests(self, limit: int, test_type: str | None, target: str | None) -> Document:
        """Return the newest tests."""
        kind = None if test_type is None else _test_type(test_type)
        return {"tests": await self._tester.listed(limit, kind, target)}

    async def show_test(self, test_id: str) -> Document:
        """Return a test's state and result."""
        return await self._tester.show(test_id)

    def plan_test(self, test_type: str, target: str | None, options: Mapping[str, object]) -> Document:
        """Return what a test would send."""
        return self._tester.plan(_test_type(test_type), target, options)

    def caller_gone(self, caller: object) -> None:
        """End the tests that were to end with who started them."""
        self._tester.owner_gone(caller)

    # Tokens

    def tokens(self) -> Document:
        """Return the named tokens without secrets."""
        return {
            "tokens": [
                {"name": token.name, "role": token.role.value, "created_unix_s": token.created_unix_s}
                for token in self._tokens.named()
            ]
        }

    def add_token(self, name: str, role: Role) -> Document:
        """Make a token."""
        try:
            token = self._tokens.add(name, role, time.time())
        except ValueError as exc:
            raise RpcError(ErrorCode.CONFLICT, str(exc)) from exc
        return {"name": token.name, "role": token.role.value, "token": token.secret.hex()}

    def revoke_token(self, name: str) -> Document:
        """Forget a token and close what it opened."""
        if not self._tokens.revoke(name):
            raise RpcError(ErrorCode.NOT_FOUND, f"no token {name!r}", "`qudag token list` shows them")
        self.server.close_token(name)
        return {}

    def _events_of(self, peer_id: PeerId, row: dict[str, object]) -> list[Document]:
        subjects = {peer_id, row["address"], row["name"], row["alias"]} - {""}
        about = [
            event for event in self._events.since(0) if event.subject in subjects or peer_id in event.text
        ]
        return [publish.event_map(event) for event in about[-_PEER_EVENTS:]]


def _test_type(name: str) -> TestType:
    try:
        return TestType(name)
    except ValueError:
        raise RpcError(
            ErrorCode.BAD_REQUEST, f"there is no test {name[:64]!r}", f"there are: {', '.join(TestType)}"
        ) from None
