"""The node's figures: sampled at every tick, made into statistics when somebody asks."""

from __future__ import annotations

import asyncio
import logging
import math
import platform
import ssl
import sys
from collections.abc import Callable, Iterator

from qudag_node import __version__
from qudag_node.config import HistoryConfig, MetricsConfig, NodeConfig
from qudag_node.history import History
from qudag_node.metrics import MetricsCollector, NetworkStatistics
from qudag_node.metrics.statistics import NodeStatistics
from qudag_node.monitors import StatsAggregator
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.overlay import Overlay
from qudag_node.publish import Document, Translator
from qudag_node.wire.framing import Packed, pack

__all__ = ["Figures"]

# Up to here figures are made anew for who asks; with a thousand links that would take the loop 5 ms each
# time, most of it waiting for memory.
_FEW_LINKS = 200
# Clients that ask at the same time share an answer all the same, and so do streams due in the same pass.
_SHARED_S = 0.05
_SAME_TIME_S = 0.02

# Who asks again and again is answered from what is ready; for a single question nothing is made ready.
_ASKED_LATELY_S = 60.0

_log = logging.getLogger(__name__)


class Figures:
    """Joins the overlay's gauges, the aggregator and the history.

    Attributes:
        history: What was.
        ticks: How often was sampled.
    """

    def __init__(
        self, config: NodeConfig, overlay: Overlay, collector: MetricsCollector, clock: Clock
    ) -> None:
        """Args: ``clock`` is the ``time`` module, outside tests."""
        self._clock = clock
        self.history = _history(config.history, config.metrics)
        self.ticks = 0
        self.started_mono_s = self._clock.monotonic()
        self._config = config.metrics
        self._overlay = overlay
        self._aggregator = StatsAggregator(
            collector,
            started_mono_s=self.started_mono_s,
            started_unix_s=self._clock.time(),
            node=_node_statistics(config, overlay),
            interval_s=config.metrics.interval_s,
            retention_s=config.metrics.retention_s,
            capacity_bits_per_s=config.metrics.capacity_bits_per_s,
        )
        self._translator = Translator()
        self._statistics: NetworkStatistics | None = None
        self._statistics_mono_s = 0.0
        self._document: Document | None = None
        self._packed: Packed | None = None
        self._asked_mono_s = -math.inf
        self._are_gauges_stale = True

    @property
    def uptime_s(self) -> float:
        """Seconds since the node started."""
        return self._clock.monotonic() - self.started_mono_s

    def now(self) -> NetworkStatistics:
        """Return everything: counts as of now, rates and peaks as of the last tick.

        So are the gauges of a node with many links, until ``forget`` says that something has changed.
        """
        if self._are_gauges_stale or self._has_few_links:
            self._overlay.update_gauges()
            self._are_gauges_stale = False
        now_mono_s, now_unix_s = self._clock.monotonic(), self._clock.time()
        self._statistics = self._aggregator.aggregate(now_mono_s=now_mono_s, now_unix_s=now_unix_s)
        self._statistics_mono_s = now_mono_s
        self._document = self._packed = None
        return self._statistics

    def document(self, *, fresh: bool = False) -> Document:
        """Return the same for the wire, as of now; without ``fresh`` as of the last tick if links are many.

        With 1,000 peers making one takes two milliseconds of the loop; returning one that is there, nothing.
        """
        statistics = self._statistics
        if statistics is None or self._statistics_age_s() > self._accepted_age_s(fresh=fresh):
            statistics = self.now()
        if self._document is None:
            self._document = self._translator.document(statistics)
        return self._document

    def packed(self) -> Packed:
        """Return what ``document()`` does, packed; while somebody asks, a hub makes it ready at each tick."""
        self._asked_mono_s = self._clock.monotonic()
        return self._make_packed()

    def _make_packed(self) -> Packed:
        document = self.document()
        if self._packed is None:
            self._packed = pack(document)
        return self._packed

    def forget(self) -> None:
        """Return nothing from before this moment again."""
        self._statistics = self._document = self._packed = None
        self._are_gauges_stale = True

    def tick(self) -> None:
        """Take a sample."""
        for _ in self._steps_of_a_tick():
            pass

    def _steps_of_a_tick(self) -> Iterator[None]:
        """Take a sample; between two steps a hub's clients may have their turn."""
        self._are_gauges_stale = True
        if self._config.tcp_info != "off" and self._config.recording:
            self._overlay.sample_tcp()
            yield
        self._aggregator.tick(now_mono_s=self._clock.monotonic(), now_unix_s=self._clock.time())
        yield
        statistics = self.now()
        yield
        self.history.append(statistics)
        self.ticks += 1
        if not self._has_few_links and self._clock.monotonic() - self._asked_mono_s < _ASKED_LATELY_S:
            yield
            self._make_packed()

    @property
    def _has_few_links(self) -> bool:
        return len(self._overlay.links()) <= _FEW_LINKS

    def _statistics_age_s(self) -> float:
        return self._clock.monotonic() - self._statistics_mono_s

    def _accepted_age_s(self, *, fresh: bool) -> float:
        if fresh:
            return _SAME_TIME_S
        # A tick may be late; its figures are no worse for it.
        return _SHARED_S if self._has_few_links else 1.5 * self._config.interval_s

    async def run(self, on_tick: Callable[[], None]) -> None:
        """Tick at every interval, for ever; a tick that fails is logged, and the next one tried."""
        interval_s = self._config.interval_s
        due = self._clock.monotonic()
        while True:
            try:
                for _ in self._steps_of_a_tick():
                    await asyncio.sleep(0)
            except Exception:  # noqa: BLE001  # the boundary between one tick and the node
                _log.exception("a sample could not be taken")
            on_tick()
            # A loop that was late does not make up for what it missed.
            due = max(due + interval_s, self._clock.monotonic() + interval_s / 2)
            await asyncio.sleep(due - self._clock.monotonic())


def _history(history: HistoryConfig, metrics: MetricsConfig) -> History:
    fine, middle = (1.0, history.points_1s), (10.0, history.points_10s)
    return History(
        (fine, middle, (60.0, history.points_60s)),
        peer_tiers=(fine, middle),
        max_series=history.max_series,
        max_peers=history.max_peers,
        interval_s=metrics.interval_s,
    )


def _node_statistics(config: NodeConfig, overlay: Overlay) -> NodeStatistics:
    tcp_info = config.metrics.tcp_info if sys.platform == "linux" else "off"
    return NodeStatistics(
        id=overlay.peer_id,
        name=config.node.name,
        version=__version__,
        network=config.node.network,
        listen=overlay.listen_addresses,
        advertise=overlay.advertised_addresses,
        python=platform.python_version(),
        openssl=ssl.OPENSSL_VERSION,
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        lab=config.lab.parent_fd is not None or config.lab.faults,
        tcp_info="unavailable" if tcp_info == "off" else tcp_info,
    )
