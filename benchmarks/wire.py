"""What the statistics of 10,000 peers cost on the wire and in the history: CPU, and bytes.

Method: ``time.process_time``, the best of 9, ours and the peer's in turn. The peers are plain msgpack of the
same figures as a list of maps, one per peer, which is what a protocol without columns would send; for small
requests ``msgpack.Unpacker``; for the history a ``deque`` of 600 floats for each of the same series. Every
figure and no text differs between the two documents of a delta.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgpack
import numpy as np

from benchmarks.table import Row
from qudag_node.history import History
from qudag_node.history.series import numbers_of
from qudag_node.metrics.statistics import (
    BandwidthStatistics,
    ConnectionStatistics,
    LatencyStatistics,
    MessageStatistics,
    MessageTypeStatistics,
    NetworkStatistics,
    NodeStatistics,
    PeerDistribution,
    PeerTable,
    PerformanceStatistics,
    ResourceStatistics,
    TestTraffic,
)
from qudag_node.peerid import peer_id_of
from qudag_node.publish import Translator, delta
from qudag_node.wire import (
    PEER_NUMBERS,
    PEER_TEXTS,
    Decoder,
    Notification,
    Request,
    StatsMirror,
    encode,
)

__all__ = ["rows"]

_PEERS = 10_000
_REQUESTS = 1_000
_REPEATS = 9
_TEXTS = {"direction": "in", "state": "connected", "agent": "qudag/0.1.0", "rtt_method": "link-ping"}
_TYPES = ("hello", "ping", "pong", "data", "advert", "peers", "routed", "seed", "goodbye")


def rows() -> list[Row]:
    """Measure everything; takes a few seconds."""
    return [*_frame_rows(), _request_row(), *_history_rows()]


def _frame_rows() -> list[Row]:
    translator = Translator()
    before, after = (translator.document(_statistics(seed)) for seed in (1, 2))
    full = {"stream": 1, "seq": 1, "document": before}
    maps = _peers_as_maps(before)
    pack_s, maps_pack_s = _best(
        lambda: encode(Notification("stats.full", [full])), lambda: msgpack.packb([2, "stats.full", [maps]])
    )
    packed, packed_maps = encode(Notification("stats.full", [full])), msgpack.packb([2, "stats.full", [maps]])
    change = {"stream": 1, "seq": 2, "base": 1, **delta(before, after)}
    frame = encode(Notification("stats.delta", [change]))
    make_s, _ = _best(lambda: encode(Notification("stats.delta", [change | delta(before, after)])), _nothing)
    # A mirror for each repetition, since a delta applies once.
    mirrors = iter([_mirror(packed) for _ in range(_REPEATS)])
    apply_s, maps_take_s = _best(lambda: _apply(next(mirrors), frame), lambda: msgpack.unpackb(packed_maps))
    return [
        Row(
            what=f"pack a full frame, {_PEERS:,} peers",
            ours=f"{pack_s * 1e3:.2f} ms, {len(packed) / 1e6:.1f} MB",
            peer=f"list of maps {maps_pack_s * 1e3:.1f} ms, {len(packed_maps or b'') / 1e6:.1f} MB",
            ratio=pack_s / maps_pack_s,
            goal="<= 1/50",
            met=pack_s / maps_pack_s <= 1 / 50,
        ),
        Row(
            what=f"find and pack a delta, every figure of {_PEERS:,} peers",
            ours=f"{make_s * 1e3:.2f} ms, {len(frame) / 1e6:.1f} MB",
        ),
        Row(
            what="decode and apply that delta, without numpy",
            ours=f"{apply_s * 1e3:.2f} ms",
            peer=f"unpack a list of maps {maps_take_s * 1e3:.1f} ms",
            ratio=apply_s / maps_take_s,
        ),
    ]


def _request_row() -> Row:
    stream = b"".join(encode(Request(number, "peer", [{"peer": "peer2"}])) for number in range(_REQUESTS))

    def theirs() -> None:
        unpacker = msgpack.Unpacker()
        unpacker.feed(stream)
        for _ in unpacker:
            pass

    ours_s, peer_s = _best(lambda: Decoder().feed(stream), theirs)
    return Row(
        what="decode one small request, every claim checked",
        ours=f"{ours_s / _REQUESTS * 1e6:.2f} µs",
        peer=f"msgpack.Unpacker {peer_s / _REQUESTS * 1e6:.2f} µs",
        ratio=ours_s / peer_s,
        method="the peer's checks come too late, see docs/decisions/0003",
    )


def _history_rows() -> list[Row]:
    history, statistics = History(), _statistics(1)
    history.append(statistics)
    rings = {name: deque([value], 600) for name, value in zip(*numbers_of(statistics), strict=True)}
    seconds = iter(range(1, 10_000))

    def ours() -> None:
        at_unix_s = statistics.node.sampled_unix_s + next(seconds)
        history.append(replace(statistics, node=replace(statistics.node, sampled_unix_s=at_unix_s)))

    def theirs() -> None:
        for name, value in zip(*numbers_of(statistics), strict=True):
            rings[name].append(value)

    ours_s, peer_s = _best(ours, theirs)
    name, newest = "messages.sent", statistics.node.sampled_unix_s + next(seconds)
    read_s, _ = _best(lambda: history.read([name], newest - 86_400, newest, 288), _nothing)
    return [
        Row(
            what=f"one tick of the history, {len(history.names())} series, three tiers",
            ours=f"{ours_s * 1e3:.2f} ms, {history.nbytes / 1e6:.0f} MB",
            peer=f"deques, one tier {peer_s * 1e3:.2f} ms",
            ratio=ours_s / peer_s,
        ),
        Row(what="read a day as 300 points", ours=f"{read_s * 1e6:.0f} µs"),
    ]


def _mirror(frame: bytes) -> StatsMirror:
    mirror = StatsMirror()
    mirror.full(_params(frame))
    return mirror


def _apply(mirror: StatsMirror, frame: bytes) -> None:
    mirror.delta(_params(frame))


def _params(frame: bytes) -> Mapping[str, object]:
    (message,) = Decoder().feed(frame)
    if not isinstance(message, Notification):
        raise TypeError("a frame of a stream is a notification")
    return message.params[0]


def _nothing() -> None:
    """The other half of a pair that has none."""


def _best(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Return the least CPU seconds of each, measured in turn."""
    best = [float("inf"), float("inf")]
    for _ in range(_REPEATS):
        for number, run in enumerate((ours, theirs)):
            started_s = time.process_time()
            run()
            best[number] = min(best[number], time.process_time() - started_s)
    return best[0], best[1]


