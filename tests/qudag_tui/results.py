"""Results of network tests, one of each kind, as docs/test-results.md describes them. Frozen figures."""

from __future__ import annotations

from typing import Any

ME = "12D3KooWFTvMn1Zb1uYJzFQXp8LrZ5bVYkYzRZkq3f9hT1FT6YkA"
PEER2 = "12D3KooWCYfookzMSFUWtpF2z4JvnreeaC2RWgxBHt2jAsUVQoco"
PEER3 = "12D3KooWHgFnF6mL2X7dZ5vZk8xwqkYt6UoJ7kg6wajuMHidLRmL2x"
PEER4 = "12D3KooWKvVYw1tq6u2y8Wq7pDrZ4kYRtBv2nQm3sX1eiuKpmLwMx"

STARTED_UNIX_S = 1_795_444_200.0

Result = dict[str, Any]


def summary(
    p50_s: float, *, samples: int = 1000, spread: float = 0.02, p999: bool = False
) -> dict[str, float | int | None]:
    """Delays round a median."""
    found: dict[str, float | int | None] = {
        "samples": samples,
        "min_s": p50_s * (1 - spread),
        "avg_s": p50_s * (1 + spread / 4),
        "p50_s": p50_s,
        "p90_s": p50_s * (1 + spread * 2),
        "p95_s": p50_s * (1 + spread * 3),
        "p99_s": p50_s * (1 + spread * 8),
        "max_s": p50_s * (1 + spread * 20),
        "stddev_s": p50_s * spread,
    }
    if p999:
        found["p999_s"] = p50_s * (1 + spread * 15)
    return found


def result(test_type: str, method: str, verdict: str, fields: Result) -> Result:
    """What all results have."""
    document: Result = {
        "schema": "qudag.test/1",
        "test_id": "k3j5xq2a7b6c",
        "test_type": test_type,
        "target": {"id": PEER2, "name": "peer2", "hops": 1},
        "method": method,
        "started_unix_s": STARTED_UNIX_S,
        "duration_s": 10.03,
        "success": True,
        "verdict": verdict,
        "errors": [],
        "interrupted": False,
        "declined": None,
        "stored": True,
        "options": {},
        "environment": {
            "node": {"id": ME, "name": "peer1", "version": "0.1.0"},
            "kernel": "Linux 6.8.0",
            "cpus": 2,
            "load_1m": 0.7,
            "timestamps": "kernel",
            "clock": {"synchronised": True, "max_error_s": 0.0004},
            "steal_ratio": 0.0,
            "noisy": False,
            "notes": [],
            "dscp": 8,
        },
    }
    return document | fields


def ping(**changed: Any) -> Result:
    """1,000 packets over a link of 25 ms each way that loses two in a hundred."""
    fields = {
        "timestamps": "kernel",
        "sent": 1000,
        "received": 961,
        "forward_lost": 20,
        "backward_lost": 19,
        "local_dropped": 0,
        "duplicates": 0,
        "reordered": 2,
        "late": 0,
        "loss_ratio": 0.039,
        "rtt": summary(0.0501, samples=961),
        "jitter_s": 0.000312,
        "forward_delay": summary(0.02504, samples=961) | {"error_bound_s": 0.00012},
        "backward_delay": summary(0.02506, samples=961) | {"error_bound_s": 0.00012},
        "sufficiency": {"enough": True, "text": "961 samples suffice for p99"},
        "send_error": summary(0.0000031),
        "hdr": "HISTFAAAAB",
        "options": {"count": 1000, "interval_s": 0.01, "size_bytes": 64, "via": "udp", "timeout_s": 1.0},
    }
    return result(
        "ping", "stamp-udp", "961 of 1000 answered, half within 50.1 ms; 3.90 % were lost", fields | changed
    )


