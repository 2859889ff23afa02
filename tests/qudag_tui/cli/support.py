"""Running commands: in this process for speed, or as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from qudag_tui.cli.__main__ import main
from tests.conftest import REPO

TIMEOUT_S = 60.0


class Output:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr


class Runner:
    """Runs commands in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Output:
        try:
            code = main(words)
        except SystemExit as exc:  # --help and --version
            code = int(exc.code or 0)
        stdout, stderr = self._capture.readouterr()
        return Output(code, stdout, stderr)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPO), **(more or {})}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "qudag_tui.cli", *words]


def run(*words: str, environ: Mapping[str, str] | None = None) -> Output:
    """Run a command as a process."""
    done = subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(environ),
        cwd=REPO,
    )
    return Output(done.returncode, done.stdout, done.stderr)
