"""Errors of the lab, under the node's tree, and the exit code each ends the command with.

NodeError                       1
├── ConfigError                 2  an unknown link, key, unit or topology
├── NotFoundError               2  no such node or link in this lab
└── LabError                    1  the lab could not do it
    ├── EngineUnavailableError  1  this host cannot run the engine that was asked for
    ├── NodeStartError          1  a node did not start, or did not get its links in time
    └── LabNotRunningError      3  no lab answers in this directory
"""

from __future__ import annotations

from qudag_node.errors import NodeError

__all__ = ["EngineUnavailableError", "LabError", "LabNotRunningError", "NodeStartError"]


class LabError(NodeError):
    """The lab could not do what was asked."""


class EngineUnavailableError(LabError):
    """This host cannot run the engine; the text says which step failed."""


class NodeStartError(LabError):
    """A node did not start, or its links did not stand before the deadline."""


class LabNotRunningError(LabError):
    """No lab answers in this directory."""

    exit_code = 3
