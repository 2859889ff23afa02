"""Streams: everybody's bytes are packed once, slow readers are spared, late ones join in step."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from qudag_node.rpc.subscriptions import WRITES_PER_PASS, Group, Subscriptions
from qudag_node.wire.errors import ErrorCode, RpcError
from tests.qudag_node.overlay.links import until
from tests.qudag_node.rpc.support import TRANSPORTS, Client, config_with, connected, serving


class CountingStream:
    """Frames that say their number; counts how often one was packed."""

    def __init__(self) -> None:
        self.number = 0
        self.packed = 0
        self.quiet = False

    def advance(self) -> bytes | None:
        self.number += 1
        self.packed += 1
        return None if self.quiet else b"delta %d" % self.number

    def full(self) -> bytes | None:
        return b"full %d" % self.number


class Reader:
    """A subscriber whose kernel buffer a test fills and drains."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pending = 0
        self.dropped = ""

    def pending_bytes(self) -> int:
        return self.pending

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def drop(self, reason: str) -> None:
        self.dropped = reason


def new_group(stream: CountingStream) -> Group:
    return Group(1, stream, interval_s=1.0, patience_s=10.0)


async def test_who_joins_gets_a_full_frame_and_then_the_deltas_of_all() -> None:
    group, early, late = new_group(CountingStream()), Reader(), Reader()
    group.join(early)
    group.tick(1.0)
    group.join(late)
    group.tick(2.0)
    assert early.frames == [b"full 0", b"delta 1", b"delta 2"]
    assert late.frames == [b"full 1", b"delta 2"]
    assert early.frames[-1] is late.frames[-1]


async def test_a_slow_reader_is_passed_over_and_then_gets_it_whole() -> None:
    group, slow, quick = new_group(CountingStream()), Reader(), Reader()
    group.join(slow)
    group.join(quick)
    slow.pending = 1000
    group.tick(1.0)
    group.tick(2.0)
    slow.pending = 0
    group.tick(3.0)
    group.tick(4.0)
    assert slow.frames == [b"full 0", b"full 3", b"delta 4"]
    assert quick.frames == [b"full 0", b"delta 1", b"delta 2", b"delta 3", b"delta 4"]
    assert group.skipped == 2


async def test_who_was_passed_over_gets_it_whole_though_nothing_new_follows() -> None:
    stream = CountingStream()
    group, slow, quick = new_group(stream), Reader(), Reader()
    group.join(slow)
    group.join(quick)
    slow.pending = 1000
    group.tick(1.0)
    stream.quiet = True
    group.tick(2.0)
    assert slow.frames == [b"full 0"]
    slow.pending = 0
    for second in (3.0, 4.0, 5.0):
        group.tick(second)
    assert slow.frames == [b"full 0", b"full 3"]
    assert quick.frames == [b"full 0", b"delta 1"]
    assert group.skipped == 1


async def test_who_takes_nothing_of_a_stream_that_says_nothing_is_dropped_after_its_time() -> None:
    stream = CountingStream()
    group, deaf = new_group(stream), Reader()
    group.join(deaf)
    deaf.pending = 1
    group.tick(0.0)
    stream.quiet = True
    group.tick(10.0)
    assert not deaf.dropped
    group.tick(10.1)
    assert "10 s" in deaf.dropped


async def test_what_cannot_wait_is_told_in_the_next_pass() -> None:
    subscriptions = Subscriptions(lambda _topic, _id: CountingStream(), patience_s=10.0)
    groups = {topic: subscriptions.group(topic, 3600.0) for topic in ("test:a", "test:b")}
    reader, other = Reader(), Reader()
    for group, subscriber in zip(groups.values(), (reader, other), strict=True):
        assert group is not None
        group.join(subscriber)
    running = asyncio.create_task(subscriptions.run())
    await asyncio.sleep(0)
    subscriptions.hurry("test:a")
    await until(lambda: len(reader.frames) == 2)
    running.cancel()
    assert reader.frames == [b"full 0", b"delta 1"]
    assert other.frames == [b"full 0"]


async def test_a_reader_that_takes_nothing_is_dropped_after_its_time() -> None:
    group, deaf = new_group(CountingStream()), Reader()
    group.join(deaf)
    deaf.pending = 1
    for second in range(11):
        group.tick(float(second))
        assert not deaf.dropped
    group.tick(11.0)
    assert "10 s" in deaf.dropped


