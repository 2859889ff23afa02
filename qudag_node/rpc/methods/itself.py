"""``status``, ``config`` and ``shutdown``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersItself
from qudag_node.rpc.params import Params

__all__ = ["config", "shutdown", "status"]


def status(node: OffersItself, _params: Params, caller: Caller) -> Document:
    """Return who the node is, and what the caller may do."""
    return {**node.status(), "role": caller.role.value}


def config(node: OffersItself, _params: Params, _caller: Caller) -> Document:
    """Return every setting."""
    return node.configuration()


def shutdown(node: OffersItself, _params: Params, caller: Caller) -> Document:
    """Stop the node in order."""
    node.shut_down(caller.label)
    return {}
