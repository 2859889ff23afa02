"""Being started and stopped by others."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from qudag_node.errors import ConfigError
from qudag_node.node.loop import sample_lag
from qudag_node.node.runtime_link import RuntimeLink
from qudag_node.node.supervision import notify_systemd, watch_parent


def test_systemd_hears_of_it_by_path_and_by_abstract_name(tmp_path: Path) -> None:
    for bound, named in (
        (str(tmp_path / "s"), str(tmp_path / "s")),
        (f"\0qudag{os.getpid()}", f"@qudag{os.getpid()}"),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(bound)
            assert notify_systemd("READY=1", {"NOTIFY_SOCKET": named})
            assert manager.recv(64) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/no/such/socket"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    assert not notify_systemd("READY=1", environ)


async def test_the_end_of_the_parent_is_the_end_of_the_pipe() -> None:
    read_end, write_end = os.pipe()
    gone = asyncio.Event()
    watch_parent(read_end, lambda _reason: gone.set())
    os.write(write_end, b"a parent may say something")
    await asyncio.sleep(0.05)
    assert not gone.is_set()
    os.close(write_end)
    async with asyncio.timeout(5):
        await gone.wait()
    os.close(read_end)


async def test_a_descriptor_that_is_not_open_is_a_wrong_flag() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(ConfigError, match="--lab-parent-fd"):
        watch_parent(read_end, print)


async def test_a_busy_loop_is_seen_to_lag() -> None:
    lags: list[float] = []
    now = iter([0.0, 0.35, 1.0, 1.1])
    sampling = asyncio.create_task(sample_lag(lags.append, lambda: next(now)))
    async with asyncio.timeout(5):
        while len(lags) < 2:  # noqa: ASYNC110  # the sampler under test has no event to wait for
            await asyncio.sleep(0.01)
    sampling.cancel()
    assert lags == [pytest.approx(0.25), 0.0]


def listening(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def test_a_link_replaces_what_an_ended_node_left(tmp_path: Path) -> None:
    link = tmp_path / "run" / "n.sock"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "gone.sock")
    ours = RuntimeLink(link)
    ours.make(tmp_path / "rpc.sock")
    assert link.readlink() == tmp_path / "rpc.sock"
    ours.remove()
    ours.remove()
    assert not link.is_symlink()


def test_a_running_node_of_the_same_name_keeps_its_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "n.sock"
    tmp_path.chmod(0o700)
    with listening(tmp_path / "other.sock"):
        link.symlink_to(tmp_path / "other.sock")
        ours = RuntimeLink(link)
        ours.make(tmp_path / "rpc.sock")
        ours.remove()
    assert link.readlink() == tmp_path / "other.sock"
    assert "belongs to another running node" in caplog.text


def test_a_link_that_was_taken_over_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "n.sock"
    ours = RuntimeLink(link)
    ours.make(tmp_path / "rpc.sock")
    link.unlink()
    link.symlink_to(tmp_path / "other.sock")
    ours.remove()
    assert link.readlink() == tmp_path / "other.sock"


def test_no_link_can_be_made_and_the_node_runs_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    link = RuntimeLink(tmp_path / "file" / "n.sock")
    link.make(tmp_path / "rpc.sock")
    link.remove()
    assert "no link to this node" in caplog.text
