import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qudag_node.errors import ConfigError
from qudag_node.lab.directory import LabDirectory, default_directory
from qudag_node.lab.errors import LabError, LabNotRunningError
from qudag_node.lab.keeper import clean_up, end_processes, remove_sockets
from qudag_node.lab.processes import ProcessRecord, send_signal, started_at

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def test_the_default_directory_is_beside_the_nodes(home: Path) -> None:
    assert default_directory(os.environ) == home / ".local/share/qudag/lab"


def test_a_directory_is_made_private_and_locked(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path / "new" / "lab", os.environ)
    assert not directory.is_locked()
    directory.prepare()
    try:
        assert directory.path.stat().st_mode & 0o777 == 0o700
        assert directory.is_locked()
        with pytest.raises(LabError, match="a lab runs here already; end it with: qudag lab down --dir"):
            LabDirectory(directory.path, os.environ).prepare()
    finally:
        directory.release()
    assert not directory.is_locked()


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="neither empty nor a lab's"):
        LabDirectory(tmp_path, os.environ).prepare()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"File exists|Not a directory"):
        LabDirectory(tmp_path / "file", os.environ).prepare()


def test_a_long_path_has_its_control_socket_in_the_runtime_directory(home: Path) -> None:
    directory = LabDirectory(home / ("x" * 120), os.environ)
    assert directory.control_path.parent == home / "run/qudag"
    assert LabDirectory(home / "short", os.environ).control_path == home / "short/control.sock"


def test_the_record_survives_and_goes(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path, os.environ)
    directory.write_record({"engine": "relay"})
    assert directory.read_record() == {"engine": "relay"}
    directory.remove_traces()
    with pytest.raises(LabNotRunningError, match="no lab runs here; start one with: qudag lab up"):
        directory.read_record()
    directory.record_path.write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match="cannot be read"):
        directory.read_record()


def test_a_process_is_recognised_by_pid_and_start() -> None:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        record = ProcessRecord.of(process.pid)
        impostor = ProcessRecord(process.pid, "some other time")
        try:
            assert ProcessRecord.from_json(record.to_json()) == record
            assert record.is_running
            assert not impostor.is_running
            assert not send_signal(impostor, signal.SIGKILL)
            assert process.poll() is None
            assert send_signal(record, signal.SIGKILL)
        finally:
            process.kill()
        process.wait()
        assert not ProcessRecord.from_json(record.to_json()).is_running
        assert not send_signal(record, signal.SIGKILL)


def test_a_zombie_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(process.pid) is None
    process.wait()


def test_nobody_has_no_start() -> None:
    assert started_at(2**22 + 1) is None
    assert not ProcessRecord(2**22 + 1, "").is_running


def test_what_hangs_is_killed_and_what_is_left_removed(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path, os.environ)
    socket = tmp_path / "rpc.sock"
    socket.touch()
    with subprocess.Popen(STUBBORN, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        record = ProcessRecord.of(process.pid).to_json()
        directory.write_record(
            {"nodes": [{"process": record, "sockets": [str(socket)]}], "links_process": record}
        )
        clean_up(directory, patience_s=0)
        assert process.wait() == -9
    assert not list(tmp_path.iterdir())


def test_nothing_to_clean_up_is_fine(tmp_path: Path) -> None:
    clean_up(LabDirectory(tmp_path, os.environ), patience_s=0)
    end_processes([], 0)
    remove_sockets({})
