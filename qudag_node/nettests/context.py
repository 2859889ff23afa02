"""`Context`: all that the run of one test gets from the node.

    async def run(context: Context, options: PingOptions) -> Measured: ...

A run looks at ``stopping``: once it is set it ends within seconds and returns what it has. It raises
``DeclinedError`` when the peer says no and any other ``NodeError`` when it fails with one clear line;
everything else that it raises is our mistake and is logged as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qudag_node.config import TestsConfig
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.control import Control
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.load import LoadService
from qudag_node.nettests.results import Measured
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.testport import TestPort
from qudag_node.peerid import PeerId

__all__ = ["Context", "Run"]

ProgressSink = Callable[[Mapping[str, object]], None]


def _nobody(_fields: Mapping[str, object]) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a run may use.

    Attributes:
        test_id: Of this test; twelve characters.
        target: Who is tested; None where the whole network is, or nobody.
        port: The overlay.
        control: Requests to peers.
        workers: Processes that measure.
        config: The settings of tests.
        clock: Monotonic and wall clock.
        collector: Where traffic that goes beside the links is counted.
        stopping: Set when the test is to finish early.
        tell: Where progress goes; a run calls ``progress``.
        echoes: This node's part in echoes, for pings over links and relays.
        loads: Its part in the messages of stress tests.
    """

    test_id: str
    target: PeerId | None
    port: TestPort
    control: Control
    workers: Workers
    config: TestsConfig
    clock: Clock
    collector: MetricsCollector
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    tell: ProgressSink = _nobody
    echoes: EchoService | None = None
    loads: LoadService | None = None

    @property
    def peer(self) -> PeerId:
        """The target of a test that always has one."""
        assert self.target is not None, "the tester refuses such a test without a target"  # noqa: S101
        return self.target

    @property
    def peer_name(self) -> str:
        """How the target is shown."""
        return self.port.facts(self.peer).name

    def progress(self, line: str, done: float | None = None, **figures: object) -> None:
        """Tell who watches how far it is. Any rate will do: of those that come too fast the latest is told.

        Args:
            line: A short text, such as ``12 of 100, 25.1 ms``.
            done: From 0 to 1, or None where the end is not known.
            figures: Further values, as in the result: seconds, ratios, plain maps and lists.
        """
        self.tell({**figures, "line": line, "done": None if done is None else min(1.0, max(0.0, done))})

    async def pause(self, seconds: float) -> bool:
        """Sleep; tell whether the test is to finish early, which ends the sleep."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True


Run = Callable[[Context, Any], Awaitable[Measured]]
"""What a module of tests offers; the second argument are the options of its own type."""
