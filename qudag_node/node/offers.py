"""What this node offers to its clients: the parts' answers, translated for the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from qudag_node import __version__
from qudag_node.config import LoadedConfig, config_tree
from qudag_node.errors import NotFoundError, PeerRefusedError
from qudag_node.metrics import MetricsCollector
from qudag_node.node.logs import LogRing
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.identity import Identity
from qudag_node.rpc import Document, RpcServer, TokenStore
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.methods import Role

__all__ = ["NodeOffers"]


class NodeOffers:
    """Implements ``rpc.Offers``."""

    def __init__(
        self,
        *,
        loaded: LoadedConfig,
        identity: Identity,
        collector: MetricsCollector,
        events: EventLog,
        log_ring: LogRing,
        tokens: TokenStore,
        stop: Callable[[str], None],
    ) -> None:
        self._loaded = loaded
        self._identity = identity
        self._collector = collector
        self._events = events
        self._log_ring = log_ring
        self._tokens = tokens
        self._stop = stop
        self._started_unix_s = time.time()
        self._started_mono_s = time.monotonic()
        self.server: RpcServer

    def statistics(self) -> Document:
        """Return the statistics as of now."""
        totals = self._collector.totals()
        node = {
            "id": self._identity.peer_id,
            "name": self._loaded.config.node.name,
            "version": __version__,
            "network": self._loaded.config.node.network,
            "uptime_s": time.monotonic() - self._started_mono_s,
            "sampled_unix_s": time.time(),
        }
        return {
            "schema": "qudag.stats/1",
            "node": node,
            "connections": {"active": 0, "in": 0, "out": 0},
            "messages": {"sent": int(totals.sent.sum()), "received": int(totals.received.sum())},
            "peers": {"slots": {"type": "u4", "bin": b""}, "text": {}, "numbers": {}},
        }

    def delta(self, before: Document, after: Document) -> Document:
        """Return what changed between two documents."""
        return {"sections": {name: section for name, section in after.items() if section != before.get(name)}}

    def peer(self, name: str) -> Document:
        """Return everything of one peer."""
        raise NotFoundError(f"no peer {name!r}")

    def connections(self) -> Document:
        """Return links and bans."""
        return {"links": [], "bans": []}

    def topology(self) -> Document:
        """Return the map that routing has."""
        return {"nodes": [], "links": []}

    def history(
        self,
        series: Sequence[str] | None,
        from_unix_s: float | None,
        to_unix_s: float | None,
        step_s: float | None,
    ) -> Document:
        """Return points of series."""
        return {"schema": "qudag.history/1", "from_unix_s": 0.0, "step_s": 1.0, "series": {}, "names": []}

    def log_lines(self, count: int, level: str) -> Sequence[str]:
        """Return the newest lines of the log."""
        return self._log_ring.newest(count, level=level)

    def log_after(self, sequence: int) -> tuple[int, Sequence[str]]:
        """Return the lines after a number."""
        return self._log_ring.after(sequence)

    def events_after(self, sequence: int) -> tuple[int, Sequence[Document]]:
        """Return the events after a number."""
        return self._events.seq, [asdict(event) for event in self._events.since(sequence)]

    def status(self) -> Document:
        """Return who the node is and how it does."""
        config = self._loaded.config
        return {
            "schema": "qudag.status/1",
            "node": {
                "id": self._identity.peer_id,
                "name": config.node.name,
                "version": __version__,
                "network": config.node.network,
            },
            "pid": os.getpid(),
            "data_dir": str(config.node.data_dir),
            "listen": [],
            "rpc": list(self.server.addresses),
            "clients": self.server.clients,
            "peers": 0,
            "uptime_s": time.monotonic() - self._started_mono_s,
        }

    def configuration(self) -> Document:
        """Return every setting and its source."""
        return {"config": config_tree(self._loaded), "sources": dict(self._loaded.sources)}

    def shut_down(self, by: str) -> None:
        """Begin to stop in order."""
        self._stop(f"shutdown by {by}")

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

    def add_peer(self, address: str) -> Document:
        """Keep a link to an address."""
        raise PeerRefusedError(f"{address}: this node has no links yet")

    def remove_peer(self, name: str) -> Document:
        """Keep no link to a peer."""
        raise NotFoundError(f"no peer {name!r}")

    def ban_peer(self, name: str, duration_s: float | None, reason: str) -> Document:
        """Refuse a peer."""
        raise NotFoundError(f"no peer {name!r}")

    def unban_peer(self, name: str) -> Document:
        """End a ban."""
        raise NotFoundError(f"no peer {name!r}")

    def alias_peer(self, name: str, alias: str) -> Document:
        """Name a peer."""
        raise NotFoundError(f"no peer {name!r}")

    async def submit(self, payloads: Sequence[bytes]) -> int:
        """Send payloads out."""
        raise PeerRefusedError("this node has no links yet")
