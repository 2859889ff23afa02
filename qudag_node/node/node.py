"""The composition root: makes the parts of a node, starts them in order, keeps them running, stops them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from qudag_node import __version__
from qudag_node.config import LoadedConfig
from qudag_node.metrics import MetricsCollector
from qudag_node.node.figures import Figures
from qudag_node.node.logs import LogRing
from qudag_node.node.loop import sample_lag, settle_garbage_collector
from qudag_node.node.offers import NodeOffers
from qudag_node.node.runtime_link import RuntimeLink, sweep
from qudag_node.node.supervision import notify_systemd
from qudag_node.node.tests import start_tests
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.identity import Identity, load_or_create_identity
from qudag_node.overlay.overlay import LocalNode, Overlay
from qudag_node.rpc import RpcServer, TokenStore, server_tls
from qudag_node.wire.paths import running_link, socket_path
from qudag_node.wire.session import NodeCard

__all__ = ["Node"]

_log = logging.getLogger(__name__)


class Node:
    """One node. ``run`` is all of its life: cancelling it, at any point, is how it is stopped."""

    def __init__(
        self,
        loaded: LoadedConfig,
        log_ring: LogRing,
        environ: Mapping[str, str],
        stop: Callable[[str], None],
        link_sockets: set[int],
    ) -> None:
        """Args: ``link_sockets`` is what the event loop serves in turn."""
        self._loaded = loaded
        self._log_ring = log_ring
        self._environ = environ
        self._stop = stop
        self._link_sockets = link_sockets

    async def run(self, ready: Callable[[str], None]) -> None:
        """Start, call ``ready`` with one line, run until cancelled.

        Raises:
            NodeError: It could not start.
        """
        async with AsyncExitStack() as parts:
            tasks = await parts.enter_async_context(asyncio.TaskGroup())
            await self._start(parts, tasks, ready)
            await asyncio.get_running_loop().create_future()

    async def _start(
        self, parts: AsyncExitStack, tasks: asyncio.TaskGroup, ready: Callable[[str], None]
    ) -> None:
        config, directory = self._loaded.config, self._directory
        identity = load_or_create_identity(directory)
        collector = MetricsCollector(
            message_types=tuple(FRAME_NAMES),
            max_peers=config.metrics.max_peers,
            recording=config.metrics.recording,
        )
        events = EventLog(time)
        overlay = Overlay(
            config.overlay,
            self._local_node(identity),
            collector,
            time,
            events,
            sockets=self._link_sockets,
            background_bytes_per_s=config.tests.background_bytes_per_s,
        )
        parts.push_async_callback(overlay.stop)
        await overlay.start()
        figures = Figures(config, overlay, collector, time)
        tokens = TokenStore(directory)
        tester, stamp_address = await start_tests(
            parts,
            config=config.tests,
            port=overlay.tests,
            collector=collector,
            events=events,
            directory=directory,
            node={"id": identity.peer_id, "name": config.node.name, "version": __version__},
        )
        offers = NodeOffers(
            loaded=self._loaded,
            overlay=overlay,
            collector=collector,
            figures=figures,
            events=events,
            log_ring=self._log_ring,
            tokens=tokens,
            tester=tester,
            stamp_address=stamp_address,
            stop=self._stop,
        )
        server = RpcServer(
            config.rpc,
            offers,
            NodeCard(identity.peer_id, config.node.name, __version__, config.node.network),
            tokens,
            socket_path=Path(socket_path(directory, self._environ)),
            tls=server_tls(identity),
            clock=time.monotonic,
            tasks=tasks,
        )
        offers.server = server
        parts.callback(tokens.remove_cookie)
        tokens.bake_cookie(time.time())
        parts.push_async_callback(server.stop)
        await server.start()
        # Before the server stops, so that who watches a test learns how it ended.
        await parts.enter_async_context(tester)
        tester.on_change = lambda test_id: server.subscriptions.hurry(f"test:{test_id}")
        link = RuntimeLink(Path(running_link(config.node.name, self._environ)))
        parts.callback(link.remove)
        link.make(server.socket_path)
        for runtime in {link.path.parent, server.socket_path.parent} - {directory.absolute()}:
            sweep(runtime)
        tasks.create_task(overlay.wait(), name="overlay")
        tasks.create_task(figures.run(self._tell_watchdog), name="figures")
        tasks.create_task(sample_lag(collector.record_loop_lag, time.monotonic), name="loop lag")
        settle_garbage_collector()
        where = (
            f"links on {', '.join(overlay.listen_addresses) or 'none'}; rpc on {', '.join(server.addresses)}"
        )
        if stamp_address:
            where += f"; stamp on udp {stamp_address}"
        _log.info("%s %s started, pid %d: %s", config.node.name, identity.peer_id, os.getpid(), where)
        ready(f"{config.node.name} {identity.peer_id} is ready: {where}")

    @property
    def _directory(self) -> Path:
        directory = self._loaded.config.node.data_dir
        assert directory is not None, "the command line fills it in"  # noqa: S101
        return directory

    def _local_node(self, identity: Identity) -> LocalNode:
        node = self._loaded.config.node
        return LocalNode(
            identity=identity,
            name=node.name,
            network=node.network,
            agent=f"qudag/{__version__}",
            directory=self._directory,
        )

    def _tell_watchdog(self) -> None:
        if "WATCHDOG_USEC" in self._environ:
            notify_systemd("WATCHDOG=1", self._environ)
