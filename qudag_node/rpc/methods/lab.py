"""``lab.hold``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersLab
from qudag_node.rpc.params import Params

__all__ = ["hold"]


def hold(node: OffersLab, params: Params, _caller: Caller) -> Document:
    """Hold the node, or let it go on."""
    return node.hold(held=params.boolean("held"))
