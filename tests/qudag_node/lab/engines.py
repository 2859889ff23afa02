"""Plain programs on both engines, so that the links are tested without a node."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache

from qudag_node.lab.errors import EngineUnavailableError
from qudag_node.lab.impairment import Impairment
from qudag_node.lab.links import LinkProcess, Network, start_links
from qudag_node.lab.topology import Direction, NodeName, links_of, node_names
from tests.needs import need

PEER1, PEER2, PEER3 = (NodeName(f"peer{n}") for n in (1, 2, 3))
TO_2, TO_1 = Direction(PEER1, PEER2), Direction(PEER2, PEER1)


@cache
def netns_problem() -> str | None:
    """Why the engine netns does not run here; None where it does."""
    try:
        start_links("netns", Network(nodes=node_names(2), links=links_of("line", 2)), os.environ).close()
    except EngineUnavailableError as error:
        return str(error)
    return None


def skip_unless_it_runs(engine: str) -> None:
    """Skip, with the reason, where the host has no such engine; in CI that is a failure."""
    problem = netns_problem() if engine == "netns" else None
    need(problem is None, f"the engine netns: {problem}")


@contextmanager
def running_links(
    engine: str, impairments: Mapping[Direction, Impairment], *, nodes: int = 2
) -> Generator[LinkProcess]:
    """A line of nodes without nodes."""
    skip_unless_it_runs(engine)
    network = Network(nodes=node_names(nodes), links=links_of("line", nodes), impairments=impairments, seed=7)
    links = start_links(engine, network, os.environ)
    try:
        yield links
    finally:
        links.close()


@contextmanager
def program(
    links: LinkProcess, node: NodeName, code: str, *arguments: str
) -> Generator[subprocess.Popen[str]]:
    """Run Python code where the node would run."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        preexec_fn=links.entrance(node),  # noqa: PLW1509  # no threads here
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line a program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
