"""Which nodes are linked. Pure: randomness is a seed.

ring   1-2-3-…-1      line   1-2-3-…      star   1 in the middle
mesh   everyone with everyone             random connected, about three links a node
"""

from __future__ import annotations

import difflib
import itertools
import random
from dataclasses import dataclass
from typing import NewType

from qudag_node.errors import ConfigError

__all__ = ["MAX_NODES", "TOPOLOGIES", "Direction", "Link", "NodeName", "links_of", "node_names", "number_of"]

NodeName = NewType("NodeName", str)

#: One address each in 198.18.0.0/24 and 127.77.0.0/24, and more than a laptop can run.
MAX_NODES = 200
TOPOLOGIES = ("ring", "line", "star", "mesh", "random")


@dataclass(frozen=True, slots=True, order=True)
class Direction:
    """One direction of a link."""

    source: NodeName
    target: NodeName

    def __str__(self) -> str:
        return f"{self.source}>{self.target}"


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Two neighbours; ``a`` has the smaller number."""

    a: NodeName
    b: NodeName

    def __str__(self) -> str:
        return f"{self.a}-{self.b}"

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """From ``a`` to ``b``, and back."""
        return Direction(self.a, self.b), Direction(self.b, self.a)


def node_names(count: int) -> tuple[NodeName, ...]:
    """``peer1`` to ``peerN``.

    Raises:
        ConfigError: The count is not between 1 and ``MAX_NODES``.
    """
    if not 1 <= count <= MAX_NODES:
        raise ConfigError("--nodes", f"{count} is not between 1 and {MAX_NODES}")
    return tuple(NodeName(f"peer{number}") for number in range(1, count + 1))


def number_of(node: NodeName) -> int:
    """3 of ``peer3``."""
    return int(node.removeprefix("peer"))


def links_of(topology: str, count: int, *, seed: int = 0) -> tuple[Link, ...]:
    """The links of a connected network of ``count`` nodes, in order of their ends.

    Raises:
        ConfigError: No such topology, or a bad count.
    """
    names = node_names(count)
    pairs = sorted(_pairs(topology, count, seed))
    return tuple(Link(names[a], names[b]) for a, b in pairs)


def _pairs(topology: str, count: int, seed: int) -> set[tuple[int, int]]:
    chain = {(index, index + 1) for index in range(count - 1)}
    match topology:
        case "line":
            return chain
        case "ring":
            return chain | {(0, count - 1)} if count > 2 else chain
        case "star":
            return {(0, index) for index in range(1, count)}
        case "mesh":
            return set(itertools.combinations(range(count), 2))
        case "random":
            return _random_pairs(count, random.Random(seed))
        case _:
            nearest = difflib.get_close_matches(topology, TOPOLOGIES, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"choose {', '.join(TOPOLOGIES)}"
            raise ConfigError("--topology", f"no topology {topology!r}; {hint}")


def _random_pairs(count: int, rng: random.Random) -> set[tuple[int, int]]:
    """A random tree, so that it is connected, and half as many links again."""
    pairs = {(rng.randrange(index), index) for index in range(1, count)}
    others = sorted(set(itertools.combinations(range(count), 2)) - pairs)
    return pairs | set(rng.sample(others, min(len(others), count // 2)))
