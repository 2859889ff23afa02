"""The documentation keeps up with the code."""

from tests.conftest import REPO


def test_the_readme_exists() -> None:
    assert (REPO / "README.md").read_text(encoding="utf-8").startswith("# QuDAG Ops")
