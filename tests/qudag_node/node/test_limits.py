"""Every number that a setting allows is one a whole node runs with: both ends of each range."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from qudag_node.config import OverlayConfig, Setting, load_config, settings
from qudag_node.errors import PeerError
from qudag_node.metrics import MetricsCollector
from qudag_node.metrics.recorder import MAX_SIZE_BYTES
from qudag_node.node.ask import running_node
from qudag_node.node.logs import LogRing
from qudag_node.node.node import Node
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.frames import FRAME_NAMES, HEADER_BYTES
from qudag_node.overlay.identity import Identity, load_or_create_identity
from qudag_node.overlay.overlay import LocalNode, Overlay
from qudag_node.wire.errors import WireError

_TIMEOUT_S = 30.0
# What has to be set with a setting at the end of its range, because one contradicts the other.
_WITH: dict[tuple[str, str], dict[str, float]] = {
    ("overlay.ping_interval_s", "most"): {"overlay.dead_peer_timeout_s": 86_400.0},
    ("overlay.dead_peer_timeout_s", "least"): {"overlay.ping_interval_s": 0.01},
    ("overlay.reconnect_min_s", "most"): {"overlay.reconnect_max_s": 86_400.0},
    ("overlay.reconnect_max_s", "least"): {"overlay.reconnect_min_s": 0.001},
    ("overlay.max_frame_bytes", "most"): {"overlay.send_queue_bytes": 1 << 30},
    ("overlay.send_queue_bytes", "least"): {"overlay.max_frame_bytes": 20_480},
}
# With these nobody is quick enough to be served; that the node stands it is all that is asked.
_TOO_SHORT = {"rpc.handshake_timeout_s", "rpc.idle_timeout_s", "overlay.handshake_timeout_s"}
# Read while the log is set up and the program is watched, which belongs to the process.
_OF_THE_PROCESS = {"log.file_bytes", "log.backups", "lab.parent_fd"}


def ends() -> list[object]:
    return [
        pytest.param(setting, end, id=f"{setting.key}-{end}")
        for setting in settings()
        if setting.least is not None and setting.key not in _OF_THE_PROCESS
        for end in ("least", "most")
    ]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an identity, which takes a while to make."""
    directory = tmp_path_factory.mktemp("identity")
    load_or_create_identity(directory)
    return directory


@pytest.fixture
def collector_settings() -> Generator[None]:
    """A node settles the garbage collector, which is the process's."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("collector_settings")
@pytest.mark.parametrize(("setting", "end"), ends())
async def test_a_node_runs_with_both_ends_of_a_range(
    setting: Setting, end: str, identity: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in identity.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    limit = setting.least if end == "least" else setting.most
    assert limit is not None
    values: dict[str, object] = {
        "node.data_dir": tmp_path,
        "overlay.listen": ("127.0.0.1:0",),
        setting.key: int(limit) if setting.kind == "int" else float(limit),
        **_WITH.get((setting.key, end), {}),
    }
    loaded = load_config(flags={key: ("test", value) for key, value in values.items()})
    ready = asyncio.Event()
    node = asyncio.create_task(
        Node(loaded, LogRing(), {"XDG_RUNTIME_DIR": str(tmp_path / "run")}, lambda _reason: None, set()).run(
            lambda _line: ready.set()
        )
    )
    async with asyncio.timeout(_TIMEOUT_S):
        await asyncio.wait({node, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        try:
            await use(tmp_path, may_fail=setting.key in _TOO_SHORT and end == "least")
        finally:
            if node.done():
                node.result()
            node.cancel()
            with suppress(asyncio.CancelledError):
                await node
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def use(directory: Path, *, may_fail: bool) -> None:
    """Ask a node, link to it, send it something, ask it again."""
    try:
        status = await asyncio.to_thread(ask, directory, "status")
        address = cast("list[str]", status["listen"])[0]
    except (OSError, WireError):
        if not may_fail:
            raise
        return
    other = Overlay(
        OverlayConfig(listen=()),
        LocalNode(identity=Identity.generate(), name="other", network="qudag", agent="test"),
        MetricsCollector(message_types=FRAME_NAMES),
        time,
        EventLog(time),
    )
    await other.start()
    try:
        await other.dial(address)
        await other.submit([b"payload"])
    except PeerError:
        if not may_fail:
            raise
    finally:
        await other.stop()
    await asyncio.to_thread(ask, directory, "stats")


def ask(directory: Path, method: str) -> dict[str, object]:
    with running_node(directory, {}) as node:
        return dict(node.call(method))


def test_the_largest_frame_can_be_counted() -> None:
    by_key = {setting.key: setting for setting in settings()}
    assert HEADER_BYTES + (by_key["overlay.max_frame_bytes"].most or 0) <= MAX_SIZE_BYTES


def test_with_the_most_peers_every_key_of_the_log_is_exact() -> None:
    most = {setting.key: setting.most for setting in settings()}["metrics.max_peers"]
    assert most is not None
    collector = MetricsCollector(message_types=FRAME_NAMES)
    # A key is a double: above 2**53 it would round, and a message count for somebody else.
    assert collector.traffic.slot_key(int(most) + 1) < 2**53
