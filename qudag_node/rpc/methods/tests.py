"""``test.start`` to ``test.subscribe``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersTests
from qudag_node.rpc.params import Params

__all__ = ["cancel", "list_", "plan", "show", "start", "subscribe"]

# Fast enough for an eye; what is new of a test's state is sent at once.
_INTERVAL_S = 0.2
_MAX_LISTED = 1_000


def start(node: OffersTests, params: Params, caller: Caller) -> Document:
    """Start a test, or queue it."""
    return node.start_test(
        params.text("type"),
        params.optional_text("target"),
        params.mapping("options"),
        owner=caller,
        cancel_with_owner=params.boolean("cancel_on_disconnect", False),
    )


def cancel(node: OffersTests, params: Params, _caller: Caller) -> Document:
    """End a test early."""
    return node.cancel_test(params.text("test_id"))


async def subscribe(node: OffersTests, params: Params, caller: Caller) -> Document:
    """Watch a test."""
    test_id = params.text("test_id")
    await node.find_test(test_id)
    # Nothing may be waited for from here on: the first frame follows the answer.
    return {"stream": caller.subscribe(f"test:{test_id}", _INTERVAL_S)}


async def list_(node: OffersTests, params: Params, _caller: Caller) -> Document:
    """Return the newest tests."""
    limit = params.whole("limit", 20, least=1, most=_MAX_LISTED)
    return await node.list_tests(limit, params.optional_text("type"), params.optional_text("target"))


async def show(node: OffersTests, params: Params, _caller: Caller) -> Document:
    """Return a test's state and result."""
    return await node.show_test(params.text("test_id"))


def plan(node: OffersTests, params: Params, _caller: Caller) -> Document:
    """Return what a test would send."""
    return node.plan_test(params.text("type"), params.optional_text("target"), params.mapping("options"))
