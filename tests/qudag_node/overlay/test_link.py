"""Links over real sockets and TLS: coming up, counting, measuring, ending, and strangers of every kind."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
import struct
import sys

import pytest

from qudag_node.errors import PeerTimeoutError, PeerUnreachableError
from qudag_node.overlay.certificate import client_context
from qudag_node.overlay.faults import LinkIdentityError, LinkRefusedError, cause_of
from qudag_node.overlay.frames import FrameType, GoodbyeReason, RemoteFault, encode_frame
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.linkphase import LinkPhase
from tests.clocks import LeapingClock
from tests.qudag_node.overlay.links import End, quiet, two_ends, until


async def test_two_ends_link_and_know_each_other() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port, expected=other.identity.peer_id)
        await until(lambda: bool(other.owner.links) and other.link.keys is not None)
        assert link.is_up
        assert other.link.is_up
        assert (link.peer_id, other.link.peer_id) == (other.identity.peer_id, one.identity.peer_id)
        assert link.keys == other.link.keys
        assert link.keys is not None


async def test_a_frame_arrives_and_both_ends_count_the_same() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        frame = encode_frame(FrameType.DATA, b"x" * 1000)
        for _ in range(500):
            assert link.send(FrameType.DATA, frame, 0.0)
        other.link.send(FrameType.ADVERT, encode_frame(FrameType.ADVERT, b"y"), 0.0)
        await until(lambda: len(other.owner.frames) == 500 and len(one.owner.frames) == 1)
        assert_same_counts(one, other)
        assert one.traffic(other)["data"] == (500, 500 * 1005, 0, 0)
        assert one.traffic(other)["hello"][0] == 1
        assert one.traffic(other)["seed"] == (1, 37, 1, 37)


def assert_same_counts(one: End, other: End) -> None:
    there, back = one.traffic(other), other.traffic(one)
    for name, (sent, sent_bytes, received, received_bytes) in there.items():
        assert back[name] == (received, received_bytes, sent, sent_bytes), name


async def test_a_full_queue_drops_and_counts_and_what_was_sent_arrives() -> None:
    config = quiet(send_queue_messages=10)
    async with two_ends(config) as (one, other):
        link = await one.dial(other.port)
        frame = encode_frame(FrameType.DATA, bytes(100))
        taken = [link.send(FrameType.DATA, frame, 0.0) for _ in range(15)]
        assert taken == [True] * 10 + [False] * 5
        await until(lambda: len(other.owner.frames) == 10)
        totals = one.collector.totals()
        assert dict(totals.dropped_by_cause) == {"queue_full_messages": 5}
        assert_same_counts(one, other)


async def test_a_peer_that_does_not_read_fills_our_queue_and_no_more() -> None:
    config = quiet(send_queue_bytes=65_536)
    async with two_ends(config) as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        transport = other.link._transport
        assert transport is not None
        transport.pause_reading()
        frame = encode_frame(FrameType.DATA, bytes(8000))
        sent = 0
        while link.send(FrameType.DATA, frame, 0.0):
            sent += 1
            assert sent < 10_000, "80 MB is more than any kernel takes for one socket"
            await asyncio.sleep(0)
        assert link.queue.size_bytes <= 65_536
        written = one.traffic(other)["data"][0]
        assert written < sent  # "sent" is what the kernel has taken
        transport.resume_reading()
        await until(lambda: len(other.owner.frames) == sent)
        assert_same_counts(one, other)
        assert one.traffic(other)["data"][0] == sent


async def test_pings_measure_the_link_and_confirm_what_arrived() -> None:
    config = quiet(ping_interval_s=0.02)
    async with two_ends(config) as (one, other):
        link = await one.dial(other.port)
        await until(lambda: len(one.owner.rtts_s) >= 3 and len(other.owner.rtts_s) >= 3)
        assert all(0 < rtt_s < 10 for rtt_s in one.owner.rtts_s)
        assert link.confirmed_messages > 0
        offset = link.pings.clock_offset
        assert offset is not None
        assert abs(offset.offset_s) <= offset.error_bound_s + 1e-3  # one clock, read at two times


async def test_leaving_is_orderly_and_both_ends_counted_the_same() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        for _ in range(50):
            link.send(FrameType.DATA, encode_frame(FrameType.DATA, bytes(500)), 0.0)
            other.link.send(FrameType.DATA, encode_frame(FrameType.DATA, bytes(700)), 0.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        link.leave(GoodbyeReason.STOPPING, "enough")
        await until(lambda: bool(one.owner.closed) and bool(other.owner.closed))
        assert one.owner.ends == other.owner.ends == [None]
        assert one.traffic(other)["goodbye"][0] == one.traffic(other)["goodbye"][2] == 1
        assert_same_counts(one, other)


async def test_whoever_serves_the_loop_knows_the_sockets_of_the_links_that_stand() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        for end, its_link in ((one, link), (other, other.link)):
            sock = its_link.socket
            assert sock is not None
            assert end.settings.sockets == {sock.fileno()}
        link.leave(GoodbyeReason.STOPPING)
        await until(lambda: bool(one.owner.closed) and bool(other.owner.closed))
        assert one.settings.sockets == other.settings.sockets == set()


async def test_what_was_queued_when_the_link_ends_is_dropped_and_counted() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await asyncio.sleep(0)
        for _ in range(7):
            link.send(FrameType.DATA, encode_frame(FrameType.DATA, bytes(500)), 0.0)
        link.abort(PeerUnreachableError("gone"))
        assert one.collector.totals().dropped_by_cause["link_closed"] >= 7
        assert not link.send(FrameType.DATA, encode_frame(FrameType.DATA, b""), 0.0)
        await until(lambda: bool(other.owner.ends))
        assert isinstance(other.owner.ends[0], PeerUnreachableError)


async def test_what_a_sudden_end_loses_is_at_most_what_is_shown_as_unconfirmed() -> None:
    async with two_ends(quiet(ping_interval_s=0.02)) as (one, other):
        link = await one.dial(other.port)
        await until(lambda: link.confirmed_messages > 0)
        for _ in range(300):
            link.send(FrameType.DATA, encode_frame(FrameType.DATA, bytes(5000)), 0.0)
        await until(lambda: len(other.owner.frames) > 20)
        other.link.abort(PeerUnreachableError("kill -9"))
        await until(lambda: link.is_closed and other.link.is_closed)
        sent = [counts[:2] for name, counts in one.traffic(other).items() if name != "hello"]
        received = [counts[2:] for name, counts in other.traffic(one).items() if name != "hello"]
        lost_messages = sum(there[0] for there in sent) - sum(here[0] for here in received)
        lost_bytes = sum(there[1] for there in sent) - sum(here[1] for here in received)
        messages, size_bytes = link.unconfirmed
        assert 0 <= lost_messages <= messages
        assert 0 <= lost_bytes <= size_bytes
        text = str(one.owner.ends[0])
        assert f"; at most {messages} messages, {size_bytes} bytes were not confirmed" in text
        if sys.platform == "linux":
            assert re.search(r", \d+ bytes of TCP not acknowledged$", text)


@pytest.mark.parametrize("what", ["received_messages", "received_bytes"])
async def test_a_pong_that_confirms_more_than_was_sent_ends_the_link(what: str) -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        setattr(other.link, what, getattr(other.link, what) + 1_000_000)
        link.ping()
        async with asyncio.timeout(10):
            error = await link.down
        assert isinstance(error, RemoteFault)
        assert error.cause == "pong_unasked"
        assert link.confirmed_messages <= link._outlet.sent_messages


async def test_a_goodbye_that_is_no_good_is_an_error_with_its_reason() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        other.link.leave(GoodbyeReason.BANNED, "\x1b[31mrude")
        error = await link.down
        assert isinstance(error, LinkRefusedError)
        assert error.reason is GoodbyeReason.BANNED
        assert "\x1b" not in str(error)


async def test_a_peer_that_falls_silent_is_noticed() -> None:
    clock = LeapingClock()
    config = quiet(ping_interval_s=0.02, dead_peer_timeout_s=3600)
    async with two_ends(config, other=quiet(), clock=clock) as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        transport = other.link._transport
        assert transport is not None
        transport.pause_reading()
        before, _ = one.collector.tallies.probes[link.peer.slot]
        await until(lambda: one.collector.tallies.probes[link.peer.slot][0] > before)
        clock.leap(3601)
        error = await link.down
        assert isinstance(error, PeerTimeoutError)
        assert cause_of(error) == "timeout"
        sent, lost = one.collector.tallies.probes[link.peer.slot]
        assert 0 < lost <= sent


async def test_a_server_that_is_somebody_else_is_refused_before_anything_is_said() -> None:
    async with two_ends() as (one, other):
        with pytest.raises(LinkIdentityError, match="expected"):
            await one.dial(other.port, expected=Identity.generate().peer_id)
        await until(lambda: bool(other.owner.failures))
        assert other.owner.links == []


async def test_a_refusal_is_told_to_the_client() -> None:
    async with two_ends() as (one, other):
        other.owner.refusal = LinkRefusedError(GoodbyeReason.FULL, "8 of 8 links")
        with pytest.raises(LinkRefusedError, match=r"the peer declined: full \(8 of 8 links\)"):
            await one.dial(other.port)
        await until(lambda: bool(other.owner.failures))
        assert one.traffic(other)["hello"] == other.traffic(one)["hello"] == (0, 0, 0, 0)


@pytest.mark.parametrize("greeting", [b"", b"\x16\x03\x01"], ids=["nothing", "half a record"])
async def test_a_client_that_says_nothing_is_closed_at_the_deadline(greeting: bytes) -> None:
    async with two_ends(quiet(handshake_timeout_s=0.1)) as (_, other):
        reader, writer = await asyncio.open_connection("127.0.0.1", other.port)
        writer.write(greeting)
        assert await reader.read() == b""
        writer.close()
        await until(lambda: bool(other.owner.failures))
        assert isinstance(other.owner.failures[0], PeerTimeoutError)


async def test_a_client_that_stops_after_tls_is_closed_at_the_deadline() -> None:
    async with two_ends() as (_, other):
        reader, writer = await asyncio.open_connection("127.0.0.1", other.port, ssl=client_context())
        hello = await reader.read(4096)
        assert hello[:1] == b"\0"
        [link] = other.owner.pending
        assert link._timer is not None
        link._start_timer(0, link._time_out)  # the rest of five seconds
        assert await reader.read() == b""
        writer.close()
        await until(lambda: bool(other.owner.failures))
        assert isinstance(other.owner.failures[0], PeerTimeoutError)


@pytest.mark.parametrize(
    ("garbage", "cause"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "hello_expected"),
        (struct.pack("!BI", 0, 2**31 - 1), "frame_oversize"),
        (struct.pack("!BI", 3, 2**31 - 1), "frame_oversize"),
        (struct.pack("!BI", 200, 8) + bytes(8), "frame_type"),
        (encode_frame(FrameType.DATA, bytes(100)), "hello_expected"),
        (encode_frame(FrameType.HELLO, bytes(100)), None),
        (encode_frame(FrameType.HELLO, b""), "hello_malformed"),
    ],
)
async def test_garbage_before_the_proof_closes_the_connection(garbage: bytes, cause: str | None) -> None:
    async with two_ends() as (_, other):
        reader, writer = await asyncio.open_connection("127.0.0.1", other.port, ssl=client_context())
        writer.write(garbage)
        await reader.read()
        writer.close()
        await until(lambda: bool(other.owner.failures))
        [failure] = other.owner.failures
        assert cause is None or cause_of(failure) in {cause, "frame_type", "frame_oversize"}
        assert other.owner.links == []


async def test_a_2_gb_frame_on_a_link_is_refused_from_its_header() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        link.send(FrameType.DATA, struct.pack("!BI", 3, 2**31 - 1) + bytes(100), 0.0)
        error = await link.down
        assert isinstance(error, LinkRefusedError)
        assert error.reason is GoodbyeReason.PROTOCOL
        [cause] = other.owner.ends
        assert isinstance(cause, RemoteFault)
        assert cause.cause == "frame_oversize"
        assert other.link._decoder.pending_bytes == 0


async def test_an_owner_that_finds_a_fault_ends_the_link() -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links))
        other.owner.fault = RemoteFault("vertex_signature", "not signed")
        link.send(FrameType.DATA, encode_frame(FrameType.DATA, b"bad"), 0.0)
        await until(lambda: bool(other.owner.ends))
        assert other.owner.ends == [other.owner.fault]


@pytest.mark.parametrize("kind", [FrameType.HELLO, FrameType.PONG, FrameType.SEED, FrameType.GOODBYE])
async def test_a_control_frame_out_of_place_ends_the_link(kind: FrameType) -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links) and other.link.keys is not None)
        link.send(kind, encode_frame(kind, b""), 0.0)
        await until(lambda: bool(other.owner.ends))
        assert isinstance(other.owner.ends[0], RemoteFault)
        totals = other.collector.totals()
        assert totals.queued_in.sum() == 0


async def test_garbage_of_every_length_neither_crashes_nor_grows_a_server() -> None:
    rng = random.Random(7)
    async with two_ends() as (one, other):
        for _ in range(60):
            with socket.create_connection(("127.0.0.1", other.port)) as plain:
                plain.sendall(rng.randbytes(rng.randrange(1, 20_000)))
            await asyncio.sleep(0)
        for _ in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", other.port, ssl=client_context())
            writer.write(rng.randbytes(rng.randrange(1, 40_000)))
            writer.close()
            await asyncio.sleep(0)
        await until(lambda: len(other.owner.failures) == len(other.owner.pending) == 100)
        assert {link.phase for link in other.owner.pending} == {LinkPhase.CLOSED}
        await one.dial(other.port)  # and it still serves


async def test_a_link_cut_at_any_point_of_its_opening_fails_at_the_server_once() -> None:
    async with two_ends() as (_, other):
        for cut in (1, 100, 300, 517, 600):
            client = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client_context().wrap_bio(*client)
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            with socket.create_connection(("127.0.0.1", other.port)) as plain:
                plain.sendall(client[1].read()[:cut])
            await asyncio.sleep(0)
        await until(lambda: len(other.owner.failures) == 5)


@pytest.mark.parametrize("seed", range(6))
async def test_any_bytes_on_an_open_link_end_it_in_order_and_hold_no_memory(seed: int) -> None:
    rng = random.Random(seed)
    async with two_ends() as (one, other):
        for _ in range(20):
            link = await one.dial(other.port)
            theirs = other.link
            payload = rng.randbytes(rng.randrange(1, 60_000))
            # Whatever stands behind a header of ours: types, lengths and contents out of place.
            link.send(FrameType.DATA, rng.randbytes(rng.randrange(0, 5)) + payload, 0.0)
            link.send(FrameType.DATA, struct.pack("!BI", rng.randrange(12), rng.randrange(70_000)), 0.0)
            await asyncio.sleep(0.002)
            link.abort(PeerUnreachableError("enough"))
            await until(lambda: theirs.is_closed)  # noqa: B023
            assert theirs._decoder.pending_bytes <= 65_536 + 5
        totals = other.collector.totals()
        assert totals.queued_in.sum() == 0


@pytest.mark.parametrize("at", [0, 5, 20])
async def test_a_record_changed_on_its_way_ends_the_link(at: int) -> None:
    async with two_ends() as (one, other):
        link = await one.dial(other.port)
        await until(lambda: bool(other.owner.links) and other.link.keys is not None)
        tls, transport = link._tls, link._transport
        assert transport is not None
        tls.send(encode_frame(FrameType.DATA, bytes(50)))
        record = bytearray(tls.outgoing())
        record[at] ^= 1
        transport.write(bytes(record))
        await until(lambda: bool(other.owner.ends))
        [error] = other.owner.ends
        assert isinstance(error, RemoteFault)
        assert error.cause == "tls"
        assert other.owner.frames == []
