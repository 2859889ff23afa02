"""The network tests of a node: their parts put together, and started and stopped in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from qudag_node.config import TestsConfig
from qudag_node.history.store import ResultStore, StoreLimits
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.control import Control
from qudag_node.nettests.responder import Responder
from qudag_node.nettests.summaries import SUMMARY_FIELDS
from qudag_node.nettests.tester import ConnectivityTester, TesterParts
from qudag_node.nettests.workers import Workers
from qudag_node.overlay.events import EventKind, EventLog, Severity
from qudag_node.overlay.testport import TestPort

__all__ = ["start_tests"]

_DAY_S = 86_400.0
#: Each test of this node may need two, each session of another one; and there is a light reflector.
_WORKERS_PER_TEST, _SPARE_WORKERS = 2, 2


async def start_tests(
    parts: AsyncExitStack,
    *,
    config: TestsConfig,
    port: TestPort,
    collector: MetricsCollector,
    events: EventLog,
    directory: Path,
    node: Mapping[str, str],
) -> ConnectivityTester:
    """Start what tests need; ``parts`` ends it. The tester itself is entered last, by the caller."""
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
    control = await parts.enter_async_context(Control(port))
    consent = Consent(Caps.of(config))
    responder = await parts.enter_async_context(Responder(port, control, consent, time))
    _add_kinds(responder, workers)
    return ConnectivityTester(
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
        )
    )


def _add_kinds(responder: Responder, workers: Workers) -> None:
    """What other nodes may have tested here."""


def _telling(events: EventLog) -> Callable[[str | None], None]:
    def tell(trouble: str | None) -> None:
        if trouble is None:
            text = "results of tests are stored again"
            events.add(EventKind.STORE_FAILED, "store", text, Severity.INFO)
        else:
            events.add(EventKind.STORE_FAILED, "store", f"results of tests are not stored: {trouble}")

    return tell
