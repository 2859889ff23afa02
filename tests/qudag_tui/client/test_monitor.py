"""The client that stays: subscribing, coming back, noticing silence and gaps; over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qudag_node.wire import NodeAddress, TcpAddress, TlsAddress, UnixAddress
from qudag_tui.client import monitor
from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.monitor import AsyncClient, backoff_s
from qudag_tui.client.updates import ConnectionStatus, EventsArrived, LinkState, Mailbox, Snapshot, Update
from qudag_tui.errors import NodeTimeoutError, UnreachableError
from tests.qudag_tui.client.documents import peer_rows, wire_document
from tests.qudag_tui.client.server import TOKEN, Identity, SmallNode

Push = Callable[[str, Mapping[str, Any]], None]
EVENTS = [
    {"seq": seq, "unix_s": 1.0, "kind": "link-up", "severity": "info", "subject": "a", "text": "b"}
    for seq in (1, 2)
]


def serve(node: SmallNode, pid: int = 1) -> None:
    """Answer what a monitor asks."""

    def subscribe(params: Mapping[str, Any], push: Push) -> dict[str, Any]:
        if params["topic"] == "stats":
            push("stats.full", {"stream": 1, "seq": 1, "document": wire_document()})
            push("stats.delta", {"stream": 1, "seq": 2, "base": 1, "sections": {"node": {"tick": 601}}})
        return {"stream": 1}

    node.methods |= {
        "status": lambda _params, _push: {"pid": pid},
        "events": lambda params, _push: {"events": [e for e in EVENTS if e["seq"] > params["since"]]},
        "subscribe": subscribe,
        "unsubscribe": lambda _params, _push: {},
    }


@pytest.fixture(params=["unix", "tcp", "tls"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallNode]:
    with SmallNode(request.param, tmp_path) as running:
        serve(running)
        yield running


def endpoint(address: NodeAddress, directory: Path) -> Endpoint:
    (directory / "token").write_text(TOKEN.hex())
    return Endpoint(address, token_file=str(directory / "token"))


@asynccontextmanager
async def following(client: AsyncClient) -> AsyncGenerator[asyncio.Task[None]]:
    """Run the client for the length of a block."""
    task = asyncio.create_task(client.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Seen:
    """Every update in order, and waiting for one."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self._arrived = asyncio.Event()

    def __call__(self, update: Update) -> None:
        self.updates.append(update)
        self._arrived.set()

    @property
    def states(self) -> list[LinkState]:
        return [update.state for update in self.updates if isinstance(update, ConnectionStatus)]

    @property
    def snapshots(self) -> list[Snapshot]:
        return [update for update in self.updates if isinstance(update, Snapshot)]

    async def twice(self) -> None:
        """Until a first attempt has ended."""
        await self.until(lambda: len(self.states) > 1)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


async def test_it_connects_subscribes_and_delivers(node: SmallNode, tmp_path: Path) -> None:
    seen = Seen()
    client = AsyncClient(endpoint(node.address, tmp_path), deliver=seen)
    async with following(client):
        await seen.until(lambda: len(seen.snapshots) == 2)
        assert client.hello["node"]["name"] == "peer1"
        assert await client.call("status") == {"pid": 1}
    assert seen.states == [LinkState.CONNECTING, LinkState.CONNECTED]
    first, second = seen.snapshots
    assert first.peers.rows() == peer_rows().rows()
    assert (first.document["node"]["tick"], second.document["node"]["tick"]) == (600, 601)
    assert second.peers is first.peers
    assert [update.events for update in seen.updates if isinstance(update, EventsArrived)] == [tuple(EVENTS)]


async def test_it_comes_back_when_the_node_does(tmp_path: Path) -> None:
    seen = Seen()
    client = AsyncClient(Endpoint(UnixAddress(str(tmp_path / "rpc.sock"))), deliver=seen, chance=lambda: 0.0)
    async with following(client):
        await seen.until(lambda: LinkState.WAITING in seen.states)
        with SmallNode("unix", tmp_path) as node:
            serve(node)
            await seen.until(lambda: len(seen.snapshots) == 2)
        seen_before = len(seen.updates)
        await seen.until(lambda: seen.updates[-1:] and seen.states[-1] is LinkState.WAITING)
        # The last figures stay for whoever looks while the node is away.
        assert client.snapshot is seen.snapshots[-1]
        with pytest.raises(UnreachableError, match="not connected"):
            await client.call("status")
        with SmallNode("unix", tmp_path) as node:
            serve(node, pid=2)
            await seen.until(lambda: len(seen.snapshots) == 4)
        # Another process numbers its events from one: they are news again.
        fresh = [update for update in seen.updates[seen_before:] if isinstance(update, EventsArrived)]
        assert [update.events for update in fresh] == [tuple(EVENTS)]


