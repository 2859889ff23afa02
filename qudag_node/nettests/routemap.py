"""The network's map for the routing test: shortest ways between any two nodes, and steps that lead nowhere.

Ids are PeerIds; costs are the round-trip times of links in seconds, as the map has them. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qudag_node.overlay.paths import HOP_COST_US, Route, path_to, shortest_paths

__all__ = ["MapEdge", "RouteMap", "Step"]

# The maps of two nodes never agree to the microsecond: so little further away is not further away.
_TOLERANCE_RATIO = 0.05


class MapEdge(NamedTuple):
    """A link of the map that both its ends advertise."""

    a: str
    b: str
    cost_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a way: who passed on to whom."""

    relay: str
    next_hop: str


class RouteMap:
    """The nodes and links that this node knows of.

    Args:
        edges: The links that are up.
        leaves: Nodes that relay nothing.
    """

    def __init__(self, edges: Iterable[MapEdge], leaves: Iterable[str] = ()) -> None:
        self._leaves = frozenset(leaf.encode() for leaf in leaves)
        self._links: dict[bytes, list[tuple[bytes, int]]] = {}
        for a, b, cost_s in edges:
            cost_us = max(round(cost_s * 1e6), 0)
            self._links.setdefault(a.encode(), []).append((b.encode(), cost_us))
            self._links.setdefault(b.encode(), []).append((a.encode(), cost_us))
        self._routes_from: dict[bytes, dict[bytes, Route]] = {}

    def path(self, source: str, destination: str) -> list[str]:
        """Return the best way, both ends included; empty when there is none."""
        if source == destination:
            return [source]
        path = path_to(destination.encode(), self._routes(source), source.encode())
        return [key.decode() for key in path]

    def hops(self, source: str, destination: str) -> int | None:
        """Return the links of the best way; None when there is none."""
        if source == destination:
            return 0
        route = self._routes(source).get(destination.encode())
        return None if route is None else route.hops

    def cost_s(self, source: str, destination: str) -> float | None:
        """Return what the best way costs: the sum of the round-trip times of its links."""
        if source == destination:
            return 0.0
        route = self._routes(source).get(destination.encode())
        return None if route is None else route.rtt_us / 1e6

    def link_cost_s(self, a: str, b: str) -> float | None:
        """Return what the link between two nodes costs; None when there is none."""
        target = b.encode()
        costs = [cost_us for neighbour, cost_us in self._links.get(a.encode(), ()) if neighbour == target]
        return min(costs) / 1e6 if costs else None

    def least_hops(self, source: str, destination: str) -> int | None:
        """Return the links of the shortest way, which need not be the best; None when there is none."""
        seen, edge, hops = {source.encode()}, [source.encode()], 0
        target = destination.encode()
        while edge and target not in seen:
            hops += 1
            beyond = {
                neighbour
                for key in edge
                if key == source.encode() or key not in self._leaves
                for neighbour, _ in self._links.get(key, ())
            }
            edge = sorted(beyond - seen)
            seen |= beyond
        return hops if target in seen else None

    def matrix(self, peers: Sequence[str]) -> list[list[int | None]]:
        """Return the hops from each (rows) to each (columns)."""
        return [[self.hops(source, destination) for destination in peers] for source in peers]

    def misrouted(self, path: Sequence[str | None], destination: str) -> list[Step]:
        """Return the steps of a way, both ends included, that lead away from the destination, or in a circle.

        Where either node of a step is not known, or not on the map, nothing is said of it.
        """
        steps: list[Step] = []
        seen: set[str | None] = set()
        for relay, next_hop in itertools.pairwise(path):
            seen.add(relay)
            if relay is None or next_hop is None:
                continue
            before_us, after_us = (self._weight_us(node, destination) for node in (relay, next_hop))
            is_away = (
                before_us is not None
                and after_us is not None
                and after_us > before_us * (1 + _TOLERANCE_RATIO)
            )
            if is_away or next_hop in seen:
                steps.append(Step(relay, next_hop))
        return steps

    def _weight_us(self, source: str, destination: str) -> int | None:
        """Return what relays compare: the cost and something for each hop."""
        if source == destination:
            return 0
        route = self._routes(source).get(destination.encode())
        return None if route is None else route.rtt_us + route.hops * HOP_COST_US

    def _routes(self, source: str) -> dict[bytes, Route]:
        key = source.encode()
        routes = self._routes_from.get(key)
        if routes is None:
            routes = self._routes_from[key] = shortest_paths(self._links, key, self._leaves)
        return routes
