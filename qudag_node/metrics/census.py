"""Counting peers by kind, kept up to date label by label so that a look costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from qudag_node.metrics.labels import PeerLabels

__all__ = ["PeerCensus", "address_family"]


def address_family(address: str) -> str:
    """Tell the family of HOST:PORT, [HOST]:PORT or a Unix socket's path."""
    if address.startswith("["):
        return "ipv6"
    if address.startswith(("/", "unix:")):
        return "unix"
    host = address.rpartition(":")[0]
    if host and all(part.isdigit() for part in host.split(".")):
        return "ipv4"
    return "name" if host else "unknown"


class PeerCensus:
    """How many peers are of which kind. Only hop distance counts peers that are not connected."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def replace(self, before: PeerLabels | None, after: PeerLabels | None) -> None:
        """Take one peer from the kinds it was to the kinds it is; None for a peer that comes or goes."""
        if before is not None:
            for kind in _kinds(before):
                self._counts[kind] -= 1
                if not self._counts[kind]:
                    del self._counts[kind]
        if after is not None:
            self._counts.update(_kinds(after))

    def counts(self, dimension: str) -> Mapping[str, int]:
        """Return peers by direction, agent, address_family, version, hops or state."""
        return {kind: count for (name, kind), count in sorted(self._counts.items()) if name == dimension}


def _kinds(labels: PeerLabels) -> Iterable[tuple[str, str]]:
    yield "state", labels.state
    if labels.hops:
        yield "hops", str(labels.hops)
    if labels.state == "connected":
        yield "direction", labels.direction
        yield "agent", labels.agent or "unknown"
        yield "address_family", address_family(labels.address)
        yield "version", str(labels.protocol_version)
