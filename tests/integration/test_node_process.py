"""Nodes as processes: how they start, what they leave behind, and one clear line for what goes wrong."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.integration.nodes import NodeProcess, command, environment, run, running
from tests.needs import has_mount_namespaces, need

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """No node of a test ever sees the user's directories."""


# What a node keeps from one run to the next; everything else is to be gone when it has stopped.
KEPT = {"identity.key", "lock", "node.log", "routing.json", "tokens.json"}


def start_command(directory: Path) -> list[str]:
    return [*command("start", "--data-dir", str(directory), "--listen", "127.0.0.1:0")]


def leftovers(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - KEPT


def test_a_node_is_ready_serves_its_socket_and_leaves_nothing_but_its_identity(
    tmp_path: Path, home: Path
) -> None:
    directory = tmp_path / "d"
    with running(directory, "--name", "peer1") as node:
        assert node.ready_line.startswith("peer1 12D3KooW")
        assert f"unix:{node.socket}" in node.ready_line
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "rpc.cookie").stat().st_mode) == 0o600
        link = home / "run" / "qudag" / "peer1.sock"
        assert link.readlink() == node.socket
        assert node.stop() == 0
        assert not link.is_symlink()
    assert leftovers(directory) == set()


def test_ctrl_c_ends_a_node_with_130(tmp_path: Path) -> None:
    with running(tmp_path / "d") as node:
        assert node.stop(signal.SIGINT) == 130


def test_a_lost_terminal_ends_a_node(tmp_path: Path) -> None:
    with running(tmp_path / "d") as node:
        assert node.stop(signal.SIGHUP) == 0


