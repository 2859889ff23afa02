from __future__ import annotations

import os
import resource
import sys
import threading
from pathlib import Path

import pytest

from qudag_node.host import ProcessSampler


def test_a_look_at_this_process() -> None:
    sample = ProcessSampler().sample()
    assert sample.cpu_s > 0
    assert sample.rss_bytes is not None
    assert 1 << 20 < sample.rss_bytes < 1 << 40
    assert sample.threads >= 1


def test_open_files_and_threads_are_counted() -> None:
    sampler = ProcessSampler()
    before = sampler.sample()
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    reader, writer = os.pipe()
    try:
        after = sampler.sample()
    finally:
        os.close(reader)
        os.close(writer)
        release.set()
        thread.join()
    assert before.open_files is not None
    assert after.open_files == before.open_files + 2
    assert after.threads == before.threads + 1
    assert after.open_files_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_without_procfs_the_standard_calls_are_used(
    tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    sample = ProcessSampler(proc=tmp_path).sample()
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sample.rss_bytes == largest * (1 if platform == "darwin" else 1024)
    assert sample.threads == threading.active_count()


def test_an_unlimited_number_of_files_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    assert ProcessSampler().sample().open_files_limit is None


def test_where_no_directory_lists_open_files_there_is_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: object) -> list[str]:
        raise OSError

    monkeypatch.setattr(os, "listdir", refuse)
    assert ProcessSampler(proc=tmp_path).sample().open_files is None


def test_without_procfs_open_files_are_listed(tmp_path: Path) -> None:
    listed = ProcessSampler(proc=tmp_path).sample().open_files
    assert listed == len(list(Path("/dev/fd").iterdir())) - 1


def test_a_kernel_that_does_not_count_open_files_has_them_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = ProcessSampler().sample()
    monkeypatch.setattr(Path, "stat", lambda _path: os.stat_result((0, 0, 0, 3, 0, 0, 0, 0, 0, 0)))
    listed = ProcessSampler().sample()
    assert listed.open_files == counted.open_files
    assert listed.threads == 1
