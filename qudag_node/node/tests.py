"""The network tests of a node: their parts put together, and started and stopped in order."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from qudag_node.config import TestsConfig
from qudag_node.errors import ConfigError
from qudag_node.history.store import ResultStore, StoreLimits
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.bulkservice import BulkService
from qudag_node.nettests.conductor import TesterParts
from qudag_node.nettests.connectivity import AddressService
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.control import Control
from qudag_node.nettests.load import LoadService
from qudag_node.nettests.pingservice import PingService
from qudag_node.nettests.publicstamp import PublicReflector
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.routing import RoutesService
from qudag_node.nettests.summaries import SUMMARY_FIELDS
from qudag_node.nettests.tester import ConnectivityTester
from qudag_node.nettests.underlay import UnderlayService
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.endpoints import Endpoint, parse_endpoint
from qudag_node.overlay.events import EventKind, EventLog, Severity
from qudag_node.overlay.testport import TestPort

__all__ = ["NodeTests", "start_tests"]

_DAY_S = 86_400.0
#: Each test of this node may need two, each session of another one; and there is a light reflector.
_WORKERS_PER_TEST, _SPARE_WORKERS = 2, 2

# A peer that is busy, or was asked too fast, is asked again for so long before that is a test's result.
_PATIENCE_S = 8.0


class NodeTests(NamedTuple):
    """What the node has of it.

    Attributes:
        stamp_address: Where everybody's STAMP packets are answered, HOST:PORT; empty: nowhere.
    """

    tester: ConnectivityTester
    stamp_address: str


async def start_tests(
    parts: AsyncExitStack,
    *,
    config: TestsConfig,
    port: TestPort,
    collector: MetricsCollector,
    events: EventLog,
    directory: Path,
    node: Mapping[str, str],
) -> NodeTests:
    """Start what tests need; ``parts`` ends it. The tester itself is entered last, by the caller.

    Raises:
        ConfigError, PortInUseError: The reflector for everybody cannot be where it was told to be.
    """
    store = ResultStore(
        directory,
        StoreLimits(results=config.keep_results, age_s=config.keep_days * _DAY_S),
        unix_s=time.time,
        summary_fields=SUMMARY_FIELDS,
        on_trouble=_telling(events),
    )
    parts.push_async_callback(store.close)
    workers = Workers(limit=_WORKERS_PER_TEST * config.max_running + config.max_sessions + _SPARE_WORKERS)
    parts.push_async_callback(workers.close)
    control = await parts.enter_async_context(Control(port, patience_s=_PATIENCE_S))
    consent = Consent(Caps.of(config))
    responder = await parts.enter_async_context(Responder(port, control, consent, time))
    pings = PingService(
        port=port,
        control=control,
        responder=responder,
        workers=workers,
        config=config,
        collector=collector,
        clock=time,
    )
    BulkService(control=control, responder=responder, workers=workers, config=config, collector=collector)
    loads = LoadService(port=port, control=control, responder=responder, clock=time)
    RoutesService(port=port, control=control, consent=consent)
    AddressService(port=port, control=control, consent=consent)
    UnderlayService(port=port, control=control, workers=workers, consent=consent, clock=time, config=config)
    stamp_address = ""
    if config.stamp is not None:
        stamp_address = await _answer_everybody(parts, config.stamp, workers, collector, config.dscp)
    tester = ConnectivityTester(
        TesterParts(
            port=port,
            control=control,
            consent=consent,
            workers=workers,
            config=config,
            clock=time,
            collector=collector,
            store=store,
            node=node,
            echoes=pings.echoes,
            loads=loads,
        )
    )
    return NodeTests(tester, stamp_address)


async def _answer_everybody(
    parts: AsyncExitStack, address: str, workers: Workers, collector: MetricsCollector, dscp: int
) -> str:
    """Start the reflector that needs no authentication, and return where it is.

    Raises:
        ConfigError: The host has no address.
        PortInUseError: The address cannot be had.
    """
    endpoint = parse_endpoint(address)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_DGRAM
        )
    except OSError as exc:
        raise ConfigError("--stamp", f"{address}: {exc.strerror or exc}") from exc
    host = str(found[0][4][0])
    reflector = PublicReflector(host, endpoint.port, dscp=dscp, workers=workers, collector=collector)
    await reflector.start()
    parts.push_async_callback(reflector.close)
    return str(Endpoint(host, reflector.port))


def _telling(events: EventLog) -> Callable[[str | None], None]:
    def tell(trouble: str | None) -> None:
        if trouble is None:
            text = "results of tests are stored again"
            events.add(EventKind.STORE_FAILED, "store", text, Severity.INFO)
        else:
            events.add(EventKind.STORE_FAILED, "store", f"results of tests are not stored: {trouble}")

    return tell
