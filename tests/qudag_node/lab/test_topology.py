import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import ConfigError
from qudag_node.lab.topology import MAX_NODES, TOPOLOGIES, Link, NodeName, links_of, node_names


@pytest.mark.parametrize(
    ("topology", "count", "expected"),
    [
        ("line", 4, "1-2 2-3 3-4"),
        ("ring", 4, "1-2 1-4 2-3 3-4"),
        ("ring", 2, "1-2"),
        ("ring", 1, ""),
        ("star", 4, "1-2 1-3 1-4"),
        ("mesh", 3, "1-2 1-3 2-3"),
        ("random", 1, ""),
        ("random", 2, "1-2"),
    ],
)
def test_a_topology_has_these_links(topology: str, count: int, expected: str) -> None:
    pairs = [link.split("-") for link in expected.split()]
    assert links_of(topology, count) == tuple(
        Link(NodeName(f"peer{a}"), NodeName(f"peer{b}")) for a, b in pairs
    )


@given(topology=st.sampled_from(TOPOLOGIES), count=st.integers(1, 40), seed=st.integers())
def test_every_topology_is_connected_and_has_no_link_twice(topology: str, count: int, seed: int) -> None:
    links = links_of(topology, count, seed=seed)
    assert len(set(links)) == len(links)
    group = {name: {name} for name in node_names(count)}
    for link in links:
        assert link.a != link.b
        merged = group[link.a] | group[link.b]
        for name in merged:
            group[name] = merged
    assert group[NodeName("peer1")] == set(node_names(count))


def test_a_random_network_is_the_same_for_the_same_seed() -> None:
    drawn = {links_of("random", 12, seed=seed) for seed in range(5) for _ in range(2)}
    assert len(drawn) == 5


def test_a_link_has_two_directions() -> None:
    link = Link(NodeName("peer1"), NodeName("peer2"))
    assert [str(direction) for direction in link.directions] == ["peer1>peer2", "peer2>peer1"]
    assert str(link) == "peer1-peer2"


@pytest.mark.parametrize("count", [0, -1, MAX_NODES + 1])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"--nodes: {count} is not between 1 and {MAX_NODES}"):
        links_of("ring", count)


@pytest.mark.parametrize(
    ("topology", "hint"),
    [("rign", "did you mean 'ring'"), ("xyzzy", "choose ring, line, star, mesh, random")],
)
def test_a_misspelt_topology_gets_a_hint(topology: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        links_of(topology, 3)


def test_a_mesh_links_everyone() -> None:
    assert len(links_of("mesh", 7)) == len(list(itertools.combinations(range(7), 2)))