async def test_writes_are_spread_over_passes_of_the_loop_and_packed_once() -> None:
    stream = CountingStream()
    group = new_group(stream)
    readers = [Reader() for _ in range(2 * WRITES_PER_PASS + 1)]
    for reader in readers:
        group.join(reader)
    group.tick(1.0)
    assert sum(len(reader.frames) == 2 for reader in readers) == WRITES_PER_PASS
    group.leave(readers[-1])
    joined_meanwhile = Reader()
    group.join(joined_meanwhile)
    for _ in range(3):
        await asyncio.sleep(0)
    assert all(reader.frames[1:] == [b"delta 1"] for reader in readers[:-1])
    assert readers[-1].frames == [b"full 0"]
    assert joined_meanwhile.frames == [b"full 1"]
    assert stream.packed == 1


@pytest.mark.parametrize("leaves_first", [False, True])
async def test_who_subscribes_again_gets_no_change_older_than_its_full_frame(leaves_first: bool) -> None:
    group = new_group(CountingStream())
    readers = [Reader() for _ in range(WRITES_PER_PASS + 1)]
    for reader in readers:
        group.join(reader)
    group.tick(1.0)
    again = readers[-1]  # its turn comes in the loop's next pass
    if leaves_first:
        group.leave(again)
    group.join(again)
    await asyncio.sleep(0)
    group.tick(2.0)
    await asyncio.sleep(0)
    assert again.frames == [b"full 0", b"full 1", b"delta 2"]


async def test_a_spared_reader_is_not_told_twice_when_the_next_tick_overtakes_the_writing() -> None:
    group = new_group(CountingStream())
    readers = [Reader() for _ in range(WRITES_PER_PASS + 1)]
    for reader in readers:
        group.join(reader)
    slow = readers[-1]
    slow.pending = 1
    group.tick(1.0)
    await asyncio.sleep(0)
    slow.pending = 0
    group.tick(2.0)
    group.tick(3.0)  # before the loop went on
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    group.tick(4.0)
    await asyncio.sleep(0)
    assert slow.frames == [b"full 0", b"full 3", b"delta 4"]


async def test_who_subscribes_again_to_events_loses_none() -> None:
    class Events(CountingStream):
        def full(self) -> None:
            return None

    group = new_group(Events())
    readers = [Reader() for _ in range(WRITES_PER_PASS + 1)]
    for reader in readers:
        group.join(reader)
    group.tick(1.0)
    group.join(readers[-1])
    await asyncio.sleep(0)
    assert readers[-1].frames == [b"delta 1"]


async def test_a_stream_with_nothing_to_say_says_nothing() -> None:
    stream = CountingStream()
    group, reader = new_group(stream), Reader()
    group.join(reader)
    stream.quiet = True
    group.tick(1.0)
    assert reader.frames == [b"full 0"]


async def test_groups_are_bounded_and_end_with_their_last_reader() -> None:
    subscriptions = Subscriptions(lambda _topic, _id: CountingStream(), patience_s=1.0, max_groups=2)
    reader = Reader()
    for interval_s in (1.0, 2.0):
        group = subscriptions.group("stats", interval_s)
        assert group is not None
        group.join(reader)
    assert subscriptions.group("stats", 3.0) is None
    assert subscriptions.group("stats", 1.0) is subscriptions.group("stats", 1.0)
    assert len(subscriptions) == 2
    assert subscriptions.leave(reader)
    assert len(subscriptions) == 0
    assert subscriptions.group("stats", 3.0) is not None


async def test_a_stream_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    twice = asyncio.Event()

    class Failing(CountingStream):
        def advance(self) -> bytes | None:
            raise RuntimeError("broken")

    class Working(CountingStream):
        def advance(self) -> bytes | None:
            if self.number == 1:
                twice.set()
            return super().advance()

    streams = {"good": Working(), "bad": Failing()}
    subscriptions = Subscriptions(lambda topic, _id: streams[topic], patience_s=1.0)
    reader = Reader()
    for topic in ("bad", "good"):
        group = subscriptions.group(topic, 0.1)
        assert group is not None
        group.join(reader)
    running = asyncio.create_task(subscriptions.run())
    async with asyncio.timeout(10):
        await twice.wait()
    running.cancel()
    assert "stream 1 failed" in caplog.text


