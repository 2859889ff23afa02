"""Frozen example documents for tests of the model, the views and the monitor. Not random, no clock."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan, sin

from qudag_tui.model.events import Connected, EventsArrived, SampleArrived
from qudag_tui.model.reading import read_sample
from qudag_tui.model.reduce import reduce
from qudag_tui.model.sample import Sample
from qudag_tui.model.state import NodeEvent, Severity, UiState

#: 2026-01-31 12:30:00 UTC
NOON = 1769862600.0
ADDRESS = "unix:/home/ada/.local/share/qudag/peer1/rpc.sock"


@dataclass(frozen=True)
class ExampleRows:
    """The peers section as the wire decodes it."""

    ids: Sequence[str]
    text: Mapping[str, Sequence[str]]
    numbers: Mapping[str, Sequence[float]]


def peer_id(number: int) -> str:
    """A PeerId by its looks."""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    seed = (number + 7) * 7919
    text = "12D3KooW" + "".join(alphabet[(seed * (i + 3) ** 3 // 11) % 58] for i in range(44))
    if number < len(alphabet):
        return text
    # Of so many, some would be the same.
    return text[:-4] + "".join(alphabet[number // 58**i % 58] for i in range(4))


def summary(p50: float, samples: int = 500, method: str = "link-ping") -> dict[str, object]:
    """A distribution round one median."""
    return {
        "samples": samples,
        "min": p50 * 0.8,
        "avg": p50 * 1.1,
        "p50": p50,
        "p95": p50 * 1.6,
        "p99": p50 * 2.4,
        "max": p50 * 3.1,
        "method": method,
        "error_bound_s": None,
    }


def message_type(sent: int, received: int, size: int, dropped: int = 0) -> dict[str, object]:
    """The counts of one message type."""
    return {
        "sent": sent,
        "received": received,
        "processed": received - 2 if received > 2 else received,
        "failed": 0,
        "dropped_in": 2 if received > 2 else 0,
        "dropped_out": dropped,
        "queued_in": 0,
        "queued_out": 3,
        "sent_bytes": sent * size,
        "received_bytes": received * size,
    }


def rates(per_s: float) -> dict[str, float]:
    """One rate over three windows."""
    return {"1s": per_s, "10s": per_s * 0.97, "60s": per_s * 0.91}


def document(tick: int = 600) -> dict[str, object]:
    """The scalar sections of the stats document, ``tick`` seconds after the node's start."""
    wave = 1.0 + 0.4 * sin(tick / 9.0) + 0.25 * sin(tick / 2.3)
    by_type = {
        "hello": message_type(5, 5, 210),
        "ping": message_type(tick * 4, tick * 4 - 3, 21),
        "pong": message_type(tick * 4 - 3, tick * 4 - 9, 45),
        "data": message_type(tick * 610, tick * 402, 412, dropped=12),
        "advert": message_type(tick * 2, tick * 3, 240),
        "peers": message_type(21, 18, 600),
        "routed": message_type(tick, tick, 96),
        "seed": message_type(4, 4, 64),
        "goodbye": message_type(1, 0, 7),
    }
    totals = {
        name: sum(int(str(counts[name])) for counts in by_type.values())
        for name in ("sent", "received", "processed", "failed", "dropped_in", "dropped_out", "queued_in")
    }
    started = NOON - 11_530.0
    return {
        "schema": "qudag.stats/1",
        "node": {
            "id": peer_id(0),
            "name": "peer1",
            "version": "0.1.0",
            "network": "qudag-lab",
            "listen": ["198.18.0.1:7000"],
            "started_unix_s": started,
            "uptime_s": 10_930.0 + tick,
            "sampled_unix_s": NOON - 600.0 + tick,
            "tick": tick,
            "interval_s": 1.0,
            "platform": "Linux 6.8 x86_64",
            "lab": True,
            "tcp_info": "path",
        },
        "connections": {
            "active": 4,
            "in": 2,
            "out": 2,
            "pending": 1,
            "total": 12,
            "closed": 8,
            "banned": 1,
            "limit": 64,
            "errors": {"timeout": 2, "reset": 1},
            "duration_s": summary(2400.0, 12, "monotonic"),
        },
        "messages": totals
        | {
            "queued_out": 27,
            "duplicates": tick * 120,
            "sent_rate": rates(618.0 * wave),
            "received_rate": rates(411.0 * wave),
            "sent_peak": {"per_s": 1310.0, "at_unix_s": NOON - 320.0},
            "received_peak": {"per_s": 904.0, "at_unix_s": NOON - 320.0},
            "failed_by_cause": {},
            "dropped_by_cause": {"queue-full": 12, "rate-limit": 10},
            "by_type": by_type,
        },
        "bandwidth": {
            "sent_bytes": tick * 252_000,
            "received_bytes": tick * 166_000,
            "wire_sent_bytes": tick * 259_000,
            "wire_received_bytes": tick * 171_000,
            "sent_rate": rates(251_800.0 * wave),
            "received_rate": rates(165_900.0 * wave),
            "sent_peak": {"per_s": 533_000.0, "at_unix_s": NOON - 320.0},
            "received_peak": {"per_s": 371_000.0, "at_unix_s": NOON - 320.0},
            "capacity_bits_per_s": None,
            "utilization_ratio": None,
        },
        "latency": {
            "links": summary(0.0212, 2400),
            "by_type": {
                "ping": summary(0.0212, 2400, "request-reply"),
                "data": summary(0.000_41, 9000, "queue-to-kernel"),
            },
            "routing": summary(0.0431, 300, "routed-probe"),
        },
        "performance": {
            "tps": rates(201.0 * wave),
            "mps": rates(1029.0 * wave),
            "tps_peak": {"per_s": 402.0, "at_unix_s": NOON - 320.0},
            "mps_peak": {"per_s": 2201.0, "at_unix_s": NOON - 320.0},
            "vertices_accepted": tick * 200,
            "queue_depth": 27,
            "queue_bytes": 11_340,
            "processing_time_s": summary(0.000_21, 9000, "monotonic"),
            "propagation_time_s": summary(0.0318, 9000, "origin-clock") | {"error_bound_s": 0.0011},
        },
        "protocol_versions": {"1": 4},
        "peer_distribution": {"direction": {"in": 2, "out": 2}},
        "test_traffic": {"sent": 0, "received": 0, "sent_bytes": 0, "received_bytes": 0},
        "resources": {
            "cpu_s": 81.4,
            "cpu_ratio": 0.041,
            "rss_bytes": 91_226_112,
            "open_files": 31,
            "open_files_limit": 1024,
            "threads": 3,
            "loop_lag_s": summary(0.000_32, 600, "timer"),
            "collector_cpu_s": 0.9,
            "collector_cpu_ratio": 0.0011,
            "collector_memory_bytes": 2_400_000,
        },
    }


