"""The map and the ways through it: pure functions from what each node claims to routes.

A link is in the map only when both of its ends advertise it, and costs the larger of the two claims. So no
node can place itself between others by inventing a link, nor make one of its links look better than the
other end measures it. No path goes through a leaf.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

__all__ = [
    "HOP_COST_US",
    "Claims",
    "MapLink",
    "Route",
    "confirmed_links",
    "map_links",
    "path_to",
    "shortest_paths",
]

# A relay reads, decides and writes, and may stop: a detour must save more than this for each further hop.
# Without it the noise of a few microseconds between machines side by side would choose the routes.
HOP_COST_US = 1_000

#: What each node says its links cost, in µs by the neighbour's key.
Claims: TypeAlias = Mapping[bytes, Mapping[bytes, int]]

_NOTHING: Mapping[bytes, int] = {}


class Route(NamedTuple):
    """How a destination is reached.

    Attributes:
        next_hop: The neighbour to hand it to; the destination itself one hop away.
        hops: Links on the way.
        rtt_us: Sum of the links' costs, an estimate of the round-trip time.
        previous: The node before the destination on the way.
    """

    next_hop: bytes
    hops: int
    rtt_us: int
    previous: bytes


class MapLink(NamedTuple):
    """A link that one or both ends advertise; ``a`` is the smaller key.

    Attributes:
        is_up: Both ends advertise it. Otherwise it was lost, is being made, or is a lie.
    """

    a: bytes
    b: bytes
    cost_us: int
    is_up: bool


def map_links(claims: Claims) -> Iterator[MapLink]:
    """Give every link that anybody claims, each once, in no particular order."""
    for origin, own in claims.items():
        for neighbour, cost_us in own.items():
            claimed_us = claims.get(neighbour, _NOTHING).get(origin)
            if claimed_us is None:
                yield MapLink(min(origin, neighbour), max(origin, neighbour), cost_us, is_up=False)
            elif origin < neighbour:
                yield MapLink(origin, neighbour, max(cost_us, claimed_us), is_up=True)


def confirmed_links(claims: Claims) -> dict[bytes, list[tuple[bytes, int]]]:
    """Return for each node its links (neighbour, cost in µs) that the neighbour claims too."""
    links: dict[bytes, list[tuple[bytes, int]]] = {}
    for origin, own in claims.items():
        confirmed: list[tuple[bytes, int]] = []
        for neighbour, cost_us in own.items():
            claimed_us = claims.get(neighbour, _NOTHING).get(origin)
            if claimed_us is not None:
                confirmed.append((neighbour, max(cost_us, claimed_us)))
        links[origin] = confirmed
    return links


def shortest_paths(
    links: Mapping[bytes, list[tuple[bytes, int]]], source: bytes, leaves: Container[bytes] = ()
) -> dict[bytes, Route]:
    """Return the best route from the source to every node that can be reached. Dijkstra.

    Of equally good ways the one with fewer hops wins, then the one whose first hop has the smaller key, so
    that nodes that know the same adverts choose alike. What is left of a way is lighter at every hop, so
    none runs in circles.
    """
    routes: dict[bytes, Route] = {}
    heap: list[tuple[int, int, bytes, bytes, bytes]] = []
    for neighbour, cost_us in links.get(source, ()):
        heappush(heap, (cost_us + HOP_COST_US, 1, neighbour, neighbour, source))
    while heap:
        weight, hops, first_hop, node, previous = heappop(heap)
        if node in routes or node == source:
            continue
        routes[node] = Route(first_hop, hops, weight - hops * HOP_COST_US, previous)
        if node in leaves:
            continue
        for neighbour, cost_us in links.get(node, ()):
            if neighbour not in routes:
                heappush(heap, (weight + cost_us + HOP_COST_US, hops + 1, first_hop, neighbour, node))
    return routes


def path_to(destination: bytes, routes: Mapping[bytes, Route], source: bytes) -> list[bytes]:
    """Return the nodes from the source to the destination, both included; empty when there is no way."""
    if destination not in routes:
        return []
    path = [destination]
    while path[-1] != source:
        path.append(routes[path[-1]].previous)
    return path[::-1]