def _statistics(seed: int) -> NetworkStatistics:
    rng = np.random.default_rng(seed)
    numbers = {
        name: (rng.random(_PEERS) * 200).astype(np.dtype(f"<{type_}")) for name, type_ in PEER_NUMBERS.items()
    }
    text = {name: (_TEXTS.get(name, ""),) * _PEERS for name in PEER_TEXTS}
    text["id"] = tuple(peer_id_of(slot.to_bytes(32, "big")) for slot in range(_PEERS))
    text["name"] = tuple(f"peer{slot}" for slot in range(_PEERS))
    text["address"] = tuple(f"192.0.{slot >> 8}.{slot & 255}:4001" for slot in range(_PEERS))
    return NetworkStatistics(
        node=NodeStatistics(
            id=text["id"][0], name="peer1", version="0", network="bench", sampled_unix_s=1_700_000_000.0
        ),
        connections=ConnectionStatistics(),
        messages=MessageStatistics(by_type=dict.fromkeys(_TYPES, MessageTypeStatistics())),
        bandwidth=BandwidthStatistics(),
        latency=LatencyStatistics(by_type=dict.fromkeys(_TYPES, LatencyStatistics().links)),
        performance=PerformanceStatistics(),
        peers=PeerTable(slots=np.arange(_PEERS, dtype=np.uint32), text=text, numbers=numbers),
        protocol_versions={"1": _PEERS},
        peer_distribution=PeerDistribution(),
        test_traffic=TestTraffic(),
        resources=ResourceStatistics(),
    )


def _peers_as_maps(document: dict[str, object]) -> list[dict[str, object]]:
    mirror = StatsMirror()
    mirror.full({"document": document})
    return mirror.peers.rows()