NAMES = ("peer2", "peer3", "peer4", "peer5", "peer9")
STATES = ("connected", "connected", "connected", "connected", "backoff")
DIRECTIONS = ("in", "out", "in", "out", "none")
MEDIANS = (0.000_31, 0.0412, 0.0208, 0.1805, nan)
RESENT = (0.0, 0.004, 0.052, 0.023, nan)
LOSSES = (0.0, 0.0125, 0.0, 0.083, nan)


def rows(tick: int = 600, count: int = 5) -> ExampleRows:
    """The peers section: the five of a small lab, or any number of invented ones."""
    few = count <= len(NAMES)
    names = NAMES[:count] if few else tuple(f"peer{n + 2}" for n in range(count))
    median = [MEDIANS[n % 5] if few else 0.005 + n * 7919 % 400 / 2000 for n in range(count)]
    loss = [LOSSES[n % 5] if few else (n % 97 == 0) * 0.02 for n in range(count)]
    wave = [1.0 + 0.5 * sin(tick / (3.0 + n % 7) + n) for n in range(count)]
    up = [median[n] == median[n] for n in range(count)]

    def seconds(factor: float) -> array[float]:
        return array("f", [value * factor for value in median])

    def each(per_wave: float) -> array[float]:
        return array("f", [per_wave * wave[n] if up[n] else nan for n in range(count)])

    def whole(per_tick: float) -> array[int]:
        return array("Q", [int(per_tick * tick * (1 + n % 3)) if up[n] else 0 for n in range(count)])

    return ExampleRows(
        ids=tuple(peer_id(n + 1) for n in range(count)),
        text={
            "name": names,
            "alias": ("",) * count,
            "address": tuple(f"198.18.{n // 250}.{n % 250 + 2}:7000" for n in range(count)),
            "direction": tuple(DIRECTIONS[n % 5] for n in range(count)),
            "state": tuple(STATES[n % 5] if few else "connected" for n in range(count)),
            "agent": ("qudag/0.1.0",) * count,
            "rtt_method": ("link-ping",) * count,
        },
        numbers={
            "protocol_version": array("B", [1] * count),
            "hops": array("B", [1 if up[n] else 0 for n in range(count)]),
            "connected_unix_s": array(
                "d", [NOON - 900.0 * (n % 9 + 1) if up[n] else nan for n in range(count)]
            ),
            "rtt_last_s": array("f", [median[n] * wave[n] for n in range(count)]),
            "rtt_min_s": seconds(0.8),
            "rtt_avg_s": seconds(1.1),
            "rtt_p50_s": seconds(1.0),
            "rtt_p95_s": seconds(1.6),
            "rtt_p99_s": seconds(2.4),
            "rtt_max_s": seconds(3.1),
            "rtt_jitter_s": seconds(0.12),
            "rtt_samples": array("I", [tick if up[n] else 0 for n in range(count)]),
            "messages_sent": whole(150),
            "messages_received": whole(101),
            "messages_dropped_in": array("Q", [2 * (n == 1) for n in range(count)]),
            "messages_dropped_out": array("Q", [12 * (n == 3) for n in range(count)]),
            "messages_failed": array("Q", [0] * count),
            "bytes_sent": whole(63_000),
            "bytes_received": whole(41_500),
            "sent_messages_per_s": each(154.0),
            "received_messages_per_s": each(103.0),
            "sent_bytes_per_s": each(62_950.0),
            "received_bytes_per_s": each(41_475.0),
            "queue_messages": array("I", [9 * (n == 3) for n in range(count)]),
            "queue_bytes": array("I", [3780 * (n == 3) for n in range(count)]),
            "probes_sent": array("I", [tick if up[n] else 0 for n in range(count)]),
            "probes_lost": array("I", [tick // 12 if loss[n] > 0 else 0 for n in range(count)]),
            "loss_ratio": array("f", loss),
            "loss_session_ratio": array("f", [value / 2 for value in loss]),
            "unconfirmed_messages": array("Q", [n % 5 for n in range(count)]),
            "unconfirmed_bytes": array("Q", [n % 5 * 412 for n in range(count)]),
            "tcp_rtt_s": seconds(0.98),
            "tcp_rttvar_s": seconds(0.1),
            "tcp_min_rtt_s": seconds(0.79),
            "tcp_retransmits": array("I", [7 * (n == 3) for n in range(count)]),
            "tcp_retransmit_ratio": array("f", [RESENT[n % 5] if few else 0.0 for n in range(count)]),
            "tcp_cwnd_segments": array("I", [10 + n % 40 for n in range(count)]),
            "tcp_delivery_bytes_per_s": each(1_200_000.0),
            "tcp_sent_bytes": whole(64_500),
            "tcp_received_bytes": whole(42_400),
            "reconnects": array("I", [n % 3 for n in range(count)]),
            "utilization_ratio": array("f", [nan] * count),
        },
    )


EVENTS = (
    NodeEvent(seq=1, unix_s=NOON - 610.0, kind="link-up", subject="peer2", text="in from 198.18.0.2:41022"),
    NodeEvent(seq=2, unix_s=NOON - 608.0, kind="link-up", subject="peer3", text="out to 198.18.0.3:7000"),
    NodeEvent(
        seq=3,
        unix_s=NOON - 95.0,
        kind="link-down",
        severity=Severity.WARNING,
        subject="peer9",
        text="no answer for 15 s",
    ),
    NodeEvent(
        seq=4,
        unix_s=NOON - 12.0,
        kind="queue-drop",
        severity=Severity.ERROR,
        subject="peer5",
        text="12 messages did not fit the send queue",
    ),
    NodeEvent(
        seq=5,
        unix_s=NOON - 3.0,
        kind="dial-failed",
        severity=Severity.WARNING,
        subject="peer9",
        text="connection refused by 198.18.0.9:7000; again in 8 s",
    ),
)


def sample(tick: int = 600, count: int = 5, previous: Sample | None = None) -> Sample:
    """One sample as the screens use it."""
    return read_sample(document(tick), rows(tick, count), previous)


def state_after(ticks: int = 120, count: int = 5, **changes: object) -> UiState:
    """The state of a monitor that has watched for ``ticks`` seconds; now is noon and a half."""
    state = reduce(UiState(), Connected(ADDRESS, 1000.0))
    state = reduce(state, EventsArrived(EVENTS))
    for behind in range(ticks - 1, -1, -1):
        fresh = sample(600 - behind, count, state.live.sample)
        state = reduce(state, SampleArrived(fresh, 1000.0 + ticks - behind))
    return replace(state, **changes)  # type: ignore[arg-type]  # the caller names fields of UiState
