"""Clients are looked at between any few links, every link gets its turn, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import ExitStack
from selectors import EVENT_READ, EVENT_WRITE

import pytest

from qudag_node.node.fairness import FairSelector, fair_event_loop

_LINKS = 60


class Rig:
    """A selector, sockets that wait patiently, and one that does not."""

    def __init__(self, stack: ExitStack) -> None:
        self.now_s = 0.0
        pairs = [socket.socketpair() for _ in range(_LINKS + 1)]
        for pair in pairs:
            stack.enter_context(pair[0])
            stack.enter_context(pair[1])
        (self.client, self.client_end), *links = pairs
        self.links = [ours for ours, _ in links]
        self.link_ends = [theirs for _, theirs in links]
        self.patient = {link.fileno() for link in self.links}
        self.selector = FairSelector(self.patient, clock=lambda: self.now_s)
        stack.callback(self.selector.close)
        for sock in (self.client, *self.links):
            self.selector.register(sock.fileno(), EVENT_READ, sock)

    def ready(self, timeout_s: float = 0) -> list[socket.socket]:
        return [key.data for key, _ in self.selector.select(timeout_s)]

    def served_after(self, *, passes: int, cost_s: float) -> int:
        """How many are served at once after some passes that took so long."""
        for _ in range(passes):
            self.ready()
            self.now_s += cost_s
        return len(self.ready())


@pytest.fixture
def rig() -> Generator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack)


def test_a_client_is_seen_in_every_pass_and_every_link_in_its_turn(rig: Rig) -> None:
    for end in (rig.client_end, *rig.link_ends):
        end.send(b"x")
    turns: list[socket.socket] = []
    while len(turns) < 2 * _LINKS:
        ready = rig.ready()
        assert ready[0] is rig.client
        assert 0 < len(ready[1:]) < _LINKS
        turns += ready[1:]
        rig.now_s += 1.0  # links cost much: few of them a pass
    assert set(turns[:_LINKS]) == set(turns[_LINKS : 2 * _LINKS]) == set(rig.links)


def test_links_that_cost_little_are_served_together_and_dear_ones_by_fours(rig: Rig) -> None:
    for end in rig.link_ends:
        end.send(b"x")
    assert rig.served_after(passes=100, cost_s=1e-6) == _LINKS
    assert rig.served_after(passes=100, cost_s=10.0) == 4


def test_what_clients_cost_does_not_shorten_the_turn_of_links(rig: Rig) -> None:
    for end in rig.link_ends:
        end.send(b"x")
    assert rig.served_after(passes=100, cost_s=1e-6) == _LINKS
    rig.client_end.send(b"x")
    assert rig.served_after(passes=100, cost_s=10.0) == _LINKS + 1


def test_who_is_no_longer_watched_is_not_served_from_what_was_ready(rig: Rig) -> None:
    for end in rig.link_ends:
        end.send(b"x")
    served = set(rig.ready())
    waiting = [link for link in rig.links if link not in served]
    gone, changed = waiting[0], waiting[1]
    rig.selector.unregister(gone.fileno())
    rig.selector.modify(changed.fileno(), EVENT_WRITE, "changed")
    with pytest.raises(KeyError):
        rig.selector.get_key(gone.fileno())
    assert gone.fileno() not in rig.selector.get_map()
    seen: list[object] = []
    for _ in range(_LINKS):
        seen += rig.ready()
    assert gone not in seen
    assert changed not in seen
    assert "changed" in seen


def test_an_empty_pass_waits_for_patient_and_urgent_alike(rig: Rig) -> None:
    assert rig.ready() == []
    rig.link_ends[7].send(b"x")
    assert rig.ready(60) == [rig.links[7]]
    rig.links[7].recv(1)
    rig.client_end.send(b"x")
    assert rig.ready(60) == [rig.client]


def test_an_event_loop_carries_everything_over_it() -> None:
    patient: set[int] = set()
    size = 1 << 20

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            patient.add(transport.get_extra_info("socket").fileno())

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def talk(port: int, byte: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(byte * size)
        answer = await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
        return answer

    async def main() -> list[bytes]:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return list(await asyncio.gather(*(talk(port, bytes([n])) for n in range(20))))

    with asyncio.Runner(loop_factory=lambda: fair_event_loop(patient)) as runner:
        answers = runner.run(main())
    assert [answer == bytes([n]) * size for n, answer in enumerate(answers)] == [True] * 20
    assert len(patient) > 1
