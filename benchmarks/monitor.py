"""``qudag-top`` as its terminal sees it, beside an empty Textual app and glances in the same pty.

First frame: exec until a text that only that frame holds has been written, 120x40, interleaved rounds,
median of the wall times. "Header" is the first frame of Textual, "figures" the panels with a node's data;
the line that is written before Textual is imported is apart.

CPU and bytes: /proc/PID/stat and the bytes written to the pty over 20 s at 1 Hz, after 5 s of settling, all
figures of all peers changing at every tick. The peers are served by a process of its own with the node's
RPC server, packing and deltas over invented figures (``benchmarks._many_peers``): no machine at hand holds
ten thousand links. The client, the decoding and the drawing are the product's.

Key to paint: while 1,000 peers change, the key that moves the selection down is written to the pty at
random moments, until the name of the newly selected peer has been read back in the selection's colours;
and likewise the key that turns the order round, which draws the whole table anew.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks._ptys import REPO, OnPty
from benchmarks.table import Row

__all__ = ["rows"]

ROUNDS = 9
SETTLE_S = 5.0
WATCH_S = 20.0
KEYS = 30

_TOP = (sys.executable, "-m", "qudag_tui.tui", "--node")
_EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("MARKER")
Empty().run()
"""


@contextmanager
def _peers(count: int) -> Generator[str]:
    """A server with so many peers; yields its address."""
    with tempfile.TemporaryDirectory(prefix="qudag-bench-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._many_peers", str(count), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def rows() -> list[Row]:
    """Measure everything."""
    return [*_first_frames(), *_running(), *_keys()]


def _first_frames() -> list[Row]:
    seconds: dict[str, list[float]] = {"empty": [], "splash": [], "header": [], "figures": []}
    with tempfile.TemporaryDirectory() as directory, _peers(5) as address:
        empty = Path(directory) / "empty.py"
        empty.write_text(_EMPTY, encoding="utf-8")
        top = [*_TOP, address]
        for _ in range(ROUNDS):
            for name, words, text in (
                ("empty", [sys.executable, str(empty)], "MARKER"),
                ("splash", top, "connecting to"),
                # Only Textual puts a change of style behind the name.
                ("header", top, "qudag-top\x1b[0m"),
                ("figures", top, "Throughput"),
            ):
                with OnPty(words) as program:
                    seconds[name].append(program.seconds_until(text))
    ms = {name: median(values) * 1000 for name, values in seconds.items()}
    method = f"exec to text on the pty, 120x40, {ROUNDS} interleaved rounds, medians"
    return [
        Row(what="qudag-top: first line (before Textual)", ours=f"{ms['splash']:.0f} ms", method=method),
        Row(
            what="qudag-top: first frame (header)",
            ours=f"{ms['header']:.0f} ms",
            peer=f"empty Textual app {ms['empty']:.0f} ms",
            ratio=ms["header"] / ms["empty"],
            goal="under 1.1 times",
            met=ms["header"] < 1.1 * ms["empty"],
            method=method,
        ),
        Row(
            what="qudag-top: all figures",
            ours=f"{ms['figures']:.0f} ms",
            peer=f"empty Textual app {ms['empty']:.0f} ms",
            ratio=ms["figures"] / ms["empty"],
            method=method,
        ),
    ]


def _watched(words: list[str], keys: str = "") -> tuple[float, float, float]:
    """CPU in per cent, KiB per second and MiB of a program that runs."""
    with OnPty(words) as program:
        program.read(SETTLE_S)
        if keys:
            program.press(keys)
            program.read(2.0)
        cpu_s, written, start = program.cpu_s, program.written_bytes, time.perf_counter()
        program.read(WATCH_S)
        passed_s = time.perf_counter() - start
        return (
            100 * (program.cpu_s - cpu_s) / passed_s,
            (program.written_bytes - written) / passed_s / 1024,
            program.rss_bytes / 2**20,
        )


def _running() -> list[Row]:
    found: list[Row] = []
    glances_cpu, glances_kib, glances_mib = _watched([sys.executable, "-m", "glances", "-t", "1"])
    peer = f"glances {glances_cpu:.1f} %, {glances_kib:.1f} KiB/s, {glances_mib:.0f} MiB"
    for count, goal in ((50, 1.5), (1000, 2.0), (10_000, 3.5)):
        with _peers(count) as address:
            for screen, keys in (("overview", ""), ("peers", "2")):
                cpu, kib, mib = _watched([*_TOP, address], keys)
                found.append(
                    Row(
                        what=f"qudag-top at 1 Hz: {screen}, {count:,} peers",
                        ours=f"{cpu:.1f} %, {kib:.1f} KiB/s, {mib:.0f} MiB",
                        peer=peer,
                        ratio=cpu / glances_cpu,
                        goal=f"under {goal:g} % and 16 KiB/s",
                        met=cpu < goal and kib < 16,
                        method=f"CPU and bytes on the pty over {WATCH_S:.0f} s, everything changing, 120x40",
                    )
                )
    return found


def _keys() -> list[Row]:
    found: list[Row] = []
    for hertz, interval, goal_ms in ((1, "1", 10.0), (10, "0.1", 50.0)):
        with _peers(1000) as address, OnPty([*_TOP, address, "--interval", interval]) as program:
            program.read(SETTLE_S)
            program.press("2")
            program.read(2.0)
            # The table begins with peer2; the selected row is drawn in its own colours.
            selected = [f"48;2;36;64;94mpeer{number + 2} " for number in range(KEYS + 1)]
            moved = [ms for _ in range(3) for ms in _there_and_back(program, selected)]
            turn = _waits(program, "S", ["▲▼"[(number + 1) % 2] for number in range(KEYS)])
            found += [
                Row(
                    what=f"qudag-top: key to paint, 1,000 peers at {hertz} Hz",
                    ours=_shown(moved),
                    goal=f"p90 under {goal_ms:g} ms",
                    met=quantiles(moved, n=10)[-1] < goal_ms,
                    method=f"j and k, {len(moved)} times at random moments, until the selection is read back",
                ),
                Row(
                    what=f"qudag-top: the order turned round, 1,000 peers at {hertz} Hz",
                    ours=_shown(turn),
                    method=f"S pressed {KEYS} times at random moments, until the new sign is read back",
                ),
            ]
    return found


def _there_and_back(program: OnPty, rows: list[str]) -> list[float]:
    return _waits(program, "j", rows[1:]) + _waits(program, "k", rows[-2::-1])


def _waits(program: OnPty, key: str, texts: list[str]) -> list[float]:
    """Milliseconds from a key to the text that it brings."""
    waits_ms: list[float] = []
    for text in texts:
        program.read(random.uniform(0.2, 0.6))
        start = time.perf_counter()
        program.press(key)
        waits_ms.append(1000 * program.seconds_until(text, start))
    return waits_ms


def _shown(waits_ms: list[float]) -> str:
    p90 = quantiles(waits_ms, n=10)[-1]
    return f"p50 {median(waits_ms):.1f} ms, p90 {p90:.1f} ms, max {max(waits_ms):.0f} ms"
