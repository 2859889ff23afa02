"""``submit``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersSubmission
from qudag_node.rpc.params import Params

__all__ = ["submit"]

_MAX_PAYLOADS = 4_096


async def submit(node: OffersSubmission, params: Params, _caller: Caller) -> Document:
    """Send payloads to everybody as signed vertices."""
    return {"accepted": await node.submit(params.binaries("payloads", most=_MAX_PAYLOADS))}
