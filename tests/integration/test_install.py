"""``pip install .`` gives ``qudag`` and ``qudag-top``: a wheel, an environment of its own, no network."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

import qudag_node
from tests.conftest import REPO

pytestmark = pytest.mark.integration


def run(command: Sequence[str], directory: Path) -> str:
    """Run a program that sees nothing of this working tree; return what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environ, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(*words: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir", *words]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the wheel is installed, beside the packages it depends on."""
    base = tmp_path_factory.mktemp("install")
    offline = ("--no-index", "--no-deps")
    run(pip("wheel", *offline, "--no-build-isolation", "--wheel-dir", str(base), str(REPO)), base)
    (wheel,) = base.glob("*.whl")
    environment = base / "venv"
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    run(pip("--python", python, "install", *offline, str(wheel)), base)
    packages = Path(
        run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], base).strip()
    )
    # What this environment has, but for its own .pth files: among them the one that leads to this tree.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


@pytest.mark.parametrize("program", ["qudag", "qudag-top"])
def test_a_program_says_its_version(installed: Path, tmp_path: Path, program: str) -> None:
    said = run([str(installed / "bin" / program), "--version"], tmp_path)
    assert said == f"{program} {qudag_node.__version__}\n"


def test_everything_of_the_packages_comes_along(installed: Path, tmp_path: Path) -> None:
    script = "import qudag_node, qudag_tui; print(qudag_node.__path__[0]); print(qudag_tui.__path__[0])"
    for line in run([str(installed / "bin" / "python"), "-c", script], tmp_path).splitlines():
        package = Path(line)
        assert package.is_relative_to(installed)
        tracked = {p.relative_to(REPO / package.name) for p in (REPO / package.name).rglob("*") if of_us(p)}
        assert {p.relative_to(package) for p in package.rglob("*") if of_us(p)} == tracked


def of_us(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def test_the_command_line_finds_the_node(installed: Path, tmp_path: Path) -> None:
    qudag = str(installed / "bin" / "qudag")
    assert "12D3KooW" in run(
        [qudag, "id", "--data-dir", str(tmp_path / "d"), "--set", "overlay.advertise=192.0.2.1:8000"],
        tmp_path,
    )