def test_a_second_node_on_one_directory_names_the_first(tmp_path: Path) -> None:
    with running(tmp_path / "d") as node:
        second = run("start", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"pid {node.process.pid}" in second.stderr
        assert node.socket.exists()
        assert node.stop() == 0


def test_after_kill_9_the_next_start_cleans_up(tmp_path: Path, home: Path) -> None:
    directory = tmp_path / "d"
    with running(directory, "--name", "peer1") as node:
        identity = node.ready_line.split()[1]
        cookie = (directory / "rpc.cookie").read_text()
        node.process.kill()
        node.process.wait()
    assert {"rpc.sock", "rpc.cookie"} <= leftovers(directory)
    with running(directory, "--name", "peer1") as node:
        assert node.ready_line.split()[1] == identity
        assert (directory / "rpc.cookie").read_text() != cookie
        assert (home / "run/qudag/peer1.sock").readlink() == node.socket
        assert node.stop() == 0
    assert leftovers(directory) == set()


def test_what_killed_nodes_left_is_swept_by_the_next_start(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="q") as runtime:
        environ = {"XDG_RUNTIME_DIR": runtime}
        links, long_path = Path(runtime) / "qudag", tmp_path / ("long" * 30)
        with (
            running(long_path, "--name", "dead1", environ=environ) as far,
            running(tmp_path / "dead2", "--name", "dead2", environ=environ) as near,
            running(tmp_path / "dead3", "--name", "dead3", environ=environ) as gone,
        ):
            for node in (far, near, gone):
                node.process.kill()
                node.process.wait()
        shutil.rmtree(gone.directory)
        [bound] = links.glob("*.rpc")
        past_s = time.time() - 3600
        os.utime(bound, (past_s, past_s))
        (links / "notes.sock").write_text("a file is nobody's socket")
        with socket.socket(socket.AF_UNIX) as starting:
            starting.bind(str(links / "starting.rpc"))  # and does not listen yet
            with running(tmp_path / "living", "--name", "living", environ=environ) as living:
                left = {path.name for path in links.iterdir()}
                assert left == {"living.sock", "notes.sock", "starting.rpc"}
                with running(tmp_path / "next", "--name", "next", environ=environ):
                    assert (links / "living.sock").readlink() == living.socket
                assert living.stop() == 0


def test_a_path_too_long_for_a_socket_is_bound_in_the_runtime_directory(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 30)
    with (
        TemporaryDirectory(prefix="q") as runtime,
        running(directory, environ={"XDG_RUNTIME_DIR": runtime}) as node,
    ):
        path = Path(node.ready_line.split("unix:")[1].split()[0])
        assert path.parent == Path(runtime) / "qudag"
        assert path.is_socket()
        assert node.stop() == 0
        assert not path.exists()


def test_a_link_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run("start", "--data-dir", str(tmp_path / "d"), "--listen", f"127.0.0.1:{port}")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"{port}" in failed.stderr
    assert leftovers(tmp_path / "d") == set()


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_an_rpc_port_in_use_is_one_line(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run(
            "start",
            "--data-dir",
            str(tmp_path / "d"),
            "--listen",
            "127.0.0.1:0",
            "--rpc",
            f"{scheme}://127.0.0.1:{port}",
        )
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"{port}: the port is in use" in failed.stderr
    assert leftovers(tmp_path / "d") == set()


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        pytest.param(
            ["--rpc", "tcp://192.0.2.1:1"], "plain TCP is served on loopback only", id="tcp beyond loopback"
        ),
        pytest.param(
            ["--rpc", "tcp://example.org:1"], "plain TCP is served on loopback only", id="tcp on a name"
        ),
        pytest.param(["--rpc", "unix:/x"], "neither tcp://", id="unix as rpc"),
        pytest.param(["--rpc", "tls://127.0.0.1"], "rpc.listen", id="no port"),
        pytest.param(["--set", "rpc.viewer_group=no-such-group"], "no group 'no-such-group'", id="group"),
        pytest.param(["--set", "overlay.max_link=1"], "the nearest is 'overlay.max_links'", id="misspelt"),
        pytest.param(["--set", "x"], "is not KEY=VALUE", id="no value"),
        pytest.param(["--set", "overlay.seen_vertices=1"], "1 is less than 2", id="range"),
        pytest.param(["--advertise", "h" * 254 + ":1"], "overlay.advertise: 'hhh", id="long address"),
        pytest.param(["--rpc", "tls://" + "h" * 64 + ".b:1"], "rpc.listen: tls://hhh", id="long label"),
        pytest.param(["--name", "../x"], "letters, digits", id="name"),
        pytest.param(["--config", "/no/such/file"], "no such file", id="config file"),
        pytest.param(["--lab-parent-fd", "999"], "999", id="descriptor"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path, flags: list[str], part: str) -> None:
    failed = run("start", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0", *flags)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert part in failed.stderr
    # What can be told without trying leaves nothing behind.
    is_tried = any(value.startswith(("tls://hhh", "999")) for value in flags)
    assert (tmp_path / "d").exists() is is_tried


def test_an_unknown_flag_is_exit_2(tmp_path: Path) -> None:
    assert run("start", "--data-dir", str(tmp_path), "--listn", "x").returncode == 2


def test_a_misspelt_key_names_file_key_and_nearest(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    file = tmp_path / "d" / "config.toml"
    file.write_text("[overlay]\nmax_link = 3\n")
    failed = run("start", "--data-dir", str(tmp_path / "d"))
    assert failed.returncode == 2
    for part in (str(file), "overlay.max_link", "'max_links'"):
        assert part in failed.stderr


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda key: key.write_text("nonsense"), "damaged"),
        (lambda key: key.chmod(0o644), "chmod 600"),
    ],
    ids=["damaged", "readable by others"],
)
def test_a_bad_key_file_is_one_line(tmp_path: Path, damage: object, part: str) -> None:
    assert callable(damage)
    with running(tmp_path / "d") as node:
        node.stop()
    damage(tmp_path / "d" / "identity.key")
    failed = run("start", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert part in failed.stderr
    assert leftovers(tmp_path / "d") == set()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = run("start", "--data-dir", str(tmp_path / "file" / "d"), "--listen", "127.0.0.1:0")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert str(tmp_path / "file") in failed.stderr


SMALL_DISK = """
mount -t tmpfs -o size=16k,mode=700 none "$1" && dd if=/dev/zero of="$1/filler" bs=1k 2>/dev/null
shift
exec "$@"
"""


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    need(has_mount_namespaces(), "unprivileged mount namespaces")
    in_namespace = ["unshare", "-Urm", "sh", "-c", SMALL_DISK, "sh", str(full)]
    failed = subprocess.run(
        [*in_namespace, *start_command(full / "d")],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "disk is full" in failed.stderr or "No space left" in failed.stderr


def test_settings_begun_on_a_full_disk_leave_nothing_in_the_way(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    script = """
mount -t tmpfs -o size=16k,mode=700 none "$1" && mkdir "$1/d"
dd if=/dev/zero of="$1/filler" bs=1k 2>/dev/null
cd "$1"; shift
"$@" 2>said && exit 9
ls -A d
rm filler
"$@" >&2 && stat -c %a d/config.toml
"""
    in_namespace = ["unshare", "-Urm", "sh", "-c", script, "sh", str(full)]
    need(has_mount_namespaces(), "unprivileged mount namespaces")
    ran = subprocess.run(
        [*in_namespace, *command("config", "init", "--data-dir", str(full / "d"))],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, "600\n"), ran.stderr


def test_a_disk_that_fills_up_costs_log_lines_and_nothing_else(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    script = """
set -e
mount -t tmpfs -o size=256k,mode=700 none "$1"; cd "$1"; shift
"$@" & node=$!
while ! grep -q started d/node.log 2>/dev/null; do sleep 0.1; done
dd if=/dev/zero of=filler bs=1k 2>/dev/null || true
sleep 2
kill -0 $node
cd /
"$PYTHON" -m qudag_tui.cli --data-dir "$OLDPWD/d" status >/dev/null
rm "$OLDPWD/filler"
kill $node
wait $node
"""
    in_namespace = ["unshare", "-Urm", "sh", "-c", script, "sh", str(small)]
    need(has_mount_namespaces(), "unprivileged mount namespaces")
    ran = subprocess.run(
        [*in_namespace, *start_command(small / "d")],
        capture_output=True,
        text=True,
        env=environment({"PYTHON": sys.executable}),
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5])
def test_sigterm_during_the_start_is_quiet_and_leaves_no_debris(
    tmp_path: Path, home: Path, delay_s: float
) -> None:
    node = NodeProcess(tmp_path / "d", "--rpc", "tcp://127.0.0.1:0")
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.process.wait(delay_s)
        # Before Python runs our code a signal ends it as any program.
        assert node.stop() in {0, -signal.SIGTERM}
        _, said = node.finish()
        assert said.count("\n") <= 1, said
        assert said == "" or " is ready: " in said
    finally:
        if node.process.returncode is None:
            node.end()
    assert not list((home / "run").rglob("*.sock"))
    if (tmp_path / "d").exists():
        assert leftovers(tmp_path / "d") == set()


def test_a_node_of_a_lab_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    node = NodeProcess(tmp_path / "d", "--lab-parent-fd", str(read_end), pass_fds=(read_end,))
    try:
        node.wait_ready()
        os.close(read_end)
        os.close(write_end)
        code, _ = node.finish()
        assert code == 0
    finally:
        node.end()
    assert leftovers(tmp_path / "d") == set()


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with running(tmp_path / "d", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as node:
            assert manager.recv(256) == b"READY=1"
            node.stop()
            assert manager.recv(256) == b"STOPPING=1"


def test_the_journal_gets_levels_and_no_file_is_written(tmp_path: Path) -> None:
    journal, inherited = socket.socketpair()
    with journal, inherited:
        status = os.fstat(inherited.fileno())
        process = subprocess.Popen(
            start_command(tmp_path / "d"),
            stderr=inherited.fileno(),
            env=environment({"INVOCATION_ID": "x", "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}),
        )
        inherited.close()
        journal.settimeout(30)
        said = b""
        while b"started" not in said:
            said += journal.recv(4096)
        process.terminate()
        assert process.wait(30) == 0
    assert said.startswith(b"<6>node.")
    assert not (tmp_path / "d" / "node.log").exists()


def test_the_log_is_printed_and_followed_across_a_rotation(tmp_path: Path) -> None:
    with running(tmp_path / "d"):
        shown = run("log", "--data-dir", str(tmp_path / "d"), "--lines", "1")
        assert shown.returncode == 0
        assert "started, pid" in shown.stdout
        assert run("log", "--data-dir", str(tmp_path / "d"), "--level", "error").stdout == ""
    missing = run("log", "--data-dir", str(tmp_path / "none"))
    assert (missing.returncode, missing.stdout) == (1, "")


def test_a_log_in_the_journal_is_asked_of_the_node(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--set", "log.target=stderr") as node:
        shown = run("log", "--data-dir", str(tmp_path / "d"))
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "started, pid" in shown.stdout
        follower = subprocess.Popen(
            [*command("log", "--data-dir", str(tmp_path / "d")), "-f", "--lines", "1"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert follower.stdout is not None
        assert "started, pid" in follower.stdout.readline()
        node.stop()
        # The stream ends with the node.
        follower.communicate(timeout=30)
        assert follower.returncode == 0


def test_the_log_is_followed_until_its_reader_goes(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--set", "log.file_bytes=65536") as node:
        follower = subprocess.Popen(
            [*command("log", "--data-dir", str(tmp_path / "d")), "-f", "--lines", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert follower.stdout is not None
        assert "started, pid" in follower.stdout.readline()
        # A rename is what a rotation is.
        (tmp_path / "d" / "node.log").rename(tmp_path / "d" / "node.log.1")
        node.stop()
        assert "stopping: SIGTERM" in follower.stdout.readline()
        (tmp_path / "d" / "node.log").write_text("2026-01-01T00:00:00.000Z INFO x: anew\n")
        assert "anew" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 130
        follower.communicate()


def test_id_prints_what_a_peer_needs(tmp_path: Path) -> None:
    before = run("id", "--data-dir", str(tmp_path / "d"), "--set", "overlay.advertise=192.0.2.7:8000")
    assert before.returncode == 0
    with running(tmp_path / "d") as node:
        assert before.stdout == f"{node.ready_line.split()[1]}@192.0.2.7:8000\n"
        port = run("id", "--data-dir", str(tmp_path / "d")).stdout.strip().rpartition(":")[2]
        assert port != "0"


def test_without_a_name_the_only_running_node_is_meant(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--name", "peer1") as node:
        assert node.ready_line.split()[1] in run("id").stdout
        assert run("config", "path").stdout == f"{tmp_path / 'd' / 'config.toml'}\n"
        assert "peer1" in run("log").stdout
        with running(tmp_path / "e", "--name", "peer2"):
            assert run("log").returncode == 1


def test_a_new_identity_is_said_to_be_new(tmp_path: Path) -> None:
    first = run("id", "--data-dir", str(tmp_path / "d"))
    assert "this is a new one" in first.stderr
    again = run("id", "--data-dir", str(tmp_path / "d"))
    assert (again.stdout, again.stderr) == (first.stdout, "")


def test_config_shows_values_with_their_sources_and_begins_a_file_once(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    file = directory / "config.toml"
    assert run("config", "path", "--data-dir", str(directory)).stdout == f"{file}\n"
    assert run("config", "init", "--data-dir", str(directory)).returncode == 0
    assert "#max_links = 128" in file.read_text()
    file.write_text("[overlay]\nmax_links = 7\n")
    again = run("config", "init", "--data-dir", str(directory))
    assert again.returncode == 1
    assert file.read_text() == "[overlay]\nmax_links = 7\n"
    shown = run("config", "show", "--data-dir", str(directory), environ={"QUDAG_LOG_LEVEL": "debug"}).stdout
    assert f"max_links = 7  # {file}" in shown
    assert 'level = "debug"  # QUDAG_LOG_LEVEL' in shown
    assert "max_hops = 16  # default" in shown


def test_a_log_without_a_reader_ends_silently(tmp_path: Path) -> None:
    with running(tmp_path / "d"):
        read_end, write_end = os.pipe()
        os.close(read_end)
        ended = subprocess.run(
            command("log", "--data-dir", str(tmp_path / "d")),
            stdout=write_end,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        os.close(write_end)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("target", ["file", "stderr"])
def test_a_followed_log_ends_when_its_reader_goes(tmp_path: Path, target: str) -> None:
    with running(tmp_path / "d", "--set", f"log.target={target}"):
        follower = subprocess.Popen(
            [*command("log", "--data-dir", str(tmp_path / "d")), "-f"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert follower.stdout is not None
        assert "started, pid" in follower.stdout.readline()
        follower.stdout.close()
        assert follower.wait(30) == 141
        assert follower.stderr is not None
        assert follower.stderr.read() == ""
        follower.stderr.close()


def test_a_closed_or_full_stdout_is_no_traceback(tmp_path: Path) -> None:
    words = shlex.join(command("id", "--data-dir", str(tmp_path / "d")))
    for redirected, code, said in (
        (">&-", 0, "this is a new one\n"),
        (">/dev/full", 1, "qudag id: stdout: No space left on device\n"),
    ):
        ended = subprocess.run(
            ["sh", "-c", f"{words} {redirected}"], stderr=subprocess.PIPE, text=True, env=environment()
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (code, 1)
        assert ended.stderr.endswith(said)
