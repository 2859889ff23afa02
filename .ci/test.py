"""Runs the tests under branch coverage, prints it, and holds wire and metrics at 95 %."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELD = {"qudag_node/wire/*": 95, "qudag_node/metrics/*": 95}


def coverage(*arguments: str) -> int:
    return subprocess.call([sys.executable, "-m", "coverage", *arguments], cwd=ROOT)


def forget_what_was_cut_short(build: Path) -> None:
    """Remove the data of processes that a test killed while they wrote it."""
    for path in build.glob(".coverage.*"):
        if path.read_bytes()[:6] != b"SQLite":
            path.unlink()


def main() -> int:
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    os.environ["COVERAGE_FILE"] = str(build / ".coverage")
    coverage("erase")
    tests = coverage("run", "-m", "pytest", "-q", *sys.argv[1:])
    forget_what_was_cut_short(build)
    coverage("combine", "--quiet")
    coverage("report", "--sort=cover")
    short = [
        pattern
        for pattern, percent in HELD.items()
        if coverage("report", f"--include={pattern}", f"--fail-under={percent}", "--skip-covered")
    ]
    for pattern in short:
        print(f"test: branch coverage of {pattern} is under {HELD[pattern]} %", file=sys.stderr)
    return tests or bool(short)


if __name__ == "__main__":
    sys.exit(main())
