"""What a hostile peer may do to the tests of a node: much, and nothing comes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from random import Random
from typing import cast

import msgpack
import pytest

from qudag_node.errors import PeerUnreachableError
from qudag_node.nettests.consent import Caps, Consent
from qudag_node.nettests.echo import EchoService
from qudag_node.nettests.messages import Request, Response, Status, encode_request, encode_response
from qudag_node.nettests.responder import Responder
from qudag_node.overlay.testport import Way
from tests.qudag_node.nettests.nodes import Tested, chain
from tests.qudag_node.overlay.links import until

METHODS = ("caps", "counters", "dialback", "session.open", "session.end", "session.abort", "no.such")
KINDS = ("stamp", "echo", "tcp", "udp", "stress", "", "\x1b[2J")


def some_value(rng: Random, depth: int = 2) -> object:
    """Anything that MessagePack can say."""
    match rng.randrange(9 if depth else 7):
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.choice([0, 1, -1, 2**63, -(2**63), rng.randrange(100_000)])
        case 2:
            return rng.choice([0.0, -1.0, 1e308, float("inf"), float("nan"), rng.random() * 100])
        case 3:
            return rng.choice(KINDS)
        case 4:
            return rng.randbytes(rng.choice([0, 8, 16, 32]))
        case 5:
            return bytes([rng.randrange(4)]) * 16
        case 6:
            return "x" * rng.randrange(100)
        case 7:
            return [some_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {f"k{rng.randrange(4)}": some_value(rng, depth - 1) for _ in range(rng.randrange(4))}


def some_request(rng: Random) -> bytes:
    """A request whose parameters are often nearly right."""
    params: dict[str, object] = {
        "kind": rng.choice(KINDS),
        "session": bytes([rng.randrange(4)]) * 16,
        "duration_s": rng.choice([0.1, 1.0, 60.0, 1e9]),
        "packets_per_s": rng.choice([0.0, 1.0, 1e9]),
        "count": rng.choice([0, 1, 1000, 10**9]),
        "port": rng.choice([0, 1, 22, 70_000]),
    }
    for name in rng.sample(sorted(params), rng.randrange(4)):
        params[name] = some_value(rng)
    return encode_request(Request(rng.randrange(40).to_bytes(8), rng.choice(METHODS), params))


def some_body(rng: Random) -> bytes:
    """A body that a hostile peer may send."""
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randrange(64))
        case 1:
            return bytes([rng.randrange(8)]) + rng.randbytes(rng.randrange(200))
        case 2:
            return encode_response(Response(rng.randbytes(8), rng.choice(list(Status)), {}, "x"))
        case 3:
            packed = cast("bytes", msgpack.packb(some_value(rng, 3)))
            return bytes([rng.choice([1, 2])]) + rng.randbytes(8) + packed
        case 4:
            damaged = bytearray(some_request(rng))
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            return bytes(damaged)
        case _:
            return some_request(rng)


async def flood(sender: Tested, receiver: Tested, rng: Random, count: int, way: Way) -> int:
    """Send bodies as fast as the queue takes them; return how many it took."""
    sent = 0
    for number in range(count):
        try:
            sender.port.send(receiver.id, some_body(rng), way=way)
            sent += 1
        except PeerUnreachableError:
            await asyncio.sleep(0.01)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return sent


@pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
async def test_a_hostile_peer_ends_nothing_and_holds_nothing(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async with chain("abc") as (hostile, b, c):
        target, other = (c, b) if way is Way.OVERLAY else (b, c)
        consent = Consent(Caps(max_duration_s=0.2))
        responder = Responder(target.port, target.control, consent, time)
        echoes = EchoService(target.port, target.control, time)
        responder.add_kind("echo", echoes.open)
        before = target.node.collector.test_traffic().received
        async with responder:
            sent = await flood(hostile, target, Random(way.value), 1500, way)
            received = target.node.collector.test_traffic
            # A relay may have had to drop some, of these and of the answers.
            await until(lambda: received().received - before + sum(other.drops.values()) >= sent, 60.0)
            assert len(responder) <= 4
            # Somebody else is served all the same.
            assert (await other.control.ask(target.id, "caps", {}, timeout_s=30.0))["is_enabled"]
        assert consent.grants == ()
        assert len(responder) == 0
        # Which limit stops how much depends on the machine.
        assert target.drops["test_malformed"] > 0
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert hostile.port.facts(target.id).hops == (2 if way is Way.OVERLAY else 1)
