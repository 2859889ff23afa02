"""The log: one record, one line, never beyond its size, never the end of the node."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qudag_node.config import LogConfig
from qudag_node.node.logfile import follow, newest_lines
from qudag_node.node.logs import (
    BoundedFileHandler,
    JournalFormatter,
    LineFormatter,
    LogRing,
    configure_logging,
    stderr_is_the_journal,
)


def record(
    text: str, *args: object, level: int = logging.INFO, exc: BaseException | None = None
) -> logging.LogRecord:
    exc_info = (type(exc), exc, exc.__traceback__) if exc else None
    return logging.LogRecord("qudag_node.overlay.links", level, "x.py", 1, text, args, exc_info)


def new_handler(path: Path, *, max_bytes: int = 65_536, backups: int = 2) -> BoundedFileHandler:
    handler = BoundedFileHandler(path, max_bytes=max_bytes, backups=backups)
    handler.setFormatter(LineFormatter())
    return handler


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level, raising = logger.handlers[:], logger.level, logging.raiseExceptions
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.raiseExceptions = raising


def test_a_line_has_time_level_and_place() -> None:
    line = LineFormatter().format(record("link to %s", "peer1"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO overlay\.links: link to peer1", line)


@pytest.mark.parametrize(
    "hostile", ["a\nb", "a\x1b[31mb", "a\x9b31mb", "a\u202eb", "a\u2028b", "a\x00b", "a\u200bb"]
)
def test_what_a_peer_says_cannot_forge_a_line_or_colour_a_terminal(hostile: str) -> None:
    for formatter in (LineFormatter(), JournalFormatter()):
        line = formatter.format(record("name %s", hostile))
        assert line.isprintable()
        assert "\\x" in line or "\\u" in line


def test_a_traceback_follows_its_line_indented() -> None:
    lines: list[str] = []
    try:
        int("broken\nx")
    except ValueError as exc:
        lines = LineFormatter().format(record("failed", exc=exc)).splitlines()
    assert lines[0].endswith("failed")
    assert all(line.startswith("    ") for line in lines[1:])
    assert any("ValueError: invalid literal" in line for line in lines)


def test_the_journal_learns_the_level() -> None:
    assert JournalFormatter().format(record("x", level=logging.ERROR)) == "<3>overlay.links: x"


def test_the_file_never_outgrows_its_limit_and_old_ones_go(tmp_path: Path) -> None:
    handler = new_handler(tmp_path / "node.log", max_bytes=2000, backups=2)
    for number in range(200):
        handler.emit(record("line %d", number))
    handler.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.log", "node.log.1", "node.log.2"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert "line 199" in (tmp_path / "node.log").read_text().splitlines()[-1]


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    for number in range(2):
        handler = new_handler(tmp_path / "node.log")
        handler.emit(record("run %d", number))
        handler.close()
    assert len((tmp_path / "node.log").read_text().splitlines()) == 2


def test_a_full_disk_loses_lines_and_says_how_many(tmp_path: Path) -> None:
    handler = new_handler(tmp_path / "node.log")
    handler.emit(record("before"))
    kept = os.dup(handler.fileno())
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handler.fileno())
    for _ in range(3):
        handler.emit(record("lost"))
    os.dup2(kept, handler.fileno())
    os.close(full)
    os.close(kept)
    handler.emit(record("after"))
    handler.close()
    texts = [line.partition(": ")[2] or line for line in (tmp_path / "node.log").read_text().splitlines()]
    assert texts[0] == "before"
    assert texts[1].startswith("they could not be written") or "3 lines were lost" in texts[1]
    assert texts[2] == "after"
    assert "3 lines were lost" in (tmp_path / "node.log").read_text()


def test_the_ring_keeps_the_newest_and_numbers_them() -> None:
    ring = LogRing(capacity=3)
    ring.setFormatter(logging.Formatter("%(message)s"))
    for number in range(5):
        ring.emit(record("%d", number, level=logging.WARNING if number % 2 else logging.INFO))
    assert ring.newest(10) == ["2", "3", "4"]
    assert ring.newest(1) == ["4"]
    assert ring.newest(10, level="warning") == ["3"]
    assert ring.after(0) == (5, ["2", "3", "4"])
    assert ring.after(4) == (5, ["4"])
    assert ring.after(5) == (5, [])


def test_the_ring_holds_the_lines_of_the_file() -> None:
    ring = LogRing(capacity=100)
    ring.setFormatter(LineFormatter())
    failed = record("failed", level=logging.ERROR, exc=ValueError("broken"))
    ring.emit(failed)
    lines = LineFormatter().format(failed).split("\n")
    assert len(lines) > 1
    assert ring.newest(100, level="error") == lines
    assert ring.newest(1) == ["    ValueError: broken"]
    assert ring.after(0) == (len(lines), lines)


def test_records_go_to_the_file_and_the_ring(tmp_path: Path, root: logging.Logger) -> None:
    ring = configure_logging(LogConfig(level="warning"), tmp_path, {})
    logging.getLogger("qudag_node.x").info("quiet")
    logging.getLogger("qudag_node.x").warning("loud")
    (line,) = (tmp_path / "node.log").read_text().splitlines()
    assert line.endswith("WARNING x: loud")
    assert ring.newest(9) == [line]
    assert root.level == logging.WARNING


def test_asked_for_stderr_no_file_is_made(tmp_path: Path, root: logging.Logger) -> None:
    configure_logging(LogConfig(target="stderr"), tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    assert root.handlers


def test_the_journal_is_recognised_by_its_inode_only() -> None:
    status = os.fstat(2)
    here = f"{status.st_dev}:{status.st_ino}"
    assert stderr_is_the_journal({"INVOCATION_ID": "x", "JOURNAL_STREAM": here})
    assert not stderr_is_the_journal({"INVOCATION_ID": "x", "JOURNAL_STREAM": "1:2"})
    assert not stderr_is_the_journal({"JOURNAL_STREAM": here})
    assert not stderr_is_the_journal({})


def test_the_newest_lines_reach_into_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    (tmp_path / "node.log.1").write_text("t INFO x: 1\nt INFO x: 2\n")
    path.write_text("t INFO x: 3\n")
    assert newest_lines(path, 2) == ["t INFO x: 2", "t INFO x: 3"]
    assert newest_lines(path, 0) == []
    with pytest.raises(FileNotFoundError):
        newest_lines(tmp_path / "none", 1)


def test_a_level_shows_its_lines_with_their_tracebacks(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text("t INFO x: 1\n    of 1\nt ERROR x: 2\n    of 2\nt DEBUG x: 3\n")
    assert newest_lines(path, 9, level="error") == ["t ERROR x: 2", "    of 2"]


def test_following_loses_nothing_over_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    handler = new_handler(path, max_bytes=1500, backups=50)
    handler.emit(record("past"))
    started = threading.Event()

    def write() -> None:
        started.wait()
        for number in range(100):
            handler.emit(record("number %d.", number))

    writer = threading.Thread(target=write)
    writer.start()
    lines = follow(path, 1)
    assert next(lines).endswith("past")
    started.set()
    seen = [next(lines) for _ in range(20)]
    writer.join()
    # Between two looks more than one file may have come and gone; what is seen is whole and in order.
    numbers = [int(line.rpartition("number ")[2].rstrip(".")) for line in seen]
    assert numbers == sorted(numbers)
    handler.close()


def test_following_waits_for_a_line_to_be_whole(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text("")
    turns = iter(["t INFO x: ha", "lf\nt DEBUG x: no\nt INFO x: ", "second\n"])

    def wait(_seconds: float) -> None:
        with path.open("a") as stream:
            stream.write(next(turns))

    lines = follow(path, 0, level="info", wait=wait)
    assert [next(lines), next(lines)] == ["t INFO x: half", "t INFO x: second"]


def test_following_goes_on_in_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text("t INFO x: 1\n")

    def rotate() -> None:
        with path.open("a") as stream:
            stream.write("t INFO x: 2\n")
        path.rename(tmp_path / "node.log.1")

    def create() -> None:
        path.write_text("t INFO x: 3\n")

    turns = iter([rotate, lambda: None, create])
    lines = follow(path, 1, wait=lambda _seconds: next(turns)())
    assert [next(lines) for _ in range(3)] == ["t INFO x: 1", "t INFO x: 2", "t INFO x: 3"]
