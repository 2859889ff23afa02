"""The statistics of a node as they come, for commands: kept whole, and never a wait without an end."""

from __future__ import annotations

import time

from qudag_node.wire import StatsGap, StatsMirror
from qudag_tui.client.transport import Deadline
from qudag_tui.errors import NodeTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qudag_tui.client.connection import Connection

__all__ = ["SILENT_INTERVALS", "stats_stream"]

# A busy host delays a snapshot by one or two; after five somebody should be told.
SILENT_INTERVALS = 5


def stats_stream(connection: Connection, *, interval_s: float, timeout_s: float) -> Iterator[StatsMirror]:
    """Subscribe and yield the statistics, the same mirror each time, whenever they have changed.

    After a gap, and when changes come before anything whole, it is subscribed anew: the node begins with
    a full frame. That is done once per interval, since changes of before may still be on their way.

    Raises:
        NodeTimeoutError: Nothing to show came for ``timeout_s``, or some intervals if they are longer.
    """
    patience_s = max(timeout_s, SILENT_INTERVALS * interval_s)
    subscription = {"topic": "stats", "interval_s": interval_s}
    mirror = StatsMirror()
    connection.call("subscribe", subscription)
    next_try_mono_s = 0.0
    deadline = Deadline(patience_s)
    while True:
        try:
            deadline.remaining_s()
            notifications = connection.take_notifications(deadline)
        except (TimeoutError, NodeTimeoutError) as exc:
            raise NodeTimeoutError(
                f"no figures came for {patience_s:g} s", "see `qudag log` on the node's host"
            ) from exc
        for method, params in notifications:
            if method == "stats.full":
                mirror.full(params)
            elif method != "stats.delta":
                continue
            else:
                try:
                    mirror.delta(params)
                except StatsGap:
                    if time.monotonic() >= next_try_mono_s:
                        next_try_mono_s = time.monotonic() + interval_s
                        connection.call("subscribe", subscription)
                    continue
            yield mirror
            deadline = Deadline(patience_s)
