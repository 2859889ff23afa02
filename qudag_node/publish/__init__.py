"""From the node's statistics to what the wire carries: the one translator, and what changed."""

from qudag_node.publish.delta import delta
from qudag_node.publish.document import Document, Translator, to_document
from qudag_node.publish.history import HISTORY_SCHEMA, to_history

__all__ = ["HISTORY_SCHEMA", "Document", "Translator", "delta", "to_document", "to_history"]