def numbers_of(params: dict[str, Any]) -> tuple[object, object]:
    return params["stream"], params["seq"]


async def next_of(client: Client, method: str) -> dict[str, Any]:
    while True:
        notified = await client.notification()
        if notified.method == method:
            return cast("dict[str, Any]", notified.params)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_statistics_come_whole_and_then_as_changes(tmp_path: Path, transport: str) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        await client.opened()
        stream = (await client.call("subscribe", topic="stats", interval_s=0.1))["stream"]
        full = await next_of(client, "stats.full")
        assert numbers_of(full) == (stream, 0)
        assert full["document"]["schema"] == "qudag.stats/1"
        for number in (1, 2):
            change = await next_of(client, "stats.delta")
            assert (*numbers_of(change), change["base"]) == (stream, number, number - 1)
            assert set(change["sections"]) == {"tick"}
        await client.call("unsubscribe", stream=stream)
        client.notified.clear()
        await asyncio.sleep(0.3)
        await client.call("status")
        assert client.notified == []


async def test_a_late_subscriber_is_in_step_with_the_others(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as served,
        connected(served, "unix") as early,
        connected(served, "tls") as late,
    ):
        await early.opened()
        await late.opened()
        await early.call("subscribe", topic="stats", interval_s=0.1)
        await next_of(early, "stats.delta")
        await late.call("subscribe", topic="stats", interval_s=0.1)
        full = await next_of(late, "stats.full")
        change = await next_of(late, "stats.delta")
        assert full["seq"] >= 1
        assert change["base"] == full["seq"]
        assert change["stream"] == full["stream"]
        # Asking again is how a client that lost its place gets a full frame.
        await late.call("subscribe", topic="stats", interval_s=0.1)
        assert (await next_of(late, "stats.full"))["seq"] > full["seq"]


async def test_events_and_log_lines_come_as_they_happen(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, connected(served, "unix") as client:
        served.node.events.append({"seq": 1, "text": "before"})
        await client.opened()
        await client.call("subscribe", topic="events", interval_s=0.1)
        await client.call("subscribe", topic="log", interval_s=0.1)
        served.node.events.append({"seq": 2, "text": "after"})
        served.node.lines.append("a line")
        assert (await next_of(client, "events"))["events"] == [{"seq": 2, "text": "after"}]
        assert (await next_of(client, "log"))["lines"] == ["a line"]


async def test_subscriptions_of_a_client_are_bounded(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, config_with(max_subscriptions=2)) as served,
        connected(served, "unix") as client,
    ):
        await client.opened()
        for interval_s in (1, 2):
            await client.call("subscribe", topic="stats", interval_s=interval_s)
        with pytest.raises(RpcError) as caught:
            await client.call("subscribe", topic="stats", interval_s=3)
        assert caught.value.code is ErrorCode.BUSY
        await client.call("subscribe", topic="stats", interval_s=2)  # once more is not one more


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_subscriber_that_stops_reading_is_conflated_and_recovers(
    tmp_path: Path, transport: str
) -> None:
    async with serving(tmp_path) as served, connected(served, transport) as client:
        await client.opened()
        await client.call("subscribe", topic="stats", interval_s=0.1)
        await next_of(client, "stats.full")
        served.node.payload = bytes(2_000_000)
        deaf = client.reader._transport  # type: ignore[attr-defined]
        deaf.pause_reading()
        served.node.document["n"] = 0
        for number in range(8):
            await asyncio.sleep(0.1)
            served.node.payload = bytes([number]) * 2_000_000
        pending = served.server.pending_bytes()
        assert pending < 4_500_000
        deaf.resume_reading()
        full = await next_of(client, "stats.full")
        assert full["seq"] > 2
        assert (await next_of(client, "stats.delta"))["base"] >= full["seq"]


async def test_a_subscriber_that_never_reads_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, config_with(slow_subscriber_timeout_s=0.4)) as served:
        served.node.payload = bytes(1_000_000)
        async with connected(served, "unix") as client:
            await client.opened()
            await client.call("subscribe", topic="stats", interval_s=0.1)
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            async with asyncio.timeout(20):
                number = 0
                while served.server.clients:
                    number = (number + 1) % 256
                    served.node.payload = bytes([number]) * 1_000_000
                    await asyncio.sleep(0.05)
