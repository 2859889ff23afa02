"""Golden files in the top-level ``snapshots/``, one file per snapshot, mirroring ``tests/``.

Ask for the ``snapshot`` fixture and name the kind::

    assert encode(message) == snapshot(extension_class=FrameSnapshot)
    assert line == snapshot(extension_class=TextSnapshot, name="narrow")

``make snapshots`` accepts what is there now; a diff in a frame is a change of the protocol.
"""

from pathlib import Path

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from tests.conftest import REPO


class _GoldenFile(SingleFileSnapshotExtension):
    """Moves the files from beside the tests to the top-level folder."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        module = Path(test_location.filepath).relative_to(REPO / "tests").with_suffix("")
        return str(REPO / "snapshots" / module)


class FrameSnapshot(_GoldenFile):
    """Bytes of the wire."""

    file_extension = "msgpack"


class TextSnapshot(_GoldenFile):
    """What a command prints."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


class SvgSnapshot(_GoldenFile):
    """A screen."""

    _write_mode = WriteMode.TEXT
    file_extension = "svg"


class PromSnapshot(_GoldenFile):
    """An exposition for Prometheus."""

    _write_mode = WriteMode.TEXT
    file_extension = "prom"
