"""``peer``, ``connections``, ``topology``, and ``peer.add`` to ``peer.alias``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersPeers
from qudag_node.rpc.params import Params

__all__ = ["add", "alias", "ban", "connections", "peer", "remove", "topology", "unban"]


def peer(node: OffersPeers, params: Params, _caller: Caller) -> Document:
    """Return everything of one peer."""
    return node.peer(params.text("peer"))


def connections(node: OffersPeers, _params: Params, _caller: Caller) -> Document:
    """Return links and bans."""
    return node.connections()


def topology(node: OffersPeers, _params: Params, _caller: Caller) -> Document:
    """Return the map that routing has."""
    return node.topology()


def add(node: OffersPeers, params: Params, _caller: Caller) -> Document:
    """Keep a link to an address."""
    return node.add_peer(params.text("address"))


def remove(node: OffersPeers, params: Params, _caller: Caller) -> Document:
    """Keep no link to a peer."""
    return node.remove_peer(params.text("peer"))


def ban(node: OffersPeers, params: Params, caller: Caller) -> Document:
    """Refuse a peer."""
    reason = params.text("reason", f"by {caller.label}")
    return node.ban_peer(params.text("peer"), params.optional_number("duration_s", least=1), reason)


def unban(node: OffersPeers, params: Params, _caller: Caller) -> Document:
    """End a ban."""
    return node.unban_peer(params.text("peer"))


def alias(node: OffersPeers, params: Params, _caller: Caller) -> Document:
    """Name a peer."""
    return node.alias_peer(params.text("peer"), params.text("alias", longest=64))
