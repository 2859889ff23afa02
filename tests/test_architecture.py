"""Imports point one way, and front doors load no more than they need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPO


def loaded_by(statement: str) -> set[str]:
    """The modules a clean interpreter has loaded after one statement; coverage would load its own."""
    run = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    )
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import qudag_node.wire", {"asyncio", "socket", "numpy", "qudag_node.rpc"}),
        (
            "import qudag_node.nettests.worker.__main__; "
            "from qudag_node.nettests.stamp import reflect_job, send_job; "
            "from qudag_node.nettests.bulk import tcp, udp",
            {"asyncio", "numpy", "cryptography", "ssl", "qudag_node.overlay", "qudag_node.wire"},
        ),
        ("import qudag_tui.cli.__main__", {"textual", "rich", "asyncio", "numpy", "qudag_node.node"}),
        ("import qudag_tui.tui.__main__", {"textual", "rich", "asyncio", "numpy"}),
    ],
)
def test_importing_a_front_door_loads_no_more(statement: str, forbidden: set[str]) -> None:
    assert forbidden & loaded_by(statement) == set()


def test_nothing_under_the_monitor_imports_numpy() -> None:
    for path in (REPO / "qudag_tui").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import numpy" not in text, path
        assert "from numpy" not in text, path
