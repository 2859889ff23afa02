"""``log`` and ``events``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersRecords
from qudag_node.rpc.params import Params

__all__ = ["events", "log"]

_LEVELS = ("debug", "info", "warning", "error")


def log(node: OffersRecords, params: Params, _caller: Caller) -> Document:
    """Return the newest lines of the log."""
    count = params.whole("lines", 100, most=10_000)
    return {"lines": list(node.log_lines(count, params.choice("level", _LEVELS, "debug")))}


def events(node: OffersRecords, params: Params, _caller: Caller) -> Document:
    """Return the events after a number, 0 for all that are kept."""
    return {"events": list(node.events_after(params.whole("since", 0))[1])}