def traceroute(**changed: Any) -> Result:
    """Three hops, the second of which adds the delay and answers some probes only."""
    fields = {
        "target": {"id": PEER4, "name": "peer4", "hops": 3},
        "hops": [
            {
                "ttl": 1,
                "peer": PEER2,
                "name": "peer2",
                "sent": 30,
                "received": 30,
                "loss_ratio": 0.0,
                "rtt": summary(0.0021, samples=30),
                "added_s": 0.0021,
                "reason": "ttl",
                "verdict": "",
            },
            {
                "ttl": 2,
                "peer": PEER3,
                "name": "peer3",
                "sent": 30,
                "received": 21,
                "loss_ratio": 0.3,
                "rtt": summary(0.0523, samples=21),
                "added_s": 0.0502,
                "reason": "ttl",
                "verdict": "adds the most; answers few, and passes on all",
            },
            {
                "ttl": 3,
                "peer": PEER4,
                "name": "peer4",
                "sent": 30,
                "received": 30,
                "loss_ratio": 0.0,
                "rtt": summary(0.0541, samples=30),
                "added_s": 0.0018,
                "reason": "reached",
                "verdict": "",
            },
        ],
        "destination_reached": True,
        "routes": [
            {
                "path": [PEER2, PEER3, PEER4],
                "names": ["peer2", "peer3", "peer4"],
                "count": 28,
                "first_unix_s": STARTED_UNIX_S,
            },
            {
                "path": [PEER3, PEER4],
                "names": ["peer3", "peer4"],
                "count": 2,
                "first_unix_s": STARTED_UNIX_S + 7,
            },
        ],
        "route_changes": 2,
        "underlay": [
            {
                "between": [ME, PEER2],
                "hops": [{"ttl": 1, "address": "198.18.0.2", "rtt": summary(0.0009, samples=3)}],
                "error": None,
            },
            {"between": [PEER2, PEER3], "hops": [], "error": "only the first link can be traced from here"},
        ],
    }
    return result(
        "traceroute",
        "overlay-trace",
        "reached in 3 hops, 54.1 ms; the link peer2 > peer3 adds 50.2 ms",
        fields | changed,
    )


def bandwidth(**changed: Any) -> Result:
    """TCP through a link of 50 Mbit/s."""
    intervals = [
        {
            "start_s": float(second), "end_s": second + 1.0, "omitted": second < 2,
            "bits_per_s": 47_800_000.0 - (30_000_000 if second == 0 else 0) + 1000 * second,
            "retransmits": 12 if second == 1 else 0, "rtt_s": 0.031, "cwnd_bytes": 208_512,
            "direction": "forward",
        }
        for second in range(10)
    ]  # fmt: skip
    fields = {
        "goodput_bits_per_s": 47_810_000.0,
        "direction": "forward",
        "protocol": "tcp",
        "streams": 1,
        "intervals": intervals,
        "retransmits": 12,
        "loss_ratio": 0.0004,
        "jitter_s": None,
        "rtt_idle": summary(0.0101, samples=40),
        "rtt_loaded": summary(0.0312, samples=800, spread=0.05),
        "bottleneck": {
            "verdict": "path",
            "text": "the link is the limit",
            "evidence": [
                "the congestion window was full 97 % of the time",
                "12 segments were sent again, and the queue added 21 ms",
            ],
        },
        "omit_s": 2.0,
        "steady": True,
        "cpu": {"local_ratio": 0.031, "remote_ratio": 0.042},
        "congestion_control": "cubic",
        "rate_cap_bits_per_s": None,
        "options": {"duration_s": 10.0, "protocol": "tcp", "streams": 1},
    }
    return result(
        "bandwidth", "tcp", "47.8 Mb/s to peer2 over one TCP stream; the link is the limit", fields | changed
    )


def latency(**changed: Any) -> Result:
    """A link whose queue is too long."""
    fields = {
        "idle": summary(0.0101) | {"hdr": "HISTFAAAAB"},
        "up": summary(0.0481, spread=0.1) | {"hdr": "HISTFAAAAB", "up_bits_per_s": 47_700_000.0},
        "down": summary(0.0221, spread=0.1) | {"hdr": "HISTFAAAAB", "down_bits_per_s": 95_600_000.0},
        "both": summary(0.0602, spread=0.1) | {"hdr": "HISTFAAAAB"},
        "grade": "B",
        "added_p95_s": {"up": 0.0518, "down": 0.018, "both": 0.0675},
        "rfc6349": {
            "up": {
                "tcp_transfer_time_ratio": 1.04,
                "tcp_efficiency_ratio": 0.9996,
                "buffer_delay_ratio": 3.8,
            },
            "down": {"tcp_transfer_time_ratio": 1.0, "tcp_efficiency_ratio": 1.0, "buffer_delay_ratio": 1.2},
        },
    }
    return result("latency", "stamp-udp", "10.1 ms idle, up to 78.3 ms under load: grade B", fields | changed)


