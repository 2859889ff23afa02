"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.qudag_tui.cli.support import Runner
from tests.qudag_tui.client.documents import wire_document
from tests.qudag_tui.client.server import SmallNode


@pytest.fixture
def qudag(capsys: pytest.CaptureFixture[str], home: Path) -> Runner:
    """The command line, in a home of its own."""
    return Runner(capsys)


@pytest.fixture
def node(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[SmallNode]:
    """A node that answers with the frozen example, and that QUDAG_NODE names."""
    document = wire_document()
    with SmallNode("unix", tmp_path) as running:
        running.methods["stats"] = lambda params, _push: {
            name: section
            for name, section in document.items()
            if not params or name == "schema" or name in params["sections"]
        }
        running.methods["connections"] = lambda _params, _push: {"links": [], "dials": [], "bans": []}
        monkeypatch.setenv("QUDAG_NODE", str(running.address))
        yield running
