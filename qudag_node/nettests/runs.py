"""Where the code of each test is. It is imported when the first test of its type runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import cast

from qudag_node.nettests.context import Run
from qudag_node.nettests.requests import TestType

__all__ = ["RUNS", "LoadRun", "load_run"]

LoadRun = Callable[[TestType], Run]

RUNS: Mapping[TestType, str] = {test_type: f"qudag_node.nettests.{test_type.value}" for test_type in TestType}
"""The module of each test; its ``run`` is what the tester calls."""


def load_run(test_type: TestType) -> Run:
    """Import the module of a test and return its ``run``."""
    return cast("Run", importlib.import_module(RUNS[test_type]).run)
