"""The network tests against what the kernel counted, beside ping, fping, irtt and iperf3 on the same link.

Method. Two network namespaces joined by a veth pair, or a link of the lab's (``netns`` engine) where a delay
is needed; in each a real node, and the peers run in the same namespaces one after the other, so each figure
of ours stands beside one of the same run on the same link.
Truth. Round trips: packet sockets on the devices of both ends, which note by the kernel's clock when each
packet passed; the peers' medians stand beside, less the 20 ms that were asked for. Loss: nft's named counters
at each input. Goodput: tc's token bucket, of whose rate 1448 of 1514 bytes are payload.
Stalls: the far node, or the process that is the link, is stopped (SIGSTOP) for 0.5 s in every 5 s, so that
one probe in ten waits up to 0.5 s: a p99 of 450 ms, which who waits for a reply before the next probe never
sees; the stalls are timed, and what they lasted longer than 0.5 s is allowed for.
Other traffic: an iperf3 stream of 100 Mbit/s on the tested link, and the bytes on the node's link to a third
node, with a bandwidth test at the default caps and without one, in turn.
Goals are those of a quiet machine (MISSED on a busy one); a figure that is not there says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from benchmarks._tap import round_trips_s, tapping
from benchmarks._tools import (
    IRTT_PAYLOAD_BYTES,
    MissingToolError,
    fping_s,
    iperf3,
    irtt,
    median_us,
    or_missing,
    ping_s,
)
from benchmarks.table import Row
from qudag_node.errors import NodeError
from qudag_node.lab.simulator import NetworkSimulator
from tests.integration.pairs import Node, NoResultError, connected, node, pair_of, run_test
from tests.netns import DEVICE, Namespace, Wire, namespace_of, netns_problem, wire_between

__all__ = ["rows"]

_COUNT = 300
_INTERVAL_S = 0.01
_LOSS_COUNT = 1000
_SECONDS = 4.0
#: irtt's probes, and not the packets with which its ends agree.
_IRTT = f"udp {{}} 2112 udp length >= {IRTT_PAYLOAD_BYTES}"
_PAYLOAD_OF_A_FRAME = 1448 / 1514
#: A node lifts its caps only where what is measured is the machine, and not the caps.
_NO_CAPS = ("--set", "tests.max_rate_bits_per_s=1e11", "--set", "tests.max_packets_per_s=10000000")


def rows() -> list[Row]:
    """Measure everything; takes four to five minutes."""
    if (problem := netns_problem()) is not None:
        return [Row(what="network tests", ours=f"not measured: {problem}")]
    found: list[Row] = []
    for measure in (
        _round_trips_of_a_veth,
        _round_trips_with_a_delay,
        _losses,
        _losses_of_a_lab_link,
        _goodputs,
        _loaded_latency,
        _loopback,
        _effect_on_the_node,
        _effect_on_others,
        _stalls,
        _cost,
    ):
        began_s = time.monotonic()
        try:
            found += measure()
        except (NodeError, NoResultError, OSError, subprocess.SubprocessError) as error:
            found.append(_missing(measure.__name__.strip("_").replace("_", " "), error))
        _note(f"{measure.__name__.strip('_')}: {time.monotonic() - began_s:.0f} s")
    return found


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _missing(what: str, error: Exception, peer: str = "", goal: str = "") -> Row:
    return Row(what=what, ours=f"none: {error}", peer=peer, goal=goal, met=False)


# -- round trips ----------------------------------------------------------------------------------------


def _round_trips_of_a_veth() -> list[Row]:
    with wire_between() as wire:
        peer = _peers_round_trips(wire.a, wire.b, 0.0)
        with pair_of(wire.a, wire.b) as (near, _):
            ends = ((wire.a, DEVICE), (wire.b, DEVICE))
            return _round_trip_rows("RTT on a bare veth", near, "b", ends, peer)


def _round_trips_with_a_delay() -> list[Row]:
    with _lab(2, "peer1-peer2:delay=10ms") as (lab, nodes):
        pids = [nodes[name].pid for name in ("peer1", "peer2")]
        with namespace_of(pids[0], "198.18.0.1") as a, namespace_of(pids[1], "198.18.0.2") as b:
            peer = _peers_round_trips(a, b, 0.020)
            ends = ((a, "to-peer2"), (b, "to-peer1"))
            return _round_trip_rows("RTT on 10 + 10 ms", nodes["peer1"], lab.nodes["peer2"].id, ends, peer)


def _round_trip_rows(
    what: str, near: Node, target: str, ends: tuple[tuple[Namespace, str], ...], peer: str
) -> list[Row]:
    goal = "≤ 50 µs or 0.5 %"
    try:
        with tapping(*ends[0]) as here, tapping(*ends[1]) as there:
            rtt = _ping(near, target)["rtt"]
    except NoResultError as error:
        return [_missing(f"{what}, median", error, peer, goal)]
    truth_s = sorted(round_trips_s(here.seen, there.seen))
    if not truth_s:
        return [Row(what=what, ours="the taps saw nothing", peer=peer, met=False)]
    median_s, p99_s = statistics.median(truth_s), truth_s[-(len(truth_s) // 100) - 1]
    error_s, excess_s = rtt["p50_s"] - median_s, rtt["p99_s"] - p99_s
    return [
        Row(
            what=f"{what}, median and its error",
            ours=f"{rtt['p50_s'] * 1e6:,.0f} µs, {error_s * 1e6:+,.0f} µs of {median_s * 1e6:,.0f} µs",
            peer=peer,
            goal=goal,
            met=abs(error_s) <= max(50e-6, 0.005 * median_s),
            method="error: to packet sockets on both devices, read with the kernel's clock",
        ),
        Row(
            what="its p99, and how far above the truth's",
            ours=f"{rtt['p99_s'] * 1e6:,.0f} µs, {excess_s * 1e6:+,.0f} µs",
            goal="≤ 150 µs above",
            met=excess_s <= 150e-6,
        ),
    ]


def _peers_round_trips(a: Namespace, b: Namespace, less_s: float) -> str:
    """The medians of ping, fping and irtt, less the delay that was asked for."""

    def of(name: str, measure: Callable[[], list[float]]) -> str:
        return or_missing(lambda: median_us(name, [rtt_s - less_s for rtt_s in measure()]))

    return ", ".join(
        [
            of("ping", lambda: ping_s(a, b.address, count=_COUNT, interval_s=_INTERVAL_S)),
            of("fping", lambda: fping_s(a, b.address, count=_COUNT, interval_s=_INTERVAL_S)),
            of("irtt", lambda: irtt(a, b, count=_COUNT, interval_s=_INTERVAL_S).rtt_s),
        ]
    )


def _ping(asked: Node, target: str, *, poll_s: float = 0.1, **options: object) -> dict[str, Any]:
    chosen: dict[str, object] = {"count": _COUNT, "interval_s": _INTERVAL_S, "via": "udp"} | options
    return run_test(asked, "ping", target, poll_s=poll_s, **chosen)


# -- loss -----------------------------------------------------------------------------------------------


def _losses() -> list[Row]:
    what = "loss there / back, against the counters"
    goal = "equal, each direction"
    with wire_between() as wire:
        peer = or_missing(lambda: _irtts_loss(wire))
        with pair_of(wire.a, wire.b) as (near, _):
            # The peer's port is not the nodes'.
            there = wire.count(wire.b, "udp dport != 2112", ratio=0.02)
            back = wire.count(wire.a, "udp sport != 2112", ratio=0.01)
            try:
                found = _ping(near, "b", count=_LOSS_COUNT, interval_s=0.005)
            except NoResultError as error:
                return [_missing(what, error, peer, goal)]
            truth = (there.read().dropped, back.read().dropped)
    ours = (found["forward_lost"], found["backward_lost"])
    return [
        Row(
            what=what,
            ours=f"{ours[0]} / {ours[1]}, counters {truth[0]} / {truth[1]}, of {_LOSS_COUNT:,}",
            peer=peer,
            goal=goal,
            met=ours == truth,
        )
    ]


def _irtts_loss(wire: Wire) -> str:
    there = wire.count(wire.b, _IRTT.format("dport"), ratio=0.02)
    back = wire.count(wire.a, _IRTT.format("sport"), ratio=0.01)
    found = irtt(wire.a, wire.b, count=_LOSS_COUNT, interval_s=0.005)
    counted = f"{there.read().dropped} / {back.read().dropped}"
    return f"irtt {found.forward_lost} / {found.backward_lost}, counters {counted}"


def _losses_of_a_lab_link() -> list[Row]:
    """The link of the issue: 25 ms each way and 2 % loss."""
    what = "a lab's link of 25 + 25 ms, 2 % loss: median error, loss there / back"
    with _lab(2, "peer1-peer2:delay=25ms,loss=2%") as (lab, nodes):
        pids = [nodes[name].pid for name in ("peer1", "peer2")]
        with namespace_of(pids[0], "198.18.0.1") as a, namespace_of(pids[1], "198.18.0.2") as b:
            try:
                with tapping(a, "to-peer2") as here, tapping(b, "to-peer1") as there:
                    found = _ping(nodes["peer1"], lab.nodes["peer2"].id, count=_LOSS_COUNT)
            except NoResultError as error:
                return [_missing(what, error)]
        udp = [link["truth"]["udp"]["dropped_loss"] for link in lab.status()["links"]]
    truth_s = statistics.median(round_trips_s(here.seen, there.seen))
    off = found["rtt"]["p50_s"] / truth_s - 1
    lost = [found["forward_lost"], found["backward_lost"]]
    return [
        Row(
            what=what,
            ours=f"{off:+.3%} of {truth_s * 1e3:.2f} ms, {lost[0]} / {lost[1]}, counters {udp[0]} / {udp[1]}",
            goal="≤ 0.5 %, equal",
            met=abs(off) <= 0.005 and lost == udp,
        )
    ]


# -- rates ----------------------------------------------------------------------------------------------


def _goodputs() -> list[Row]:
    found: list[Row] = []
    with wire_between() as wire, pair_of(wire.a, wire.b, *_NO_CAPS) as (near, _):
        for rate in (10e6, 100e6, 500e6):
            # A queue of 20 ms, and a bucket of one, which a timer's lateness does not run dry.
            burst_bytes = max(5_000, int(rate / 8 * 0.001))
            wire.shape(wire.a, rate, queue_bytes=max(60_000, int(rate / 8 * 0.02)), burst_bytes=burst_bytes)
            found.append(_goodput(wire, near, rate))
    return found


def _goodput(wire: Wire, near: Node, rate: float) -> Row:
    what = f"goodput through {rate / 1e6:.0f} Mbit/s"
    truth = rate * _PAYLOAD_OF_A_FRAME
    goal = "± 0.5 %"

    def of_iperf3() -> str:
        end = iperf3(wire.a, wire.b, "-t", f"{_SECONDS:g}", "-O", "1", "-C", "cubic")
        return f"iperf3 {end['sum_received']['bits_per_second'] / truth - 1:+.2%}"

    peer = or_missing(of_iperf3)
    try:
        chosen: dict[str, Any] = {
            "duration_s": _SECONDS,
            "loaded_latency": False,
            "congestion_control": "cubic",
        }
        result = run_test(near, "bandwidth", "b", **chosen)
    except NoResultError as error:
        return _missing(what, error, peer, goal)
    off = result["goodput_bits_per_s"] / truth - 1
    return Row(
        what=what,
        ours=f"{off:+.2%}, {result['bottleneck']['verdict']}",
        peer=peer,
        goal=goal,
        met=abs(off) <= 0.005,
        method="the bucket's rate by 1448/1514; cubic at both, no pings beside",
    )


def _loaded_latency() -> list[Row]:
    """A queue of 125,000 bytes at 20 Mbit/s holds 50 ms, and cubic fills it."""
    what, truth_s, goal = "loaded latency, queue of 50 ms, cubic: max", 0.050, "± 5 %"
    with wire_between() as wire, pair_of(wire.a, wire.b) as (near, _):
        wire.shape(wire.a, 20e6, queue_bytes=125_000, burst_bytes=5_000)

        def pinged() -> str:
            rtt_s: list[float] = []
            pinging = threading.Thread(
                target=lambda: rtt_s.extend(ping_s(wire.a, wire.b.address, count=250, interval_s=0.02))
            )
            pinging.start()
            iperf3(wire.a, wire.b, "-t", "5", "-C", "cubic")
            pinging.join()
            return f"ping {max(rtt_s) * 1e3:.1f} ms beside iperf3"

        peer = or_missing(pinged)
        try:
            result = run_test(near, "bandwidth", "b", duration_s=5.0, congestion_control="cubic")
        except NoResultError as error:
            return [_missing(what, error, peer, goal)]
    loaded = result["rtt_loaded"]
    return [
        Row(
            what=what,
            ours=f"{loaded['max_s'] * 1e3:.1f} ms, median {loaded['p50_s'] * 1e3:.1f} ms",
            peer=peer,
            goal=goal,
            met=abs(loaded["max_s"] / truth_s - 1) <= 0.05,
        )
    ]


def _loopback() -> list[Row]:
    what_tcp, what_udp = "one TCP stream, loopback", "UDP of 1,200 bytes, loopback, received"
    host = "127.0.0.1"
    with (
        wire_between() as wire,
        node(wire.a, "b", *_NO_CAPS, host=host) as far,
        node(wire.a, "a", *_NO_CAPS, "--peer", far.address, host=host, port=4002) as near,
    ):
        connected(near, "b")
        return [
            _rate_row(
                what_tcp,
                lambda: iperf3(wire.a, wire.a, "-t", f"{_SECONDS:g}", "-O", "1", host=host)["sum_received"][
                    "bits_per_second"
                ],
                lambda: run_test(near, "bandwidth", "b", duration_s=_SECONDS, loaded_latency=False),
            ),
            _rate_row(
                what_udp,
                lambda: _iperf3_udp(wire.a, host),
                lambda: run_test(
                    near,
                    "bandwidth",
                    "b",
                    duration_s=_SECONDS,
                    protocol="udp",
                    packet_bytes=1200,
                    loaded_latency=False,
                ),
            ),
        ]


def _iperf3_udp(namespace: Namespace, host: str) -> float:
    end = iperf3(namespace, namespace, "-u", "-b", "0", "-l", "1200", "-t", f"{_SECONDS:g}", host=host)
    received = end["sum"]["packets"] - end["sum"]["lost_packets"]
    return float(received * 1200 * 8 / end["sum"]["seconds"])


def _rate_row(what: str, peer: Callable[[], float], ours: Callable[[], dict[str, Any]]) -> Row:
    goal = "≥ iperf3"
    theirs: float | None = None
    try:
        theirs = peer()
        beside = f"iperf3 {theirs / 1e9:.2f} Gbit/s"
    except MissingToolError as missing:
        beside = str(missing)
    try:
        rate = ours()["goodput_bits_per_s"]
    except NoResultError as error:
        return _missing(what, error, beside, goal)
    return Row(
        what=what,
        ours=f"{rate / 1e9:.2f} Gbit/s",
        peer=beside,
        ratio=rate / theirs if theirs else None,
        goal=goal,
        met=rate >= theirs if theirs else None,
    )


# -- what a test does to others -------------------------------------------------------------------------


def _effect_on_the_node() -> list[Row]:
    with wire_between() as wire, pair_of(wire.a, wire.b) as (near, far):
        connected(far, "a")
        try:
            with _gossip(near, far) as quiet:
                quiet_rtt = _ping(far, "a", count=400, via="link")["rtt"]
            with _gossip(near, far) as busy, _testing(near) as results:
                busy_rtt = _ping(far, "a", count=400, via="link")["rtt"]
        except NoResultError as error:
            return [_missing("gossip and link ping beside a bandwidth test", error)]
    return [
        Row(
            what="gossip of 200/s beside a bandwidth test, lost",
            ours=f"{busy.lost} of {busy.submitted}, without {quiet.lost} of {quiet.submitted}",
            goal="none",
            met=busy.lost == 0,
            method=f"default caps; the test had {results[0]['goodput_bits_per_s'] / 1e6:,.0f} Mbit/s",
        ),
        Row(
            what="submitting ten vertices by RPC, p99, without / with",
            ours=f"{quiet.p99_ms:.1f} / {busy.p99_ms:.1f} ms",
            goal="< 50 ms",
            met=busy.p99_ms < 50,
        ),
        Row(
            what="link ping between the tested nodes, p99, without / with",
            ours=f"{quiet_rtt['p99_s'] * 1e3:.1f} / {busy_rtt['p99_s'] * 1e3:.1f} ms",
            goal="< 50 ms",
            met=busy_rtt["p99_s"] < 0.050,
            method="ping --via link, 400 probes in 4 s, through both nodes' event loops",
        ),
    ]


@contextmanager
def _testing(near: Node) -> Generator[list[dict[str, Any]]]:
    """A bandwidth test at the default caps that begins before the block and ends after it."""
    results: list[dict[str, Any]] = []
    failures: list[NoResultError] = []

    def test() -> None:
        try:
            results.append(run_test(near, "bandwidth", "b", duration_s=_SECONDS + 6))
        except NoResultError as error:
            failures.append(error)

    thread = threading.Thread(target=test)
    thread.start()
    try:
        time.sleep(1.5)  # both ends' processes have started
        yield results
    finally:
        thread.join()
    if failures:
        raise failures[0]


class _Gossip:
    """Two hundred vertices a second from one node, and what the other accepted."""

    def __init__(self, near: Node, far: Node) -> None:
        self._near, self._far = near, far
        self._stop = threading.Event()
        self._calls_s: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self.submitted = 0
        self.lost = 0

    def begin(self) -> None:
        self._before = self._accepted()
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s and self._accepted() - self._before < self.submitted:
            time.sleep(0.1)
        self.lost = self.submitted - (self._accepted() - self._before)

    def _accepted(self) -> int:
        return int(self._far.call("stats")["performance"]["vertices_accepted"])

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stop.wait(max(due_s - time.monotonic(), 0)):
            due_s += 0.05
            began_s = time.monotonic()
            payloads = [os.urandom(100) for _ in range(10)]
            self.submitted += int(self._near.call("submit", {"payloads": payloads})["accepted"])
            self._calls_s.append(time.monotonic() - began_s)

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self._calls_s)
        return ordered[-(len(ordered) // 100) - 1] * 1e3


@contextmanager
def _gossip(near: Node, far: Node) -> Generator[_Gossip]:
    load = _Gossip(near, far)
    load.begin()
    try:
        yield load
    finally:
        load.end()


def _effect_on_others() -> list[Row]:
    goal = "< 5 %"
    what = "other traffic's goodput on the tested link, at default caps"
    with (
        wire_between() as wire,
        pair_of(wire.a, wire.b) as (near, far),
        node(wire.b, "c", "--peer", near.address, port=4003),
    ):
        connected(near, "c")
        try:
            quiet, busy = _other_traffic(wire, near)
        except MissingToolError as missing:
            return [Row(what=what, ours="", peer=str(missing), goal=goal)]
        except NoResultError as error:
            return [_missing(what, error, goal=goal)]
        del far
    fall = 1 - statistics.mean(rate for rate, _ in busy) / statistics.mean(rate for rate, _ in quiet)
    before, after = (statistics.mean(outside for _, outside in runs) for runs in (quiet, busy))
    growth = after / before - 1
    return [
        Row(
            what=what, ours=f"falls by {fall:.2%}", goal=goal, met=fall < 0.05, method="iperf3 at 100 Mbit/s"
        ),
        Row(
            what="traffic outside the tested link, at default caps",
            ours=f"changes by {growth:+.2%} ({before:,.0f} to {after:,.0f} bytes/s)",
            goal=goal,
            met=growth < 0.05,
            method="the link to a third node, 200 vertices a second flooding",
        ),
    ]


def _other_traffic(wire: Wire, near: Node) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Goodput of the other stream and bytes per second on the third link, without and with a test, twice."""
    # Node c has dialled: only of its link port 4001 is at node a.
    counters = wire.count(wire.a, "tcp dport 4001"), wire.count(wire.b, "tcp sport 4001")

    def measure() -> tuple[float, float]:
        before, began_s = sum(each.read().arrived_bytes for each in counters), time.monotonic()
        with _gossip(near, near):
            end = iperf3(wire.a, wire.b, "-t", f"{_SECONDS + 1:g}", "-b", "100M", "-O", "1")
        after, ended_s = sum(each.read().arrived_bytes for each in counters), time.monotonic()
        return end["sum_received"]["bits_per_second"], (after - before) / (ended_s - began_s)

    quiet: list[tuple[float, float]] = []
    busy: list[tuple[float, float]] = []
    for _ in range(2):
        quiet.append(measure())
        with _testing(near):
            busy.append(measure())
    return quiet, busy


