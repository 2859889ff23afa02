"""From the node's statistics to what the wire carries: the one translator, and what changed."""

from qudag_node.publish.delta import delta
from qudag_node.publish.document import Document, Translator, to_document
from qudag_node.publish.history import HISTORY_SCHEMA, to_history
from qudag_node.publish.network import (
    ban_map,
    dial_maps,
    event_map,
    link_maps,
    topology_document,
    traffic_maps,
)

__all__ = [
    "HISTORY_SCHEMA",
    "Document",
    "Translator",
    "ban_map",
    "delta",
    "dial_maps",
    "event_map",
    "link_maps",
    "to_document",
    "to_history",
    "topology_document",
    "traffic_maps",
]
