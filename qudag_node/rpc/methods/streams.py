"""``subscribe`` and ``unsubscribe``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document
from qudag_node.rpc.params import Params
from qudag_node.wire.errors import ErrorCode, RpcError

__all__ = ["TOPICS", "subscribe", "unsubscribe"]

TOPICS = ("stats", "events", "log")


def subscribe(_node: object, params: Params, caller: Caller) -> Document:
    """Join a stream."""
    topic = params.choice("topic", TOPICS)
    return {"stream": caller.subscribe(topic, params.number("interval_s", 1.0, least=0))}


def unsubscribe(_node: object, params: Params, caller: Caller) -> Document:
    """Leave a stream."""
    stream = params.whole("stream")
    if not caller.unsubscribe(stream):
        raise RpcError(ErrorCode.NOT_FOUND, f"stream {stream} is not subscribed to", "subscribe names it")
    return {}
