import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from qudag_node import wire
from qudag_node.lab.errors import LabError
from qudag_node.lab.load import Load
from qudag_node.lab.rpc import NodeSession, call_once
from qudag_node.lab.topology import NodeName
from tests.qudag_node.lab.small_node import small_node

PEER1, PEER2 = NodeName("peer1"), NodeName("peer2")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # the load has no event for it
            await asyncio.sleep(0.01)


async def test_every_message_goes_to_one_node_in_turn_and_is_counted(tmp_path: Path) -> None:
    taken: dict[str, list[bytes]] = {"one": [], "two": []}

    def answer(name: str) -> Callable[[str, Mapping[str, Any]], Any]:
        def submit(method: str, params: Mapping[str, Any]) -> Any:
            assert method == "submit"
            taken[name] += params["payloads"]
            return {"accepted": len(params["payloads"])}

        return submit

    async with (
        small_node(tmp_path / "one", answer("one")) as one,
        small_node(tmp_path / "two", answer("two")) as two,
    ):
        load = Load(payload_bytes=100)
        load.aim({PEER1: one, PEER2: two})
        await load.start(400)
        assert (load.is_running, load.rate_per_s) == (True, 400)
        await until(lambda: load.counts.accepted >= 100)
        await load.stop()
    assert (load.is_running, load.rate_per_s) == (False, 0)
    counts = load.counts
    assert counts.due == counts.accepted == len(taken["one"]) + len(taken["two"])
    assert counts.refused == counts.skipped == 0
    assert abs(len(taken["one"]) - len(taken["two"])) <= 1
    everything = taken["one"] + taken["two"]
    assert len(set(everything)) == len(everything)
    assert {len(payload) for payload in everything} == {100}


async def test_large_payloads_are_split_into_calls_that_a_node_takes(tmp_path: Path) -> None:
    calls: list[int] = []

    def submit(_method: str, params: Mapping[str, Any]) -> Any:
        calls.append(len(params["payloads"]))
        return {"accepted": len(params["payloads"])}

    async with small_node(tmp_path / "one", submit) as one:
        load = Load(payload_bytes=16_384)
        load.aim({PEER1: one})
        await load.start(1000)
        await until(lambda: load.counts.accepted >= 100)
        await load.stop()
    assert max(calls) == 8


async def test_what_a_node_refuses_is_counted_and_so_is_what_nobody_was_there_for(tmp_path: Path) -> None:
    def refuse(_method: str, params: Mapping[str, Any]) -> Any:
        if len(params["payloads"]) % 2:
            raise wire.RpcError(wire.ErrorCode.BUSY, "the queue is full")
        return {"accepted": 0}

    async with small_node(tmp_path / "one", refuse) as one:
        load = Load(payload_bytes=16)
        load.aim({PEER1: one, PEER2: f"unix:{tmp_path}/nobody"})
        await load.start(100)
        await until(lambda: load.counts.refused > 5 and load.counts.skipped > 5)
        await load.stop()
    assert load.counts.accepted == 0
    assert load.counts.due == load.counts.refused + load.counts.skipped


async def test_without_nodes_everything_is_skipped() -> None:
    load = Load(payload_bytes=16)
    await load.start(100)
    await until(lambda: load.counts.skipped > 0)
    await load.stop()
    assert load.counts.due == load.counts.skipped


async def test_a_load_that_fails_says_so_and_has_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    load = Load(payload_bytes=16)
    load.aim({PEER1: "unix:/nowhere"})
    await load.start(100)
    load.payload_bytes, load._stem = 16, cast("bytes", None)  # what no code of ours does
    await until(lambda: not load.is_running)
    assert load.rate_per_s == 0
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "the load has failed and submits no more")
    assert record.exc_info is not None
    await load.stop()
    assert len(caplog.records) == 1


async def test_an_answer_that_is_none_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with small_node(tmp_path / "one", lambda _method, _params: {"taken": 1}) as one:
        load = Load(payload_bytes=16)
        load.aim({PEER1: one})
        await load.start(100)
        await until(lambda: bool(caplog.records))
        await load.stop()
    assert "the answer to submit is none" in caplog.text


async def test_a_node_that_comes_back_gets_its_share_again(tmp_path: Path) -> None:
    def submit(_method: str, params: Mapping[str, Any]) -> Any:
        return {"accepted": len(params["payloads"])}

    load = Load(payload_bytes=16)
    path = tmp_path / "one"
    load.aim({PEER1: f"unix:{path}"})
    await load.start(100)
    try:
        for _ in range(2):
            async with small_node(path, submit):
                accepted = load.counts.accepted
                await until(lambda accepted=accepted: load.counts.accepted > accepted)  # type: ignore[misc]
    finally:
        await load.stop()


async def test_calls_overlap_and_errors_are_the_nodes_words(tmp_path: Path) -> None:
    def answer(method: str, params: Mapping[str, Any]) -> Any:
        if method == "peer":
            raise wire.RpcError(wire.ErrorCode.NOT_FOUND, f"no peer {params['peer']!r}")
        return {"method": method}

    async with small_node(tmp_path / "one", answer) as address:
        async with NodeSession(address) as session:
            first, second = session.begin("status"), session.begin("peer", {"peer": "x"})
            assert await first == {"method": "status"}
            with pytest.raises(LabError, match="no peer 'x'"):
                await second
        assert await asyncio.to_thread(call_once, address, "status", None, 5) == {"method": "status"}
        with pytest.raises(LabError, match="no peer 'x'"):
            await asyncio.to_thread(call_once, address, "peer", {"peer": "x"}, 5)


async def test_a_node_that_goes_away_fails_what_waits_and_what_comes_after(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "one")
    address = f"unix:{tmp_path}/one"
    try:
        async with NodeSession(address) as session:
            with pytest.raises(LabError, match="the node closed the connection"):
                await session.call("status")
            with pytest.raises(LabError, match="the node closed the connection"):
                await session.call("status")
        with pytest.raises(OSError, match="closed the connection"):
            await asyncio.to_thread(call_once, address, "status", None, 5)
    finally:
        server.close()


async def test_only_unix_sockets_are_the_labs() -> None:
    with pytest.raises(LabError, match="over their Unix sockets"):
        NodeSession("tcp://127.0.0.1:1")
