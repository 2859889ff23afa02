"""Nodes in one process with all that the tests over the overlay need, and contexts to run those in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from qudag_node.config import TestsConfig
from qudag_node.nettests.connectivity import AddressService
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.routing import RoutesService
from qudag_node.nettests.underlay import UnderlayService
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.routed import (
    TEST_KINDS,
    Decision,
    Drop,
    DropCause,
    Forward,
    RoutedKind,
    RoutedMessage,
    decode_routed,
)
from qudag_node.peerid import PeerId, public_key_of
from tests.qudag_node.nettests.nodes import Tested, chain

__all__ = ["Bench", "bench", "drop_on_the_way", "pass_on_to"]


@dataclass
class Bench:
    """Some nodes with their parts in tests.

    Attributes:
        told: What the runs told of their progress.
    """

    nodes: Sequence[Tested]
    workers: Workers
    consents: Mapping[PeerId, Consent]
    responders: Mapping[PeerId, Responder]
    told: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def context(
        self, source: Tested, target: PeerId | None, *, stopping: asyncio.Event | None = None
    ) -> Context:
        """Return what a run from one node to another gets."""
        return Context(
            test_id="test",
            target=target,
            port=source.port,
            control=source.control,
            workers=self.workers,
            config=TestsConfig(),
            clock=time,
            collector=source.node.collector,
            stopping=stopping or asyncio.Event(),
            tell=self.told.append,
        )


@asynccontextmanager
async def bench(
    names: str,
    *,
    caps: Caps | None = None,
    config: TestsConfig | None = None,
    add: Callable[[Tested, Responder, Consent], None] = lambda *_: None,
    **settings: Any,
) -> AsyncGenerator[Bench]:
    """Run nodes in a line; ``add`` adds what else each of them does."""
    async with chain(names, **settings) as nodes, AsyncExitStack() as stack:
        workers = Workers()
        stack.push_async_callback(workers.close)
        consents: dict[PeerId, Consent] = {}
        responders: dict[PeerId, Responder] = {}
        for node in nodes:
            consent = consents[node.id] = Consent(caps or Caps())
            responder = responders[node.id] = await stack.enter_async_context(
                Responder(node.port, node.control, consent, time)
            )
            UnderlayService(
                port=node.port,
                control=node.control,
                workers=workers,
                consent=consent,
                clock=time,
                config=config or TestsConfig(),
            )
            RoutesService(port=node.port, control=node.control, consent=consent)
            AddressService(port=node.port, control=node.control, consent=consent)
            add(node, responder, consent)
        yield Bench(nodes, workers, consents, responders)


def drop_on_the_way(
    relay: Tested,
    *,
    every: int = 1,
    kinds: Container[RoutedKind | None] = TEST_KINDS,
    to: PeerId | None = None,
    where: Callable[[RoutedMessage], bool] = lambda _: True,
) -> None:
    """From now on a node drops what it should pass on.

    Args:
        relay: The node.
        every: Drop each ``every``-th of those that have the same kind, source, destination and first ttl.
        kinds: Drop only these.
        to: Drop only what is for this node.
        where: Drop only what this says.
    """
    router = router_of(relay)
    receive = router.receive
    seen: Counter[tuple[object, ...]] = Counter()

    def judge(encoded: bytes, *args: Any, **kwargs: Any) -> Decision:
        decision: Decision = receive(encoded, *args, **kwargs)
        message = decode_routed(encoded)
        is_meant = (to is None or message.destination == public_key_of(to)) and where(message)
        if message.kind not in kinds or not isinstance(decision, Forward) or not is_meant:
            return decision
        alike = message.kind, message.source, message.destination, message.first_ttl
        seen[alike] += 1
        return decision if seen[alike] % every else Drop(DropCause.NO_ROUTE)

    router.receive = judge


def router_of(relay: Tested) -> Any:
    """What decides in a node who gets what; to be broken on purpose."""
    return vars(relay.node.overlay)["_router"]


def pass_on_to(relay: Tested, destination: PeerId, wrong: Tested | None) -> None:
    """From now on a node hands what is for one node to the wrong neighbour, or to nobody."""
    router = router_of(relay)
    next_hop, key = router._next_hop, public_key_of(destination)
    wrong_key = None if wrong is None else public_key_of(wrong.id)
    router._next_hop = lambda to: wrong_key if to == key else next_hop(to)
