"""Frames that wait: bounded, and each link in its turn."""

from __future__ import annotations

import pytest

from qudag_node.overlay.frames import FrameType
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.inbox import Inbox, Received
from qudag_node.overlay.link import Link
from tests.qudag_node.overlay.links import End, quiet


@pytest.fixture
async def links() -> list[Link]:
    end = End(quiet())
    return [Link(end.settings, Role.CLIENT) for _ in range(3)]


def frame(link: Link, payload: bytes) -> Received:
    return Received(link, FrameType.DATA, payload, 0.0)


async def test_links_take_turns_and_each_keeps_its_order(links: list[Link]) -> None:
    inbox = Inbox(max_messages=10, max_bytes=1000)
    one, other, third = links
    for link, payload in ((one, b"1"), (one, b"2"), (one, b"3"), (other, b"a"), (other, b"b"), (third, b"x")):
        assert inbox.offer(frame(link, payload))
    assert len(inbox) == inbox.size_bytes == 6
    taken = [received.payload for received in iter(inbox.take, None)]
    assert taken == [b"1", b"a", b"x", b"2", b"b", b"3"]
    assert len(inbox) == inbox.size_bytes == 0


async def test_one_link_cannot_take_the_room_of_another(links: list[Link]) -> None:
    inbox = Inbox(max_messages=2, max_bytes=1000)
    one, other, _ = links
    assert [inbox.offer(frame(one, b"x")) for _ in range(3)] == [True, True, False]
    assert inbox.offer(frame(other, b"y"))
    assert inbox.take() is not None
    assert inbox.offer(frame(one, b"x"))


async def test_bytes_are_bounded_too(links: list[Link]) -> None:
    inbox = Inbox(max_messages=100, max_bytes=100)
    assert inbox.offer(frame(links[0], bytes(60)))
    assert not inbox.offer(frame(links[0], bytes(41)))
    assert inbox.offer(frame(links[0], bytes(40)))


async def test_all_links_together_are_bounded(links: list[Link]) -> None:
    inbox = Inbox(max_messages=10_000, max_bytes=1 << 30)
    chunk = bytes(1 << 20)
    assert all(inbox.offer(frame(links[number % 3], chunk)) for number in range(64))
    assert not any(inbox.offer(frame(link, b"x")) for link in links)


def framed_test(link: Link, payload: bytes = b"t") -> Received:
    return Received(link, FrameType.TEST, payload, 0.0)


async def test_tests_leave_data_their_room(links: list[Link]) -> None:
    inbox = Inbox(max_messages=40, max_bytes=1000)
    one, other, _ = links
    assert sum(inbox.offer(framed_test(one)) for _ in range(40)) == 20
    assert sum(inbox.offer(frame(one, b"d")) for _ in range(80)) == 40
    assert inbox.offer(framed_test(other))
    while inbox.take() is not None:
        pass
    for _ in range(20):
        inbox.offer(frame(one, b"d"))
    # A twentieth of a room that is half full.
    assert [inbox.offer(framed_test(one)) for _ in range(3)] == [True, True, False]
    kinds = [received.kind for received in iter(inbox.take, None)]
    assert kinds.count(FrameType.TEST) == 2
    assert inbox.offer(framed_test(one))


async def test_the_bytes_of_tests_are_bounded_apart(links: list[Link]) -> None:
    inbox = Inbox(max_messages=1000, max_bytes=1000)
    one = links[0]
    for _ in range(2):
        assert sum(inbox.offer(framed_test(one, bytes(100))) for _ in range(20)) == 5
        assert sum(inbox.offer(frame(one, bytes(100))) for _ in range(20)) == 10
        while inbox.take() is not None:
            pass


async def test_tests_that_were_taken_take_no_room(links: list[Link]) -> None:
    inbox = Inbox(max_messages=40, max_bytes=4000)
    one = links[0]
    assert sum(inbox.offer(framed_test(one, bytes(100))) for _ in range(40)) == 20
    for _ in range(30):
        inbox.offer(frame(one, bytes(100)))
    for _ in range(20):
        assert inbox.take() is not None
    # By messages and by bytes: a twentieth, beside thirty frames of data.
    assert [inbox.offer(framed_test(one, bytes(100))) for _ in range(3)] == [True, True, False]
