"""Signed vertices flooding a ring of five node processes over loopback TLS, at 1,000 a second in all.

Method: each process runs a whole overlay with metrics. Every node submits 200 vertices of 200 bytes a
second, open-loop on its own schedule, for 10 s after 1 s of warm-up; then the ring drains, until nothing
has arrived for 2 s. The payload carries the monotonic clock, which processes of one machine share, so the
latency from submission to acceptance is exact, for every vertex at every other node. CPU is the processes'
own, over the same time, per vertex and node: verification, three sockets' TLS, duplicates, metrics and all.
There is no peer to run beside: the row says how much of it is the bare signature (``gossip`` measures that
alone). The time for which the processes were ready and had no processor says how much of the latency is the
machine's.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import struct
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Row
from qudag_node.config import OverlayConfig
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.events import EventLog
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.overlay import LocalNode, Overlay
from qudag_node.overlay.vertices import Vertex

__all__ = ["rows"]

_NODES = 5
_RATE_PER_NODE = 200
_WARM_UP_S = 1.0
_DURATION_S = 10.0
_DRAIN_S = 2.0
_MAX_DRAIN_S = 30.0
_STEP_S = 0.005
_PAYLOAD_BYTES = 200
_STAMP = struct.Struct("!d")


class _Report(NamedTuple):
    submitted: int
    accepted: int
    dropped: int
    cpu_s: float
    waited_s: float
    latencies_s: list[float]


def rows() -> list[Row]:
    """Run the ring once; takes about 15 s."""
    reports = _run_ring()
    latencies_s = sorted(latency for report in reports for latency in report.latencies_s)
    submitted = sum(report.submitted for report in reports)
    expected = submitted * _NODES
    accepted = sum(report.accepted for report in reports)
    cpu_s = sum(report.cpu_s for report in reports)
    waited_s = sum(report.waited_s for report in reports)
    p50_s, p99_s = (latencies_s[int(share * (len(latencies_s) - 1))] for share in (0.50, 0.99))
    rate_per_s = submitted / (_WARM_UP_S + _DURATION_S)
    is_whole = accepted == expected and not any(report.dropped for report in reports)
    return [
        Row(
            what=f"gossip on {_NODES} nodes: vertices per second, lost",
            ours=f"{rate_per_s:,.0f} per s, {expected - accepted} of {expected:,} lost",
            goal="1,000 per s, none",
            met=is_whole and rate_per_s >= 0.99 * _NODES * _RATE_PER_NODE,
            method="ring of processes, open-loop",
        ),
        Row(
            what="its latency, submission to acceptance",
            ours=f"p50 {p50_s * 1e3:.1f} ms, p99 {p99_s * 1e3:.1f} ms",
            goal="p99 < 500 ms",
            met=p99_s < 0.5,
        ),
        Row(
            what="its CPU for each vertex at each node",
            ours=f"{cpu_s / accepted * 1e6:.0f} µs",
            method="whole process, metrics included",
        ),
        Row(
            what="its processes ready, and without a processor",
            ours=f"{waited_s:.1f} s, beside {cpu_s:.1f} s with one",
            method="/proc/self/schedstat; other work on the machine",
        ),
    ]


def _run_ring() -> list[_Report]:
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes: list[SpawnProcess] = []
    try:
        for number in range(_NODES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_node_process, args=(number, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        addresses: list[str] = [pipe.recv() for pipe in pipes]
        for number, pipe in enumerate(pipes):
            pipe.send(addresses[(number + 1) % _NODES])
        for pipe in pipes:
            pipe.recv()
        start_mono_s = time.monotonic() + 0.5
        for pipe in pipes:
            pipe.send(start_mono_s)
        return [pipe.recv() for pipe in pipes]
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(5.0)
            process.kill()


def _node_process(number: int, pipe: Connection) -> None:
    # The end of the run is a series of partitions to those that are left.
    logging.disable(logging.ERROR)
    with suppress(EOFError, BrokenPipeError):
        asyncio.run(_node(number, pipe))


async def _node(number: int, pipe: Connection) -> None:
    collector = MetricsCollector(message_types=FRAME_NAMES)
    local = LocalNode(
        identity=Identity.generate(), name=f"peer{number + 1}", network="bench", agent="bench/1"
    )
    config = OverlayConfig(listen=("127.0.0.1:0",), discovery=False)
    overlay = Overlay(config, local, collector, time, EventLog(time))
    latencies_s: list[float] = []
    measure_from_s = 0.0

    def note(vertex: Vertex) -> None:
        (submitted_s,) = _STAMP.unpack_from(vertex.payload)
        if submitted_s >= measure_from_s:
            latencies_s.append(time.monotonic() - submitted_s)

    overlay.on_vertex = note
    await overlay.start()
    try:
        pipe.send(f"{overlay.peer_id}@{overlay.listen_addresses[0]}")
        await overlay.dial(await asyncio.to_thread(pipe.recv))
        while len(overlay.links()) < 2:  # noqa: ASYNC110  # the other neighbour dials
            await asyncio.sleep(0.01)
        pipe.send(None)
        start_mono_s: float = await asyncio.to_thread(pipe.recv)
        measure_from_s = start_mono_s + _WARM_UP_S
        await asyncio.sleep(start_mono_s - time.monotonic())
        cpu_start_s, waited_start_s = time.process_time(), _waited_s()
        submitted = await _load(overlay, start_mono_s)
        await _drain(collector)
        cpu_s, waited_s = time.process_time() - cpu_start_s, _waited_s() - waited_start_s
        totals = collector.totals()
        dropped = int(totals.dropped_in.sum() + totals.dropped_out.sum())
        report = _Report(submitted, collector.vertices_accepted, dropped, cpu_s, waited_s, latencies_s)
        pipe.send(report)
        # The neighbours still count; leave when they have.
        await asyncio.sleep(0.5)
    finally:
        await overlay.stop()


async def _drain(collector: MetricsCollector) -> None:
    """Wait until nothing arrives any more."""
    end_mono_s, accepted = time.monotonic() + _MAX_DRAIN_S, -1
    while collector.vertices_accepted != accepted and time.monotonic() < end_mono_s:
        accepted = collector.vertices_accepted
        await asyncio.sleep(_DRAIN_S)


def _waited_s() -> float:
    """For how long this process was ready to run and did not; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


async def _load(overlay: Overlay, start_mono_s: float) -> int:
    """Submit on schedule, whatever comes back; return how many vertices were made."""
    submitted, end_mono_s = 0, start_mono_s + _WARM_UP_S + _DURATION_S
    while (now_mono_s := time.monotonic()) < end_mono_s:
        due = int((now_mono_s - start_mono_s) * _RATE_PER_NODE) - submitted
        payloads = [_STAMP.pack(time.monotonic()).ljust(_PAYLOAD_BYTES, b"\0") for _ in range(due)]
        submitted += await overlay.submit(payloads)
        await asyncio.sleep(_STEP_S)
    return submitted
