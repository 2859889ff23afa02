"""A local network of real node processes with emulated links, for demonstrations, tests and training.

Links are emulated below the nodes: nothing in ``overlay`` knows of the lab. The lab starts nodes as
processes and speaks to them through ``wire``; it knows nothing that a node does not publish.
``NetworkSimulator`` is its Python face, ``python -m qudag_node.lab`` its command line.

It re-exports nothing: each module is imported on its own, so that the process of the links stays small.
"""
