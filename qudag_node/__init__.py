"""A QuDAG node: an overlay network that measures itself and tells who asks."""

__version__ = "0.1.0"
