"""``token.list``, ``token.add`` and ``token.revoke``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersTokens
from qudag_node.rpc.params import Params
from qudag_node.wire.methods import Role

__all__ = ["add", "list_", "revoke"]


def list_(node: OffersTokens, _params: Params, _caller: Caller) -> Document:
    """Return the named tokens without their secrets."""
    return node.tokens()


def add(node: OffersTokens, params: Params, _caller: Caller) -> Document:
    """Make a token."""
    role = params.choice("role", tuple(role.value for role in Role))
    return node.add_token(params.text("name"), Role(role))


def revoke(node: OffersTokens, params: Params, _caller: Caller) -> Document:
    """Forget a token."""
    return node.revoke_token(params.text("name"))
