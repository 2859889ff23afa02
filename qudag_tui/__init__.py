"""Two windows onto a QuDAG node: the command line and the full-screen monitor."""

__version__ = "0.1.0"
