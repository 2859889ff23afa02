"""From the node's statistics to what the wire carries: the one translator, and what changed."""

from qudag_node.publish.delta import delta
from qudag_node.publish.document import Document, Translator, to_document

__all__ = ["Document", "Translator", "delta", "to_document"]
