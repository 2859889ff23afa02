from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.paths import (
    HOP_COST_US,
    MapLink,
    confirmed_links,
    map_links,
    path_to,
    shortest_paths,
)

nodes = st.integers(0, 7).map(lambda n: bytes([n]))
claims_of_networks = st.dictionaries(
    nodes, st.dictionaries(nodes, st.integers(1, 20_000), max_size=6), max_size=8
)


def both(*links: tuple[bytes, bytes, int]) -> dict[bytes, dict[bytes, int]]:
    """What honest nodes claim."""
    claims: dict[bytes, dict[bytes, int]] = {}
    for a, b, cost_us in links:
        claims.setdefault(a, {})[b] = cost_us
        claims.setdefault(b, {})[a] = cost_us
    return claims


def test_a_link_needs_both_ends_and_costs_the_larger_claim() -> None:
    claims = {b"a": {b"b": 10, b"c": 5}, b"b": {b"a": 30}, b"c": {}}
    assert confirmed_links(claims) == {b"a": [(b"b", 30)], b"b": [(b"a", 30)], b"c": []}
    assert sorted(map_links(claims)) == [MapLink(b"a", b"b", 30, True), MapLink(b"a", b"c", 5, False)]


def test_a_detour_must_save_more_than_its_hops_cost() -> None:
    near = both((b"a", b"b", 500), (b"a", b"c", 100), (b"c", b"b", 100))
    assert shortest_paths(confirmed_links(near), b"a")[b"b"].next_hop == b"b"
    far = both((b"a", b"b", 500 + HOP_COST_US), (b"a", b"c", 100), (b"c", b"b", 100))
    route = shortest_paths(confirmed_links(far), b"a")[b"b"]
    assert (route.next_hop, route.hops, route.rtt_us, route.previous) == (b"c", 2, 200, b"c")


def test_of_equal_ways_the_one_with_fewer_hops_wins() -> None:
    claims = both((b"a", b"d", 2 * HOP_COST_US), (b"a", b"b", HOP_COST_US), (b"b", b"d", 0))
    # Both weigh three hops' cost.
    assert shortest_paths(confirmed_links(claims), b"a")[b"d"].next_hop == b"d"


def test_of_equal_ways_the_one_over_the_smaller_key_wins() -> None:
    claims = both((b"a", b"c", 7), (b"a", b"b", 7), (b"c", b"d", 7), (b"b", b"d", 7))
    assert shortest_paths(confirmed_links(claims), b"a")[b"d"].next_hop == b"b"


def test_no_path_goes_through_a_leaf_but_it_is_reached_and_reaches() -> None:
    claims = both((b"a", b"l", 1), (b"l", b"z", 1))
    links = confirmed_links(claims)
    assert set(shortest_paths(links, b"a", {b"l"})) == {b"l"}
    assert set(shortest_paths(links, b"l", {b"l"})) == {b"a", b"z"}


def test_there_is_no_path_to_what_cannot_be_reached() -> None:
    assert path_to(b"z", {}, b"a") == []
    assert shortest_paths({}, b"a") == {}


@given(claims=claims_of_networks, leaves=st.sets(nodes, max_size=3))
def test_routes_are_the_best_ways_and_every_hop_agrees(
    claims: dict[bytes, dict[bytes, int]], leaves: set[bytes]
) -> None:
    claims = {node: {n: c for n, c in own.items() if n != node} for node, own in claims.items()}
    links = confirmed_links(claims)
    cost = {(a, b): us for a, own in links.items() for b, us in own}
    tables = {node: shortest_paths(links, node, leaves) for node in links}
    for source in links:
        assert {n: r.rtt_us + r.hops * HOP_COST_US for n, r in tables[source].items()} == bellman_ford(
            cost, source, leaves
        )
        for destination, route in tables[source].items():
            path = path_to(destination, tables[source], source)
            assert path[0] == source
            assert path[1] == route.next_hop
            assert len(path) == route.hops + 1
            assert sum(cost[step] for step in pairwise(path)) == route.rtt_us
            assert not leaves.intersection(path[1:-1])
            walked = [source]
            while walked[-1] != destination:
                walked.append(tables[walked[-1]][destination].next_hop)
                assert len(walked) <= route.hops + 1, "relaying hop by hop takes the way that was promised"


def bellman_ford(cost: dict[tuple[bytes, bytes], int], source: bytes, leaves: set[bytes]) -> dict[bytes, int]:
    weight = {source: 0}
    for _ in range(10):
        for (a, b), us in cost.items():
            if a in weight and (a == source or a not in leaves):
                weight[b] = min(weight.get(b, 1 << 60), weight[a] + us + HOP_COST_US)
    del weight[source]
    return weight
