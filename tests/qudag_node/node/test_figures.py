"""The node's figures: exact while that is cheap, as of the last tick where links are many."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgpack
import pytest

from qudag_node.config import NodeConfig
from qudag_node.metrics import MetricsCollector
from qudag_node.node import figures as figures_module
from qudag_node.node.figures import Figures
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.overlay import LocalNode, Overlay
from qudag_node.wire.framing import Packed, pack


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return int(self.now_s * 1e9)

    def time(self) -> float:
        return 1_700_000_000.0 + self.now_s

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


class Rig:
    """Figures over an overlay that was never started."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.collector = MetricsCollector(message_types=FRAME_NAMES)
        node = LocalNode(identity=Identity.generate(), name="n", network="t", agent="a")
        config = NodeConfig()
        overlay = Overlay(config.overlay, node, self.collector, self.clock, EventLog(self.clock))
        self.figures = Figures(config, overlay, self.collector, self.clock)

    def receive(self) -> None:
        self.collector.record_message_received(self.collector.nobody, "data", 100)

    def received(self, *, fresh: bool = False) -> int:
        document = cast("dict[str, Any]", self.figures.document(fresh=fresh))
        return int(document["messages"]["received"])


async def test_a_small_node_answers_as_of_now() -> None:
    rig = Rig()
    for count in (1, 2, 3):
        rig.receive()
        rig.clock.now_s += 0.1
        assert rig.received() == count


async def test_who_asks_at_the_same_time_shares_a_document() -> None:
    rig = Rig()
    first = rig.figures.document()
    rig.receive()
    rig.clock.now_s += 0.03
    assert rig.figures.document() is first
    assert rig.received(fresh=True) == 1


async def test_a_hub_answers_from_its_last_tick_until_something_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures_module, "_FEW_LINKS", -1)
    rig = Rig()
    rig.figures.tick()
    rig.receive()
    rig.clock.now_s += 0.9
    assert rig.received() == 0
    assert rig.figures.document() is rig.figures.document()
    rig.figures.forget()
    assert rig.received() == 1
    rig.receive()
    assert rig.received() == 1
    rig.clock.now_s += 0.2
    rig.figures.tick()
    assert rig.received() == 2


async def test_all_who_ask_share_what_was_packed_and_it_is_never_older_than_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    rig.receive()
    packed = rig.figures.packed()
    assert rig.figures.packed() is packed
    assert msgpack.unpackb(packed.data) == rig.figures.document()
    rig.receive()
    rig.figures.forget()
    assert msgpack.unpackb(rig.figures.packed().data)["messages"]["received"] == 2
    rig.clock.now_s += 0.1
    rig.receive()
    assert msgpack.unpackb(rig.figures.packed().data)["messages"]["received"] == 3


@pytest.mark.parametrize(
    ("few_links", "silent_s", "made"),
    [(-1, 59.0, 1), (-1, 61.0, 0), (200, 59.0, 0)],
    ids=["a hub that is asked", "a hub that nobody asks", "a small node"],
)
async def test_a_tick_packs_for_who_keeps_asking_a_hub(
    monkeypatch: pytest.MonkeyPatch, few_links: int, silent_s: float, made: int
) -> None:
    monkeypatch.setattr(figures_module, "_FEW_LINKS", few_links)
    rig = Rig()
    rig.figures.packed()
    made_before: list[object] = []

    def counted(value: object) -> Packed:
        made_before.append(value)
        return pack(value)

    monkeypatch.setattr(figures_module, "pack", counted)
    rig.clock.now_s += silent_s
    rig.figures.tick()
    assert len(made_before) == made


async def test_figures_of_a_tick_that_never_came_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "_FEW_LINKS", -1)
    rig = Rig()
    rig.figures.tick()
    rig.receive()
    rig.clock.now_s += 2.0
    assert rig.received() == 1


async def test_every_tick_is_in_the_history() -> None:
    rig = Rig()
    for _ in range(3):
        rig.receive()
        rig.clock.now_s += 1.0
        rig.figures.tick()
    points = rig.figures.history.read(["messages.received"]).series["messages.received"]
    assert points[-3:].tolist() == [1.0, 2.0, 3.0]
    assert rig.figures.uptime_s == 3.0


async def test_a_tick_that_fails_is_logged_and_the_next_one_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    done = asyncio.Event()
    ticks: list[None] = []

    def on_tick() -> None:
        ticks.append(None)
        rig.clock.now_s += 10.0
        if len(ticks) == 2:
            done.set()

    def broken(_statistics: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(rig.figures.history, "append", broken)
    running = asyncio.create_task(rig.figures.run(on_tick))
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()
    assert caplog.text.count("a sample could not be taken") == 2
