"""The start-up of `qudag network stats --once` beside `python -c pass` and glances.

A real node serves a Unix socket, TCP and TLS on loopback. The commands run one after the other in
rounds, so that a drift of the machine's speed meets all of them alike; a ratio is the median of the
rounds' ratios. Wall time from fork to exit, output to /dev/null, bytecode already written by a first
round that is thrown away.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.table import Row

__all__ = ["rows"]

ROUNDS = 21
# A start of glances takes as long as all others together.
SLOW_ROUNDS = 5

REPO = Path(__file__).resolve().parents[1]
BARE = "python -c pass"
GLANCES = "glances"

STATS = ("network", "stats", "--once")


def rows() -> list[Row]:
    """Measure and compare."""
    with TemporaryDirectory() as name:
        environ = _environment(Path(name))
        with _node(Path(name), environ) as rpc:
            seconds = _measure(_commands(Path(name), rpc), environ)
    return [
        _row("stats --once, unix, installed script", seconds, "script", "under 3", 3.0),
        _row("stats --once, unix, python -m", seconds, "module", "under 3", 3.0),
        _row("stats --once --format json, unix, script", seconds, "json", "under 3", 3.0),
        _row("stats --once, tcp with a token, script", seconds, "tcp", "under 4", 4.0),
        _row("stats --once, tls with a token, script", seconds, "tls", "under 4", 4.0),
        _row("qudag --help, script", seconds, "help", "", None),
        *([_beside_glances(seconds)] if GLANCES in seconds else []),
    ]


def _commands(home: Path, rpc: Mapping[str, str]) -> dict[str, list[str]]:
    script = [sys.executable, str(_script(home))]
    token = ["--token-file", str(home / "node" / "rpc.cookie")]
    unix = ["--node", rpc["unix"]]
    commands = {
        BARE: [sys.executable, "-c", "pass"],
        "script": [*script, *STATS, *unix],
        "module": [sys.executable, "-m", "qudag_tui.cli", *STATS, *unix],
        "json": [*script, *STATS, *unix, "--format", "json"],
        "tcp": [*script, *STATS, "--node", rpc["tcp"], *token],
        "tls": [*script, *STATS, "--node", rpc["tls"], *token],
        "help": [*script, "--help"],
    }
    glances = shutil.which("glances", path=str(Path(sys.executable).parent)) or shutil.which("glances")
    if glances:
        commands[GLANCES] = [glances, "--stdout", "cpu.user", "--stop-after", "1"]
    return commands


def _script(home: Path) -> Path:
    """What pip writes for an entry point: it imports ``re`` before anything of ours."""
    installed = Path(sys.executable).with_name("qudag")
    if installed.exists():
        return installed
    script = home / "qudag"
    script.write_text(
        "import re\nimport sys\nfrom qudag_tui.cli.__main__ import main\n"
        "sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\nsys.exit(main())\n"
    )
    return script


def _environment(home: Path) -> dict[str, str]:
    # Without bytecode every start compiles all modules anew: nobody runs a program so.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PYTHONPATH": str(REPO)}


@contextmanager
def _node(home: Path, environ: Mapping[str, str]) -> Generator[dict[str, str]]:
    """A running node; yields its addresses by kind."""
    node = [
        sys.executable,
        "-m",
        "qudag_node",
        "start",
        "--data-dir",
        str(home / "node"),
        "--listen",
        "127.0.0.1:0",
    ]
    rpc = ["--rpc", "tcp://127.0.0.1:0", "--rpc", "tls://127.0.0.1:0"]
    with subprocess.Popen([*node, *rpc], stderr=subprocess.PIPE, env=environ, text=True) as process:
        try:
            assert process.stderr is not None
            process.stderr.readline()  # ready
            status = [sys.executable, "-m", "qudag_tui.cli", "status", "--format", "json"]
            told = subprocess.run(
                [*status, "--data-dir", str(home / "node")], capture_output=True, check=True, env=environ
            )
            yield {address.partition(":")[0]: address for address in json.loads(told.stdout)["rpc"]}
        finally:
            process.terminate()


def _measure(commands: Mapping[str, list[str]], environ: Mapping[str, str]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(-1, ROUNDS):
        for name, command in commands.items():
            if name == GLANCES and round_ >= SLOW_ROUNDS:
                continue
            began = time.perf_counter()
            subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, check=True
            )
            if round_ >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _row(what: str, seconds: Mapping[str, list[float]], name: str, goal: str, limit: float | None) -> Row:
    ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds[BARE], strict=True))
    return Row(
        what=what,
        ours=_ms(seconds[name]),
        peer=f"{BARE} {_ms(seconds[BARE])}",
        ratio=ratio,
        goal=goal,
        met=None if limit is None else ratio < limit,
        method=f"median of {ROUNDS} interleaved rounds; smallest {min(seconds[name]) * 1e3:.1f} ms",
    )


def _beside_glances(seconds: Mapping[str, list[float]]) -> Row:
    return Row(
        what="stats --once, unix, installed script",
        ours=_ms(seconds["script"]),
        peer=f"glances --stdout --stop-after 1 {_ms(seconds[GLANCES])}",
        ratio=statistics.median(seconds["script"]) / statistics.median(seconds[GLANCES]),
        goal="",
        method=f"one figure each, once; medians, of {SLOW_ROUNDS} rounds for glances",
    )


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.1f} ms"
