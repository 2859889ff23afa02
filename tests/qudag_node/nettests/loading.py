"""Nodes in one process whose links can be loaded and pinged meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from qudag_node.config import TestsConfig
from qudag_node.nettests.bulkservice import BulkService
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.pingservice import PingService
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.workers import Workers
from tests.qudag_node.nettests.contexts import Bench, bench
from tests.qudag_node.nettests.nodes import Tested

__all__ = ["loading"]


@asynccontextmanager
async def loading(names: str, **settings: Any) -> AsyncGenerator[tuple[Bench, Workers]]:
    """Run nodes in a line; the workers are those of the tested sides."""
    workers = Workers()

    def add(node: Tested, responder: Responder, _: Consent) -> None:
        common: dict[str, Any] = {
            "control": node.control,
            "responder": responder,
            "workers": workers,
            "config": TestsConfig(),
            "collector": node.node.collector,
        }
        PingService(port=node.port, clock=time, **common)
        BulkService(**common)

    try:
        async with bench(names, add=add, **settings) as made:
            yield made, workers
            assert made.workers.running == 0
    finally:
        await workers.close()
