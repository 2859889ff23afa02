"""Whatever ends a lab, nothing of it is left: no process, socket, namespace, directory."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qudag_node.lab.processes import ProcessRecord, child_environment, python_module, send_signal
from tests.qudag_node.lab.engines import skip_unless_it_runs

# More than the patience of every wait of a test together.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ENGINES = pytest.mark.parametrize("engine", ["netns", "relay"])
#: Far above what any end takes; only a hang reaches it.
PATIENCE_S = 60.0


@dataclass
class Started:
    """A lab that `up` announced, and all its processes."""

    process: subprocess.Popen[str]
    directory: Path
    announcement: dict[str, Any]
    family: list[ProcessRecord]

    @property
    def remains(self) -> list[str]:
        """What is left: processes, and files but for the nodes' own."""
        left = [f"process {record.pid}" for record in self.family if record.is_running]
        left += [str(p) for p in paths_below(self.directory) if is_socket(p) or p.name == "lab.json"]
        left += [str(p) for p in paths_below(Path(os.environ["XDG_RUNTIME_DIR"])) if p.suffix == ".sock"]
        return left


def paths_below(directory: Path) -> list[Path]:
    """Every path below a directory that is being removed meanwhile: what goes is not there."""
    # Unlike `Path.rglob`, which raises when a directory goes between being seen and being read.
    return [
        Path(parent, name) for parent, folders, files in os.walk(directory) for name in (*folders, *files)
    ]


def is_socket(path: Path) -> bool:
    """Whether it is a socket, and still there."""
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False


def descendants_of(pid: int) -> list[int]:
    """Every process below this one, sessions notwithstanding."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parent = int(line[line.rindex(")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


@contextmanager
def lab_up(home: Path, engine: str, *arguments: str, launcher: tuple[str, ...] = ()) -> Generator[Started]:
    """A lab of two nodes in the foreground; ``launcher`` goes before its command."""
    skip_unless_it_runs(engine)
    directory = home / "lab"
    command = python_module("qudag_node.lab", "up", "--nodes", "2", "--engine", engine, *arguments)
    if "--temporary" not in arguments:
        command += ["--dir", str(directory)]
    process = subprocess.Popen(
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(os.environ),
        start_new_session=True,
    )
    family: list[ProcessRecord] = []
    try:
        assert process.stdout is not None
        announcement = json.loads(process.stdout.readline())
        family += [ProcessRecord.of(pid) for pid in (process.pid, *descendants_of(process.pid))]
        assert len(family) >= 5  # supervisor, keeper, links, two nodes
        yield Started(process, Path(announcement["dir"]), announcement, family)
    finally:
        end(process, family)


def end(process: subprocess.Popen[str], family: list[ProcessRecord]) -> None:
    """Leave nothing behind, not even a supervisor that does not end when it should."""
    process.kill()
    for record in family:
        send_signal(record, signal.SIGKILL)
    # Whoever is left might hold the other end of its stdout.
    process.communicate(timeout=PATIENCE_S)


def test_looking_at_a_directory_that_goes_finds_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    scandir = os.scandir

    def scan(path: str) -> object:
        if Path(path).name == "a":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert {path.name for path in paths_below(tmp_path)} == {"a", "b", "file"}
    assert not is_socket(tmp_path / "gone")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@ENGINES
@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -9)],
)
def test_nothing_is_left_after_a_signal_to_the_supervisor(
    home: Path, engine: str, number: signal.Signals, exit_code: int
) -> None:
    with lab_up(home, engine) as lab:
        lab.process.send_signal(number)
        assert lab.process.wait(PATIENCE_S) == exit_code
        wait_until(lambda: not lab.remains)


PARENT = """
import os, subprocess, sys
read_end, write_end = os.pipe()
subprocess.run([*sys.argv[1:], "--parent-fd", str(read_end)], pass_fds=[read_end])
"""


@ENGINES
def test_nothing_is_left_after_the_parent_is_killed(home: Path, engine: str) -> None:
    with lab_up(home, engine, "--temporary", launcher=(sys.executable, "-c", PARENT)) as lab:
        assert lab.directory.exists()
        lab.process.kill()
        wait_until(lambda: not lab.remains and not lab.directory.exists())


def test_nothing_is_left_of_a_demonstration_when_its_stdin_ends(home: Path) -> None:
    process = subprocess.Popen(
        python_module("qudag_node.lab", "up", "--demo", "--nodes", "4", "--rate", "5"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(os.environ),
    )
    family: list[ProcessRecord] = []
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        announcement = json.loads(process.stdout.readline())
        family += [ProcessRecord.of(pid) for pid in descendants_of(process.pid)]
        # A demonstration is nobody's default node.
        assert not list((home / "run").rglob("*.sock"))
        process.stdin.close()
        process.stdin = None
        assert process.wait(PATIENCE_S) == 0
        wait_until(lambda: not any(record.is_running for record in family))
        wait_until(lambda: not Path(announcement["dir"]).exists())
    finally:
        end(process, family)


def test_a_temporary_lab_goes_with_a_killed_supervisor(home: Path) -> None:
    with lab_up(home, "relay", "--temporary") as lab:
        lab.process.kill()
        wait_until(lambda: not lab.remains and not lab.directory.exists())


def test_a_node_that_hangs_is_killed_when_the_supervisor_is_gone(home: Path) -> None:
    with lab_up(home, "relay") as lab:
        os.kill(lab.announcement["nodes"][0]["pid"], signal.SIGSTOP)
        lab.process.kill()
        wait_until(lambda: not lab.remains)


def test_the_loss_of_the_links_ends_the_lab(home: Path) -> None:
    with lab_up(home, "relay") as lab:
        record = json.loads((lab.directory / "lab.json").read_text(encoding="utf-8"))
        os.kill(record["links_process"]["pid"], signal.SIGKILL)
        assert lab.process.wait(PATIENCE_S) == 1
        wait_until(lambda: not lab.remains)


def test_a_supervisor_that_hangs_is_taken_down_by_its_record(home: Path) -> None:
    with lab_up(home, "relay") as lab:
        lab.process.send_signal(signal.SIGSTOP)
        down = subprocess.run(
            python_module("qudag_node.lab", "down", "--timeout", "1", "--dir", str(lab.directory)),
            env=child_environment(os.environ),
            timeout=2 * PATIENCE_S,
        )
        assert down.returncode == 0
        wait_until(lambda: not lab.remains)
