"""What gossip and routing cost without any I/O: CPU for each frame, vertex, advert, and for a large map.

Method: ``time.process_time`` over batches of at least some milliseconds, the best of 7 (a shared machine only
ever adds time), ours and the peer's batch in turn. Vertices have 200-byte payloads and two parents, each id
is new, and ten origins take turns, as on a small network. The peers do what cannot be avoided: msgpack's C
unpacker cuts a stream of the same payloads; ``cryptography`` verifies the same signatures with loaded keys.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from random import Random

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.table import Row
from qudag_node.overlay.advert import sign_advert
from qudag_node.overlay.flood import Flood
from qudag_node.overlay.frames import FrameDecoder, FrameType, encode_frame
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig
from qudag_node.overlay.queue import SendQueue
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Signer, Verifier
from qudag_node.overlay.vertices import Vertex, decode_vertex, is_signed_by_its_origin, sign_vertex

__all__ = ["rows"]

_NETWORK = "bench"
_REPEATS = 7
_VERTICES = 500
_LINKS = 8
_NODES = 1000
_NOW_NS = 1_700_000_000 * 10**9


def rows() -> list[Row]:
    """Measure everything; takes a few seconds."""
    vertices = _vertices()
    return [_decode_row(vertices), *_vertex_rows(vertices), _flood_row(vertices), *_map_rows()]


def _signer(number: int) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")), _NETWORK)


def _vertices() -> list[Vertex]:
    rng, signers = Random(1), [_signer(number) for number in range(1, 11)]
    return [
        sign_vertex(
            signers[number % len(signers)],
            rng.randbytes(200),
            [rng.randbytes(32), rng.randbytes(32)],
            origin_unix_ns=_NOW_NS,
        )
        for number in range(_VERTICES)
    ]


def _best_s(*batches: Callable[[], object]) -> list[float]:
    """CPU seconds of each batch, the best of some rounds in which they take turns."""
    best = [float("inf")] * len(batches)
    for _ in range(_REPEATS):
        for i, batch in enumerate(batches):
            start = time.process_time()
            batch()
            best[i] = min(best[i], time.process_time() - start)
    return best


def _us(seconds: float, count: int) -> str:
    return f"{seconds / count * 1e6:.2f} µs"


def _decode_row(vertices: list[Vertex]) -> Row:
    framed = b"".join(encode_frame(FrameType.DATA, vertex.encoded) for vertex in vertices)
    packer = msgpack.Packer()
    packed = b"".join(packer.pack([int(FrameType.DATA), vertex.encoded]) for vertex in vertices)
    chunk, rounds = 16 * 1024, 20

    def ours() -> None:
        decoder = FrameDecoder()
        for _ in range(rounds):
            for start in range(0, len(framed), chunk):
                decoder.feed(memoryview(framed)[start : start + chunk])

    def theirs() -> None:
        unpacker = msgpack.Unpacker()
        for _ in range(rounds):
            for start in range(0, len(packed), chunk):
                unpacker.feed(memoryview(packed)[start : start + chunk])
                for _ in unpacker:
                    pass

    ours_s, theirs_s = _best_s(ours, theirs)
    count = rounds * len(vertices)
    return Row(
        what="cut one frame of 400 bytes out of the stream",
        ours=_us(ours_s, count),
        peer=f"msgpack.Unpacker (C) {_us(theirs_s, count)}",
        ratio=ours_s / theirs_s,
        method="16 KiB chunks",
    )


def _vertex_rows(vertices: list[Vertex]) -> list[Row]:
    verifier = Verifier(_NETWORK)
    private_key = Ed25519PrivateKey.generate()
    public_key = private_key.public_key()
    signed = [(private_key.sign(vertex.encoded), vertex.encoded) for vertex in vertices]

    def decode() -> None:
        for vertex in vertices:
            decode_vertex(vertex.encoded, vertex.id)

    def verify() -> None:
        for vertex in vertices:
            assert is_signed_by_its_origin(vertex, verifier)

    def verify_bare() -> None:
        for signature, message in signed:
            public_key.verify(signature, message)

    def duplicates() -> None:
        for vertex in vertices:
            flood.receive(vertex.encoded, now_unix_ns=_NOW_NS, now_mono_s=0.0)

    flood = Flood(_signer(99), verifier, SeenCache(10_000))
    duplicates()
    decode_s, verify_s, bare_s, duplicate_s = _best_s(decode, verify, verify_bare, duplicates)
    count = len(vertices)
    return [
        Row(what="decode one vertex", ours=_us(decode_s, count)),
        Row(
            what="verify one vertex",
            ours=f"{_us(verify_s, count)} = {count / verify_s:,.0f} per s and core",
            peer=f"cryptography alone {_us(bare_s, count)}",
            ratio=verify_s / bare_s,
        ),
        Row(what="recognise one duplicate vertex", ours=_us(duplicate_s, count)),
    ]


def _flood_row(vertices: list[Vertex]) -> Row:
    verifier = Verifier(_NETWORK)

    def accept_and_queue() -> None:
        flood = Flood(_signer(99), verifier, SeenCache(10_000))
        queues = [SendQueue() for _ in range(_LINKS)]
        for vertex in vertices:
            accepted = flood.receive(vertex.encoded, now_unix_ns=_NOW_NS, now_mono_s=0.0)
            assert isinstance(accepted, Vertex)
            frame = encode_frame(FrameType.DATA, accepted.encoded)
            for queue in queues:
                queue.offer(FrameType.DATA, frame, 0.0)
        for queue in queues:
            while queue.take(16 * 1024):
                pass

    def verify() -> None:
        for vertex in vertices:
            is_signed_by_its_origin(vertex, verifier)

    flood_s, verify_s = _best_s(accept_and_queue, verify)
    count = len(vertices)
    return Row(
        what=f"accept one vertex and queue it on {_LINKS} links",
        ours=f"{_us(flood_s, count)} = {count / flood_s:,.0f} per s and core",
        peer=f"its signature alone {_us(verify_s, count)}",
        ratio=flood_s / verify_s,
    )


def _map_rows() -> list[Row]:
    rng = Random(1)
    signers = [_signer(number) for number in range(1, _NODES + 1)]
    costs: list[dict[bytes, int]] = [{} for _ in signers]
    for number in range(_NODES):
        for other in [(number + 1) % _NODES, *rng.sample(range(_NODES), _LINKS // 2 - 1)]:
            if other != number:
                costs[number][signers[other].public_key] = rng.randrange(1, 200_000)
                costs[other][signers[number].public_key] = rng.randrange(1, 200_000)
    first, second = (
        [
            sign_advert(signer, cost, sequence=sequence, name=f"peer{i}", lifetime_s=0xFFFF).encoded
            for i, (signer, cost) in enumerate(zip(signers[1:], costs[1:], strict=True))
        ]
        for sequence in (1, 2)
    )
    tracemalloc.start()
    state = LinkState(
        signers[0], Verifier(_NETWORK), LinkStateConfig(), sequence=0, rng=Random(1), now_mono_s=0.0
    )
    for neighbour in costs[0]:
        state.neighbour_up(neighbour, 0.0, rtt_s=0.05)
    for advert in first:
        state.receive(bytes(bytearray(advert)), signers[1].public_key, 0.0)
    state_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    state.tick(10.0, 1)
    now = 100.0

    def compute() -> None:
        nonlocal now
        neighbour = next(iter(costs[0]))
        for _ in range(5):
            now += 10.0
            # A link that is lost and made anew is what makes a computation due.
            state.neighbour_down(neighbour)
            state.neighbour_up(neighbour, now)
            state.tick(now, 1)

    def again() -> None:
        for advert in first:
            state.receive(advert, signers[1].public_key, now)

    start = time.process_time()
    for advert in second:
        state.receive(advert, signers[1].public_key, 20.0)
    renew_s = time.process_time() - start
    compute_s, again_s = _best_s(compute, again)
    assert len(state.nodes()) == _NODES
    return [
        Row(
            what=f"routes over a map of {_NODES:,} nodes with {_LINKS} links each",
            ours=f"{compute_s / 5 * 1e3:.1f} ms",
            method="a whole recomputation",
        ),
        Row(what="accept one renewed advert of 8 links", ours=_us(renew_s, len(second)), method="one pass"),
        Row(what="recognise one old advert", ours=_us(again_s, len(first))),
        Row(what=f"memory of the map of {_NODES:,} nodes", ours=f"{state_bytes / 1e6:.1f} MB"),
    ]