# -- stalls, cost ---------------------------------------------------------------------------------------


def _stalls() -> list[Row]:
    return [_stalled_reflector(), _stalled_path()]


def _stalled_reflector() -> Row:
    with wire_between() as wire, pair_of(wire.a, wire.b) as (near, far):
        return _stall_row(
            "p99 with a node that stalls 0.5 s in 5 s",
            far.pid,
            lambda: _ping(near, "b", count=1000, via="link", timeout_s=3.0),
            "a closed loop would say 0.3 ms",
            "ping --via link, 1,000 probes in 10 s; the far node's process stopped twice",
        )


def _stalled_path() -> Row:
    with _lab(2) as (lab, nodes):
        pids = [nodes[name].pid for name in ("peer1", "peer2")]
        record = json.loads((lab.directory / "lab.json").read_text(encoding="utf-8"))
        with namespace_of(pids[0], "198.18.0.1") as a, namespace_of(pids[1], "198.18.0.2") as b:
            links = record["links_process"]["pid"]
            with _stalling(links):
                peer = or_missing(lambda: _p99("irtt", irtt(a, b, count=1000, interval_s=_INTERVAL_S).rtt_s))
            return _stall_row(
                "p99 through a link that stalls 0.5 s in 5 s",
                links,
                lambda: _ping(nodes["peer1"], lab.nodes["peer2"].id, count=1000, timeout_s=3.0),
                peer,
                "ping by UDP, 1,000 probes in 10 s; the process that is the link stopped twice",
            )


