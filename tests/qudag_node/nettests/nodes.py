"""Overlays in one process, each with the control channel of its network tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from qudag_node.nettests.control import Control
from qudag_node.overlay.testport import TestPort
from qudag_node.peerid import PeerId
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, line_of, linked, running

__all__ = ["Tested", "chain"]


class Tested:
    """One node and its control channel."""

    __test__ = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.control = Control(node.overlay.tests)

    @property
    def id(self) -> PeerId:
        return self.node.identity.peer_id

    @property
    def port(self) -> TestPort:
        return self.node.overlay.tests

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.port.drop_counts())


@asynccontextmanager
async def chain(names: str, **settings: Any) -> AsyncGenerator[list[Tested]]:
    """Run nodes in a line, each of which knows the way to every other; "abc" is three of them."""
    nodes = [Node(name, ping_interval_s=0.05, **settings) for name in names]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(*nodes))
        tested = [Tested(node) for node in nodes]
        for one in tested:
            await stack.enter_async_context(one.control)
        await linked(*line_of(nodes))
        await until(lambda: _all_know_all(tested), 60.0)
        yield tested


def _all_know_all(nodes: Sequence[Tested]) -> bool:
    return all(
        one is other
        or (
            (facts := one.port.facts(other.id)).name == other.node.name
            and len(one.port.path(other.id)) == facts.hops + 1
            and (facts.link is None or (facts.link.keys is not None and facts.link.srtt_s is not None))
        )
        for one in nodes
        for other in nodes
    )
