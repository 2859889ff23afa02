"""The program in docs/embedding.md is taken from the page and run against real clients."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qudag_node.metrics import NetworkStatistics
from tests.conftest import REPO

LINES = 200


@pytest.fixture
def program(tmp_path: Path) -> Path:
    page = (REPO / "docs" / "embedding.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    path = tmp_path / "echo.py"
    path.write_text(found[1], encoding="utf-8")
    return path


async def talk(port: int, line: bytes, lines: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(lines):
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line
    writer.close()
    await writer.wait_closed()


async def test_the_figures_of_the_echo_server_are_right(program: Path) -> None:
    echo: dict[str, Any] = runpy.run_path(str(program))
    aggregator, now = echo["aggregator"], echo["now"]
    server = await asyncio.start_server(echo["serve"], "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        idle_writer.write(b"hello\n")
        await idle_writer.drain()
        await idle_reader.readline()
        aggregator.tick(**now())
        await asyncio.gather(talk(port, b"x" * 99 + b"\n", LINES), talk(port, b"short\n", LINES))
        aggregator.tick(**now())
        found: NetworkStatistics = aggregator.aggregate(**now())
        idle_writer.close()
        await idle_writer.wait_closed()
    check(found)


def check(found: NetworkStatistics) -> None:
    messages, total = found.messages, 2 * LINES + 1
    assert (messages.sent, messages.received, messages.processed) == (total, total, total)
    assert (messages.failed, messages.queued_in) == (0, 0)
    echoes = messages.by_type["echo"]
    assert echoes.received_bytes == echoes.sent_bytes == LINES * 100 + LINES * 6 + 6
    assert (echoes.size_bytes.min, echoes.size_bytes.max) == (6, 100)
    assert (found.connections.total, found.connections.active, found.connections.closed) == (3, 1, 2)
    assert found.performance.processing_time_s.samples == total
    numbers = found.peers.numbers
    assert sorted(numbers["messages_received"].tolist()) == [1, LINES, LINES]
    assert sorted(numbers["bytes_sent"].tolist()) == [6, LINES * 6, LINES * 100]
    if sys.platform == "linux":
        assert found.bandwidth.wire_received_bytes == found.bandwidth.received_bytes
        assert set(found.peers.text["rtt_method"]) == {"kernel"}
        assert found.latency.links.samples == total


async def test_the_program_runs_as_it_stands(program: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdout=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        listening = (await process.stdout.readline()).decode()
        await talk(int(listening.rpartition(" ")[2]), b"hello\n", 50)
        async for line in process.stdout:
            if b" 50 messages," in line:
                break
    finally:
        process.kill()
        await process.communicate()
