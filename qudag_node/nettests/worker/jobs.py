"""What a worker can do: the name of each job, and where its function is.

A job is ``run(params, channel) -> result``: it emits events while it measures, and its result is the last.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from qudag_node.errors import NodeError
from qudag_node.nettests.worker.channel import Channel

__all__ = ["JOBS", "Job", "JobError", "load_job"]

Job = Callable[[dict[str, Any], Channel], dict[str, Any]]

#: Name of the job to ``module:function``; the module is imported by the worker alone.
JOBS: Mapping[str, str] = {
    "ip.trace": "qudag_node.nettests.iptrace:run",
    "stamp.light": "qudag_node.nettests.stamp.reflect_job:reflect_for_all",
    "stamp.reflect": "qudag_node.nettests.stamp.reflect_job:reflect",
    "stamp.send": "qudag_node.nettests.stamp.send_job:send",
    "tcp.receive": "qudag_node.nettests.bulk.tcp:receive",
    "tcp.send": "qudag_node.nettests.bulk.tcp:send",
    "udp.receive": "qudag_node.nettests.bulk.udp:receive",
    "udp.send": "qudag_node.nettests.bulk.udp:send",
}


class JobError(NodeError):
    """A job cannot be done; the text is one line for whoever asked."""


def load_job(target: str) -> Job:
    """Import ``module:function``."""
    module, _, function = target.partition(":")
    return cast("Job", getattr(importlib.import_module(module), function))