def _p99(name: str, rtt_s: list[float]) -> str:
    return f"{name} {sorted(rtt_s)[-(len(rtt_s) // 100) - 1] * 1e3:.1f} ms"


def _stall_row(what: str, pid: int, measure: Callable[[], dict[str, Any]], peer: str, method: str) -> Row:
    goal = "450 ± 10 ms"
    try:
        with _stalling(pid) as stalls_s:
            p99_s = measure()["rtt"]["p99_s"]
    except NoResultError as error:
        return _missing(what, error, peer, goal)
    stalled_s = statistics.mean(stalls_s)
    return Row(
        what=what,
        ours=f"{p99_s * 1e3:.1f} ms, the stalls {stalled_s * 1e3:.0f} ms",
        peer=peer,
        goal=goal,
        met=len(stalls_s) == 2 and abs(p99_s - 0.9 * stalled_s) <= 0.010,
        method=method,
    )


@contextmanager
def _stalling(pid: int) -> Generator[list[float]]:
    """Stop the process twice for half a second, five seconds apart; yields how long it was each time."""
    ended = threading.Event()
    stalls_s: list[float] = []

    def run() -> None:
        with contextlib.suppress(OSError):  # the right to is root's
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))
        due_s = time.monotonic() + 2.5  # what is measured has begun by then, and lasts 10 s
        for _ in range(2):
            if ended.wait(max(due_s - time.monotonic(), 0)):
                return
            os.kill(pid, signal.SIGSTOP)
            began_s = time.monotonic()
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            stalls_s.append(time.monotonic() - began_s)
            due_s += 5.0

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stalls_s
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _cost() -> list[Row]:
    what = "CPU of both nodes for a ping of 100/s"
    with wire_between() as wire, pair_of(wire.a, wire.b) as (near, far):
        pids = (near.pid, far.pid)
        shares: dict[str, list[float]] = {"node": [], "all": []}
        idle: dict[str, list[float]] = {"node": [], "all": []}
        for _ in range(2):
            for into in (idle, shares):
                before, began_s = _cpu_s(pids), time.monotonic()
                try:
                    _ping(near, "b", count=1000, poll_s=2.0) if into is shares else time.sleep(10)
                except NoResultError as error:
                    return [_missing(what, error)]
                after, seconds = _cpu_s(pids), time.monotonic() - began_s
                for name in into:
                    into[name].append((after[name] - before[name]) / seconds)
    cost = {name: statistics.mean(shares[name]) - statistics.mean(idle[name]) for name in shares}
    return [
        Row(
            what=what,
            ours=f"event loops {cost['node']:.1%} of a core, workers and all {cost['all']:.1%}",
            goal="event loops < 1 %",
            met=cost["node"] < 0.01,
            method="with the ping less without, interleaved; the end of each process included",
        )
    ]


def _cpu_s(pids: tuple[int, ...]) -> dict[str, float]:
    """CPU time of the nodes, and with the children that they have waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    own = children = 0.0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123  # one line of the kernel's
            fields = file.read().rpartition(")")[2].split()
        own += (int(fields[11]) + int(fields[12])) / tick
        children += (int(fields[13]) + int(fields[14])) / tick
    return {"node": own, "all": own + children}


@contextmanager
def _lab(nodes: int, *impairments: str) -> Generator[tuple[NetworkSimulator, dict[str, Node]]]:
    with NetworkSimulator(nodes=nodes, topology="line", impair=impairments, engine="netns") as lab:
        yield lab, {name: Node(name, each.pid, each.rpc, each.listen) for name, each in lab.nodes.items()}
