"""The statistics without what tells where a node is and who runs it, for a bug report. Pure.

Addresses keep their kind alone (``ipv4``, ``ipv6``, ``name``), ids keep their last six characters, local
aliases are dropped. Names that nodes announce stay, or nobody could tell the rows apart.
"""

from __future__ import annotations

from qudag_node.wire import PeerRows
from qudag_tui.views.selection import Figures

__all__ = ["redact", "redact_address", "redact_id"]


def redact_id(peer_id: str) -> str:
    """The last six characters: enough to compare two lines, not to find the node."""
    return f"…{peer_id[-6:]}" if peer_id else ""


def redact_address(address: str) -> str:
    """What kind of address it is."""
    if not address:
        return ""
    host = address.rpartition(":")[0] or address
    if host.startswith("[") or host.count(":") > 1:
        return "ipv6"
    return "ipv4" if host.replace(".", "").isdigit() else "name"


def redact(figures: Figures) -> Figures:
    """The same figures with ids and addresses redacted; rows and their order stay."""
    peers = figures.peers
    text = dict(peers.text)
    if "id" in text:
        text["id"] = [redact_id(peer_id) for peer_id in text["id"]]
    if "address" in text:
        text["address"] = [redact_address(address) for address in text["address"]]
    if "alias" in text:
        text["alias"] = [""] * len(peers)
    rows = PeerRows(peers.slots, text, dict(peers.numbers))
    document = dict(figures.document)
    node = dict(document.get("node", {}))
    for name in ("listen", "advertise"):
        if name in node:
            node[name] = [redact_address(address) for address in node[name]]
    if "id" in node:
        node["id"] = redact_id(node["id"])
    document["node"] = node
    return Figures(document, rows, figures.rows, selection=figures.selection)
