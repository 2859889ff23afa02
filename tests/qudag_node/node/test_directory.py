"""The data directory: private, one node's, clear about what is wrong."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from qudag_node.errors import DataDirectoryError
from qudag_node.node.directory import DataDirectory, disk_full


def test_it_is_made_private_and_locked_with_our_number(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert (tmp_path / "a" / "b" / "lock").read_text() == f"{os.getpid()}\n"
    directory.close()
    directory.close()


def test_one_that_others_could_enter_is_made_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    DataDirectory(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_second_holder_is_told_of_the_first(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    with pytest.raises(DataDirectoryError, match=rf"in use by another node \(pid {os.getpid()}\)"):
        DataDirectory(tmp_path)
    first.close()
    DataDirectory(tmp_path).close()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("content")
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "lock").symlink_to(target)
    with pytest.raises(DataDirectoryError):
        DataDirectory(tmp_path / "d")
    assert target.read_text() == "content"


def test_one_of_another_user_is_refused(tmp_path: Path) -> None:
    other, owner = Path("/"), 0
    if os.geteuid() == 0:
        other, owner = tmp_path / "d", 54321
        other.mkdir()
        os.chown(other, owner, owner)
    with pytest.raises(DataDirectoryError, match=f"belongs to user {owner}"):
        DataDirectory(other)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_the_same(number: int) -> None:
    assert disk_full(OSError(number, "x"))
    assert not disk_full(OSError(errno.EACCES, "x"))
