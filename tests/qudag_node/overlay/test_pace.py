"""Nodes that are held send nothing unasked, and lose nobody meanwhile."""

from __future__ import annotations

import asyncio

from qudag_node.overlay.pace import Pace
from tests.clocks import LeapingClock
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, linked, running


def all_is_said(one: Node, other: Node) -> bool:
    there, back = one.traffic(other), other.traffic(one)
    if any(link.queue for node in (one, other) for link in node.overlay.links()):
        return False
    return all(there[kind][:2] == back[kind][2:] and back[kind][:2] == there[kind][2:] for kind in there)


async def test_held_nodes_agree_and_keep_their_link_however_long_it_takes() -> None:
    clock = LeapingClock()
    one, other = (
        Node(name, ping_interval_s=0.02, routing_probe_interval_s=0.02, clock=clock)
        for name in ("one", "other")
    )
    async with running(one, other):
        await linked((one, other))
        await until(lambda: one.traffic(other)["pong"][2] > 3)
        for node in (one, other):
            node.overlay.hold(held=True)
        await until(lambda: all_is_said(one, other))
        before = one.traffic(other)
        # An hour: they would be called dead after ten seconds.
        clock.leap(3600)
        await asyncio.sleep(0.3)
        assert one.traffic(other) == before
        assert one.neighbours == {other.id}
        for node in (one, other):
            node.overlay.hold(held=False)
        await until(lambda: one.traffic(other)["pong"][2] > before["pong"][2])
        assert one.neighbours == {other.id}


async def test_a_pace_is_waited_for() -> None:
    pace = Pace()
    assert not pace.is_held
    await pace.goes_on()
    pace.hold(held=True)
    waiting = asyncio.create_task(pace.goes_on())
    await asyncio.sleep(0)
    assert not waiting.done()
    pace.hold(held=False)
    await waiting