async def test_events_are_not_told_twice_by_the_same_process(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        client = AsyncClient(Endpoint(node.address), deliver=seen, chance=lambda: 0.0)
        async with following(client):
            await seen.until(lambda: len(seen.snapshots) == 2)
            node.hang_up()
            await seen.until(lambda: len(seen.snapshots) == 4)
    assert [update.events for update in seen.updates if isinstance(update, EventsArrived)] == [tuple(EVENTS)]


async def test_waiting_says_why_and_for_how_long(tmp_path: Path) -> None:
    seen = Seen()
    client = AsyncClient(Endpoint(UnixAddress(str(tmp_path / "no.sock"))), deliver=seen, chance=lambda: 1.0)
    async with following(client):
        await seen.until(lambda: seen.states.count(LinkState.WAITING) == 2)
    waiting = [u for u in seen.updates if isinstance(u, ConnectionStatus) and u.state is LinkState.WAITING]
    assert [status.retry_in_s for status in waiting] == [0.25, 0.5]
    assert [status.attempt for status in waiting] == [1, 2]
    assert "no node answers" in waiting[0].reason


async def test_after_a_success_the_wait_is_short_again(tmp_path: Path) -> None:
    seen = Seen()
    client = AsyncClient(Endpoint(UnixAddress(str(tmp_path / "rpc.sock"))), deliver=seen, chance=lambda: 1.0)

    def waits() -> list[tuple[int, float | None]]:
        statuses = [update for update in seen.updates if isinstance(update, ConnectionStatus)]
        return [(s.attempt, s.retry_in_s) for s in statuses if s.state is LinkState.WAITING]

    async with following(client):
        await seen.until(lambda: len(waits()) == 2)
        with SmallNode("unix", tmp_path) as node:
            serve(node)
            await seen.until(lambda: len(seen.snapshots) == 2)
            before = len(waits())
        await seen.until(lambda: len(waits()) > before)
    assert waits()[:2] == [(1, 0.25), (2, 0.5)]
    assert waits()[before] == (1, 0.25)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_without_a_token_it_dials_and_says_what_it_meets(tmp_path: Path, transport: str) -> None:
    with SmallNode(transport, tmp_path) as node:
        for raw, state, said in (
            (None, LinkState.REFUSED, "asks for a token, and there is none"),
            (b"", LinkState.WAITING, "is this a QuDAG node's RPC address?"),
            (b"220 mail\r\n", LinkState.WAITING, "does not speak the node's protocol"),
        ):
            node.raw, seen = raw, Seen()
            async with following(AsyncClient(Endpoint(node.address), deliver=seen)):
                await seen.twice()
            last = seen.updates[1]
            assert isinstance(last, ConnectionStatus)
            assert last.state is state
            assert said in last.reason
    seen = Seen()
    async with following(AsyncClient(Endpoint(node.address), deliver=seen)):
        await seen.twice()
    assert "no node answers at" in seen.updates[1].reason  # type: ignore[union-attr]


async def test_a_wrong_token_is_a_refusal_that_is_tried_again_seldom(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("tcp", tmp_path) as node:
        node.token = bytes(32)
        client = AsyncClient(endpoint(node.address, tmp_path), deliver=seen)
        async with following(client):
            await seen.until(lambda: LinkState.REFUSED in seen.states)
    refused = [u for u in seen.updates if isinstance(u, ConnectionStatus)][-1]
    assert refused.retry_in_s == monitor.REFUSED_WAIT_S
    assert "token" in refused.reason


async def test_a_gap_is_healed_by_a_new_subscription(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        subscribed = 0

        def subscribe(params: Mapping[str, Any], push: Push) -> dict[str, Any]:
            nonlocal subscribed
            if params["topic"] == "stats":
                subscribed += 1
                push(
                    "stats.full",
                    {"stream": subscribed, "seq": 1, "document": wire_document(600 + subscribed)},
                )
                if subscribed == 1:
                    push("stats.delta", {"stream": 1, "seq": 9, "base": 8, "sections": {}})
            return {"stream": subscribed}

        node.methods["subscribe"] = subscribe
        client = AsyncClient(Endpoint(node.address), deliver=seen)
        async with following(client):
            await seen.until(lambda: len(seen.snapshots) == 2)
    assert [snapshot.document["node"]["tick"] for snapshot in seen.snapshots] == [601, 602]
    assert ("unsubscribe", {"stream": 1}) in node.calls


async def test_silence_is_told_as_stale_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "DEAD_AT_LEAST_S", 2.0)
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        client = AsyncClient(Endpoint(node.address), interval_s=0.05, deliver=seen)
        async with following(client):
            await seen.until(lambda: LinkState.WAITING in seen.states)
    assert seen.states[:4] == [
        LinkState.CONNECTING,
        LinkState.CONNECTED,
        LinkState.STALE,
        LinkState.WAITING,
    ]
    waiting = [u for u in seen.updates if isinstance(u, ConnectionStatus) and u.state is LinkState.WAITING]
    assert "said nothing" in waiting[0].reason


async def test_the_interval_can_be_changed_while_it_runs(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        client = AsyncClient(Endpoint(node.address), deliver=seen)
        async with following(client):
            await seen.until(lambda: len(seen.snapshots) == 2)
            await client.set_interval(5.0)
            await seen.until(lambda: len(seen.snapshots) == 4)
    stats = [params for method, params in node.calls if method == "subscribe" and params["topic"] == "stats"]
    assert [params["interval_s"] for params in stats] == [1.0, 5.0]


async def test_a_call_that_is_refused_does_not_end_the_connection(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        client = AsyncClient(Endpoint(node.address), deliver=seen)
        async with following(client):
            await seen.until(lambda: len(seen.snapshots) == 2)
            with pytest.raises(Exception, match="no method nothing"):
                await client.call("nothing")
            assert await client.call("status") == {"pid": 1}


async def test_a_call_has_a_deadline(tmp_path: Path) -> None:
    import threading

    seen, release = Seen(), threading.Event()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        node.methods["slow"] = lambda _params, _push: release.wait(20) and {}
        client = AsyncClient(Endpoint(node.address), deliver=seen)
        async with following(client):
            await seen.until(lambda: len(seen.snapshots) == 2)
            with pytest.raises(NodeTimeoutError, match=r"did not answer slow within 0\.05 s"):
                await client.call("slow", timeout_s=0.05)
            release.set()
            assert await client.call("status") == {"pid": 1}


async def test_updates_can_be_iterated_over_and_only_the_newest_snapshot_waits(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        client = AsyncClient(Endpoint(node.address))
        async with following(client), asyncio.timeout(20):
            # Nobody takes the updates, which is what is tested; so nobody tells of them either.
            while client.snapshot is None or client.snapshot.document["node"]["tick"] != 601:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            taken: list[Update] = []
            async for update in client.updates():
                taken.append(update)
                if isinstance(update, Snapshot):
                    break
    assert [type(update) for update in taken].count(Snapshot) == 1
    assert isinstance(taken[-1], Snapshot)
    assert taken[-1].document["node"]["tick"] == 601


async def test_cancelling_leaves_nothing_open(tmp_path: Path) -> None:
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        seen = Seen()
        async with following(AsyncClient(Endpoint(node.address), deliver=seen)) as task:
            await seen.until(lambda: bool(seen.snapshots))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert {t for t in asyncio.all_tasks() if t is not asyncio.current_task()} == set()


@pytest.mark.parametrize("raw", [b"HTTP/1.1 400\r\n\r\n", b"\x94\x01\x00\xc0\x84", b""])
@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
async def test_what_is_no_node_is_waited_for(tmp_path: Path, transport: str, raw: bytes) -> None:
    seen = Seen()
    with SmallNode(transport, tmp_path) as node:
        node.raw = raw
        async with following(AsyncClient(endpoint(node.address, tmp_path), deliver=seen)):
            await seen.until(lambda: seen.states[-1:] == [LinkState.WAITING])


@pytest.mark.parametrize("host", ["bücher..example", "ü" * 80, "a" * 80 + ".invalid", "127.0.0.1"])
async def test_a_host_that_is_not_there_is_waited_for(tmp_path: Path, host: str) -> None:
    seen = Seen()
    async with following(AsyncClient(endpoint(TcpAddress(host, 1), tmp_path), deliver=seen)):
        await seen.until(lambda: LinkState.WAITING in seen.states)


async def test_tls_spoken_to_a_plain_port_is_waited_for(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("tcp", tmp_path) as node:
        assert isinstance(node.address, TcpAddress)
        address = TlsAddress("127.0.0.1", node.address.port, node.identity.peer_id)
        async with following(AsyncClient(endpoint(address, tmp_path), deliver=seen)):
            await seen.until(lambda: seen.states[-1:] == [LinkState.WAITING])
    waiting = [u for u in seen.updates if isinstance(u, ConnectionStatus) and u.state is LinkState.WAITING]
    assert "does not speak the node's TLS" in waiting[0].reason


async def test_another_nodes_key_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    seen = Seen()
    with SmallNode("tls", tmp_path) as node:
        assert isinstance(node.address, TlsAddress)
        address = TlsAddress("127.0.0.1", node.address.port, Identity(tmp_path).peer_id)
        async with following(AsyncClient(endpoint(address, tmp_path), deliver=seen)):
            await seen.until(lambda: LinkState.REFUSED in seen.states)
    assert node.calls == []


async def test_an_address_without_identity_is_refused(tmp_path: Path) -> None:
    seen = Seen()
    client = AsyncClient(endpoint(TlsAddress("127.0.0.1", 1), tmp_path), deliver=seen)
    async with following(client):
        await seen.until(lambda: LinkState.REFUSED in seen.states)
    assert "qudag id" in client.status.reason


def test_the_wait_doubles_to_its_limit_with_half_of_it_jitter() -> None:
    assert [backoff_s(attempt, 1.0) for attempt in (1, 2, 3, 7, 1000)] == [0.25, 0.5, 1.0, 15.0, 15.0]
    assert backoff_s(3, 0.0) == 0.5


def test_a_mailbox_keeps_the_newest_snapshot_and_bounds_the_rest() -> None:
    box = Mailbox()
    rows = peer_rows()
    for tick in range(5):
        box.put(Snapshot(document={"tick": tick}, peers=rows, received_mono_s=0.0))
        box.put(ConnectionStatus(state=LinkState.CONNECTED, where="x"))
        box.put(EventsArrived(events=({"seq": tick},)))
    *statuses, events, snapshot = box.take()
    assert len(statuses) == 5
    assert isinstance(events, EventsArrived)
    assert [event["seq"] for event in events.events] == [0, 1, 2, 3, 4]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.document == {"tick": 4}
    assert box.take() == []


@pytest.mark.parametrize(
    "push",
    [
        ("events", {"events": 5}),
        ("events", {"events": [5]}),
        ("events", {"events": [{"seq": "one"}]}),
        ("events", {}),
        ("stats.full", {"document": 5}),
        ("stats.full", {"document": {"peers": {"slots": 5}}}),
        ("stats.full", {"document": {}, "seq": -1}),
    ],
    ids=repr,
)
async def test_a_node_that_tells_nonsense_is_left_and_tried_again(
    tmp_path: Path, push: tuple[str, dict[str, Any]]
) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        node.behind_answers = [push]
        async with following(AsyncClient(Endpoint(node.address), deliver=seen)):
            await seen.until(lambda: seen.states[-1:] == [LinkState.WAITING])


@pytest.mark.parametrize("odd", [None, 5, [], "text"], ids=repr)
async def test_an_answer_that_is_no_map_is_a_broken_protocol(tmp_path: Path, odd: object) -> None:
    seen = Seen()
    with SmallNode("unix", tmp_path) as node:
        serve(node)
        node.methods["status"] = lambda _params, _push: odd
        async with following(AsyncClient(Endpoint(node.address), deliver=seen)):
            await seen.until(lambda: seen.states[-1:] == [LinkState.WAITING])
