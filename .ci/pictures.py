"""Draws the README's pictures on a real lab, as SVG: the monitor's two screens, and a command's output."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.locate import locate
from qudag_tui.client.monitor import AsyncClient
from qudag_tui.client.updates import Update
from qudag_tui.tui.app import QudagTop
from qudag_tui.tui.demo import Demo

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = (120, 40)
WATCHED_S = 75


def keep(picture: str, name: str) -> None:
    # A page of ours fetches nothing from elsewhere: not even a font.
    alone = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (IMAGES / f"{name}.svg").write_text(alone, encoding="utf-8")


async def draw(endpoint: Endpoint) -> None:
    def connect(deliver: Callable[[Update], None]) -> AsyncClient:
        return AsyncClient(endpoint, interval_s=1.0, deliver=deliver)

    app = QudagTop(connect, address=endpoint.where)
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(WATCHED_S)
        for key, name in (("1", "overview"), ("2", "peers")):
            await pilot.press(key)
            await asyncio.sleep(2)
            picture = app.export_screenshot(title="qudag-top", simplify=True)
            keep(picture, name)


def on_a_terminal(words: list[str]) -> str:
    """Run a command as a person does, and return what it writes, colours and all."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    with subprocess.Popen(words, stdout=theirs, env={**os.environ, "TERM": "xterm-256color"}) as process:
        os.close(theirs)
        written = b""
        try:
            while data := os.read(ours, 65_536):
                written += data
        except OSError:  # so a terminal tells that nobody writes to it any more
            process.wait()
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def draw_command(node: str) -> None:
    command = ["network", "stats", "--once"]
    text = on_a_terminal([sys.executable, "-m", "qudag_tui.cli", "--node", node, *command])
    console = Console(record=True, width=SIZE[0], file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text.rstrip()), no_wrap=True)
    picture = console.export_svg(title=f"qudag {' '.join(command)}")
    keep(picture, "stats")


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Demo() as demo:
        address = demo.wait(lambda _passed: None)
        asyncio.run(draw(locate(address, token_file=None)))
        draw_command(address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
