"""The documentation keeps up with the code."""

from qudag_node.overlay.frames import FrameType
from tests.conftest import REPO


def test_the_readme_exists() -> None:
    assert (REPO / "README.md").read_text(encoding="utf-8").startswith("# QuDAG Ops")


def test_every_frame_has_a_section_in_the_link_protocol() -> None:
    """Its fields and causes are held to the code in tests/qudag_node/overlay/test_link_protocol.py."""
    text = (REPO / "docs" / "link-protocol.md").read_text(encoding="utf-8")
    sections = [line[4:] for line in text.splitlines() if line.startswith("### ")]
    assert sections == [kind.name for kind in FrameType]
