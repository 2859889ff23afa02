"""The peers of ``network``: ping, fping, irtt and iperf3, run in the same namespaces as ours.

A tool that is missing is a figure that says how to install it, and no error.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.netns import PATH, Namespace

__all__ = [
    "IRTT_PAYLOAD_BYTES",
    "Irtt",
    "MissingToolError",
    "fping_s",
    "iperf3",
    "irtt",
    "median_us",
    "or_missing",
    "ping_s",
]

_PACKAGES = {"ping": "iputils-ping", "fping": "fping", "irtt": "irtt", "iperf3": "iperf3"}
_IRTT_PORT = 2112
#: Longer than what its two ends agree with, so that a counter can tell them apart.
IRTT_PAYLOAD_BYTES = 160


class MissingToolError(Exception):
    """A peer that is not installed here; the text says how it could be."""


@dataclass(frozen=True, slots=True)
class Irtt:
    """What irtt found: round trips in seconds, and what was lost on the way there and back."""

    rtt_s: list[float]
    forward_lost: int
    backward_lost: int


def or_missing(figure: Callable[[], str]) -> str:
    """The peer's figure, or the line that installs it."""
    try:
        return figure()
    except MissingToolError as missing:
        return str(missing)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        return f"failed: {said[-1]}"


def median_us(name: str, rtt_s: list[float]) -> str:
    """The peer's name and its median."""
    return f"{name} {statistics.median(rtt_s) * 1e6:,.0f} µs" if rtt_s else f"{name} none"


def ping_s(source: Namespace, host: str, *, count: int, interval_s: float) -> list[float]:
    """Round trips as ping prints them."""
    _need("ping")
    printed = source.run("ping", "-n", "-i", f"{interval_s}", "-c", f"{count}", "-W", "2", host)
    return [float(found) / 1e3 for found in re.findall(r"time=([\d.]+) ms", printed)]


def fping_s(source: Namespace, host: str, *, count: int, interval_s: float) -> list[float]:
    """Round trips as fping prints them."""
    _need("fping")
    # One line a packet; its summary goes to stderr.
    printed = source.run("fping", "-C", f"{count}", "-p", f"{interval_s * 1e3:g}", "-t", "2000", host)
    return [float(found) / 1e3 for found in re.findall(r"bytes, ([\d.]+) ms", printed)]


def irtt(source: Namespace, target: Namespace, *, count: int, interval_s: float) -> Irtt:
    """Round trips of an isochronous run, with a server of its own."""
    _need("irtt")
    with target.program("irtt", "server", "-i", "0", "-b", f"{target.address}:{_IRTT_PORT}") as server:
        _until_it_listens(target, "udp", _IRTT_PORT)
        timing = ("-i", f"{interval_s * 1e3:g}ms", "-d", f"{count * interval_s:g}s")
        arguments = (*timing, "-l", f"{IRTT_PAYLOAD_BYTES}", "-Q", "-o", "-")
        found = json.loads(source.run("irtt", "client", *arguments, target.address))
        server.kill()
    trips = found["round_trips"]
    lost = [trip["lost"] for trip in trips]
    return Irtt(
        [trip["delay"]["rtt"] / 1e9 for trip in trips if trip["lost"] == "false"],
        lost.count("true_up"),
        lost.count("true_down"),
    )


def iperf3(source: Namespace, target: Namespace, *arguments: str, host: str = "") -> dict[str, Any]:
    """The ``end`` of iperf3's report, with a server of its own for one test."""
    _need("iperf3")
    with target.program("iperf3", "-s", "-1", "-p", "5201") as server:
        _until_it_listens(target, "tcp", 5201)
        report: dict[str, Any] = json.loads(
            source.run("iperf3", "-c", host or target.address, "-J", *arguments)
        )
        server.kill()  # one that was not told of the end would wait on; its client has reported
    end: dict[str, Any] = report["end"]
    return end


def _need(name: str) -> None:
    if shutil.which(name, path=PATH) is None:
        raise MissingToolError(f"{name} is missing: apt install {_PACKAGES[name]}")


def _until_it_listens(namespace: Namespace, protocol: str, port: int) -> None:
    wanted = f":{port:04X} "
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        tables = namespace.run("cat", f"/proc/self/net/{protocol}", f"/proc/self/net/{protocol}6")
        if any(wanted in line.split(" rem", 1)[0] for line in tables.splitlines()):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens at {protocol} port {port}")