def routing(**changed: Any) -> Result:
    """Three peers, one of them cut off, and a relay that drops."""
    fields = {
        "target": None,
        "matrix": {
            "peers": [ME, PEER2, PEER3, PEER4],
            "hops": [[0, 1, 2, None], [1, 0, 1, None], [2, 1, 0, None], [None, None, None, 0]],
        },
        "peers": [
            {
                "peer": PEER2,
                "name": "peer2",
                "reachable": True,
                "hops": 1,
                "best_hops": 1,
                "path": [ME, PEER2],
                "rtt": summary(0.0021, samples=5),
                "best_known_s": 0.0021,
                "stretch": 1.0,
                "verdict": "",
            },
            {
                "peer": PEER3,
                "name": "peer3",
                "reachable": True,
                "hops": 2,
                "best_hops": 2,
                "path": [ME, PEER2, PEER3],
                "rtt": summary(0.0523, samples=5),
                "best_known_s": 0.031,
                "stretch": 1.69,
                "verdict": "a way of 31.0 ms is known",
            },
            {
                "peer": PEER4,
                "name": "peer4",
                "reachable": False,
                "hops": None,
                "best_hops": None,
                "path": [],
                "rtt": None,
                "best_known_s": None,
                "stretch": None,
                "verdict": "no answer",
            },
        ],
        "relays": [
            {
                "peer": PEER2,
                "name": "peer2",
                "offered": 20,
                "passed": 0,
                "blocked": [],
                "refusals": {},
                "forwarding": "yes",
                "misroutes": [],
                "dropped": {},
                "verdict": "",
            },
            {
                "peer": PEER3,
                "name": "peer3",
                "offered": 20,
                "passed": 0,
                "blocked": [],
                "refusals": {},
                "forwarding": "no",
                "misroutes": [{"to": PEER2}],
                "dropped": {"no route": 4},
                "verdict": "passes nothing on, or the links behind it are dead",
            },
        ],
        "success": False,
    }
    return result("routing", "overlay-echo", "2 of 3 peers reached; peer3 does not pass on", fields | changed)


def stress(**changed: Any) -> Result:
    """A search for the highest rate that meets a goal."""
    fields = {
        "rate_per_s": 2000.0,
        "offered": 60_000,
        "delivered": 59_400,
        "offered_per_s": 2000.0,
        "throughput_per_s": 1980.0,
        "goodput_bits_per_s": 4_055_040.0,
        "latency": summary(0.0123, spread=0.3, samples=59_400, p999=True),
        "loss_ratio": 0.01,
        "drops": [
            {"where": "relay", "peer": PEER3, "name": "peer3", "cause": "queue full", "count": 512},
            {"where": "here", "peer": ME, "name": "peer1", "cause": "rate limit", "count": 88},
        ],
        "steps": [
            {"rate_per_s": 1000.0, "loss_ratio": 0.0, "latency": summary(0.021), "is_met": True},
            {"rate_per_s": 2000.0, "loss_ratio": 0.01, "latency": summary(0.041), "is_met": True},
            {"rate_per_s": 4000.0, "loss_ratio": 0.31, "latency": summary(0.9), "is_met": False},
        ],
        "found_rate_per_s": 2000.0,
        "duration_s": 92.0,
    }
    return result("stress", "overlay-messages", "2000 messages/s meet p99<500ms,loss<=1%", fields | changed)


def connectivity(**changed: Any) -> Result:
    """TLS fails."""
    fields = {
        "steps": [
            {
                "step": "resolve",
                "ok": True,
                "duration_s": 0.0001,
                "detail": "198.18.0.2:4001",
                "reason": None,
            },
            {"step": "tcp", "ok": True, "duration_s": 0.0021, "detail": "connected", "reason": None},
            {
                "step": "tls",
                "ok": False,
                "duration_s": 5.0,
                "detail": "no answer",
                "reason": "nothing answered within 5 s: a firewall that lets the connection through and"
                " drops the rest, or a program that is no node",
            },
            {"step": "identity", "ok": None, "duration_s": None, "detail": "", "reason": "not tried"},
        ],
        "reachable_from_outside": None,
        "by": None,
        "success": False,
    }
    return result("connectivity", "steps", "peer2 answers TCP and not TLS", fields | changed)


def declined() -> Result:
    """A peer that does not want to be tested."""
    fields: Result = dict.fromkeys(("sent", "received", "rtt", "loss_ratio", "jitter_s"))
    return ping(
        **fields,
        forward_lost=None,
        backward_lost=None,
        forward_delay=None,
        backward_delay=None,
        sufficiency=None,
        send_error=None,
        success=False,
        declined="peer2 takes part in no tests",
        verdict="declined: peer2 takes part in no tests",
        duration_s=0.02,
    )


def noisy() -> Result:
    """Few samples, on a host that was busy, cut short."""
    found = ping(sent=20, received=20, forward_lost=0, backward_lost=0, loss_ratio=0.0, interrupted=True)
    found["sufficiency"] = {"enough": False, "text": "20 samples do not suffice for p99; 200 would"}
    found["environment"] |= {"noisy": True, "notes": ["other programs took 31 % of this host's CPU"]}
    found["verdict"] = "20 of 20 answered, half within 50.1 ms"
    return found


EXAMPLES = {
    "ping": ping,
    "traceroute": traceroute,
    "bandwidth": bandwidth,
    "latency": latency,
    "routing": routing,
    "stress": stress,
    "connectivity": connectivity,
    "declined": declined,
    "noisy": noisy,
}
