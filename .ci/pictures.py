"""Draws the README's pictures: the monitor on a real lab, its two screens, as SVG."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.locate import locate
from qudag_tui.client.monitor import AsyncClient
from qudag_tui.client.updates import Update
from qudag_tui.tui.app import QudagTop
from qudag_tui.tui.demo import Demo

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = (120, 40)
WATCHED_S = 75


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
            (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Demo() as demo:
        asyncio.run(draw(locate(demo.wait(lambda _passed: None), token_file=None)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
